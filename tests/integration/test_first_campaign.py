"""From a folder with nothing but a training script to a finished campaign, over the command line: init, two edits, check,
run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("auto-experiment")
TRAIN = '''
"""A logistic regression on points of two moons, in plain Python."""
import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--weight-decay", type=float, default=1e-3)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

draw = random.Random(0)
points = []
for n in range(200):
    angle, upper = draw.uniform(0, math.pi), n % 2
    x, y = (math.cos(angle), math.sin(angle)) if upper else (1 - math.cos(angle), 0.5 - math.sin(angle))
    points.append((x + draw.gauss(0, 0.1), y + draw.gauss(0, 0.1), upper))
train, held_out = points[:150], points[150:]
w = [0.0, 0.0, 0.0]


def predict(x, y):
    return 1 / (1 + math.exp(-(w[0] * x + w[1] * y + w[2])))


shuffle = random.Random(args.seed)
for epoch in range(1, args.epochs + 1):
    shuffle.shuffle(train)
    loss = 0.0
    for start in range(0, len(train), args.batch_size):
        for x, y, label in train[start : start + args.batch_size]:
            p = predict(x, y)
            loss -= math.log(max(p if label else 1 - p, 1e-9)) / len(train)
            for i, value in enumerate((x, y, 1.0)):
                w[i] -= args.lr * ((p - label) * value + args.weight_decay * w[i])
    right = sum((predict(x, y) > 0.5) == bool(label) for x, y, label in held_out)
    print(f"epoch {epoch}/{args.epochs} train_loss={loss:.4f} val_acc={right / len(held_out):.4f}", flush=True)
'''


def test_a_plain_script_needs_two_edits(tmp_path):
    root = tmp_path / "moons"
    root.mkdir()
    (root / "train.py").write_text(TRAIN, encoding="utf-8")
    env = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    env |= {k: v for k, v in os.environ.items() if k in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(*words):
        done = subprocess.run([COMMAND, *words], cwd=root, env=env, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    told = call("init").stdout
    assert "script      train.py (5 options, argparse)" in told
    assert "objective   val_acc (max): train.py:" in told
    assert "left out    --epochs, --seed" in told
    assert [line.split()[2] for line in told.splitlines() if line.startswith("edit")] == ["line", "line"]

    first = call("check")
    assert first.returncode == 0, "what is proposed could run as it is"
    notes = re.findall(r"^note +brief +line \d+: still to edit: (.*)$", first.stdout, re.MULTILINE)
    assert notes == [
        "confirm the metric and add a target",
        "correct these ranges (guessed from the defaults), then delete this comment",
    ]

    brief = (root / "PROJECT_BRIEF.md").read_text(encoding="utf-8")
    goal = re.compile(r"^Maximise val_acc\.\n<!-- EDIT.*?-->", re.MULTILINE | re.DOTALL)
    assert goal.search(brief)
    edited = re.sub(r"<!-- EDIT.*?-->\n", "", goal.sub("Reach 99.9% val_acc.", brief), flags=re.DOTALL)
    (root / "PROJECT_BRIEF.md").write_text(edited, encoding="utf-8")
    second = call("check")
    assert (second.returncode, "still to edit" in second.stdout) == (0, False)

    done = call("run", "--max-cycles", "2")
    assert done.returncode == 0, done.stderr
    assert "exp001: val_acc=" in done.stdout
    assert "cycle 2: exp002" in done.stdout
    assert re.search(r"^exp002: val_acc=", done.stdout, re.MULTILINE)
    assert (root / "workspace/REPORT.md").exists()

    again = call("init").stdout
    assert "kept        ./PROJECT_BRIEF.md, which was there" in again
    assert (root / "PROJECT_BRIEF.md").read_text(encoding="utf-8") == edited


def test_init_answers_a_wrong_folder_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [COMMAND, "init", "--print", "nowhere"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "there is no such folder to look at" in done.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_init_takes_the_folder_as_the_other_commands_do(tmp_path):
    def call(*words):
        return subprocess.run([COMMAND, "init", *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert call("--project", "mine").returncode == 0
    assert sorted(os.listdir(tmp_path / "mine")) == ["PROJECT_BRIEF.md", "config.yaml"]
    twice = call("mine", "--project", "other")
    assert (twice.returncode, "given twice: mine and --project other" in twice.stderr) == (2, True)
    assert os.listdir(tmp_path) == ["mine"]
