"""Catalogued faults whose tests are not elsewhere, named after their ids: docs/reliability.md lists all of them.

A: supervision and durable state. What the text of a log can do (F) is in ``test_catalogue_logs.py``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.launchers.process import SHIM
from auto_experiment.ledger import migrations
from auto_experiment.records.run import Kind, RunState
from drill.memory_group import Unavailable, memory_group

RUN, SECOND = "exp001/run01/a1", "exp001/run01/a2"
QUICK = "import judge\njudge.note()\nfor n in range(3): print(f'step {n}/3 val_acc=0.{n}', flush=True)\n"
# Waits for the test before it ends; a training only, not a dry run.
HELD = (
    "import judge\nfor n in (1, 2): print(f'step {n}/3 val_acc=0.{n}', flush=True)\njudge.note()\n"
    "judge.DRY or judge.wait('go')\nprint('step 3/3 val_acc=0.9')\n"
)


def held(project):
    """A project whose training is running, and its controller."""
    work = project(HELD)
    run = work.start("run", "--max-cycles", 1)
    work.training(dry=False)
    work.until(lambda: work.attempt(RUN).state is RunState.RUNNING)
    return work, run


def claim_of(work, name=RUN):
    return json.loads(Path(work.paths.attempt(name), "claim").read_text())


def rewrite(work, **changes):
    Path(work.paths.attempt(RUN), "claim").write_text(json.dumps({**claim_of(work), **changes}))


def told(work, name):
    row = work.attempt(name)
    return row.state, row.exit_code, row.signal


def trainings(work):
    return [row.name for row in work.attempts() if row.kind is Kind.FULL]


def one_line(done):
    """The one line that a command ends with on stderr."""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


class TestA09PidReuse:
    """The claim's pid belongs to somebody else by now. Nobody foreign is signalled, and nothing foreign is "alive"."""

    @pytest.fixture
    def foreign(self):
        child = subprocess.Popen(["sleep", "600"])
        yield child
        child.kill()
        child.wait()

    @pytest.mark.parametrize("verb", ["state", "stop", "sweep"])
    def test_a09_a_foreign_process_is_not_signalled(self, lab, foreign, verb):
        ref = lab.without_end()
        lab.rewrite(ref, "claim", pid=foreign.pid)
        lab.rewrite(ref, "started.json", pid=foreign.pid, sid=foreign.pid)
        assert lab.state(ref).reason == "the supervisor died, exit not observed"
        if verb == "stop":
            lab.launcher.stop(ref, "reused")
        elif verb == "sweep":
            assert lab.launcher.sweep(ref) == 0
        assert foreign.poll() is None

    def test_a09_a_wrong_start_time_is_not_the_claimant(self, lab, alive):
        ref = lab.start("exec sleep 600")
        started = lab.started(ref)
        claim = lab.read(ref, "claim")
        lab.rewrite(ref, "claim", start_ticks=claim["start_ticks"] + 1)
        assert lab.state(ref).reason == "the supervisor died, exit not observed"
        assert alive(started["pid"])
        lab.rewrite(ref, "claim", start_ticks=claim["start_ticks"])

    def test_a09_a_lock_file_with_a_foreign_pid_holds_nobody_up(self, project, foreign):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 0)
        lock = json.loads(Path(work.paths.lock).read_text())
        Path(work.paths.lock).write_text(json.dumps({**lock, "pid": foreign.pid}))
        work.cli("run", "--max-cycles", 1)
        assert foreign.poll() is None


