"""The supervisor, with real processes: exact ends, whole trees, single starts, honest losses."""

from __future__ import annotations

import ast
import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from auto_experiment.errors import DiskFault, LaunchError, Overloaded, SpecConflict
from auto_experiment.hosts.local import LocalHost
from auto_experiment.launchers.base import Began, End, LogBytes
from auto_experiment.launchers.process import SHIM, ProcessLauncher
from auto_experiment.records.run import Absent, Ended, FenceWords, Lost, Ref, Running, Spec, Unreachable

FENCED = pytest.mark.parametrize("fence", ["bare", "bubblewrap"], indirect=True)
ALL_FENCES = pytest.mark.parametrize("fence", ["bare", "bubblewrap", "landlock"], indirect=True)
LOST = "the supervisor died, exit not observed"

# Leaves the session twice, drops every descriptor and (unless told to keep it) its environment, then waits to be found.
ESCAPE = """
import os, sys, time
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.setsid()
    fd = os.open({out!r} + ".tmp", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, str(os.getpid()).encode())
    os.rename({out!r} + ".tmp", {out!r})
    os.closerange(0, 64)
    os.execve("/bin/sleep", ["sleep", "1000"], {env})
os.waitpid(middle, 0)
{then}
"""


def escape(lab, then: str, *, env: str = "{}", **kw):
    """A training whose daemon has left its session; returns the attempt and the daemon's pid."""
    out = lab.root / f"daemon{len(lab.refs)}"
    ref = lab.start_python(ESCAPE.format(out=str(out), env=env, then=then), **kw)
    lab.until(out.exists)
    return ref, lab.outside(ref, int(out.read_text()))


@ALL_FENCES
class TestExactEnds:
    def test_a12_exact_exit_codes_and_signals_are_kept_apart(self, lab):
        codes = [0, 1, 2, 125, 126, 127, 128, 137, 139, 255]
        signals = [6, 9, 11, 15]
        refs = {(code, None): lab.start(f"exit {code}") for code in codes}
        refs |= {(None, number): lab.start(f"ulimit -c 0; kill -{number} $$") for number in signals}
        for (code, number), ref in refs.items():
            ending = lab.exit(ref)
            assert (ending.code, ending.signal) == (code, number)
            assert (ending.stopped, ending.timed_out, ending.leftovers) == (None, False, 0)

    def test_a13_an_end_within_a_millisecond_is_seen(self, lab):
        for ref in [lab.start(["/bin/true"]) for _ in range(10)]:
            assert lab.exit(ref).code == 0

    def test_times_usage_and_log_size(self, lab):
        ref = lab.start("printf 12345; sleep 0.1")
        ending = lab.exit(ref)
        assert ending.log_bytes == 5
        assert 0.1 <= ending.duration_s < 60
        assert abs(ending.ended_at - ending.started_at - ending.duration_s) < 5
        assert ending.max_rss_kib > 500
        assert 0 < ending.cpu_s < 5
        assert ending.oom in (None, False)
        assert lab.read(ref, "exit.json")["containment"] == ("pid namespace" if lab.nested else "subreaper")

    @pytest.mark.parametrize(
        ("argv", "code", "complaint"),
        [
            (["no-such-program"], 127, "cannot start 'no-such-program': No such file or directory"),
            (["./no-such-file"], 127, "cannot start './no-such-file': No such file or directory"),
            (["./not-executable"], 126, "cannot start './not-executable': Permission denied"),
            (["/"], 126, "cannot start '/': Permission denied"),
        ],
    )
    def test_a_program_that_cannot_be_started(self, lab, argv, code, complaint):
        (lab.root / "not-executable").write_text("echo no")
        ref = lab.start(argv)
        assert lab.exit(ref).code == code
        assert lab.log(ref).decode() == f"auto-experiment: {complaint}\n"
        assert lab.read(ref, "exit.json")["exec_error"] == complaint

    def test_a_working_folder_that_is_not_there(self, lab):
        ref = lab.start("exit 0", cwd="/no/such/folder")
        assert lab.exit(ref).code == 126
        assert b"cannot enter '/no/such/folder': No such file or directory" in lab.log(ref)

    def test_a18_the_natural_end_wins_over_a_late_stop(self, lab):
        ref = lab.start(
            "sh -c \"trap '' TERM; echo ready; while :; do sleep 0.02; done\" & sleep 0.2; exit 7", grace_s=5
        )
        lab.said(ref, b"ready")
        main = lab.started(ref)["pid"]
        lab.until(lambda: not Path(f"/proc/{main}").exists())
        lab.launcher.stop(ref, "too late", grace_s=0.05)
        ending = lab.exit(ref)
        assert (ending.code, ending.signal, ending.stopped) == (7, None, None)
        assert ending.leftovers >= 1
        assert ending.ended_at - ending.started_at < 5, "the stop shortens the wait for the leftovers"
        assert lab.read(ref, "exit.json")["late_stop"] == "too late"

    def test_a18_a_stop_races_with_a_natural_end(self, lab):
        refs = [lab.start(f"sleep 0.0{n}; exit 7") for n in range(5, 10)]
        for ref in refs:
            lab.launcher.stop(ref, "race")
        for ref in refs:
            ending = lab.exit(ref)
            natural = (ending.code, ending.signal, ending.stopped) == (7, None, None)
            ours = ending.stopped == "race" and (ending.code, ending.signal) in ((None, 15), (7, None))
            assert natural or ours

    def test_the_wall_limit(self, lab):
        ref = lab.start("exec sleep 1000", wall_limit_s=0.15)
        ending = lab.exit(ref)
        assert (ending.signal, ending.timed_out, ending.stopped) == (15, True, "wall limit of 0.15 s")

    def test_a_stop_before_the_wall_limit_is_no_timeout(self, lab):
        for limit in (0.5, 2.0, 10.0):  # on a crowded machine the stop may come after a short one
            ref = lab.start(
                "trap '' TERM; echo up; while :; do sleep 0.02; done",
                name=f"limit{limit:g}", wall_limit_s=limit, grace_s=limit + 0.1,
            )  # fmt: skip
            lab.said(ref, b"up")
            lab.launcher.stop(ref, "asked")
            ending = lab.exit(ref)
            if not ending.timed_out:
                break
        assert (ending.signal, ending.timed_out, ending.stopped) == (9, False, "asked")


@FENCED
class TestWholeTree:
    def test_a_daemon_that_left_the_session_ends_with_a_stop(self, lab, alive):
        ref, daemon = escape(lab, "time.sleep(1000)")
        lab.launcher.stop(ref, "enough")
        assert lab.exit(ref).stopped == "enough"
        assert not alive(daemon)

    def test_a_daemon_that_left_the_session_ends_with_its_training(self, lab, alive):
        ref, daemon = escape(lab, "sys.exit(3)")
        ending = lab.exit(ref)
        assert (ending.code, ending.signal, ending.leftovers) == (3, None, 1)
        assert not alive(daemon)

    def test_one_sigterm_per_process(self, lab):
        """Some programs take a second one for impatience."""
        code = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: print("TERM", flush=True))
