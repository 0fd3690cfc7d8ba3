"""What the scripts of this folder share: a training that is no training, and the record of what it reported.

Each script runs a real library in the current folder and leaves NAME/ with the library's files and an expected.json:
``{series: {name: [[step, value], ...]}}``, noted by the script at the moment it hands the values to the library.
``make.sh`` runs them all in /home/user/samples, so that the files name no real machine.
"""

import json
import math
import os
import random
import shutil
import socket

socket.gethostname = lambda: "host"  # event files carry it in their names


class Record:
    def __init__(self, name, seed=0):
        self.folder = os.path.abspath(name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.series = {}
        self.random = random.Random(seed)

    def note(self, name, step, value):
        self.series.setdefault(name, []).append([step, value])

    def curve(self, epoch, epochs):
        """(loss, accuracy) of an epoch, with all their digits."""
        noise = self.random.uniform(-0.02, 0.02)
        loss = 2.3 * math.exp(-2.0 * epoch / epochs) + noise
        return loss, 0.95 - 0.8 * math.exp(-3.0 * epoch / epochs) + noise

    def done(self, **facts):
        """Write expected.json, a line for each series."""
        lines = [
            f"  {json.dumps(name)}: {json.dumps([[step, _word(value)] for step, value in points])}"
            for name, points in sorted(self.series.items())
        ]
        more = "".join(f",\n {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(facts.items()))
        with open(os.path.join(self.folder, "expected.json"), "w", encoding="utf-8") as file:
            file.write('{\n "series": {\n' + ",\n".join(lines) + "\n }" + more + "\n}\n")


def _word(value):
    return value if math.isfinite(value) else str(value)


def keep_only(folder, *endings):
    """Remove what is no metric file: checkpoints, configurations, links."""
    for here, _, files in os.walk(folder, topdown=False):
        for name in files:
            path = os.path.join(here, name)
            if os.path.islink(path) or not (name == "expected.json" or any(end in name for end in endings)):
                os.remove(path)
        if not os.listdir(here):
            os.rmdir(here)
