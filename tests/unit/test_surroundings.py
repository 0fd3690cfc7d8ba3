"""What a planner is told of the folder: short, whatever lies in it, and nothing of what is private."""

from __future__ import annotations

import os

import pytest

from auto_experiment.cycle.surroundings import surroundings

SCRIPT = "import argparse\nap = argparse.ArgumentParser()\nap.add_argument('--lr', type=float, default=0.1)\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "data").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "workspace").mkdir()
    return tmp_path


def told(folder, words=("python", "train.py"), private=()):
    return surroundings(str(folder), words, private, str(folder / "workspace"))


def test_files_and_options(folder):
    assert told(folder) == "In the folder: train.py, data/.\ntrain.py takes: --lr=0.1"


def test_a_script_that_is_not_there_yet(folder):
    assert told(folder, ("python", "new.py")).endswith("There is no new.py yet.")


@pytest.mark.parametrize("words", [(), ("python", "-m", "x"), ("make",)])
def test_a_command_without_a_script(folder, words):
    assert told(folder, words) == "In the folder: train.py, data/."


def test_a_script_that_is_none(folder):
    """Nobody waits for a FIFO."""
    (folder / "train.py").unlink()
    os.mkfifo(folder / "train.py")
    assert told(folder).endswith("There is no train.py yet.")


def test_a_private_script_is_not_looked_into(folder):
    assert "--lr" not in told(folder, private=["*.py"])


def test_it_stays_short(folder):
    for n in range(2000):
        (folder / f"file_{n:04}_{'x' * 50}.py").touch()
    (folder / "train.py").write_text(
        SCRIPT + "".join(f"ap.add_argument('--option-{n}', default={n})\n" for n in range(500))
    )
    (folder / "odd\nname").touch()
    text = told(folder)
    assert len(text) <= 900
    assert len(text.splitlines()) == 2