if os.fork() == 0: print("child", flush=True)
print("up", flush=True)
while True: time.sleep(0.01)
"""
        ref = lab.start_python(code, grace_s=0.5)
        lab.said(ref, b"child")
        lab.said(ref, b"up")
        lab.launcher.stop(ref, "once")
        assert lab.exit(ref).signal == 9
        assert lab.log(ref).count(b"TERM") == 2

    def test_leftovers_get_less_than_the_grace_of_a_stop(self, patched_lab):
        """The main process has ended in time; a worker that ignores SIGTERM does not get the rest of its grace."""
        lab = patched_lab("shim.LEFTOVER_GRACE = 0.3")
        ref = lab.start("(trap '' TERM; echo up; while :; do sleep 0.02; done) & exec sleep 1000", grace_s=1000)
        lab.said(ref, b"up")
        lab.launcher.stop(ref, "enough")
        begun = time.monotonic()
        ending = lab.exit(ref)
        assert (ending.signal, ending.stopped) == (15, "enough")
        assert ending.leftovers >= 1
        assert time.monotonic() - begun < 60, "far less than the grace"

    def test_workers_may_end_by_themselves_in_time(self, lab):
        ref = lab.start("(sleep 0.05; echo worker done) & exit 0", grace_s=5)
        assert lab.exit(ref).leftovers == 0
        assert b"worker done" in lab.log(ref)

    def test_a14_orphans_are_reaped_while_the_training_runs(self, lab):
        ref = lab.start("for i in 1 2 3 4 5; do (sh -c 'exit 0' &); done; echo up; exec sleep 1000")
        lab.said(ref, b"up")
        main = lab.started(ref)["pid"]
        above = Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()[1]
        assert lab.nested or int(above) == lab.read(ref, "claim")["pid"]
        children = Path(f"/proc/{above}/task/{above}/children")
        lab.until(lambda: children.read_text().split() == [str(main)])
        lab.launcher.stop(ref, "done")

    def test_a_stopped_training_can_be_ended(self, lab):
        ref = lab.start("echo up; while :; do sleep 0.02; done")
        lab.said(ref, b"up")
        os.kill(lab.started(ref)["pid"], signal.SIGSTOP)
        lab.launcher.stop(ref, "frozen")
        assert lab.exit(ref).stopped == "frozen"

    def test_a_shorter_grace_can_be_asked_for(self, lab):
        ref = lab.start("trap '' TERM; echo up; while :; do sleep 0.02; done", grace_s=1000)
        lab.said(ref, b"up")
        lab.launcher.stop(ref, "politely")
        lab.launcher.stop(ref, "now", grace_s=0.1)
        ending = lab.exit(ref)
        assert (ending.signal, ending.stopped) == (9, "politely")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_logout_is_a_stop_with_a_record(self, lab, number):
        ref = lab.start("echo up; exec sleep 1000")
        lab.said(ref, b"up")
        lab.kill_shim(ref, signal.SIGHUP)
        lab.kill_shim(ref, number)
        assert lab.exit(ref).stopped == f"shim got {number.name}"

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
    def test_a_kernel_without_pidfds(self, patched_lab, alive, number):
        """Python knows the call, the kernel (before 5.3) does not, or a container's filter forbids it."""
        lab = patched_lab(f"""
def pidfd_open(*_): raise OSError({number}, os.strerror({number}))
os.pidfd_open = pidfd_open""")
        ref = lab.start(
            "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & echo $!; while :; do sleep 0.02; done"
        )
        lab.until(lambda: lab.path(ref, "train.log").exists() and lab.log(ref).endswith(b"\n"))
        daemon = lab.outside(ref, int(lab.log(ref)))
        lab.launcher.stop(ref, "enough")
        ending = lab.exit(ref)
        assert (ending.signal, ending.stopped) == (9, "enough")
        assert not alive(daemon)

    def test_without_ctypes_the_run_token_has_to_do(self, patched_lab, alive):
        lab = patched_lab("sys.modules['ctypes'] = None")
        ref, daemon = escape(lab, "sys.exit(4)", env="os.environ")
        ending = lab.exit(ref)
        assert (ending.code, ending.leftovers) == (4, 1)
        assert not alive(daemon)
        assert lab.read(ref, "exit.json")["containment"] == ("pid namespace" if lab.nested else "sweep")

    def test_without_ctypes_a_stop_ends_the_group_too(self, patched_lab):
        lab = patched_lab("sys.modules['ctypes'] = None")
        ref = lab.start("sleep 1000 & echo up; wait")
        lab.said(ref, b"up")
        lab.launcher.stop(ref, "enough")
        assert lab.exit(ref).stopped == "enough"
        assert lab.launcher.sweep(ref) == 0


class TestSingleStart:
    def test_a08_many_at_once_start_one(self, lab):
        ref = lab.ref()
        spec, env = lab.spec(ref, "echo started >> starts; exec sleep 1000"), dict(os.environ)
        request = json.dumps({"spec": spec.document(), "env": env}).encode()
        command = [sys.executable, "-I", "-S", str(SHIM), "ensure", ref.folder]
        crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(16)]
        for one in crowd:  # all are up and wait for their request
            one.stdin.write(request[:-1])
            one.stdin.flush()
        answers = []
        threads = [
            threading.Thread(target=lambda one=one: answers.append(one.communicate(request[-1:])[0])) for one in crowd
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.returncode for one in crowd] == [0] * 16
        assert len({json.loads(answer)["claim"]["pid"] for answer in answers}) == 1
        lab.until((lab.root / "starts").exists)
        lab.launcher.stop(ref, "done")
        lab.exit(ref)
        assert (lab.root / "starts").read_text() == "started\n"
        assert not [name for name in os.listdir(ref.folder) if name.endswith(".tmp")]

    def test_after_the_end_nothing_starts_again(self, lab):
        ref = lab.ref()
        spec = lab.spec(ref, "echo started")
        first = lab.launcher.ensure(ref, spec, {})
        lab.exit(ref)
        assert lab.launcher.ensure(ref, spec, {}) == first
        assert lab.log(ref) == b"started\n"

    def test_start_and_void_at_once_have_one_winner(self, lab):
        for _ in range(6):
            ref = lab.ref()
            spec = lab.spec(ref, "exec sleep 1000")
            both = [
                threading.Thread(target=lab.launcher.ensure, args=(ref, spec, dict(os.environ))),
                threading.Thread(target=lab.launcher.stop, args=(ref, "void")),
            ]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            if lab.read(ref, "claim")["void"]:
                assert lab.state(ref) == Lost("never started", started=False)
                assert not lab.path(ref, "started.json").exists()
            else:
                lab.launcher.stop(ref, "void")
                assert lab.exit(ref).stopped == "void"

    def test_a_spec_on_disk_is_never_replaced(self, lab):
        ref = lab.start("exit 0")
        kept = lab.path(ref, "spec.json").read_bytes()
        with pytest.raises(SpecConflict):
            lab.launcher.ensure(ref, lab.spec(ref, "exit 1"), {})
        assert lab.path(ref, "spec.json").read_bytes() == kept

    def test_something_in_the_fifos_place(self, lab):
        ref = lab.ref()
        lab.path(ref, "alive").mkdir(parents=True)
        with pytest.raises(LaunchError, match="not a FIFO"):
            lab.launcher.ensure(ref, lab.spec(ref, "exit 0"), {})
        assert lab.state(ref) == Absent()


