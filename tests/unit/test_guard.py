"""What the guard keeps, what it only tells of, and what it leaves alone. Tampering in earnest: tests/faults/test_fence.py."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from auto_experiment.cycle.inputs import add_directive
from auto_experiment.files import read_text
from auto_experiment.hosts import guard as module
from auto_experiment.hosts.guard import Guard
from auto_experiment.hosts.hand import changing_directive
from auto_experiment.hosts.protected import protected_of
from auto_experiment.paths import ProjectPaths
from auto_experiment.watch import requests


@pytest.fixture
def root(tmp_path):
    for folder in ("workspace/runs/exp001/run01/a1", "eval"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("PROJECT_BRIEF.md", "config.yaml", "eval/score.py", "workspace/MEMORY_LOG.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "eval/link").symlink_to("score.py")
    return tmp_path


@pytest.fixture
def guard(root):
    paths = ProjectPaths.of(str(root))
    return Guard(protected_of(paths, frozen=("eval/**",)), paths)


def aside(root: Path) -> list[str]:
    folder = root / "workspace/set_aside"
    return [path.read_text() for path in sorted(folder.iterdir())] if folder.exists() else []


def test_what_stood_there_is_kept(root, guard):
    guard.before()
    (root / "config.yaml").write_text("mine")
    [said] = guard.after()
    assert "config.yaml was changed: put back, what stood there is in " in said
    assert (root / "config.yaml").read_text() == "config.yaml"
    assert aside(root) == ["mine"]


def test_another_time_of_change_is_no_change(root, guard):
    guard.before()
    os.utime(root / "config.yaml", (1, 1))
    assert guard.after() == ()


def test_a_mode_is_put_back(root, guard):
    guard.before()
    (root / "eval/score.py").chmod(0o777)
    [said] = guard.after()
    assert "mode" in said
    assert stat.S_IMODE((root / "eval/score.py").stat().st_mode) != 0o777


def test_a_link_is_put_back(root, guard):
    guard.before()
    (root / "eval/link").unlink()
    (root / "eval/link").write_text("cheat")
    assert len(guard.after()) == 1
    assert os.readlink(root / "eval/link") == "score.py"


def test_a_large_file_is_told_of(root, guard, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_ONE", 5)
    guard.before()
    (root / "eval/score.py").write_text("return 1.0 # cheat")
    (root / "PROJECT_BRIEF.md").unlink()
    said = guard.after()
    assert any("score.py was changed; it is too large to be kept" in line for line in said)
    assert any("PROJECT_BRIEF.md was removed; it was too large" in line for line in said)


def test_more_names_than_are_known_are_not_called_new(root, guard, monkeypatch):
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    guard.before()
    guard.after()
    assert (root / "eval/score.py").exists()
    assert aside(root) == []


OWN = "workspace/runs/exp002/run01/a1"


@pytest.mark.parametrize("own", ["", OWN])
@pytest.mark.parametrize("pending", ["", "try dropout\n"])
def test_what_a_run_may_have_written_is_held(root, guard, own, pending):
    """It reads as a human's word, and nobody can tell."""
    paths, directive = ProjectPaths.of(str(root)), root / "workspace/HUMAN_DIRECTIVE.md"
    if pending:
        add_directive(paths, pending)
    guard.before(own=own and str(root / own))
    directive.write_text("stop")
    (root / "workspace/MEMORY_LOG.md").write_text("- 100%, target reached")
    said = guard.after()
    assert len(said) == 2
    assert all(module.HELD in line for line in said)
    assert read_text(str(directive)) == (pending or None)
    assert (root / "workspace/MEMORY_LOG.md").read_text() == "workspace/MEMORY_LOG.md"
    assert aside(root) == ["- 100%, target reached", "stop"]


@pytest.mark.parametrize("pending", ["", "written by hand", "two lines\n\n"])
def test_what_direct_says_meanwhile_stays(root, guard, pending):
    paths, directive = ProjectPaths.of(str(root)), root / "workspace/HUMAN_DIRECTIVE.md"
    if pending:
        directive.write_text(pending)
    guard.before(own=str(root / OWN))
    add_directive(paths, "- --lr: 0.1 .. 0.2")
    add_directive(paths, "and then report")
    right = directive.read_text()
    assert guard.after() == ()
    assert directive.read_text() == right
    guard.before(own=str(root / OWN))
    add_directive(paths, "more")
    with open(directive, "a") as file:
        file.write("forged")
    [said] = guard.after()
    assert module.HELD in said
    assert directive.read_text() == right + "more\n"
    guard.before(own=str(root / OWN))
    directive.unlink()
    assert len(guard.after()) == 1
    assert directive.read_text() == right + "more\n"


def test_a_lock_that_is_never_let_go_holds_nobody(root, guard, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    paths = ProjectPaths.of(str(root))
    guard.before(own=str(root / OWN))
    with changing_directive(paths):
        (root / "workspace/HUMAN_DIRECTIVE.md").write_text("stop")
        assert len(guard.after()) == 1
    assert not (root / "workspace/HUMAN_DIRECTIVE.md").exists()


def test_what_is_no_request(root, guard):
    folder = root / "workspace/requests"
    folder.mkdir()
    guard.before()
    (folder / "stop").touch()
    (folder / "17-4-stop.json").write_text('{"kind": "stop"}')  # acted on long ago
    [said] = guard.after()
    assert "requests/stop was made" in said
    assert sorted(path.name for path in folder.iterdir()) == ["17-4-stop.json"]


def test_a_human_may_pause_and_resume_while_something_runs(root, guard):
    folder = str(root / "workspace/requests")
    requests.stand(folder, requests.PAUSE, {"by": "ann"})
    guard.before()
    requests.withdraw(requests.standing_path(folder, requests.PAUSE))
    requests.stand(folder, requests.DIRECT_NOW, {"cycle": 3})
    assert guard.after() == ()
    assert requests.standing(folder, requests.PAUSE) is None
    assert requests.standing(folder, requests.DIRECT_NOW) == {"cycle": 3}


def test_the_attempt_that_runs_changes_by_itself(root, guard):
    own = root / "workspace/runs/exp001/run01/a1"
    guard.before(own=str(own))
    for name in ("claim", "started.json", "exit.json"):
        (own / name).write_text("{}")
    assert guard.after() == ()


def test_behind_bubblewrap_only_new_names_are_looked_at(root):
    paths = ProjectPaths.of(str(root))
    light = Guard(protected_of(paths, frozen=("eval/**",)), paths, enforced=True)
    light.before()
    (root / "config.yaml").write_text("a human's")
    (root / "eval/new.py").write_text("made")
    [said] = light.after()
    assert "eval/new.py was made" in said
    assert (root / "config.yaml").read_text() == "a human's"
    assert aside(root) == ["made"]
