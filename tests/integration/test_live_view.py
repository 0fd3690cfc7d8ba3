"""The live view on a real pseudo-terminal: what is drawn, what ends it, and that it harms neither loop nor terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from auto_experiment.ledger.lock import holder
from auto_experiment.records.run import RunState
from terminal import Terminal

SEARCH = """\
# Goal
Reach a high validation accuracy on a tiny task.

# Codebase
- Training: train.py

# Search Space
- --lr: 0.001 .. 1 log
"""

# the first experiment ends at once; the training of the second one is held after six of ten epochs
TRAIN = """
import argparse
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.parse_args()
second = "exp002" in judge.ATTEMPT
for epoch in range(1, 11):
    print(f"epoch {epoch}/10 train_loss={1 / epoch:.4f} val_acc={0.5 + epoch / 100 - 0.2 * second:.4f}", flush=True)
    if epoch == 6 and second and not judge.DRY:
        judge.note(note="held")
        judge.wait("go")
"""
# points are stored, and frames drawn, as soon as they come: not after five seconds, or one
SOON = "from auto_experiment.watch import monitor\nmonitor._FLUSH_S = 0.05\n"
OFTEN = "from auto_experiment.cli import watching\nwatching._EVERY_S = watching._SOON_S = 0.05\n"
LAST = "auto-experiment watch"  # of a view of `run`: its last line


@pytest.fixture
def terminal():
    made = []

    def make(columns=80, rows=24):
        made.append(Terminal(columns, rows))
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


def prepared(project, script=TRAIN, **facts):
    work = project(script, brief=SEARCH, **facts)
    for name in ("CI", "NO_COLOR", "LC_ALL"):
        work.env.pop(name, None)
    work.env.update(TERM="xterm-256color", LANG="C.UTF-8")
    return work


def views(work):
    return [pid for pid, line in work.processes().items() if "watch" in line and "--beside" in line]


def sees(work, screen, *words):
    """Wait until all of the words are on the screen at once."""

    def missing():
        shown = screen.shown
        return [word for word in words if word not in shown]

    try:
        work.until(lambda: not missing())
    except AssertionError:
        raise AssertionError(f"not to be seen: {missing()}\n{screen.shown}\n{work.said()}") from None
    return screen.shown


def left_as_it_was(work, screen, *words, without=LAST):
    """Wait until the terminal is as it was, with these words on it. What a program has written last may still be under
    way when the program is gone."""
    try:
        work.until(lambda: screen.is_clean() and without not in screen.all and all(w in screen.all for w in words))
    except AssertionError:
        raise AssertionError(f"clean: {screen.is_clean()}, without {without!r}, with {words}:\n{screen.all}") from None


def held(work, screen, *words):
    """A `run` in this terminal, in the training of its second experiment."""
    run = work.start("run", *words, patch=SOON, **screen.streams)
    work.training(note="held")
    return run


# -- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("small", "large"), [((80, 24), (200, 50)), ((200, 50), (80, 24))], ids=["80x24", "200x50"])
def test_a_run_and_a_watch_show_what_there_is_to_see(project, terminal, small, large):
    work, here, there = prepared(project), terminal(*small), terminal(*large)
    run = held(work, here, "--max-cycles", 2)
    watch = work.start("watch", patch=OFTEN, **there.streams)
    for screen in (here, there):
        shown = sees(
            work, screen, "[TRAINING]", "running, training for", "training exp002/run01", "epoch 6/10", "60%",
            " left", " best      0.6  exp001/run01", "decided   exp001", "val_acc 0.36", "train_loss 0.1667",
            "results ▄ 0.6 to 0.6", "model     none was asked",
        )  # fmt: skip
        assert shown.count("█") > 10, "a bar"
        assert sum("\u2800" < mark < "\u28ff" for mark in shown) > 20, "two curves"
        view = shown[shown.index("── project") :]
        assert max(map(len, view.splitlines())) < screen.screen.columns
    assert "cycle 2: exp002 lr=" in here.all, "what is said stays above"
    assert "cycle 2: exp002 lr=" in there.all
    work.open("go")
    assert run.wait() == 0
    sees(work, there, "no controller is running", "last      training exp002/run01", "finished")
    assert watch.child.poll() is None
    there.type("q")
    assert watch.wait() == 0
    for screen, own in ((here, LAST), (there, "q leaves")):
        left_as_it_was(work, screen, without=own)
        assert "[TRAINING]" not in screen.shown
    said = [
        line.partition(" ")[2].partition(" ")[2] for line in Path(work.paths.controller_log).read_text().splitlines()
    ]
    work.until(lambda: all(line in here.all.replace("\n", "") for line in said))  # every line, as it was said


def test_a_resize_is_followed(project, terminal):
    work, screen = prepared(project), terminal(120, 40)
    held(work, screen)
    sees(work, screen, "epoch 6/10", LAST)
    for columns, rows in ((60, 20), (200, 50)):
        screen.size(columns, rows)
        head = "── project " + "─" * (columns - 50)
        shown = sees(work, screen, head, "epoch 6/10", "cycle 2: exp002")
        assert shown.count("[TRAINING]") == 1
        assert shown.count("running, training") == 1
        assert max(map(len, shown[shown.index(head) :].splitlines())) == columns - 1


def test_a_watch_without_a_controller_says_so_and_goes_on_when_one_starts(project, terminal):
    work, screen = prepared(project), terminal()
    watch = work.start("watch", patch=OFTEN, **screen.streams)
    sees(work, screen, "no controller is running", "nothing has run yet", "q leaves")
    run = work.start("run", "--max-cycles", 2)
    work.training(note="held")
    sees(work, screen, "[TRAINING]", f"pid {run.pid}", "cycle 2: exp002")
    run.kill()
    sees(work, screen, "no controller is running")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 130
    left_as_it_was(work, screen, without="q leaves")
    assert "Traceback" not in screen.all


def test_a_parked_controller_is_shown_with_its_reason(project, terminal):
    patch = (
        "from auto_experiment.planners.optuna import OptunaPlanner\nfrom auto_experiment.models.base import decided\n"
        "from auto_experiment.records.plan import Action, Plan\n"
        "OptunaPlanner.plan = lambda self, view: decided(Plan(Action.WAIT, reason='the data is not there yet'))\n"
    )
    work, screen = prepared(project, config={"agent": {"cooldown_interval": 1000}}), terminal()
    run = work.start("run", patch=patch, **screen.streams)
    sees(work, screen, "parked until", "16m", "the plan says wait")
    screen.type("\x03")
    assert run.wait() == 130


def test_what_the_gpus_do_is_shown(project, terminal):
    work, screen = prepared(project), terminal()
    program = work.desk / "bin" / "nvidia-smi"  # one that lies in the project is not asked
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '0, NVIDIA A100, 31000, 40960, 97, 61'\n")
    program.chmod(0o755)
    work.env["PATH"] = f"{program.parent}:{work.env['PATH']}"
    work.start("watch", patch=OFTEN, **screen.streams)
    sees(work, screen, "gpu       0 NVIDIA A100: 97% busy, 30.3/40 GiB, 61 C")


# -- what ends it -----------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_loop_and_leaves_the_terminal_as_it_was(project, terminal):
    work, screen = prepared(project), terminal()
    work.env["OPENAI_API_KEY"] = "sk-not-for-the-view-0123456789"
    run = held(work, screen)
    sees(work, screen, "[TRAINING]", LAST)
    (view,) = views(work)
    assert b"not-for-the-view" not in Path(f"/proc/{view}/environ").read_bytes()
    screen.type("\x03")
    assert run.wait() == 130
    left_as_it_was(work, screen, "ended: interrupted by SIGINT")
    assert "gone" not in screen.all
    assert "Traceback" not in screen.all
    assert views(work) == []


def test_a_killed_controller_leaves_no_view_and_a_usable_terminal(project, terminal):
    work, screen = prepared(project), terminal()
    run = held(work, screen)
    sees(work, screen, "[TRAINING]", LAST)
    work.until(lambda: work.attempts()[-1].state is RunState.RUNNING)
    run.kill()
    work.until(lambda: not views(work))
    work.until(lambda: screen.is_clean() and LAST not in screen.shown)
    assert work.attempts()[-1].state is RunState.RUNNING


def test_when_the_view_is_killed_the_lines_go_on(project, terminal):
    work, screen = prepared(project), terminal()
    run = held(work, screen, "--max-cycles", 2)
    sees(work, screen, "[TRAINING]", LAST)
    (view,) = views(work)
    os.kill(view, signal.SIGKILL)
    work.open("go")
    assert run.wait() == 0
    work.until(lambda: "ended: 2 cycles done" in screen.shown and screen.is_clean())


@pytest.mark.parametrize("slow", ["import time; time.sleep(5)", "raise SystemExit(1)"], ids=["slow", "broken"])
def test_nothing_is_lost_when_the_view_comes_too_late_or_never(project, terminal, slow):
    work, screen = prepared(project), terminal()
    late = work.desk / "late" / "sitecustomize.py"  # one that lies in the project is not loaded
    late.parent.mkdir()
    late.write_text(f"import sys\nif '--beside' in sys.orig_argv:\n    {slow}\n")
    work.env["PYTHONPATH"] = f"{late.parent}:{work.env['PYTHONPATH']}"
    run = work.start("run", "--max-cycles", 1, **screen.streams)
    assert run.wait() == 0
    work.until(lambda: "REPORT.md" in screen.all)
    assert "cycle 1: exp001 baseline" in screen.all
    assert screen.all.count("ended: 1 cycle done") == 1
    assert b"\x1b" not in screen.raw
    assert views(work) == []


@pytest.mark.parametrize("command", ["run", "watch"])
def test_ctrl_z_and_fg(project, terminal, command):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed: there is no job control to try")
    work, screen = prepared(project), terminal()
    mark, end = ("[TRAINING]", "\x03") if command == "run" else ("nothing has run yet", "q")
    script = work.write("go.sh", f"exec {shlex.join(work.words(command, patch=SOON + OFTEN))}\n")
    bash = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], env=work.env, cwd=work.desk, **screen.streams)
    try:
        screen.type(f"bash {script}\n")
        sees(work, screen, mark)
        screen.type("\x1a")
        sees(work, screen, "Stopped")
        screen.type("echo typed $((40 + 2))\n")
        sees(work, screen, "echo typed $((40 + 2))", "typed 42")
        screen.type("fg\n")
        work.until(lambda: screen.shown.rfind(mark) > screen.shown.rfind("typed 42"))
        screen.type(end)
        screen.type("echo again $((40 + 3))\n")
        sees(work, screen, "echo again $((40 + 3))", "again 43")
        assert screen.shown.count(mark) <= 1, "only what stood there when it was stopped"
        assert "Traceback" not in screen.all
    finally:
        bash.kill()
        bash.wait()


# -- a terminal that does not go along ----------------------------------------------------------------------------------


def test_a_stopped_terminal_does_not_stop_the_loop(project, terminal):
    work, screen = prepared(project), terminal()
    run = held(work, screen, "--max-cycles", 4)
    sees(work, screen, "[TRAINING]", LAST)
    screen.type("\x13")  # Ctrl-S
    work.open("go")
    work.until(lambda: holder(work.paths.lock) is None)
    assert run.wait() == 0
    assert len([a for a in work.attempts() if a.state is RunState.FINISHED and a.run]) == 4
    assert "cycle 4" not in screen.all
    work.until(lambda: not views(work))
    screen.type("\x11")


def test_what_was_said_meanwhile_comes_when_the_terminal_goes_on(project, terminal):
    work, screen = prepared(project), terminal()
    held(work, screen)
    sees(work, screen, "[TRAINING]", LAST)
    screen.type("\x13")
    work.open("go")
    work.until(lambda: len(work.attempts()) > 6)
    assert "cycle 3" not in screen.all
    screen.type("\x11")
    work.until(lambda: "cycle 3: exp003" in screen.all)
    sees(work, screen, LAST)


def test_a_terminal_that_vanishes_does_not_end_the_loop(project, terminal):
    work, screen = prepared(project), terminal()
    run = held(work, screen, "--max-cycles", 3)
    sees(work, screen, "[TRAINING]", LAST)
    screen.hang_up()
    work.until(lambda: not views(work))
    work.open("go")
    assert run.wait() == 0
    assert len([a for a in work.attempts() if a.state is RunState.FINISHED and a.run]) == 3


# -- what must not reach a terminal -------------------------------------------------------------------------------------


def test_no_sequence_and_no_markup_of_a_text_reaches_the_terminal(project, terminal):
    evil = "\\x1b]0;owned\\x07\\x1b[2Jred[bold red]tape[/]\\u202e[/nonsense]"
    patch = (
        "from auto_experiment.planners.optuna import OptunaPlanner\nimport dataclasses\n"
        "from auto_experiment.models.base import answer_of, decided\nplan = OptunaPlanner.plan\n"
        f"OptunaPlanner.plan = lambda self, view: decided(dataclasses.replace(answer_of(plan(self, view)), title='{evil}'))\n"
    )
    work, here, there = prepared(project), terminal(), terminal(120, 40)
    work.write("train.py", TRAIN.replace('print(f"', 'print("\\x1b]0;owned\\x07\\x1b[5n"); print(f"'))
    work.start("run", patch=SOON + patch, **here.streams)
    work.training(note="held")
    work.start("watch", patch=OFTEN, **there.streams)
    for screen in (here, there):
        sees(work, screen, "[TRAINING]", "red[bold red]tape[/][/nonsense]", "epoch 6/10")
        for bad in (b"owned", b"\x1b]", b"\x1b[5n", "\u202e".encode()):
            assert bad not in screen.raw


# -- where there is none ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "env"),
    [(["--plain"], {}), ([], {"TERM": "dumb"}), ([], {"CI": "true"})],
    ids=["--plain", "TERM=dumb", "CI"],
)
def test_plain_lines_where_no_view_is_wanted(project, terminal, words, env):
    work, screen = prepared(project), terminal()
    work.env.update(env)
    run = work.start("run", "--max-cycles", 1, *words, **screen.streams)
    assert run.wait() == 0
    work.until(lambda: "report: " in screen.all)
    assert b"\x1b" not in screen.raw
    assert "cycle 1: exp001" in screen.all


def test_a_watch_into_a_pipe_is_refused_with_one_line(project):
    refused = prepared(project).cli("watch", status=2)
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "auto-experiment status" in refused.stderr


def test_a_start_that_is_refused_shows_no_view(project, terminal):
    work, screen = prepared(project), terminal()
    work.write("PROJECT_BRIEF.md", "")
    assert work.start("run", **screen.streams).wait() == 2
    work.until(lambda: "PROJECT_BRIEF.md" in screen.shown)
    assert b"\x1b" not in screen.raw


def test_a_terminal_of_ascii_gets_ascii(project, terminal):
    work, screen = prepared(project), terminal()
    work.env.update(PYTHONIOENCODING="ascii", NO_COLOR="1")
    held(work, screen)
    shown = sees(work, screen, "epoch 6/10", "#####", "* ", LAST)
    assert shown.isascii()
    assert screen.raw.isascii()
    assert b"\x1b[32m" not in screen.raw