@FENCED
class TestDeadShim:
    def test_a06_killed_in_the_middle_the_guard_leaves_nothing(self, lab, alive):
        """Not even a daemon that left the session twice and has no environment: nobody needs to sweep."""
        ref, daemon = escape(lab, "time.sleep(1000)")
        started = lab.started(ref)
        guard = lab.read(ref, "claim")["guard"]["pid"]
        lab.kill_shim(ref)
        assert lab.end(ref) == Lost(LOST, started=True, started_at=started["at"])
        lab.until(lambda: not alive(guard))
        assert not alive(started["pid"])
        assert not alive(daemon)
        assert lab.launcher.sweep(ref) == 0

    def test_a_sweep_waits_for_the_guard(self, lab, alive):
        if lab.nested:
            pytest.skip("the kernel has ended the namespace with its supervisor: nothing is left to look for")
        ref, daemon = escape(lab, "time.sleep(1000)")
        guard = lab.read(ref, "claim")["guard"]["pid"]
        os.kill(guard, signal.SIGSTOP)
        lab.kill_shim(ref)
        lab.end(ref)
        threading.Timer(0.3, os.kill, (guard, signal.SIGCONT)).start()
        assert alive(daemon)
        lab.launcher.sweep(ref)
        assert not alive(daemon)

    def test_the_guards_end_changes_nothing(self, lab, alive):
        ref, daemon = escape(lab, "time.sleep(1000)")
        lab.kill_guard(ref)
        assert alive(daemon)
        lab.launcher.stop(ref, "enough")
        assert lab.exit(ref).stopped == "enough"
        assert not alive(daemon)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    def test_the_guard_leaves_signals_that_can_be_refused_to_the_shim(self, lab, alive, number):
        ref = lab.start("echo up; exec sleep 1000")
        lab.said(ref, b"up")
        guard = lab.read(ref, "claim")["guard"]["pid"]
        os.kill(guard, number)
        lab.launcher.stop(ref, "enough")
        assert lab.exit(ref).stopped == "enough"
        lab.until(lambda: not alive(guard))

    def test_a06_killed_with_its_guard_it_is_lost_and_swept(self, lab, alive):
        if lab.nested:
            pytest.skip("the kernel has ended the namespace with its supervisor: nothing is left to look for")
        ref, daemon = escape(lab, "time.sleep(1000)", env="os.environ")
        started = lab.started(ref)
        lab.kill_guard(ref)
        lab.kill_shim(ref)
        assert lab.end(ref) == Lost(LOST, started=True, started_at=started["at"])
        lab.until(lambda: not alive(started["pid"]))  # the direct child went with it
        assert alive(daemon)
        assert lab.launcher.sweep(ref) >= 1
        assert not alive(daemon)
        assert lab.launcher.sweep(ref) == 0

    def test_a_sweep_finds_the_session_of_a_scrubbed_environment(self, lab, alive):
        if lab.nested:
            pytest.skip("the kernel has ended the namespace with its supervisor: nothing is left to look for")
        ref = lab.start("env -i sleep 1000 & echo $!; wait")
        lab.until(lambda: lab.path(ref, "train.log").exists() and lab.log(ref).endswith(b"\n"))
        worker = int(lab.log(ref))
        lab.until(lambda: Path(f"/proc/{worker}/environ").read_bytes() == b"")
        lab.kill_guard(ref)
        lab.kill_shim(ref)
        lab.end(ref)
        assert lab.launcher.sweep(ref) >= 1
        assert not alive(worker)

    def test_a_sweep_spares_those_who_ask_for_it(self, lab):
        """Somebody inside the attempt's environment may clean up, and lives."""
        ref = lab.without_end()
        command = f"{sys.executable} -I -S {SHIM} sweep {ref.folder}; echo alive"
        env = {**os.environ, "AUTO_EXPERIMENT_ATTEMPT": ref.folder}
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, check=True)
        assert done.stdout.splitlines()[-1] == b"alive"
        assert json.loads(done.stdout.splitlines()[0]) == {"killed": 0, "left": 0}

    def test_a05_killed_at_the_gate_nothing_has_run(self, patched_lab):
        """Between the fork and started.json."""
        lab = patched_lab("""
real = shim.put
def put(folder, name, record, replace=False):
    if name == b"started.json": os.kill(os.getpid(), signal.SIGKILL)
    return real(folder, name, record, replace)
shim.put = put""")
        ref = lab.start("touch ran")
        assert lab.end(ref) == Lost("never started", started=False)
        assert not (lab.root / "ran").exists()
        assert lab.log(ref) == b""
        assert lab.launcher.sweep(ref) == 0

    def test_a07_killed_between_the_end_and_the_record(self, patched_lab):
        lab = patched_lab("""
real = shim.put
def put(folder, name, record, replace=False):
    if name == b"exit.json": os.kill(os.getpid(), signal.SIGKILL)
    return real(folder, name, record, replace)
shim.put = put""")
        ref = lab.start("exit 0")
        seen = lab.end(ref)
        assert isinstance(seen, Lost)
        assert (seen.reason, seen.started) == (LOST, True)

    def test_a_fault_of_our_own_leaves_nothing_behind(self, patched_lab, alive):
        lab = patched_lab("""
def watch_training(self):
    while not os.path.exists(b"go"): pass
    raise RuntimeError("a bug")
shim.Supervisor.watch_training = watch_training""")
        ref = lab.start("sleep 1000 & echo $!; wait")
        lab.until(lambda: lab.path(ref, "train.log").exists() and lab.log(ref).endswith(b"\n"))
        worker = lab.outside(ref, int(lab.log(ref)))
        lab.path(ref, "go").touch()
        assert lab.end(ref).reason == LOST
        lab.until(lambda: not alive(worker))
        assert b"a bug" in lab.path(ref, "shim.log").read_bytes()


