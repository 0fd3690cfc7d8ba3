"""What the demo finds: the whole program on a real training, for five seeds.

    python benchmarks/demo_seeds.py [--quick]

``auto-experiment demo DIR --seed N`` as it stands: twelve experiments with Optuna, the first one the baseline. The best
experiment is chosen by validation accuracy; its test accuracy is what its log says at the end, and must not differ from
the validation accuracy by more than three standard errors: nothing was read that is not true of new images.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import measuring
import projects
from auto_experiment.demo import make_demo

SEEDS = 5
EXPERIMENTS = 12
N_VALIDATION = 360  # images; train.py's HELD_OUT
ERRORS = 3.0
TEST = re.compile(r"^test_accuracy=(\S+) test_correct=(\d+) test_total=(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Campaign:
    seed: int
    baseline: float
    best: float
    test: float
    standard_error: float
    seconds: float

    @property
    def differs(self) -> float:
        """Test less validation accuracy, in standard errors."""
        return (self.test - self.best) / self.standard_error if self.standard_error else 0.0


def measure(quick: bool) -> measuring.Result:
    seeds, experiments = (1, 2) if quick else (SEEDS, EXPERIMENTS)
    campaigns = []
    with projects.scratch() as folder:
        for seed in range(seeds):
            campaigns.append(_campaign(os.path.join(folder, f"seed{seed}"), seed, experiments))
            measuring.say(f"seed {seed}: {campaigns[-1]}")
    result = measuring.Result()
    better = sum(one.best > one.baseline for one in campaigns)
    gains = [(one.best - one.baseline) * 100 for one in campaigns]
    honest = sum(abs(one.differs) <= ERRORS for one in campaigns)
    result.figures += [
        measuring.Figure(
            "demo_better",
            f"best of {experiments} experiments beats the baseline (validation accuracy)",
            f"{seeds} of {seeds} seeds",
            f"{better} of {seeds} seeds, by {measuring.spread(gains, 'points')}",
            better == seeds,
            tuple(gains),
            "points",
        ),
        measuring.Figure(
            "demo_honest",
            "its test accuracy agrees with the validation accuracy",
            f"within {ERRORS:g} standard errors, {seeds} of {seeds} seeds",
            f"{honest} of {seeds}; test less validation "
            + ", ".join(f"{one.differs:+.1f}" for one in campaigns)
            + " standard errors",
            honest == seeds,
            tuple(one.differs for one in campaigns),
            "standard errors",
        ),
    ]
    result.add("demo_wall", f"wall time of a demo of {experiments} experiments", [c.seconds for c in campaigns], "s")
    result.notes += [
        f"seed {one.seed}: validation accuracy {one.baseline:.4f} -> {one.best:.4f}, test {one.test:.4f}, "
        f"standard error {one.standard_error:.4f}"
        for one in campaigns
    ]
    return result


def _campaign(root: str, seed: int, experiments: int) -> Campaign:
    if experiments != EXPERIMENTS:
        make_demo(root, sys.executable, seed)
        _shorten(os.path.join(root, "config.yaml"), experiments)
    began = time.monotonic()
    subprocess.run([projects.COMMAND, "demo", root, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    rows = _json("list", root)
    best_name = _json("status", root)["best"]["experiment"]
    best = next(row for row in rows if row["id"] == best_name)
    training = [run for run in best["runs"] if run["kind"] == "full"][-1]
    with open(training["log"], encoding="utf-8") as file:
        found = TEST.search(file.read())
    if found is None:
        raise RuntimeError(f"{training['log']}: the test accuracy is missing")
    correct, total = int(found[2]), int(found[3])
    share = (correct + best["value"] * N_VALIDATION) / (total + N_VALIDATION)
    error = math.sqrt(share * (1 - share) * (1 / total + 1 / N_VALIDATION))
    return Campaign(seed, rows[0]["value"], best["value"], correct / total, error, took)


def _shorten(config: str, experiments: int) -> None:
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(text.replace(f"experiments: {EXPERIMENTS}", f"experiments: {experiments}").replace("80", "4"))


def _json(verb: str, root: str) -> Any:
    done = subprocess.run([projects.COMMAND, verb, "--json", "--project", root], check=True, capture_output=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    measuring.main("demo_seeds", __doc__, measure)
