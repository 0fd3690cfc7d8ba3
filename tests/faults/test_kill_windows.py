"""`kill -9` of the controller between two statements that belong together: nothing is lost, nothing comes twice.

The kill is put in from outside, by a patch that runs in the controller's process; the program has no hooks.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from auto_experiment.cycle.reflect import DEAD_LETTER_AFTER
from auto_experiment.cycle.runner import UNREAD
from auto_experiment.errors import LaunchError, Overloaded
from auto_experiment.launchers.base import Feed
from auto_experiment.ledger.lock import ProjectLock, holder
from auto_experiment.ledger.rows import Phase
from auto_experiment.records.run import Ref, RunState
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.monitor import Monitor

GIVEN_UP = DEAD_LETTER_AFTER[Phase.TRAINING]
KILL = "import os, signal\nkill = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
QUICK = "import judge\njudge.note()\nfor n in range(3): print(f'step {n}/3 val_acc=0.{n}', flush=True)\n"
HELD_DRY = (
    "import judge\njudge.note()\njudge.DRY and judge.wait('dry')\nprint('step 1 val_acc=0.5\\nstep 2 val_acc=0.6')\n"
)


def died(run):
    assert run.wait() == -signal.SIGKILL, run.text


def memory(work):
    return Path(work.paths.memory_log).read_text(encoding="utf-8")


class TestADirective:
    def test_that_asked_for_the_report_still_does_after_a_kill(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        work.cli("direct", "report")
        patch = KILL + "from auto_experiment.cycle import controller\ncontroller.archive_directive = kill\n"
        died(work.start("run", patch=patch))
        done = work.cli("run")
        assert "a directive asked for the report" in done.stdout
        assert len(work.json("list")) == 1
        assert work.json("status")["pending_directive"] is None

    @pytest.mark.parametrize("place", ["atomic_write", "os.unlink"])
    @pytest.mark.parametrize("appended", ["", "and this too\n"])
    def test_is_archived_once_and_what_was_added_stays(self, project, place, appended):
        work = project(QUICK)
        work.cli("direct", "first words")
        patch = KILL + (
            "from auto_experiment.cycle import controller, inputs\n"
            "archive = controller.archive_directive\n"
            "def slow(paths, *rest):\n"
            f"    open(paths.directive, 'a').write({appended!r})\n"
            f"    inputs.{place} = kill\n"
            "    archive(paths, *rest)\n"
            "controller.archive_directive = slow\n"
        )
        run = work.start("run", "--max-cycles", 1, patch=patch)
        run.wait()
        os.path.exists(work.paths.lock)
        work.cli("run", "--max-cycles", 2)
        archived = sorted(Path(work.paths.directive_archive).iterdir())
        assert [path.read_text() for path in archived] == ["first words\n", *([appended] if appended else [])]
        with work.ledger() as ledger:
            assert [note.text for note in ledger.directives()] == [p.read_text().strip() for p in archived]
        assert not os.path.exists(work.paths.directive)

    def test_with_the_words_of_an_earlier_one_is_a_new_one(self, project):
        work = project(QUICK)
        for _ in range(2):
            work.cli("direct", "same words")
            work.cli("run", "--max-cycles", 1)
            for path in Path(work.paths.directive_archive).iterdir():
                path.unlink()
        with work.ledger() as ledger:
            assert len(ledger.directives()) == 2


class TestALineThatAHumanAdded:
    @pytest.mark.parametrize("place", ["Notebook.write", "atomic_write"])
    def test_is_taken_once(self, project, place):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        text = memory(work)
        Path(work.paths.memory_log).write_text(text + "try a smaller batch\n", encoding="utf-8")
        patch = KILL + f"from auto_experiment.cycle import notebook\nnotebook.{place} = kill\n"
        died(work.start("run", "--max-cycles", 1, patch=patch))
        work.cli("run", "--max-cycles", 2)
        assert memory(work).count("try a smaller batch") == 1

    def test_is_taken_once_also_when_another_one_comes_after_the_kill(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        path = Path(work.paths.memory_log)
        path.write_text(memory(work) + "try a smaller batch\n", encoding="utf-8")
        patch = KILL + "from auto_experiment.cycle import notebook\nnotebook.Notebook.write = kill\n"
        died(work.start("run", "--max-cycles", 1, patch=patch))
        path.write_text(memory(work) + "and a larger one\n", encoding="utf-8")
        work.cli("run", "--max-cycles", 2)
        assert memory(work).count("try a smaller batch") == 1
        assert memory(work).count("and a larger one") == 1


def test_the_last_lesson_reaches_the_memory_after_a_kill(project):
    work = project(QUICK, config={"budget": {"experiments": 1}})
    patch = KILL + "from auto_experiment.cycle.controller import Controller\nController._remember = "
    patch += "lambda self, now, r=Controller._remember: kill() if self._ledger.lesson(1) else r(self, now)\n"
    died(work.start("run", patch=patch))
    work.cli("run")
    assert "(new best!)" in memory(work)


def test_a_dry_run_that_ended_unseen_gets_no_verdict_from_stop_run(project):
    work = project(HELD_DRY)
    run = work.start("run")
    work.training(dry=True)
    run.kill()
    work.open("dry")
    work.cli("stop", "--run")
    assert [row.state.is_final for row in work.attempts()] == [True]
    assert work.json("status")["current_runs"] == []
    work.cli("run", "--max-cycles", 1)
    assert [row.name for row in work.attempts()] == ["exp001/dry01/a1", "exp001/dry02/a1", "exp001/run01/a1"]


def test_a28_a_step_that_kills_the_controller_again_and_again_is_given_up(project):
    """The run is collected, the experiment failed, its value counts for nothing, the campaign goes on."""
    work = project(QUICK)
    patch = KILL + (
        "from auto_experiment.planners.optuna import OptunaPlanner\n"
        "real = OptunaPlanner.reflect\n"
        "OptunaPlanner.reflect = lambda self, view, outcome: "
        "kill() if view.experiment == 'exp001' else real(self, view, outcome)\n"
    )
    for _ in range(4):
        died(work.start("run", "--max-cycles", 2, patch=patch))
    last = work.start("run", "--max-cycles", 2, patch=patch)
    assert last.wait() == 0, last.text
    first, second = work.json("list")
    assert (first["result"], second["result"]) == ("failed", "improved")
    assert "given up" in first["decision"]
    assert work.json("status")["best"]["experiment"] == "exp002"
    assert len(work.judged(dry=False)) == 2


def test_a28_a_training_whose_watching_kills_the_controller_each_time_is_given_up(project):
    """Reading its log is what kills: it is ended and given up without being read again."""
    work = project(
        QUICK
        + "if not judge.DRY and '/exp001/' in '/' + judge.ATTEMPT + '/': print('poison', flush=True); judge.wait('never')\n"
    )
    patch = KILL + (
        "from auto_experiment.watch.metrics.reader import LogReader\n"
        "real = LogReader.feed\n"
        "LogReader.feed = lambda self, data: kill() if b'poison' in data else real(self, data)\n"
    )
    for _ in range(GIVEN_UP + 1):
        died(work.start("run", "--max-cycles", 2, patch=patch))
    last = work.start("run", "--max-cycles", 2, patch=patch)
    assert last.wait() == 0, last.text
    first, second = work.json("list")
    assert (first["result"], second["result"]) == ("failed", "improved")
    assert "given up" in first["decision"]
    row = work.attempt("exp001/run01/a1")
    assert (row.state, row.value, row.summary["value_note"]) == (RunState.STOPPED, None, UNREAD)
    assert not work.alive(work.training(dry=False)["pid"])
    assert len(work.judged(dry=False)) == 2


def test_a_session_that_watched_its_training_was_not_killed_by_it(project):
    """A silent training is not given up, however often its controllers are killed after their first heartbeat."""
    work = project(
        "import judge\njudge.note()\nprint('step 1 val_acc=0.1\\nstep 2 val_acc=0.2', flush=True)\n"
        "judge.DRY or judge.wait('go')\n",
        config={"monitor": {"poll_interval": 1}},
    )
    for words, counted in ((" training: pid", 0), ("carrying on", 1), ("exp001/run01: ", 0)):
        run = work.start("run", "--max-cycles", 1)
        run.said(words)
        run.kill()
        with work.ledger() as ledger:
            assert ledger.last_cycle().recoveries == counted
    work.open("go")
    work.cli("run", "--max-cycles", 1)
    assert len(work.judged(dry=False)) == 1
    assert work.attempt("exp001/run01/a1").state is RunState.FINISHED


def test_a_lost_training_has_no_invented_end(project):
    work = project(
        "import judge\njudge.note()\nprint('step 1 a=1\\nstep 2 a=2', flush=True)\njudge.DRY or judge.wait('go')\n"
    )
    run = work.start("run", "--max-cycles", 1)
    training = work.training(dry=False)
    shim = int(Path(f"/proc/{training['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(shim, signal.SIGKILL)
    run.said("lost")
    work.open("go")
    assert run.wait() == 0
    lost = work.attempt("exp001/run01/a1")
    assert (lost.state, lost.ended_at) == (RunState.LOST, None)


def test_the_report_counts_the_kills_also_when_it_is_written_again(project):
    work = project(QUICK)
    died(
        work.start(
            "run", patch=KILL + "from auto_experiment.cycle.controller import Controller\nController._reflect = kill\n"
        )
    )
    work.cli("run", "--max-cycles", 1)
    work.cli("report")
    assert "ended without a word (killed?) once" in Path(work.paths.report).read_text(encoding="utf-8")


class TestWhatIsBrokenMeanwhile:
    def test_a_brief_does_not_hide_the_status(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        work.write("PROJECT_BRIEF.md", "")
        assert "cannot be read now" in work.cli("status").stdout
        assert work.json("list")[0]["value"] == 0.2

    def test_a_config_does_not_keep_a_training_from_being_stopped(self, project):
        work = project(
            "import judge\njudge.note()\nprint('step 1 a=1\\nstep 2 a=2', flush=True)\njudge.DRY or judge.wait('go')\n"
        )
        run = work.start("run")
        work.training(dry=False)
        work.write("config.yaml", "agent: [")
        work.cli("stop", "--run")
        assert run.wait() == 0
        assert work.attempt("exp001/run01/a1").state is RunState.STOPPED


def test_a_look_at_the_lock_does_not_keep_a_controller_out(tmp_path):
    path, over = str(tmp_path / "lock"), threading.Event()
    ProjectLock.take(path).release()

    def look():
        while not over.is_set():
            holder(path)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(300):
            ProjectLock.take(path).release()
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_log_follower_that_always_dies_is_waited_for_and_no_busy_loop(tmp_path):
    opened = []

    class Dead(Feed):
        def __init__(self):
            self.ends = os.pipe()
            os.write(self.ends[1], b"x")

        def fileno(self):
            return self.ends[0]

        def add(self, ref, offset=0): ...

        def read(self):
            raise LaunchError("the helper is gone")

        def close(self):
            for end in self.ends:
                os.close(end)

    class Launcher:
        def follow(self):
            opened.append(Dead())
            return opened[-1]

    folder = str(tmp_path / "requests")
    monitor = Monitor(Launcher(), requests_folder=folder, poke=f"{folder}/poke", heartbeat_s=60.0)
    with monitor, pytest.raises(Overloaded, match=r"follower died 6 times: the helper is gone"):
        list(monitor.watch(Ref("exp001/run01/a1", str(tmp_path)), [], LogReader))
    assert len(opened) < 10


HELD = (
    "import judge\njudge.note()\nprint('step 1 val_acc=0.1\\nstep 2 val_acc=0.2', flush=True)\n"
    "judge.DRY or judge.wait('go')\n"
)
RUN_FOLDER = "exp001/run01/a1"


class TestAFolderThatChangesUnderARun:
    """What stands in the workspace may be copied or removed by its owner; a living training is never killed for it,
    and never started twice."""

    def test_a_copied_project_leaves_the_originals_training_alone(self, project, tmp_path):
        work = project(HELD)
        run = work.start("run", "--max-cycles", 1)
        training = work.training(dry=False)
        copy = tmp_path / "copy"
        subprocess.run(["cp", "-a", str(work.root), str(copy)], check=True)
        for words in (("run", "--max-cycles", 1), ("stop", "--run")):
            done = subprocess.run(
                work.words(*words, "--project", copy), env=work.env, capture_output=True, text=True, check=False
            )
            assert done.returncode in (1, 3), done.stdout
            assert "Traceback" not in done.stderr
            assert str(work.root) in done.stderr, "says whose it is"
            assert work.alive(training["pid"])
        work.open("go")
        assert run.wait() == 0
        assert work.attempt(RUN_FOLDER).state is RunState.FINISHED
        assert len(work.judged(dry=False)) == 1

    def test_without_its_fifo_a_training_is_adopted_and_can_be_stopped(self, project):
        work = project(HELD)
        run = work.start("run")
        training = work.training(dry=False)
        run.kill()
        os.unlink(Path(work.paths.attempt(RUN_FOLDER), "alive"))
        second = work.start("run", "--max-cycles", 1)
        second.said(f"training: pid {training['pid']}")
        work.cli("stop", "--run")
        assert second.wait() == 0
        assert work.attempt(RUN_FOLDER).state is RunState.STOPPED
        assert len(work.judged(dry=False)) == 1

    @pytest.mark.parametrize("gone", ["", "claim"])
    def test_a_removed_folder_ends_the_old_training_before_another_attempt(self, project, gone):
        work = project(HELD)
        run = work.start("run")
        first = work.training(dry=False)
        run.kill()
        folder = Path(work.paths.attempt(RUN_FOLDER))
        if gone:
            (folder / gone).unlink()
        else:
            shutil.rmtree(folder)
        second = work.start("run", "--max-cycles", 1)
        second.said("trying again: exp001/run01/a2")
        assert not work.alive(first["pid"])
        work.open("go")
        assert second.wait() == 0
        states = {row.name: row.state for row in work.attempts() if "/run" in row.name}
        assert states == {RUN_FOLDER: RunState.LOST, "exp001/run01/a2": RunState.FINISHED}
        assert "removed" in work.attempt(RUN_FOLDER).reason

    def test_a_claim_that_is_no_claim_is_no_traceback(self, project):
        work = project(HELD)
        run = work.start("run")
        work.training(dry=False)
        run.kill()
        Path(work.paths.attempt(RUN_FOLDER), "claim").write_text("{}")
        second = work.start("run", "--max-cycles", 1)
        second.said("trying again: exp001/run01/a2")
        work.open("go")
        assert second.wait() == 0


class TestALedgerThatIsGone:
    def test_is_noticed_at_once(self, project):
        work = project(HELD)
        run = work.start("run", "--max-cycles", 1)
        work.training(dry=False)
        os.unlink(work.paths.ledger)
        work.open("go")
        assert run.wait() == 1
        assert "was removed or replaced" in run.text

    def test_is_replaced_by_a_new_one_and_the_old_runs_make_room(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        for path in Path(work.paths.workspace).glob("ledger.db*"):
            path.unlink()
        done = work.cli("run", "--max-cycles", 1)
        assert "the runs that it does not know are in" in done.stdout
        assert work.json("list")[0]["result"] == "improved"

    def test_is_not_replaced_while_one_of_its_trainings_lives(self, project):
        work = project(HELD)
        run = work.start("run")
        training = work.training(dry=False)
        run.kill()
        for path in Path(work.paths.workspace).glob("ledger.db*"):
            path.unlink()
        done = work.cli("run", status=3)
        assert f"pid {training['pid']}" in done.stderr
        assert len(work.judged(dry=False)) == 1


def test_a_workspace_belongs_to_one_project(project, tmp_path):
    shared = str(tmp_path / "shared")
    one, two = (project(QUICK, config={"project": {"workspace": shared}}) for _ in range(2))
    one.cli("run", "--max-cycles", 1)
    assert str(one.root) in two.cli("run", status=3).stderr


def test_a_fifo_in_the_place_of_a_text_does_not_hold_the_loop(project):
    work = project(QUICK)
    os.makedirs(work.paths.workspace)
    os.mkfifo(work.paths.directive)
    os.mkdir(work.paths.memory_log)
    done = work.cli("run", "--max-cycles", 1)
    assert "cannot be written" in done.stdout


def test_a_late_nan_of_the_objective_is_a_failed_run(project):
    script = "import judge\njudge.note()\nprint('step 1 val_acc=0.5\\nstep 2 val_acc=0.6', flush=True)\n"
    work = project(script + "judge.DRY or print('step 3 val_acc=nan')\n")
    work.cli("run", "--max-cycles", 1)
    (row,) = [a for a in work.attempts() if "/run" in a.name]
    assert (row.fault.value, row.counts) == ("nan", False)
    assert work.json("list")[0]["result"] == "failed"


def test_closed_output_is_no_error(project):
    work = project(QUICK)
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *work.words("run", "--max-cycles", 1)],
        env=work.env, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
