"""diff, restore and show: an experiment's code, from a ledger and a store as the loop writes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.project import make_workspace
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import Kind, Spec
from auto_experiment.wiring import Place, snapshots_of


class Campaign:
    """Experiments with code, stored without a loop."""

    def __init__(self, work) -> None:
        self.work = work
        make_workspace(work.paths)
        self.snapshots = snapshots_of(Place.of(str(work.root)))

    def experiment(self, *, start=None, tree=None, base=None, skipped=(), command="python train.py") -> int:
        lock = ProjectLock.take(self.work.paths.lock)
        ledger = Writer.open_with(self.work.paths.ledger, lock)
        try:
            with ledger.transaction() as tx:
                ledger.session = tx.session("host", "boot", 1, "0")
            with ledger.transaction() as tx:
                cycle = tx.cycle()
                plan = Plan(
                    Action.EXPERIMENT,
                    title="t",
                    hypothesis="h",
                    success_criteria="s",
                    command=command,
                    base=base,
                )
                tx.plan(cycle, plan, "basis")
                number = tx.experiment(cycle, plan, "print")
                if start:
                    tx.event("code", experiment=number, cycle=cycle, **{"from": "0" * 40}, skipped=[])
                    tx.event("code", experiment=number, cycle=cycle, **{"from": start}, skipped=list(skipped))
                    tx.event("code", experiment=number + 100, cycle=cycle, **{"from": "1" * 40}, skipped=[])
                for n, one in enumerate((tree,) if tree is None or isinstance(tree, str) else tree, 1):
                    spec = Spec(f"exp{number:03d}/dry01/a{n}", ("python", "train.py"), "/x", tree=one)
                    tx.attempt(spec, experiment=number, kind=Kind.DRY, n=n, command=command, params={})
            return number
        finally:
            ledger.close()
            lock.release()

    def state(self, **files) -> str:
        for name, text in files.items():
            self.work.write(name.replace("__", "/") + ".py", text)
        return self.snapshots.record("x").tree


@pytest.fixture
def campaign(project):
    return Campaign(project())


def test_diff_of_one_experiment(campaign):
    start = campaign.state(model="layers = 2\n", gone="g\n")
    os.unlink(campaign.work.root / "gone.py")
    early = campaign.state(model="layers = 3\n")
    ran = campaign.state(model="layers = 4\n", src__new="import sys\n")
    campaign.experiment(start=start, tree=[early, ran, None])
    lines = campaign.work.cli("diff", "exp001").stdout.splitlines()
    assert lines[:5] == [
        "exp001 against the code that it started from: 1 file changed, 1 added, 1 deleted",
        "  deleted   gone.py  -1", "  changed   model.py  +1 -1", "  added     src/new.py  +1", "",
    ]  # fmt: skip
    assert "-layers = 2" in lines
    assert "+layers = 4" in lines


def test_what_a_run_writes_is_told_apart_from_the_code(campaign):
    """A results folder that no .gitignore names is recorded too; an experiment that changed no code says so."""
    start = campaign.state(model="layers = 2\n")
    campaign.work.write("results/best.txt", "0.9\n")
    campaign.experiment(start=start, tree=campaign.state(model="layers = 2\n"))
    said = campaign.work.cli("diff", "exp001").stdout
    beside = "1 other file (data, or what runs write)"
    assert said.startswith(f"exp001 against the code that it started from: the same code, {beside}\n")
    assert (
        f"code        the same code, {beside} (auto-experiment diff exp001)"
        in campaign.work.cli("show", "exp001").stdout
    )
    campaign.experiment(start=start, tree=campaign.state(model="layers = 3\n"))
    assert f": 1 file changed, {beside}\n" in campaign.work.cli("diff", "exp002").stdout


def test_diff_of_two_and_of_trees(campaign):
    one = campaign.state(model="layers = 2\n")
    two = campaign.state(model="layers = 5\n")
    campaign.experiment(start=one, tree=one)
    campaign.experiment(start=one, tree=two)
    cli = campaign.work.cli
    text = cli("diff", "exp001", "2").stdout
    assert text.startswith("exp002 against exp001: 1 file changed\n")
    assert "-layers = 2\n+layers = 5\n" in text
    assert cli("diff", "exp002", "exp001").stdout.count("-layers = 5\n+layers = 2") == 1
    assert cli("diff", one, two).stdout.partition("\n")[2] == text.partition("\n")[2]
    assert cli("diff", "exp001", one).stdout == f"{one[:12]} against exp001: the same code\n"
    assert cli("diff", "exp001").stdout == "exp001 against the code that it started from: the same code\n"
    assert cli("diff", "exp001", "exp001").stdout == "exp001 against exp001: the same code\n"


def test_diff_of_two_that_differ_in_the_command_alone_shows_both(campaign):
    one = campaign.state(model="layers = 2\n")
    campaign.experiment(start=one, tree=one, command="python t.py --lr 0.1")
    campaign.experiment(start=one, tree=one, command="python t.py --lr 0.2")
    assert campaign.work.cli("diff", "exp001", "exp002").stdout.splitlines() == [
        "exp002 against exp001: the same code",
        "exp001  python t.py --lr 0.1",
        "exp002  python t.py --lr 0.2",
    ]


def test_without_a_start_the_base_stands_in(campaign):
    one = campaign.state(model="layers = 2\n")
    two = campaign.state(model="layers = 5\n")
    campaign.experiment(tree=one)
    campaign.experiment(tree=two, base="exp001")
    assert "+layers = 5" in campaign.work.cli("diff", "exp002").stdout
    assert "it is not recorded which code it started from" in campaign.work.cli("diff", "exp001", status=2).stderr


def test_nothing_of_the_code_steers_a_terminal(campaign):
    start = campaign.state()
    tree = campaign.state(**{"a\x1b[31mb\nc": "x = '\x1b]0;title\x07'\t# \u202e\r\n"})
    campaign.experiment(start=start, tree=tree)
    for words in (("diff", "exp001"), ("show", "exp001"), ("restore", start)):
        said = campaign.work.cli(*words).stdout
        assert not set(said) & {"\x1b", "\x07", "\r", "\u202e"}, words
        assert "a?[31mb" in said


@pytest.mark.parametrize("command", ["diff", "restore"])
def test_no_code_is_told_in_one_line(campaign, command):
    work, start = campaign.work, campaign.state()

    def line(*words) -> str:
        (said,) = work.cli(command, *words, status=2).stderr.splitlines()
        return said

    assert "there is no experiment exp001: nothing has run yet" in line("exp001")
    campaign.experiment()
    assert "there is no experiment exp002: there is only exp001" in line("exp002")
    campaign.experiment(start=start, tree=())
    assert "exp001 has no recorded code: none was recorded when it ran" in line("exp001")
    assert "exp002 has no recorded code: it has started nothing" in line("exp002")
    assert "there is no experiment exp009: the experiments are exp001 to exp002" in line("exp009")
    assert "there is no experiment exp009/run01: the experiments are" in line("exp009/run01")
    assert "'what' is no experiment" in line("what")
    campaign.experiment(start="2" * 40, tree="3" * 40)
    assert "is not recorded in" in line("exp003")
    if command == "diff":
        assert "is a tree: give another one" in line(start)


def test_a_store_that_is_gone(campaign):
    start = campaign.state()
    campaign.experiment(start=start, tree=start)
    subprocess.run(["rm", "-r", campaign.work.paths.code], check=True)
    for command in ("diff", "restore"):
        assert "any more" in campaign.work.cli(command, "exp001", status=2).stderr
    assert not os.path.exists(campaign.work.paths.code)
    assert "not recorded in" in campaign.work.cli("show", "exp001").stdout


def test_git_is_missing(campaign, tmp_path):
    start = campaign.state()
    campaign.experiment(start=start, tree=start)
    campaign.work.env["PATH"] = str(tmp_path)
    for command in ("diff", "restore"):
        (line,) = campaign.work.cli(command, "exp001", status=3).stderr.splitlines()
        assert "git (git) cannot be started" in line
    assert "git (git) cannot be started" in campaign.work.cli("show", "exp001").stdout


def test_restore_and_back_again(campaign):
    work = campaign.work
    ran = campaign.state(model="layers = 4\n", conf__old="")
    campaign.experiment(start=ran, tree=ran)
    os.unlink(work.root / "conf/old.py")
    for name in ("PROJECT_BRIEF.md", "config.yaml"):
        work.write(name, (work.root / name).read_text() + "\n")
    kept = {name: (work.root / name).read_text() for name in ("PROJECT_BRIEF.md", "config.yaml")}
    campaign.state(model="mine\n", new="mine too\n")
    work.write("out.csv", "1")
    first, *lines = work.cli("restore", "exp001").stdout.splitlines()
    assert lines == [
        "exp001: its code is back, 1 file changed, 1 added, 1 deleted",
        "  added     conf/old.py", "  changed   model.py  +1 -1", "  deleted   new.py  -1",
        "exp001/dry01 has not been seen to end: a training that still reads code sees the files of now",
    ]  # fmt: skip
    assert (work.root / "model.py").read_text() == "layers = 4\n"
    assert not (work.root / "new.py").exists()
    assert (work.root / "out.csv").exists()
    assert kept == {name: (work.root / name).read_text() for name in kept}
    words = first.partition("to get it back: auto-experiment ")[2].split()
    assert work.cli(*words).returncode == 0
    assert (work.root / "model.py").read_text() == "mine\n"
    assert (work.root / "new.py").read_text() == "mine too\n"
    assert "its code is in the folder already" in work.cli(*words).stdout


def test_the_first_digits_of_a_tree_are_enough(campaign):
    one = campaign.state(model="layers = 2\n")
    two = campaign.state(model="layers = 5\n")
    work = campaign.work
    assert "+layers = 5" in work.cli("diff", one[:12], two[:20]).stdout
    work.cli("restore", one[:12])
    assert (work.root / "model.py").read_text() == "layers = 2\n"
    assert "is not recorded in" in work.cli("restore", "0123456789ab", status=2).stderr
    assert "is no experiment" in work.cli("restore", one[:11], status=2).stderr


def test_a_config_further_down_is_code(campaign):
    campaign.work.write("conf/config.yaml", "lr: 1\n")
    ran = campaign.state()
    campaign.experiment(start=ran, tree=ran)
    campaign.work.write("conf/config.yaml", "lr: 2\n")
    campaign.work.cli("restore", "exp001")
    assert (campaign.work.root / "conf/config.yaml").read_text() == "lr: 1\n"


def test_restore_refuses_while_a_controller_holds_the_project(campaign):
    ran = campaign.state(model="old\n")
    campaign.experiment(start=ran, tree=ran)
    campaign.state(model="new\n")
    lock = ProjectLock.take(campaign.work.paths.lock)
    try:
        (line,) = campaign.work.cli("restore", "exp001", status=3).stderr.splitlines()
    finally:
        lock.release()
    assert f"another controller holds this project: pid {os.getpid()}" in line
    assert (campaign.work.root / "model.py").read_text() == "new\n"


def test_what_stands_in_the_way_is_moved_and_told(campaign):
    work = campaign.work
    ran = campaign.state(model="old\n", spot="s\n")
    campaign.experiment(start=ran, tree=ran)
    os.unlink(work.root / "spot.py")
    work.write("spot.py/results.bin", "r")
    campaign.state(model="new\n")
    said = work.cli("restore", "exp001").stdout
    assert "to get it back: auto-experiment restore " in said
    assert f"spot.py stood in the way: moved to {work.paths.workspace}/set_aside/" in said
    assert (work.root / "model.py").read_text() == "old\n"
    assert (work.root / "spot.py").read_text() == "s\n"


def test_restore_writes_missing_files_and_leaves_the_config_in_force(campaign):
    work = campaign.work
    config = work.write("conf/campaign.yaml", "agent: {provider: optuna}\n")
    work.write("labels.txt", "cat\n")
    ran = campaign.state(model="old\n")
    campaign.experiment(start=ran, tree=ran)
    lock = ProjectLock.take(work.paths.lock)
    ledger = Writer.open_with(work.paths.ledger, lock)
    with ledger.transaction() as tx:
        tx.event("config_file", file=str(config))
    ledger.close()
    lock.release()
    config.write_text("agent: {provider: optuna}  # mine\n")
    os.unlink(work.root / "labels.txt")
    campaign.state(model="new\n")
    work.cli("restore", "exp001")
    assert "mine" in config.read_text()
    assert (work.root / "labels.txt").read_text() == "cat\n"
    assert (work.root / "model.py").read_text() == "old\n"


def test_show_has_the_code(campaign):
    start = campaign.state(model="layers = 2\n")
    ran = campaign.state(model="layers = 4\n", new="n\n")
    campaign.experiment(start=start, tree=ran, skipped=["w.bin: 9 MB"])
    campaign.experiment(start=start, tree=start)
    campaign.experiment(tree=ran)
    campaign.experiment()
    show = campaign.work.cli
    assert json.loads(show("show", "exp001", "--json").stdout)["code"] == {
        "from": start, "tree": ran, "skipped": ["w.bin: 9 MB"], "note": None, "saved": None, "replaced": "",
        "changes": [{"path": "model.py", "kind": "changed", "added": 1, "deleted": 1, "code": True},
                    {"path": "new.py", "kind": "added", "added": 1, "deleted": 0, "code": True}],
    }  # fmt: skip
    text = show("show", "exp001").stdout
    assert "code        1 file changed, 1 added (auto-experiment diff exp001)\n  changed   model.py  +1 -1\n" in text
    assert "code        as it was when the experiment started" in show("show", "exp002").stdout
    assert f"code        recorded as {ran[:12]}\n" in show("show", "exp003").stdout
    assert json.loads(show("show", "exp004", "--json").stdout)["code"] is None
    assert "\ncode " not in show("show", "exp004").stdout


def test_a_campaign_without_code(project, tmp_path):
    work = project()
    programs = tmp_path / "without_git"
    programs.mkdir()
    for name in ("python", "python3", "bash", "env"):
        (programs / name).symlink_to(shutil.which(name))
    before, work.env["PATH"] = work.env["PATH"], str(programs)
    work.cli("run", "--max-cycles", "1")
    work.env["PATH"] = before
    assert "exp001 has no recorded code" in work.cli("diff", "exp001", status=2).stderr
    assert "exp001 has no recorded code" in work.cli("restore", "exp001", status=2).stderr
    assert json.loads(work.cli("show", "exp001", "--json").stdout)["code"] is None
    assert not os.path.exists(work.paths.code)