class TestFence:
    """What only a fence can do to a run. What it forbids is in tests/faults/test_fence.py."""

    pytestmark = pytest.mark.parametrize("fence", ["bubblewrap"], indirect=True)

    def test_the_pid_that_is_shown_is_the_trainings(self, lab):
        ref = lab.start("exec sleep 1000")
        pid = lab.started(ref)["pid"]
        lab.until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\0" + b"1000\0")
        assert lab.state(ref).pid == pid
        lab.launcher.stop(ref, "enough")
        assert lab.exit(ref).signal == 15

    @pytest.mark.parametrize("above", [1, 2])
    def test_a_fence_that_is_killed_takes_all_with_it(self, lab, alive, above):
        ref = lab.start("setsid sleep 1000 & echo $!; exec sleep 1000")
        lab.until(lambda: lab.path(ref, "train.log").exists() and lab.log(ref).endswith(b"\n"))
        main, daemon = lab.started(ref)["pid"], lab.outside(ref, int(lab.log(ref)))
        victim = main
        for _ in range(above):
            victim = int(Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(victim, signal.SIGKILL)
        ending = lab.exit(ref)
        assert (ending.code, ending.signal, ending.stopped) == (None, 9, None)
        assert not alive(main)
        assert not alive(daemon)

    def test_one_that_cannot_be_put_up_is_told(self, lab):
        wrong = FenceWords("bubblewrap", (*lab.fence.argv[:-2], "--bind", "/no/such", "/no/such", "--as-pid-1", "--"))
        ref = lab.start("touch ran", fence=wrong)
        ending = lab.exit(ref)
        assert ending.code == 1
        assert "fence could not be put up" in lab.read(ref, "exit.json")["exec_error"]
        assert b"/no/such" in lab.log(ref)
        assert not (lab.root / "ran").exists()

    def test_without_its_program(self, lab):
        ref = lab.start("touch ran", fence=FenceWords("bubblewrap", ("no-such-bwrap", "--")))
        assert lab.exit(ref).code == 127
        assert not (lab.root / "ran").exists()

    def test_what_the_loader_obeys_is_for_the_training_alone(self, lab):
        env = {**os.environ, "LD_PRELOAD": "/no/such.so", "LD_LIBRARY_PATH": "/no/such"}
        ref = lab.start('echo "$LD_LIBRARY_PATH"', env=env)
        assert lab.exit(ref).code == 0
        assert lab.log(ref).endswith(b"/no/such\n")
        complaints = lab.log(ref).count(b"cannot be preloaded")
        assert complaints <= 1, "bwrap and what is between it and the training load nothing foreign"

    def test_a_descriptor_of_the_supervisor_is_not_inherited(self, lab):
        ref = lab.start("ls /proc/self/fd")
        assert lab.exit(ref).code == 0
        assert set(lab.log(ref).split()) == {b"0", b"1", b"2", b"3"}


def test_a_spec_without_a_fence_is_what_it_was(lab):
    """Ledgers and folders hold hashes of specs from before there were fences."""
    spec = Spec("exp/run/a1", ("true",), "/")
    assert "fence" not in spec.document()
    assert spec.hash == "66655e3712475cc1666b98ad6a5843a8e698431871aac25eefcf4b41ca89584b"
    assert Spec.from_document(spec.document()) == spec
    behind = Spec("exp/run/a1", ("true",), "/", fence=FenceWords("landlock", ("python", "--")))
    assert Spec.from_document(json.loads(json.dumps(behind.document()))) == behind


class TestFullDisk:
    def test_without_started_json_nothing_runs(self, patched_lab):
        lab = patched_lab("""
real = shim.put
def put(folder, name, record, replace=False):
    if name == b"started.json": raise OSError(errno.ENOSPC, "No space left on device")
    return real(folder, name, record, replace)
shim.put = put""")
        ref = lab.start("touch ran")
        assert lab.end(ref) == Lost("never started", started=False)
        assert not (lab.root / "ran").exists()
        assert b"No space left" in lab.path(ref, "shim.log").read_bytes()

    def test_a_started_json_that_cannot_be_synced_is_taken_back(self, patched_lab):
        lab = patched_lab("""
real = shim.sync_folder
def sync_folder(folder):
    if os.path.exists(b"started.json"): raise OSError(errno.EIO, "Input/output error")
    return real(folder)
shim.sync_folder = sync_folder""")
        ref = lab.start("touch ran")
        assert lab.end(ref) == Lost("never started", started=False)
        assert not (lab.root / "ran").exists()

    @pytest.mark.parametrize("what", ["a full disk", "a FIFO in its place"])
    def test_without_a_log_nothing_runs(self, patched_lab, what):
        lab = patched_lab(
            """
real = os.open
def full(path, *rest, **kw):
    if path == b"train.log": raise OSError(errno.ENOSPC, "No space left on device")
    return real(path, *rest, **kw)
os.open = full"""
            if what == "a full disk"
            else """
real = shim.make_alive
def make_alive(folder):
    os.mkfifo(os.path.join(folder, b"train.log"))
    return real(folder)
shim.make_alive = make_alive"""
        )
        ref = lab.start("touch ran")
        assert lab.end(ref) == Lost("never started", started=False)
        assert not (lab.root / "ran").exists()
        assert b"nothing was started: train.log" in lab.path(ref, "shim.log").read_bytes()

    def test_a_claim_that_cannot_be_written_is_an_error(self, patched_lab):
        lab = patched_lab("""
real = shim.put
def put(folder, name, record, replace=False):
    if name == b"claim": raise OSError(errno.ENOSPC, "No space left on device")
    return real(folder, name, record, replace)
shim.put = put""")
        ref = lab.ref()
        with pytest.raises(DiskFault, match="No space left on device"):
            lab.launcher.ensure(ref, lab.spec(ref, "touch ran"), {})
        assert lab.state(ref) == Absent()

    def test_exit_json_is_tried_again_and_until_then_it_runs(self, patched_lab):
        lab = patched_lab("""
real, full = shim.put, os.path.join(os.path.dirname(os.path.abspath(__file__)), "full")
def put(folder, name, record, replace=False):
    if name == b"exit.json" and os.path.exists(full): raise OSError(errno.ENOSPC, "No space left on device")
    return real(folder, name, record, replace)
shim.put = put
real_sleep = shim.time.sleep
shim.time.sleep = lambda seconds: real_sleep(seconds / 50)""")
        full = lab.root / "full"
        full.touch()
        ref = lab.start("exit 9")
        lab.until(lambda: b"No space left" in lab.path(ref, "shim.log").read_bytes())
        assert isinstance(lab.state(ref), Running)
        full.unlink()
        assert lab.exit(ref).code == 9

    @pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
    def test_a_folder_that_cannot_be_looked_at_is_not_called_removed(self, patched_lab, number):
        lab = patched_lab(f"""
full = os.path.join(os.path.dirname(os.path.abspath(__file__)), "full")
def failing(real, spoils):
    def call(path, *rest, **kw):
        if spoils(path) and os.path.lexists(full): raise OSError({number}, os.strerror({number}))
        return real(path, *rest, **kw)
    return call
os.open = failing(os.open, lambda path: os.fsencode(path).startswith(b"./exit.json"))
os.stat = failing(os.stat, lambda path: path == b".")
real_sleep = shim.time.sleep
shim.time.sleep = lambda seconds: real_sleep(seconds / 50)""")
        full = lab.root / "full"
        full.touch()
        ref = lab.start("exit 9")
        lab.until(lambda: os.strerror(number).encode() in lab.path(ref, "shim.log").read_bytes())
        time.sleep(0.2)  # a few tries
        assert isinstance(lab.state(ref), Running)
        full.unlink()
        assert lab.exit(ref).code == 9

    def test_a_removed_folder_does_not_hold_the_shim(self, lab, alive):
        ref = lab.start("echo up; exec sleep 1000")
        lab.said(ref, b"up")
        shim, main = lab.read(ref, "claim")["pid"], lab.started(ref)["pid"]
        shutil.rmtree(ref.folder)
        os.kill(main, signal.SIGKILL)
        lab.until(lambda: not alive(shim))

    def test_a_folder_may_be_moved_while_it_runs(self, lab):
        ref = lab.start("exec sleep 1000")
        lab.started(ref)
        moved = lab.ref("moved")
        os.rename(ref.folder, moved.folder)
        lab.launcher.stop(moved, "moved")
        assert lab.exit(moved).stopped == "moved"


STARVED = """
import builtins
switch = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starved")
def starving(real):
    def call(path, *rest, **kw):
        if os.fsencode(path).startswith((b"/proc", b"/sys")) and os.path.exists(switch):
            with builtins.open(switch) as file:
                number, _, verbs = file.read().partition(" ")
            if sys.argv[1] in verbs.split():
                raise OSError(int(number), os.strerror(int(number)), path)
        return real(path, *rest, **kw)
    return call
os.open, os.listdir, os.readlink = starving(os.open), starving(os.listdir), starving(os.readlink)
"""
NOTHING_LEFT = [errno.ENFILE, errno.EMFILE, errno.ENOMEM]


class TestNothingToSpare:
    """A machine without a descriptor or memory to spare: what cannot be looked at is not known, and nobody says so."""

    @pytest.fixture
    def starve(self, tmp_path):
        """``starve("state", "sweep")``: these verbs get no descriptor for /proc and /sys; "ensure" is also the supervisor
        and its guard. Without a verb: there are some again."""
        switch = tmp_path / "starved"

        def change(*verbs, number=errno.ENFILE):
            beside = tmp_path / "starved.tmp"
            beside.write_text(f"{number} {' '.join(verbs)}")
            beside.rename(switch)

        yield change
        switch.unlink(missing_ok=True)

    @pytest.fixture
    def hungry(self, patched_lab, starve):
        yield patched_lab(STARVED)
        starve()

    @pytest.mark.parametrize("number", NOTHING_LEFT)
    def test_a_living_run_is_not_called_lost(self, hungry, starve, number):
        ref = hungry.start("echo up; exec sleep 1000")
        hungry.said(ref, b"up")
        starve("state", "stop", "sweep", number=number)
        for ask in (hungry.state, hungry.launcher.sweep, lambda ref: hungry.launcher.stop(ref, "enough")):
            with pytest.raises(Overloaded, match=os.strerror(number)):
                ask(ref)
        starve()
        assert isinstance(hungry.state(ref), Running)

    def test_a_limit_that_the_kernel_keeps(self, patched_lab):
        """The same without a pretended error: no descriptor beyond the three that the helper has."""
        lab = patched_lab("""
import resource
if sys.argv[1] == "state": resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))""")
        ref = lab.start("exit 0")
        lab.shim_gone(ref)
        with pytest.raises(Overloaded, match="Too many open files"):
            lab.state(ref)
        lab.launcher = ProcessLauncher(LocalHost(), env=os.environ)
        assert lab.exit(ref).code == 0

    def test_a_fifo_whose_name_is_gone_is_not_called_dead(self, hungry, starve):
        ref = hungry.start("echo up; exec sleep 1000")
        hungry.said(ref, b"up")
        hungry.path(ref, "alive").unlink()
        assert isinstance(hungry.state(ref), Running)
        starve("state")
        with pytest.raises(Overloaded):
            hungry.state(ref)

    @pytest.mark.parametrize("number", NOTHING_LEFT)
    def test_nothing_is_claimed(self, hungry, starve, number):
        ref = hungry.ref()
        starve("ensure", "stop", number=number)
        with pytest.raises(Overloaded):
            hungry.launcher.ensure(ref, hungry.spec(ref, "touch ran"), {})
        with pytest.raises(Overloaded):
            hungry.launcher.stop(ref, "gave up")
        assert not hungry.path(ref, "claim").exists()
        starve()
        hungry.launcher.ensure(ref, hungry.spec(ref, "touch ran"), dict(os.environ))
        assert hungry.exit(ref).code == 0

    @pytest.mark.parametrize("what", ["a process", "a look at the child", "a pipe"])
    def test_who_has_the_claim_waits_for_what_it_needs(self, patched_lab, what):
        """The claim is taken: ending now would cost the attempt, and the next one, and the one after it."""
        lab = patched_lab(
            """
tries, real_put = [], shim.put
def put(folder, name, record, replace=False):
    done = real_put(folder, name, record, replace)
    if name == b"claim": starve()
    return done
shim.put = put
def starving(real, number):
    def call(*rest):
        tries.append(1)
        if len(tries) < 4: raise OSError(number, os.strerror(number))
        return real(*rest)
    return call
def starve():
"""
            + {
                "a process": "    os.fork = starving(os.fork, errno.EAGAIN)",
                "a look at the child": "    shim.process = starving(shim.process, errno.ENFILE)",
                "a pipe": "    os.pipe = starving(os.pipe, errno.EMFILE)",
            }[what]
        )
        ref = lab.start("echo once >> ran")
        assert lab.exit(ref).code == 0
        assert (lab.root / "ran").read_text() == "once\n"

    def test_without_a_boot_id_nothing_is_claimed_or_judged(self, patched_lab, lab):
        blind = patched_lab("""
real = shim.read_small
shim.read_small = lambda path: b"" if path.endswith(b"/boot_id") else real(path)""")
        ref = lab.start("echo up; exec sleep 1000")
        with pytest.raises(LaunchError, match="boot_id"):
            blind.state(ref)
        other = blind.ref("other")
        with pytest.raises(LaunchError, match="boot_id"):
            blind.launcher.ensure(other, blind.spec(other, "touch ran"), {})
        assert not blind.path(other, "claim").exists()

    def test_a_stop_reaches_the_main_process_at_once_and_the_others_later(self, hungry, starve, alive):
        ref, daemon = escape(hungry, "time.sleep(1000)")
        shim, main = hungry.read(ref, "claim")["pid"], hungry.started(ref)["pid"]
        starve("ensure")
        hungry.launcher.stop(ref, "enough")
        hungry.until(lambda: not alive(main))
        assert isinstance(hungry.state(ref), Running)
        assert alive(shim)
        assert alive(daemon)
        starve()
        ending = hungry.exit(ref)
        assert (ending.signal, ending.stopped, ending.leftovers) == (15, "enough", 1)
        assert not alive(daemon)

    def test_others_are_asked_before_they_are_killed(self, hungry, starve):
        """The SIGTERM that could not be sent outside the group is sent as soon as it can."""
        code = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: print("main TERM", flush=True))
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: (print("daemon TERM", flush=True), os._exit(0)))
    print("daemon up", flush=True)
    while True: time.sleep(0.01)