def test_a10_after_a_reboot_the_run_is_lost_and_gets_another_attempt(project):
    work, run = held(project)
    run.kill()
    claim = claim_of(work)
    for pid in (claim["pid"], work.training(dry=False)["pid"]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    work.until(lambda: not work.processes())
    rewrite(work, boot_id="0" * 36)
    work.open("go")
    work.cli("run", "--max-cycles", 1)
    assert (told(work, RUN), work.attempt(RUN).reason) == ((RunState.LOST, None, None), "reboot")
    assert told(work, SECOND) == (RunState.FINISHED, 0, None)
    assert [line["attempt"] for line in work.judged(dry=False)] == [RUN, SECOND]


def namespace(*command):
    """Run it as in a new container: own pids, its own /proc, the same boot."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = ["unshare", *user, "--pid", "--fork", "--mount-proc", *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def namespaces_or_skip():
    if not shutil.which("unshare"):
        pytest.skip("unshare (util-linux) is not installed")
    tried = namespace("true")
    if tried.returncode:
        pytest.skip(f"no pid namespace can be made here: {tried.stderr.strip()}")


def test_a11_a_container_that_was_restarted_within_one_boot(lab):
    """The pids begin anew, the boot id does not: what has the claim's pid now is somebody else."""
    namespaces_or_skip()
    ref = lab.ref()
    request = lab.root / "request"
    request.write_text(
        json.dumps({"spec": lab.spec(ref, "echo up; exec sleep 600").document(), "env": {"PATH": "/bin:/usr/bin"}})
    )
    shim = f"{sys.executable} -I -S {SHIM}"
    log = lab.path(ref, "train.log")
    first = namespace("sh", "-c", f"{shim} ensure {ref.folder} < {request}; until grep -q up {log}; do sleep 0.02; done; {shim} state {ref.folder}")  # fmt: skip
    claimed, seen = map(json.loads, first.stdout.splitlines())
    assert seen[ref.folder]["state"] == "running", first
    claim = claimed["claim"]
    assert claim["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # The container has ended, and everything in it. In another one somebody else has the claim's pid.
    same = f"until [ ${{!:-0}} = {claim['pid']} ]; do sleep 600 & done"
    again = namespace("sh", "-c", f"{same}; {shim} state {ref.folder}; kill -0 {claim['pid']} && echo alive")
    answer, there = again.stdout.splitlines()
    assert there == "alive"
    for view in (json.loads(answer), {ref.folder: {"state": "lost", "reason": lab.state(ref).reason}}):
        assert (view[ref.folder]["state"], view[ref.folder]["reason"]) == (
            "lost",
            "the supervisor died, exit not observed",
        )


def test_a18_a_training_that_is_stopped_and_ends_with_0_is_stopped(project):
    """SIGTERM was obeyed politely. The code is its own, and a run that was cut short is no result."""
    polite = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    work = project(polite + HELD)
    run = work.start("run", "--max-cycles", 1)
    work.training(dry=False)
    work.cli("stop", "--run")
    assert run.wait() == 0
    assert (told(work, RUN), work.attempt(RUN).reason) == ((RunState.STOPPED, 0, None), "stop --run")
    assert not work.attempt(RUN).counts


@pytest.mark.parametrize("torn", [b"", b'{"format": 1, "code": 0', b"\xff\0", "folder", "other"])
def test_a19_a_torn_end_is_a_lost_run_and_another_attempt(project, torn):
    work, run = held(project)
    run.kill()
    work.open("go")
    work.until(lambda: not work.processes())
    path = Path(work.paths.attempt(RUN), "exit.json")
    good = json.loads(path.read_text())
    path.unlink()
    if torn == "folder":
        path.mkdir()
    else:
        path.write_bytes(json.dumps({**good, "attempt": SECOND}).encode() if torn == "other" else torn)
    work.cli("run", "--max-cycles", 1)
    assert told(work, RUN) == (RunState.LOST, None, None)
    assert told(work, SECOND) == (RunState.FINISHED, 0, None)
    assert Path(f"{path}.bad-1").exists()


class TestA20TheLedgerCannotBeUsed:
    def test_a20_busy_for_a_moment_is_waited_for(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        db = sqlite3.connect(work.paths.ledger, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        run = work.start("run", "--max-cycles", 1)
        work.until(lambda: len(work.processes()) > 0)
        db.execute("ROLLBACK")
        db.close()
        assert run.wait() == 0, run.text
        assert len(work.json("list")) == 2

    def test_a20_busy_for_good_is_said(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        db = sqlite3.connect(work.paths.ledger, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        short = "from auto_experiment.ledger import database\ndatabase._BUSY_S = 0.05\n"
        run = work.start("run", "--max-cycles", 1, patch=short)
        assert run.wait() in (1, 3)
        db.close()
        assert "Traceback" not in run.text
        assert "locked" in run.text
        work.cli("run", "--max-cycles", 1)
        assert len(work.json("list")) == 2

    @pytest.mark.parametrize("earlier", [0, 1])
    def test_a20_a_missing_wal_is_never_silently_another_ledger(self, project, earlier):
        """A killed controller leaves its newest commits in ledger.db-wal. Somebody tidies that up, and the ledger is
        an empty one again, or the one of a campaign before."""
        work = project(QUICK + f"judge.DRY or 'exp00{earlier}' in judge.ATTEMPT or judge.wait('go')\n")
        if earlier:
            work.cli("run", "--max-cycles", 1)
        run = work.start("run")
        newest = f"exp{earlier + 1:03d}/run01/a1"
        work.training(attempt=newest)
        work.until(lambda: work.attempt(newest).state is RunState.RUNNING)
        run.kill()
        work.open("go")
        work.until(lambda: not work.processes())
        Path(f"{work.paths.ledger}-wal").unlink()
        if not earlier:
            done = work.cli("run", "--max-cycles", 1, status=3)
            assert "ledger.db: is empty, but" in one_line(done)
            Path(work.paths.ledger).unlink()
        done = work.cli("run", "--max-cycles", 1)
        what = "has lost its newest entries" if earlier else "is new"
        assert f"the ledger {what}: the runs that it does not know are in" in done.stdout
        aside = next(Path(work.paths.workspace).glob("runs-before-*"))
        assert (aside / newest / "exit.json").exists(), "nothing is started over what is there"
        assert len(work.json("list")) == earlier + 1

    def test_a20_a_run_of_another_host_makes_no_room(self, project):
        """The ledger is lost, and whether that run still trains cannot be seen from here."""
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        Path(work.paths.ledger).unlink()
        attempt = Path(work.paths.attempt("exp001/run01/a1"))
        (attempt / "exit.json").unlink()
        claim = json.loads((attempt / "claim").read_text())
        (attempt / "claim").write_text(json.dumps({**claim, "hostname": "login2"}))
        refused = one_line(work.cli("run", "--max-cycles", 1, status=3))
        assert "exp001/run01/a1 was started on login2" in refused
        assert str(attempt) in refused
        assert attempt.is_dir()
        assert len(work.judged(dry=False)) == 1

    def test_a20_an_empty_file_beside_runs_is_refused_and_untouched(self, project):
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        Path(work.paths.ledger).write_bytes(b"")
        assert "is empty, but" in one_line(work.cli("run", "--max-cycles", 1, status=3))
        assert Path(work.paths.ledger).read_bytes() == b""
        assert Path(work.paths.runs, "exp001").is_dir()
        assert len(work.judged(dry=False)) == 1

    @pytest.mark.parametrize("what", ["ledger", "workspace"])
    def test_a20_read_only_is_said_and_nothing_starts(self, project, what):
        """Read-only for everybody, as after an error of the disk: a mount of its own, gone with the command."""
        work = project(QUICK)
        work.cli("run", "--max-cycles", 1)
        before = work.attempts()
        place = work.paths.ledger if what == "ledger" else work.paths.workspace
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        mounted = f'mount --bind "{place}" "{place}" && mount -o remount,bind,ro "{place}"'
        tried = subprocess.run(["unshare", *user, "--mount", "sh", "-c", mounted], capture_output=True, check=False)
        if tried.returncode:
            pytest.skip(f"no read-only mount can be made here: {tried.stderr.decode().strip()}")
        done = subprocess.run(
            ["unshare", *user, "--mount", "sh", "-c", mounted + ' && exec "$@"', "sh", *work.words("run", "--max-cycles", 1)],
            env=work.env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (1, 3)
        assert os.path.basename(place) in one_line(done) or "read-only" in one_line(done).lower()
        assert (work.attempts(), len(work.judged(dry=False))) == (before, 1)
        work.cli("run", "--max-cycles", 1)


MIGRATES = """
import os, signal
from auto_experiment.ledger import migrations
def second(db):
    db.execute("CREATE TABLE extra (x)")
    db.execute("UPDATE experiment SET title = 'migrated'")
    {kill}
    db.execute("ALTER TABLE extra ADD COLUMN y")
migrations.MIGRATIONS = (*migrations.MIGRATIONS, second)
migrations.VERSION = len(migrations.MIGRATIONS)
"""
LATE_KILL = """
import sqlite3
from auto_experiment.ledger import database
class Deadly(sqlite3.Connection):
    def execute(self, statement, *rest):
        if statement == "COMMIT":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *rest)
connect = sqlite3.connect
sqlite3.connect = lambda *args, **kw: connect(*args, **kw, factory=Deadly)
"""


@pytest.mark.parametrize("when", ["in the middle", "right before the commit"])
def test_a21_a_migration_that_was_interrupted(project, when):
    """The ledger has the old schema or the new one, and nothing between."""
    work = project(QUICK)
    work.cli("run", "--max-cycles", 1)
    titles = [row["title"] for row in work.json("list")]
    kill = "os.kill(os.getpid(), signal.SIGKILL)" if when == "in the middle" else "pass"
    patch = MIGRATES.format(kill=kill) + ("" if when == "in the middle" else LATE_KILL)
    assert work.start("run", "--max-cycles", 1, patch=patch).wait() == -signal.SIGKILL
    assert schema(work) == (migrations.VERSION, False)
    assert [row["title"] for row in work.json("list")] == titles
    done = work.start("run", "--max-cycles", 1, patch=MIGRATES.format(kill="pass"))
    assert done.wait() == 0, done.text
    assert schema(work) == (migrations.VERSION + 1, True)
    assert "newer auto-experiment" in one_line(work.cli("run", status=3)), "and an older program leaves it alone"


def schema(work):
    """(version, whether the added migration's table is there) of a sound ledger."""
    with contextlib.closing(sqlite3.connect(work.paths.ledger)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name = 'extra'")]
        return db.execute("PRAGMA user_version").fetchone()[0], bool(tables)


KILL_AT_LESSON = """
import contextlib, os, signal
from auto_experiment.ledger.writer import Transaction, Writer
lesson, transaction = Transaction.lesson, Writer.transaction
seen = []
def note(self, *args):
    seen.append(1)
    return lesson(self, *args)
Transaction.lesson = note
@contextlib.contextmanager
def deadly(self):
    with transaction(self) as tx:
        yield tx
        if seen and {before}:
            os.kill(os.getpid(), signal.SIGKILL)
    if seen:
        os.kill(os.getpid(), signal.SIGKILL)
Writer.transaction = deadly
"""


@pytest.mark.parametrize("before", [True, False], ids=["before-the-commit", "after-the-commit"])
def test_a26_one_lesson_whenever_reflect_is_cut_off(project, before):
    work = project(QUICK)
    run = work.start("run", "--max-cycles", 1, patch=KILL_AT_LESSON.format(before=before))
    assert run.wait() == -signal.SIGKILL, run.text
    with work.ledger() as ledger:
        assert len(ledger.lessons()) == (0 if before else 1)
    work.cli("run", "--max-cycles", 2)
    with work.ledger() as ledger:
        decisions = [note.plan for note in ledger.notes("decision", 100)]
        assert list(ledger.lessons()) == list(range(1, len(ledger.lessons()) + 1))
    assert decisions.count(1) == 1
    assert len(work.judged(attempt=RUN)) == 1, "the training is not repeated for it"
    assert Path(work.paths.memory_log).read_text().count("Exp001") == 1


class TestF11TheKernelIsOutOfMemory:
    """The kernel's killer, for real, in a memory group of the test's own. What the training's rows then say is with
    the other endings: "out of memory" and "a worker out of memory"."""

    def test_f11_the_controller_is_killed_and_the_training_goes_on(self, project):
        """Only the controller's group is full, so the kernel has nobody else to kill."""
        work = project(HELD)
        eat = "\nfood = []\nwhile True: food.append(b'x' * (1 << 22))"
        after = f"from auto_experiment.cycle.runner import Runner\nbegan = Runner._began\ndef hungry(self, *a):\n    began(self, *a){eat.replace(chr(10), chr(10) + '    ')}\nRunner._began = lambda self, at, *a: (hungry if 'run01' in at.name else began)(self, at, *a)\n"
        try:
            with memory_group(400) as join:
                run = work.start("run", "--max-cycles", 1, preexec_fn=join, patch=after)
                status = run.wait(60)
                assert status == -signal.SIGKILL, run.text
                training = work.training(dry=False)
                assert work.alive(training["pid"])
                second = work.start("run", "--max-cycles", 1)
                second.said(f"training: pid {training['pid']}")
                work.open("go")
                assert second.wait() == 0
        except Unavailable as why:
            pytest.skip(str(why))
        assert told(work, RUN) == (RunState.FINISHED, 0, None)
        assert len(work.judged(dry=False)) == 1

    def test_f11_the_supervisor_is_the_last_to_be_chosen(self, lab):
        ref = lab.start("cat /proc/self/oom_score_adj; exec sleep 600")
        lab.said(ref, b"\n")
        own, training = (
            int(Path(f"/proc/{pid}/oom_score_adj").read_text())
            for pid in (lab.read(ref, "claim")["pid"], lab.started(ref)["pid"])
        )
        mine = int(Path("/proc/self/oom_score_adj").read_text())
        assert training == int(lab.log(ref)) == mine
        lower = subprocess.run(["sh", "-c", "echo -500 > /proc/self/oom_score_adj"], capture_output=True, check=False)
        if lower.returncode:
            pytest.skip(f"lowering it is not allowed here: {lower.stderr.decode().strip()}")
        assert own == -500

    @pytest.mark.parametrize("version", [1, 2])
    def test_f11_both_kinds_of_group_are_read(self, monkeypatch, version):
        spec = importlib.util.spec_from_file_location("shim_f11", SHIM)
        shim = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(shim)
        files = {
            1: {
                b"/proc/self/cgroup": b"9:name=systemd:/\n4:memory:/job/7\n0::/\n",
                b"/sys/fs/cgroup/memory/job/7/memory.oom_control": b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            },
            2: {
                b"/proc/self/cgroup": b"0::/job/7\n",
                b"/sys/fs/cgroup/job/7/memory.events": b"low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n",
            },
        }[version]
        monkeypatch.setattr(shim, "read_small", lambda path: files.get(path, b""))
        assert shim.memory_events()[1] == 3
        files.pop(next(path for path in files if b"sys" in path))
        assert shim.memory_events() == (b"", None), "nobody counts: then it is not known, and not denied"


def test_what_a_killed_writer_left_half_written_is_removed(project):
    work = project(QUICK)
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    work.cli("run", "--max-cycles", 1)
    dead = Path(f"{work.paths.state}.{ended}.tmp")
    alive = Path(f"{work.paths.state}.{os.getpid()}.tmp")
    mine = Path(work.paths.workspace, "notes.tmp")
    for path in (dead, alive, mine):
        path.write_text("{")
    work.cli("run", "--max-cycles", 1)
    assert not dead.exists()
    assert alive.exists(), "its writer lives"
    assert mine.exists(), "a name of somebody else's"


def test_a_write_that_could_not_even_be_taken_back_is_removed_at_the_end(project):
    """A disk that is read-only for state.json from the file's making on, until the end."""
    patch = (
        "import errno, os\n"
        "fsync, unlink, seen = os.fsync, os.unlink, set()\n"
        "def failing(fd):\n"
        "    name = os.readlink(f'/proc/self/fd/{fd}')\n"
        "    if 'state.json.' in name:\n"
        "        seen.add(name)\n"
        "        raise OSError(errno.EROFS, 'read-only', name)\n"
        "    fsync(fd)\n"
        "def kept(path, **more):\n"
        "    if path in seen and not over:\n"
        "        raise OSError(errno.EROFS, 'read-only', path)\n"
        "    unlink(path, **more)\n"
        "os.fsync, os.unlink, over = failing, kept, []\n"
        "from auto_experiment.ledger.writer import Writer\n"
        "close = Writer.close\n"
        "Writer.close = lambda self: (over.append(1), close(self))\n"
    )
    work = project(QUICK)
    run = work.start("run", "--max-cycles", 1, patch=patch)
    assert run.wait() == 0, run.text
    assert list(Path(work.paths.workspace).glob("*.tmp")) == []
