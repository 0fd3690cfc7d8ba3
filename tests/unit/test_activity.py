"""Signs of life, of real processes: this one stands for the supervisor, its child for the training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.watch.activity import ProcessProbe

AT_WORK = """
import subprocess, sys, threading, time

SPIN = "import time\\nwhile time.process_time() < 0.5: pass"

def spin():
    while time.thread_time() < 0.1:
        pass

def threads():
    for _ in range(5):
        thread = threading.Thread(target=spin)
        thread.start()
        thread.join()

def children():
    subprocess.run([sys.executable, "-I", "-S", "-c", SPIN])

def nothing():
    time.sleep(0.5)

print("up", flush=True)
for line in sys.stdin:
    globals()[line.strip()]()
    print("done", flush=True)
"""


class Training:
    def __init__(self, folder: Path, script: str) -> None:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        (folder / "claim").write_text(json.dumps({"pid": os.getpid(), "start_ticks": ticks}))
        self.probe = ProcessProbe(str(folder))
        self.child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.child.stdout.readline()
        self.does("nothing")  # its start is over now

    def does(self, what: str):
        """What is seen after it has done that; its processes are the same before and after."""
        print(what, file=self.child.stdin, flush=True)
        assert self.child.stdout.readline() == "done\n"
        return self.probe.look()

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def training(tmp_path):
    started = []

    def start(script=AT_WORK):
        started.append(Training(tmp_path, script))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.mark.parametrize("work", ["threads", "children"])
def test_work_in_what_has_ended_since_the_last_look_counts(training, work):
    """A thread pool for each batch, a script that is called now and then: at no look is anybody at work."""
    one = training()
    assert one.does("nothing").words == "idle"
    seen = one.does(work)
    assert seen.words.endswith(" cores busy")
    assert seen.busy
    assert one.does("nothing").words == "idle"


LEFT = """
import ctypes, sys, threading, time

def work():
    for line in sys.stdin:
        end = time.thread_time() + (0.5 if line == "spin\\n" else 0)
        while time.thread_time() < end:
            pass
        time.sleep(0.5)
        print("done", flush=True)

threading.Thread(target=work).start()
print("up", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_whose_main_thread_has_ended_is_judged_by_the_others(training):
    """Its state is that of a zombie, and it works, or hangs."""
    one = training(LEFT)
    assert one.does("nothing").words == "idle"
    assert one.does("spin").words.endswith(" cores busy")


@pytest.fixture
def crowded(tmp_path):
    """A run folder with more files than anybody wants to look at."""
    for name in ("images", "checkpoints", "logs"):
        (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out/checkpoints/model.pt").write_text("weights")
    for number in range(20_000):
        os.close(os.open(f"{tmp_path}/out/images/{number}", os.O_CREAT | os.O_WRONLY))
    for number in range(5_000):
        (tmp_path / f"out/logs/{number}/deep").mkdir(parents=True)
    return tmp_path


class Counting:
    """os.scandir, and how many entries it gave."""

    given = 0
    scandir = staticmethod(os.scandir)

    def __init__(self, path):
        self.entries = self.scandir(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.entries.close()

    close = __exit__

    def __iter__(self):
        return self

    def __next__(self):
        entry = next(self.entries)
        Counting.given += 1
        return entry


def test_a_look_at_a_run_folder_is_bounded(crowded, monkeypatch):
    monkeypatch.setattr(Counting, "given", 0)
    monkeypatch.setattr(os, "scandir", Counting)
    ProcessProbe(str(crowded)).look()
    assert 0 < Counting.given <= 2000


@pytest.mark.parametrize("change", ["a checkpoint grows", "a new file among very many"])
def test_what_a_bounded_look_still_sees(crowded, change):
    probe = ProcessProbe(str(crowded))
    probe.look()
    assert not probe.look().wrote
    if change == "a checkpoint grows":
        (crowded / "out/checkpoints/model.pt").write_text("more weights")
    else:
        (crowded / "out/images/last").write_text("")
    assert probe.look().wrote