os.waitpid(middle, 0)
print("main up", flush=True)
while b"daemon TERM" not in open("LOG", "rb").read(): time.sleep(0.01)
"""
        ref = hungry.ref()
        argv = [sys.executable, "-I", "-S", "-c", code.replace("LOG", str(hungry.path(ref, "train.log")))]
        hungry.launcher.ensure(ref, hungry.spec(ref, argv, grace_s=30), dict(os.environ))
        hungry.said(ref, b"daemon up")
        hungry.said(ref, b"main up")
        starve("ensure")
        hungry.launcher.stop(ref, "enough")
        hungry.said(ref, b"main TERM")
        starve()
        ending = hungry.exit(ref)
        assert (ending.code, ending.stopped, ending.leftovers) == (0, "enough", 0)
        assert hungry.log(ref).count(b"TERM") == 2

    def test_the_main_process_can_be_killed_without_a_descriptor(self, hungry, starve, alive):
        ref = hungry.start("trap '' TERM; echo up; while :; do sleep 0.02; done")
        hungry.said(ref, b"up")
        starve("ensure")
        hungry.launcher.stop(ref, "enough")
        assert hungry.exit(ref).signal == 9

    @pytest.mark.parametrize("patch", ["", "sys.modules['ctypes'] = None"])
    def test_an_end_is_told_when_the_tree_is_known_to_be_gone(self, patched_lab, starve, alive, patch):
        lab = patched_lab(patch + STARVED)
        ref, daemon = escape(
            lab, f"while not os.path.exists({str(lab.root / 'go')!r}): time.sleep(0.01)\nsys.exit(7)", env="os.environ"
        )
        main = lab.started(ref)["pid"]
        starve("ensure")
        (lab.root / "go").touch()
        lab.until(lambda: not alive(main))
        time.sleep(0.6)  # the time in which it would have ended the daemon
        assert isinstance(lab.state(ref), Running)
        assert alive(daemon)
        starve()
        ending = lab.exit(ref)
        assert (ending.code, ending.leftovers) == (7, 1)
        assert not alive(daemon)

    def test_an_end_is_not_lost_for_want_of_a_count_of_memory(self, hungry, starve):
        ref = hungry.start("while ! test -e go; do sleep 0.01; done; exit 7")
        hungry.started(ref)
        starve("ensure")
        (hungry.root / "go").touch()
        ending = hungry.exit(ref)
        assert (ending.code, ending.oom) == (7, None)

    def test_the_guard_waits_until_it_can_look(self, hungry, starve, alive):
        ref, daemon = escape(hungry, "time.sleep(1000)")
        guard = hungry.read(ref, "claim")["guard"]["pid"]
        starve("ensure")
        hungry.kill_shim(ref)
        hungry.shim_gone(ref)
        time.sleep(0.3)
        assert alive(guard)
        starve()
        hungry.until(lambda: not alive(guard))
        assert not alive(daemon)


WITHOUT_CAP_KILL = """
import ctypes
class Header(ctypes.Structure): _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
class Data(ctypes.Structure): _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]
libc, header, data = ctypes.CDLL(None, use_errno=True), Header(0x20080522, 0), (Data * 2)()
assert libc.capget(ctypes.byref(header), data) == 0
data[0].effective &= ~(1 << 5)
data[0].permitted &= ~(1 << 5)
if sys.argv[1] == "ensure": assert libc.capset(ctypes.byref(header), data) == 0
"""
PRETENDED = """
def refused(*_): raise PermissionError(errno.EPERM, "Operation not permitted")
os.kill = os.killpg = refused
signal.pidfd_send_signal = refused
"""
WAIT = "while 'go' not in os.listdir(root): time.sleep(0.01)"  # through a descriptor: the path leads through root's folders


class TestSomebodyElses:
    """Processes of another user in the tree, as behind ``sudo`` or in a container: they cannot be ended, and end by
    themselves. What the training came to is told all the same."""

    @pytest.fixture(params=["the kernel refuses", "it is pretended"])
    def powerless(self, request, patched_lab):
        real = request.param == "the kernel refuses"
        if real and os.geteuid() != 0:
            pytest.skip("only root can start processes of another user")
        self.become = "os.setuid(65534)" if real else "pass"
        return patched_lab(WITHOUT_CAP_KILL if real else PRETENDED)

    def begin(self, lab, code):
        lab.root.chmod(0o755)
        code = code.replace("BECOME", self.become).replace("WAIT", WAIT)
        start = f"import os, sys, time; root = os.open({str(lab.root)!r}, os.O_RDONLY)"
        ref = lab.start_python(f"{start}\n{code}", cwd="/")
        lab.said(ref, b"up")
        return ref, lab.root / "go"

    def test_the_training_itself(self, powerless):
        ref, go = self.begin(powerless, "BECOME\nprint('up', flush=True)\nWAIT\nsys.exit(5)")
        powerless.launcher.stop(ref, "enough")
        time.sleep(1)  # well beyond the grace
        assert isinstance(powerless.state(ref), Running)
        assert b"cannot be signalled" in powerless.path(ref, "shim.log").read_bytes()
        go.touch()
        ending = powerless.exit(ref)
        assert (ending.code, ending.signal, ending.stopped) == (5, None, "enough")

    @pytest.mark.parametrize("stopped", [False, True])
    def test_a_child_of_it(self, powerless, stopped):
        code = """
if os.fork() == 0:
    os.setsid()
    BECOME
    print("up", flush=True)
    WAIT
    time.sleep(0.5)
    os._exit(0)
