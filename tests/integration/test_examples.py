"""The examples, copied as their pages say and run for two cycles with the real command line. The digits are in
``test_docs.py`` and ``tests/unit/test_demo.py``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """A copy of an example, and the program in it; nothing of the user's is seen."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.env = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    "PYTHONPATH": str(EXAMPLES.parent / "src")}  # fmt: skip

    def call(self, *words: object) -> str:
        argv = [sys.executable, "-m", "auto_experiment", *map(str, words)]
        done = subprocess.run(argv, cwd=self.root, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self, cycles: int = 2) -> list[dict]:
        """Its trainings, after so many cycles: all of them finished, each with a value."""
        self.call("run", "--max-cycles", cycles)
        rows = [run for row in json.loads(self.call("list", "--json")) for run in row["runs"] if run["kind"] == "full"]
        assert [run["state"] for run in rows] == ["finished"] * cycles
        assert all(isinstance(run["value"], float) for run in rows)
        return rows


@pytest.fixture
def copy(tmp_path):
    home = tmp_path / "home"
    home.mkdir()

    def make(name):
        shutil.copytree(EXAMPLES / name, tmp_path / "project")
        return Example(tmp_path / "project", home)

    return make


@pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")
def test_characters(copy):
    example = copy("characters")
    brief = example.root / "PROJECT_BRIEF.md"
    short = brief.read_text().replace("Training: train.py", "Training: train.py --epochs 2 --lines 300")
    assert short != brief.read_text()
    brief.write_text(short)
    for run in example.runs():
        assert (Path(run["log"]).parent / "out" / "model.pt").exists()
        assert Path(run["log"]).read_text().startswith("device: ")


@pytest.mark.skipif(not find_spec("hydra"), reason="hydra-core is not installed")
def test_hydra(copy):
    example = copy("hydra")
    before = sorted(path.name for path in example.root.iterdir())
    first, second = example.runs()
    assert first["params"] == {}
    assert set(second["params"]) == {"optim.lr", "optim.weight_decay", "optim.batch_size", "model.degree"}
    result = json.loads((Path(second["log"]).parent / "out" / "result.json").read_text())
    assert result["config"]["optim"]["lr"] == pytest.approx(second["params"]["optim.lr"])
    assert sorted(path.name for path in example.root.iterdir()) == sorted([*before, "workspace"]), "nothing lies about"


def test_own_venv(copy):
    example = copy("own_venv")
    subprocess.run(["./make_venv.sh"], cwd=example.root, env={**example.env, "PYTHON": sys.executable}, check=True)
    assert str(example.root / ".venv/bin/python") in example.call("check")
    for run in example.runs():
        assert Path(run["log"]).read_text().startswith(f"python: {example.root}/.venv/bin/python\n")


def test_git_and_data(copy):
    example = copy("git_and_data")
    maker, root = example.root / "make_project.py", example.root / "made"
    subprocess.run([sys.executable, maker, root, "--mb", "60"], env=example.env, check=True)
    example.root = root
    example.runs()
    git = ["git", "-C", str(root)]
    assert not subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    store = root / "workspace" / "code.git"
    assert store.is_dir()
    assert sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) < 1 << 20
    names = subprocess.run(["git", "--git-dir", str(store), "rev-list", "--all", "--objects"],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "regression/model.py" in names
    assert "data" not in names
