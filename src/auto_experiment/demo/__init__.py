"""Writes the demo: a project with a real training script, real data, a brief and a config.

Does not run it, does not look for NumPy and scikit-learn (the caller does), and never changes a file that is there.
The three files under ``files/`` are the demo; only the training command, which names a Python and a seed, is filled in.
"""

from __future__ import annotations

import json
import os
import shlex
from importlib import resources

from auto_experiment.errors import UsageError

# Somebody's first guess: a textbook dropout, a narrow network, a careful learning rate. It works, and not well.
BASELINE = (
    "train.py --lr 0.003 --hidden 16 --batch-size 32 --epochs 80 --weight-decay 0.0001 --dropout 0.5 --optimizer sgd"
)
MARK = "# A project made by `auto-experiment demo`."  # how config.yaml begins; it is written first
FILES = ("config.yaml", "PROJECT_BRIEF.md", "train.py")


def make_demo(folder: str, python: str, seed: int = 0) -> None:
    """Write the demo into a new or empty folder; complete an earlier demo and leave the rest of it as it is.

    ``python`` runs ``train.py``, so it must have NumPy and scikit-learn. ``seed`` is the script's ``--seed``: it
    differs from campaign to campaign, not from experiment to experiment.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        if os.listdir(folder) and not is_demo(folder):
            raise UsageError(
                f"{folder} is not empty and holds no earlier demo: name a new or an empty folder, or an earlier demo"
            )
        for name in FILES:
            _write_new(os.path.join(folder, name), _content(name, python, seed))
    except OSError as error:
        raise UsageError(f"the demo cannot be written to {folder}: {error.strerror}; name another folder") from error


def is_demo(folder: str) -> bool:
    """Was the demo written to this folder before?"""
    try:
        with open(os.path.join(folder, "config.yaml"), encoding="utf-8", errors="replace") as file:
            return file.readline().startswith(MARK)
    except FileNotFoundError:
        return False


def baseline(python: str, seed: int) -> str:
    """The training command that the demo starts from."""
    return f"{shlex.quote(python)} {BASELINE} --seed {seed}"


def _content(name: str, python: str, seed: int) -> str:
    text = resources.files(__name__).joinpath(f"files/{name}").read_text(encoding="utf-8")
    if name == "config.yaml":  # a JSON string is a YAML string, whatever the path to Python contains
        text = text.replace("{command}", json.dumps(baseline(python, seed), ensure_ascii=False))
    return text


def _write_new(path: str, text: str) -> None:
    """Write a file that is not there yet."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        pass