WAIT
sys.exit(6)
"""
        ref, go = self.begin(powerless, code)
        if stopped:
            powerless.launcher.stop(ref, "enough")
            time.sleep(0.6)  # beyond the grace
        go.touch()
        ending = powerless.exit(ref)
        assert ending.stopped == ("enough" if stopped else None)
        assert (ending.code, ending.signal) in ([(6, None)] if not stopped else [(6, None), (None, 15)])


class TestIdentity:
    def test_a10_a_reboot_loses_what_had_no_end(self, lab):
        ref = lab.start("exec sleep 1000")
        started = lab.started(ref)
        lab.rewrite(ref, "claim", boot_id="0" * 36)
        assert lab.state(ref) == Lost("reboot", started=True, started_at=started["at"])
        assert lab.launcher.sweep(ref) == 0  # nothing of before the boot can be left, so nothing is touched

    def test_a10_a_reboot_before_the_start(self, lab):
        ref = lab.without_end()
        lab.path(ref, "started.json").unlink()
        lab.rewrite(ref, "claim", boot_id="0" * 36)
        assert lab.state(ref) == Lost("reboot", started=False)

    def test_a10_an_end_before_the_reboot_stays_an_end(self, lab):
        ref = lab.start("exit 6")
        lab.exit(ref)
        lab.rewrite(ref, "claim", boot_id="0" * 36)
        assert lab.state(ref).exit.code == 6

    def test_another_hosts_attempt_is_not_ours_to_judge(self, lab):
        ref = lab.without_end()
        lab.rewrite(ref, "claim", hostname="login2")
        assert lab.state(ref) == Unreachable("login2")
        with pytest.raises(LaunchError, match="login2"):
            lab.launcher.stop(ref, "please")
        with pytest.raises(LaunchError, match="unreachable"):
            lab.launcher.sweep(ref)

    def test_another_hosts_end_can_be_read_anywhere(self, lab):
        ref = lab.start("exit 8")
        lab.exit(ref)
        lab.rewrite(ref, "claim", hostname="login2")
        assert lab.state(ref).exit.code == 8

    def test_another_hosts_record_is_never_moved_aside(self, lab):
        ref = lab.start("exit 8")
        lab.exit(ref)
        lab.rewrite(ref, "claim", hostname="login2")
        lab.path(ref, "exit.json").write_text("{")
        assert lab.state(ref) == Unreachable("login2")
        assert lab.path(ref, "exit.json").read_text() == "{"

    def test_a09_a_reused_pid_is_not_the_claimant(self, lab):
        """Somebody else has the pid, and even holds the FIFO open."""
        ref = lab.without_end()
        holder = os.open(lab.path(ref, "alive"), os.O_RDWR)
        try:
            lab.rewrite(ref, "claim", pid=os.getpid())
            assert lab.state(ref).reason == LOST
            assert lab.launcher.sweep(ref) == 0
        finally:
            os.close(holder)

    def test_a11_in_another_pid_namespace_the_fifo_decides(self, lab):
        ref = lab.without_end()
        lab.rewrite(ref, "claim", pid_ns="pid:[1]", pid=2**22)
        assert lab.state(ref).reason == LOST
        holder = os.open(lab.path(ref, "alive"), os.O_RDWR)
        try:
            assert isinstance(lab.state(ref), Running)
        finally:
            os.close(holder)

    def test_never_started(self, lab):
        ref = lab.without_end()
        lab.path(ref, "started.json").unlink()
        assert lab.state(ref) == Lost("never started", started=False)

    def test_a_missing_fifo_is_a_dead_shim(self, lab):
        ref = lab.without_end()
        lab.path(ref, "alive").unlink()
        assert lab.state(ref).reason == LOST

    @pytest.mark.parametrize("text", ["{", "{}", "[]", ""])
    def test_a_claim_that_cannot_be_read_says_nothing(self, lab, text):
        """The controller has the claim in its ledger, and ends what it names before it goes on."""
        ref = lab.without_end()
        lab.path(ref, "claim").write_text(text)
        assert lab.state(ref) == Absent()
        lab.path(ref, "claim").unlink()

    def test_an_end_without_a_claim_is_not_looked_at(self, lab):
        ref = lab.start("exit 0")
        lab.exit(ref)
        lab.path(ref, "claim").unlink()
        assert lab.state(ref) == Absent()


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """One honest attempt; the tests spoil copies of it."""
    launcher = ProcessLauncher(LocalHost(), env=os.environ)
    ref = Ref("e/r/a1", str(tmp_path_factory.mktemp("torn") / "a1"))
    launcher.ensure(ref, Spec(ref.attempt, ("true",), "/"), dict(os.environ))
    while isinstance(launcher.state([ref])[ref], Running):
        pass
    return Path(ref.folder)


class TestTornRecords:
    CHANGES = {
        "another format": {"format": 2},
        "another attempt": {"attempt": "e/r/a2"},
        "another spec": {"spec_hash": "0" * 64},
        "another claim": {"claim_pid": 1},
        "another start": {"claim_start_ticks": 1},
        "code and signal": {"signal": 9},
        "neither": {"code": None},
        "a code in words": {"code": "0"},
        "a code that is a truth": {"code": True},
        "no usage": {"rusage": None},
        "a duration in words": {"duration_s": "long"},
    }

    @pytest.mark.parametrize("what", [*CHANGES, "empty", "truncated", "garbage", "a list", "binary", "a folder"])
    def test_a19_a_record_that_cannot_be_trusted_is_moved_aside(self, lab, ended, what):
        ref = lab.ref()
        shutil.copytree(ended, ref.folder, ignore=shutil.ignore_patterns("alive"))
        path = lab.path(ref, "exit.json")
        good = path.read_bytes()
        assert lab.state(ref).exit.code == 0
        path.unlink()
        if what in self.CHANGES:
            path.write_text(json.dumps({**json.loads(good), **self.CHANGES[what]}))
        elif what == "a folder":
            path.mkdir()
        else:
            path.write_bytes(
                {"truncated": good[:-20], "garbage": b"no", "a list": b"[]", "binary": b"\xff\0"}.get(what, b"")
            )
        for _ in range(2):
            assert lab.state(ref).reason == LOST
        assert not path.exists()
        assert lab.path(ref, "exit.json.bad-1").exists()
        assert not lab.path(ref, "exit.json.bad-2").exists()

    def test_a19_each_bad_one_is_kept(self, lab, ended):
        ref = lab.ref()
        shutil.copytree(ended, ref.folder, ignore=shutil.ignore_patterns("alive"))
        for n in range(1, 4):
            lab.path(ref, "exit.json").write_text(str(n))
            assert isinstance(lab.state(ref), Lost)
            assert lab.path(ref, f"exit.json.bad-{n}").read_text() == str(n)

    def test_a_forged_record_of_a_living_training_is_not_read(self, lab):
        ref = lab.start("exec sleep 1000")
        lab.path(ref, "exit.json").write_text("{}")
        assert isinstance(lab.state(ref), Running)
        lab.launcher.stop(ref, "done")
        assert lab.exit(ref).stopped == "done"


class TestSurvival:
    def test_the_callers_end_is_not_the_trainings(self, lab, alive):
        """The caller's whole session dies, by SIGHUP and by SIGKILL."""
        ref = lab.ref()
        request = lab.root / "request"
        request.write_text(
            json.dumps(
                {"spec": lab.spec(ref, "echo up; exec sleep 1000").document(), "env": {"PATH": os.environ["PATH"]}}
            )
        )
        command = f"{sys.executable} -I -S {SHIM} ensure {ref.folder} < {request}; echo done; exec sleep 1000"
        caller = subprocess.Popen(
            ["sh", "-c", command],
            start_new_session=True,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509  nohup ignores it
        )
        with caller:
            caller.stdout.readline()
            assert caller.stdout.readline() == b"done\n"
            lab.said(ref, b"up")
            os.killpg(caller.pid, signal.SIGHUP)
            caller.wait()
        shim, main = lab.read(ref, "claim")["pid"], lab.started(ref)["pid"]
        assert alive(shim)
        assert alive(main)
        assert isinstance(lab.state(ref), Running)
        assert os.getsid(shim) == shim
        assert os.getsid(main) == main

    def test_the_feeds_end_is_not_the_trainings(self, lab, listen):
        ref = lab.start("echo up; exec sleep 1000")
        feed = lab.launcher.follow()
        feed.add(ref)
        listen(feed, lambda events: any(isinstance(event, LogBytes) for event in events))
        helper = feed._stream._child
        helper.kill()
        with pytest.raises(LaunchError, match="open another"):
            listen(feed, lambda _: False)
        feed.close()
        assert isinstance(lab.state(ref), Running)


