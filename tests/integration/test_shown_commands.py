"""Every command that a skill, the README or a page shows is run, as it stands, on a small project with four experiments.

What cannot be run here stands in ELSEWHERE, with the reason and the test that runs it. A new page needs nothing; a new
command needs a line only if it does not end by itself with exit status 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auto_experiment.cli.main import COMMANDS, LATER, main
from workbench import BRIEF, COMMAND, TRAIN, Project

pytestmark = pytest.mark.xdist_group("shown")  # one campaign for all
ROOT = Path(__file__).parents[2]
SKILLS = ROOT / "src/auto_experiment/skills"
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(SKILLS.glob("*/SKILL.md")),
    *sorted(SKILLS.glob("*/*/*.md")),
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"(?:@reboot )?(?:[^\s/]\S*/)?(auto-experiment|make) ([^|&;]+)")

# command -> (why it is not run here, the test that runs it)
ELSEWHERE = {
    "demo DIR --seed N": ("it takes two minutes", "tests/unit/test_demo.py::test_a_new_folder_gets_three_files"),
    "restore 0123456789ab": ("no code here has this name", "tests/integration/test_code_commands.py::test_the_first_digits_of_a_tree_are_enough"),
}  # fmt: skip
# command -> exit statuses that are right here, where no loop runs, instead of 0
STATUS = {"check --notify-test": (3,)}  # this project has no address


def shown() -> Iterator[tuple[str, str]]:
    """(page, "auto-experiment check"): from shell blocks, crontab lines and inline code."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = [(kind, line) for kind, body in BLOCK.findall(text) for line in body.splitlines()]
        lines = [row.partition("  #")[0] for kind, row in blocks if kind in ("sh", "bash") or row.startswith("@reboot")]
        lines += re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
        for line in lines:
            # a skill's call has run's options
            if found := SHOWN.fullmatch(re.sub(r"^[/$]auto-experiment ", "auto-experiment run ", line.strip())):
                yield page.relative_to(ROOT).as_posix(), f"{found[1]} {found[2].strip()}"


def cases() -> list[tuple[str, str]]:
    """Each command once, with the first page that shows it; those that change the project come last."""
    first: dict[str, str] = {}
    for page, line in shown():
        first.setdefault(line, page)
    changes = ("auto-experiment direct", "auto-experiment restore", "auto-experiment run", "auto-experiment stop")
    return sorted(((line, page) for line, page in first.items()), key=lambda one: (one[0].startswith(changes), one))


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Iterator[Project]:
    """Four experiments, all that its budget allows, in a home where the pages' names lead to it."""
    folder = tmp_path_factory.mktemp("shown")
    work = Project(folder, TRAIN, BRIEF, {"budget": {"experiments": 4}})
    (folder / "home/.local").mkdir(parents=True)
    for name in ("spirals", "cifar", "digits"):
        (folder / "home" / name).symlink_to(work.root)
    (work.root / "my_project").symlink_to(folder / "home/spirals")
    work.env["HOME"] = str(folder / "home")
    work.cli("run")
    work.write("train.log", "epoch 1/3 validation accuracy=0.5\n")
    work.write("results.csv", "epoch,val_acc\n1,0.5\n")
    work.write("runs/results.csv", "epoch,val_acc\n1,0.5\n")
    yield work
    work.close()


@pytest.fixture
def call(campaign, monkeypatch, capsys) -> Callable[[list[str]], tuple[int, str, str]]:
    """Exit status, output and error of a command line in the project's folder: what loops in a process of its own, and the
    rest in this one, which saves the start of Python fifty times."""
    monkeypatch.chdir(campaign.root)
    for name in set(os.environ) | set(campaign.env):
        if name in campaign.env:
            monkeypatch.setenv(name, campaign.env[name])
        else:
            monkeypatch.delenv(name)

    def act(words: list[str]) -> tuple[int, str, str]:
        if words[0] == "watch":
            return watched(words)
        if words[0] == "run":
            done = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                  check=False)  # fmt: skip
            return done.returncode, done.stdout, done.stderr
        monkeypatch.setattr(sys, "argv", ["auto-experiment", *words])
        with pytest.raises(SystemExit) as ending:
            main()
        out, err = capsys.readouterr()
        return int(ending.value.code or 0), out, err

    return act


def watched(words: list[str]) -> tuple[int, str, str]:
    """A view that lasts, on a terminal; its user presses q until it is gone."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown, end = b"", time.monotonic() + 60
    with contextlib.suppress(OSError):  # the terminal is gone when nobody has it open any more
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 65536)
            else:
                os.write(ours, b"q")
    os.close(ours)
    child.kill() if time.monotonic() > end else None
    return child.wait(), shown.decode(errors="replace"), ""


@pytest.mark.parametrize(("line", "page"), [c for c in cases() if c[0].startswith("auto-experiment ")])
def test_a_shown_command_does_what_it_shows(campaign, call, line, page):
    words = line.removeprefix("auto-experiment ")
    if words in ELSEWHERE:
        pytest.skip(f"{ELSEWHERE[words][0]}: {ELSEWHERE[words][1]}")
    name, *rest = [
        word.replace("~", campaign.env["HOME"], 1) if word.startswith("~") else word for word in shlex.split(words)
    ]
    if name in LATER:
        pytest.skip(f"{name} is not built yet")
    values = {"N": "1", "FILE": "config.yaml", "DIR": str(campaign.root)}
    status, out, err = call([name, *(values.get(word, word) for word in rest)])
    assert status in STATUS.get(words, (0,)), f"{page} shows `{line}`: {status}\n{out}{err}"
    assert "Traceback" not in err
    if "--json" in rest:
        json.loads(out)


@pytest.mark.parametrize(("line", "page"), [c for c in cases() if c[0].startswith("make ")])
def test_a_shown_target_can_be_made(line, page, tmp_path):
    """make says what it would do; what it does is tested by itself: it is this suite, and its like."""
    done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page} shows `{line}`: {done.stderr}"


def test_what_is_run_elsewhere_is_run_there():
    assert set(ELSEWHERE) <= {line.partition(" ")[2] for line, _ in cases()}, "an exception that nobody shows"
    for _, test in ELSEWHERE.values():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), test


def test_each_skill_shows_commands_and_only_such_as_there_are():
    names = {*COMMANDS, *LATER}
    for skill in SKILLS.glob("*/SKILL.md"):
        found = [line for page, line in shown() if page == skill.relative_to(ROOT).as_posix()]
        assert found, skill
        assert {line.split()[1] for line in found if line.startswith("auto-exp")} - {"--version"} <= names, found


def test_commands_are_found_where_pages_show_them():
    """This test can fail: what it reads is what is there."""
    found = dict(cases())
    assert found["auto-experiment run --project ~/spirals --gpu 0 --detach"] == "docs/quickstart.md"
    assert 'auto-experiment metrics workspace/runs/exp001/run01/a1 --objective "validation accuracy"' in found
    assert "make demo" in found
    assert len(found) > 50