class TestSurroundings:
    """What the training gets, and what it must not get."""

    def test_descriptors_signals_session_and_input(self, lab):
        code = """
import os, signal
print(sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)))
print(os.readlink("/proc/self/fd/0"), os.getsid(0) == os.getpid() == os.getpgid(0))
print([line.split()[1] for line in open("/proc/self/status") if line[:6] in ("SigBlk", "SigIgn")])
print(oct(os.umask(0)), os.getcwd(), open("/proc/self/oom_score_adj").read().strip())
"""
        plain = [sys.executable, "-I", "-S", "-c", code]
        ref = lab.start(["sh", "-c", 'exec "$@"', "sh", *plain])
        assert lab.exit(ref).code == 0
        fds, stdin, signals, rest = lab.log(ref).decode().splitlines()
        assert fds == "[0, 1, 2]"
        assert stdin == "/dev/null True"
        ignored_by_python = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
        kept_by_libc = 1 << 31 | 1 << 32  # signals 32 and 33: nobody but the C library can reset them
        blocked, ignored = (int(mask, 16) & ~kept_by_libc for mask in ast.literal_eval(signals))
        assert (blocked, ignored) == (0, ignored_by_python)
        umask = os.umask(0)
        os.umask(umask)
        assert rest == f"{oct(umask)} {lab.root} {Path('/proc/self/oom_score_adj').read_text().strip()}"

    def test_sigpipe_ends_it_as_in_a_shell(self, lab):
        ref = lab.start("yes | head -1")
        assert lab.exit(ref).code == 0
        assert lab.log(ref) == b"y\n"

    def test_values_of_the_environment_reach_the_training_and_no_file(self, lab):
        secret = "s3cr3t-" + os.urandom(8).hex()
        ref = lab.start("printenv API_KEY | md5sum; echo up; exec sleep 1000", env={**os.environ, "API_KEY": secret})
        lab.said(ref, b"up")
        assert lab.log(ref).split()[0].decode() == hashlib.md5(secret.encode() + b"\n").hexdigest()
        for path in Path(ref.folder).iterdir():
            if path.is_file():
                assert secret.encode() not in path.read_bytes()
        shim = lab.read(ref, "claim")["pid"]
        environ = Path(f"/proc/{shim}/environ").read_bytes()
        names = {entry.partition(b"=")[0] for entry in environ.split(b"\0") if entry}
        assert names <= {b"PATH", b"HOME", b"LANG"}
        assert secret.encode() not in environ
        assert secret.encode() not in Path(f"/proc/{shim}/cmdline").read_bytes()

    def test_the_specs_values_win_and_the_token_is_the_folder(self, lab):
        ref = lab.start('echo "$A $B $AUTO_EXPERIMENT_ATTEMPT"', env={**os.environ, "A": "user", "B": "user"})
        other = lab.ref()
        spec = lab.spec(other, 'echo "$A $B $AUTO_EXPERIMENT_ATTEMPT"')
        spec = type(spec)(**{**spec.__dict__, "env": {"A": "harness"}})
        lab.launcher.ensure(other, spec, {**os.environ, "A": "user", "B": "user"})
        for one, value in ((ref, "user"), (other, "harness")):
            lab.exit(one)
            assert lab.log(one).decode() == f"{value} user {one.folder}\n"

    def test_the_run_folder_is_made(self, lab):
        out = lab.root / "deep" / "out"
        ref = lab.start('test -d "$AUTO_EXPERIMENT_RUN_DIR"', env={**os.environ, "AUTO_EXPERIMENT_RUN_DIR": str(out)})
        assert lab.exit(ref).code == 0

    @pytest.mark.parametrize("name", ["with space", "quote'\"$x`", "Größe-日本", "-dash", "new\nline", "b\udcff"])
    def test_odd_names(self, lab, listen, name):
        (lab.root / name).mkdir()
        ref = lab.start(["sh", "-c", 'printf %s "$1"', "sh", name], name=name, cwd=str(lab.root / name))
        feed = lab.launcher.follow()
        feed.add(ref)
        events = listen(feed, lambda events: any(isinstance(event, End) for event in events))
        feed.close()
        assert events[-1].sighting.exit.code == 0
        assert b"".join(event.data for event in events if isinstance(event, LogBytes)) == os.fsencode(name)
        assert lab.state(ref).exit.code == 0

    def test_the_folder_is_private_whatever_the_umask(self, lab):
        (lab.root / "runs").mkdir()  # a folder above that is closed to its own user is his
        old = os.umask(0o777)
        try:
            ref = lab.start("exit 0")
        finally:
            os.umask(old)
        assert lab.exit(ref).code == 0
        assert stat.S_IMODE(os.stat(ref.folder).st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in Path(ref.folder).iterdir()} - {0o600, 0} == set()

    def test_the_shim_is_small_and_sleeps(self, lab):
        ref = lab.start("echo up; exec sleep 1000")
        lab.said(ref, b"up")
        status = Path(f"/proc/{lab.read(ref, 'claim')['pid']}/status")

        def field(name):
            return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith(name)))

        assert field("VmRSS") <= 15 * 1024
        seen = []

        def slept():
            """Half a second in which nothing has happened: it may still have something to do at first."""
            seen.append(field("voluntary_ctxt_switches"))
            time.sleep(0.5)
            return field("voluntary_ctxt_switches") == seen[-1]

        lab.until(slept)
        assert len(seen) <= 20, seen


class TestFollow:
    @pytest.fixture
    def feed(self, lab):
        feed = lab.launcher.follow()
        yield feed
        feed.close()

    @staticmethod
    def log_of(events) -> bytes:
        return b"".join(event.data for event in events if isinstance(event, LogBytes))

    @staticmethod
    def over(events) -> bool:
        return any(isinstance(event, End) for event in events)

    def test_a_large_log_waits_for_a_slow_reader(self, lab, feed, listen):
        size = 50 * 1000 * 1000
        ref = lab.start(f"head -c {size} /dev/zero | tr '\\0' x")
        lab.exit(ref)
        feed.add(ref)
        helper = feed._stream._child.pid
        feed_is_full = Path(f"/proc/{helper}/wchan")
        lab.until(
            lambda: "pipe" in feed_is_full.read_text() or "S" in Path(f"/proc/{helper}/stat").read_text().split()[2]
        )
        time.sleep(0.2)  # time in which it must not pile anything up
        digest, count, ended = hashlib.sha256(), 0, False
        while not ended:
            for event in listen(feed, bool):
                if isinstance(event, LogBytes):
                    assert event.offset == count
                    digest.update(event.data)
                    count += len(event.data)
                ended = ended or isinstance(event, End)
            rss = next(
                line for line in Path(f"/proc/{helper}/status").read_text().splitlines() if line.startswith("VmRSS")
            )
            assert int(rss.split()[1]) < 40 * 1024
        assert count == size
        assert digest.hexdigest() == hashlib.sha256(b"x" * size).hexdigest()

    def test_a_loss_is_told_after_the_log(self, lab, feed, listen):
        ref = lab.start("echo up; exec sleep 1000")
        feed.add(ref)
        events = listen(feed, lambda events: self.log_of(events) == b"up\n")
        lab.kill_shim(ref)
        events += listen(feed, self.over)
        assert [type(event) for event in events] == [Began, LogBytes, End]
        assert events[-1].sighting.reason == LOST

    def test_a_survivor_that_writes_for_ever_does_not_hold_the_end_back(self, lab, feed, listen):
        ref = lab.start("setsid sh -c 'while :; do echo more; done' & sleep 1000")
        feed.add(ref)
        listen(feed, lambda events: len(self.log_of(events)) > 100)
        lab.kill_guard(ref)
        lab.kill_shim(ref)
        assert isinstance(listen(feed, self.over)[-1].sighting, Lost)
        assert lab.launcher.sweep(ref) >= 1

    @pytest.mark.parametrize("how", ["truncated", "replaced"])
    def test_a_log_that_starts_again_is_read_again(self, lab, feed, listen, how):
        ref = lab.start("echo a long first line; exec sleep 1000")
        feed.add(ref)
        listen(feed, lambda events: self.log_of(events) == b"a long first line\n")
        path = lab.path(ref, "train.log")
        if how == "replaced":
            path.rename(lab.path(ref, "train.log.1"))
        path.write_bytes(b"new\n")
        events = listen(feed, self.log_of)
        assert events == [LogBytes(ref, 0, b"new\n")]

    @pytest.mark.parametrize("what", ["fifo", "symlink", "folder", "missing"])
    def test_what_is_no_log_does_not_block(self, lab, feed, listen, what):
        ref = lab.start("exec sleep 1000")
        lab.started(ref)
        path = lab.path(ref, "train.log")
        lab.until(path.exists)
        path.unlink()
        make = {
            "fifo": lambda: os.mkfifo(path),
            "symlink": lambda: path.symlink_to("/etc/passwd"),
            "folder": path.mkdir,
        }
        make.get(what, lambda: None)()
        feed.add(ref)
        listen(feed, lambda events: any(isinstance(event, Began) for event in events))
        lab.launcher.stop(ref, "done")
        events = listen(feed, self.over)
        assert self.log_of(events) == b""
        assert events[-1].sighting.exit.stopped == "done"

    def test_a_stranger_on_the_fifo_delays_but_does_not_hide_the_end(self, patched_lab, listen):
        lab = patched_lab("shim.DOUBT = 0.2")
        ref = lab.start("echo up; exec sleep 1000")
        feed = lab.launcher.follow()
        feed.add(ref)
        listen(feed, self.log_of)
        stranger = os.open(lab.path(ref, "alive"), os.O_RDONLY | os.O_NONBLOCK)
        try:
            lab.kill_shim(ref)
            assert isinstance(listen(feed, self.over)[-1].sighting, Lost)
        finally:
            os.close(stranger)
            feed.close()

    def test_one_bad_folder_does_not_stop_the_others(self, lab, feed, listen):
        good, bad = lab.start("echo good"), lab.start("exit 0")
        lab.exit(bad)
        lab.path(bad, "claim").write_text("[")
        for ref in (bad, good):
            feed.add(ref)
        events = listen(feed, lambda events: sum(isinstance(event, End) for event in events) == 2)
        ends = {event.ref: event.sighting for event in events if isinstance(event, End)}
        assert isinstance(ends[bad], Absent)
        assert isinstance(ends[good], Ended)
        lab.path(bad, "claim").unlink()

    def test_a_follower_without_a_descriptor_goes_on_when_it_has_one(self, patched_lab, listen):
        lab = patched_lab(STARVED)
        refs = [lab.start(f"echo {n}; while ! test -e go; do sleep 0.01; done; exit {n}") for n in range(3)]
        feed = lab.launcher.follow()
        helper = feed._stream._child
        feed.add(refs[0])
        events = listen(feed, lambda events: self.log_of(events) == b"0\n")
        (lab.root / "starved").write_text(f"{errno.ENFILE} follow")
        feed.add(refs[1])  # one that it has not yet looked at, and one that ends meanwhile
        (lab.root / "go").touch()
        for ref in refs:
            lab.shim_gone(ref)
        time.sleep(0.3)
        events += feed.read()
        assert not self.over(events), "nobody could look"
        (lab.root / "starved").unlink()
        feed.add(refs[2])
        events += listen(feed, lambda more: sum(isinstance(event, End) for event in more) == 3)
        assert feed._stream._child is helper
        assert helper.poll() is None
        feed.close()
        for n, ref in enumerate(refs):
            mine = [event for event in events if event.ref == ref]
            assert self.log_of(mine) == f"{n}\n".encode()
            assert mine[-1].sighting.exit.code == n

    def test_the_end_of_a_log_that_could_not_be_looked_at_is_read(self, patched_lab, listen):
        """As its supervisor ends, the disk does not answer for an instant."""
        lab = patched_lab("""
real, left = os.lstat, [3]
def lstat(path, *rest, **kw):
    over = os.path.exists(os.path.join(os.path.dirname(os.fsencode(path)), b"exit.json"))
    if over and left[0] and os.fsencode(path).endswith(b"train.log") and sys.argv[1] == "follow":
        left[0] -= 1
        raise OSError(errno.ESTALE, "Stale file handle")
    return real(path, *rest, **kw)
os.lstat = lstat
shim.SLOW = 0.05""")
        ref = lab.start("echo first; while ! test -e go; do sleep 0.01; done; echo last")
        feed = lab.launcher.follow()
        feed.add(ref)
        events = listen(feed, lambda events: self.log_of(events) == b"first\n")
        (lab.root / "go").touch()
        events += listen(feed, self.over)
        assert self.log_of(events) == b"first\nlast\n"
        feed.close()

    @pytest.mark.parametrize(
        ("number", "kind"), [(errno.EIO, DiskFault), (errno.ENFILE, Overloaded), (errno.EUCLEAN, LaunchError)]
    )
    def test_trouble_that_lasts_is_told(self, patched_lab, listen, number, kind):
        lab = patched_lab(f"""
real = shim.read_record
def read_record(folder, name):
    if folder.endswith(b"bad") and sys.argv[1] == "follow": raise OSError({number}, os.strerror({number}))
    return real(folder, name)
shim.read_record, shim.TROUBLE, shim.SLOW = read_record, 0.3, 0.05""")
        good, bad = lab.start("echo good"), lab.start("echo bad", name="bad")
        feed = lab.launcher.follow()
        begun = time.monotonic()
        for ref in (bad, good):
            feed.add(ref)
        assert isinstance(listen(feed, self.over)[-1].sighting, Ended), "the other one is followed"
        with pytest.raises(kind, match=os.strerror(number)) as told:
            listen(feed, lambda _: False)
        assert type(told.value) is kind
        assert time.monotonic() - begun >= 0.3
        feed.close()

    def test_many_attempts_in_one_helper(self, lab, feed, listen):
        refs = [lab.start(f"echo {n}; exit {n}") for n in range(12)]
        for ref in refs:
            feed.add(ref)
        events = listen(feed, lambda events: sum(isinstance(event, End) for event in events) == len(refs))
        for n, ref in enumerate(refs):
            mine = [event for event in events if event.ref == ref]
            assert self.log_of(mine) == f"{n}\n".encode()
            assert mine[-1].sighting.exit.code == n

    def test_the_helper_ends_with_its_reader(self, lab, alive):
        feed = lab.launcher.follow()
        helper = feed._stream._child.pid
        assert alive(helper)
        feed.close()
        assert not alive(helper)

    def test_garbage_from_the_helper_is_an_error(self, lab, tmp_path, make_lab):
        chatty = tmp_path / "chatty.py"
        chatty.write_text("print('Welcome to login1!', flush=True); input()")
        feed = make_lab(shim=chatty).launcher.follow()
        try:
            with pytest.raises(LaunchError, match="Welcome to login1"):
                for _ in range(500):
                    feed.read()
                    time.sleep(0.005)
        finally:
            feed.close()


class TestAnswers:
    """What ProcessLauncher makes of a shim that does not answer as it should."""

    @pytest.mark.parametrize(
        ("code", "complaint"),
        [
            ("print('hello')", "expected JSON"),
            ("import sys; sys.exit('no module named x')", "no module named x"),
            ("import time; time.sleep(1000)", "safe to try again"),
            ('raise SystemExit(print(\'{"error": "failed", "detail": "disk on fire"}\') or 4)', "disk on fire"),
        ],
    )
    def test_every_trouble_is_a_launch_error(self, make_lab, tmp_path, code, complaint):
        shim = tmp_path / "other.py"
        shim.write_text(code)
        lab = make_lab(shim=shim)
        lab.launcher._timeout = 0.5
        with pytest.raises(LaunchError, match=complaint):
            lab.state(lab.ref())

    @pytest.mark.parametrize(
        "words",
        [
            "python3: error while loading shared libraries: libpython3.11.so.1.0: cannot open shared object file: Error 24",
            "python3: error while loading shared libraries: libc.so.6: failed to map segment from shared object",
            "sh: 1: Cannot fork: Resource temporarily unavailable",
            "python3: can't open file '/x/shim.py': [Errno 23] Too many open files in system",
            "MemoryError",
        ],
    )
    def test_a_helper_that_cannot_be_loaded_for_want_of_something(self, make_lab, tmp_path, words):
        """What is said under ``ulimit -n 3`` and ``ulimit -v``, by the loader, the shell, and Python before our code."""
        shim = tmp_path / "other.py"
        shim.write_text(f"import sys; sys.exit({words!r})")
        lab = make_lab(shim=shim)
        with pytest.raises(Overloaded):
            lab.state(lab.ref())

    def test_a_helper_that_is_killed_each_time(self, make_lab, tmp_path):
        """By the kernel, for want of memory."""
        shim = tmp_path / "other.py"
        shim.write_text("import os; os.kill(os.getpid(), 9)")
        lab = make_lab(shim=shim)
        with pytest.raises(Overloaded, match="was killed 3 times"):
            lab.state(lab.ref())

    def test_a_missing_interpreter_is_a_launch_error(self, make_lab):
        lab = make_lab(python="/no/such/python")
        with pytest.raises(LaunchError, match="/no/such/python"):
            lab.state(lab.ref())
        with pytest.raises(LaunchError, match="/no/such/python"):
            lab.launcher.follow()

    def test_usage(self):
        done = subprocess.run([sys.executable, str(SHIM), "dance"], capture_output=True, check=False)
        assert done.returncode == 2
        assert b"ensure DIR" in done.stderr
