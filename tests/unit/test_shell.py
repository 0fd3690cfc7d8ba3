"""The agent's shell: a real bash whose processes are gone when it returns."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from auto_experiment.errors import HostError
from auto_experiment.hosts.fence import Fence, Profile, shell_profile
from auto_experiment.hosts.local import LocalHost
from auto_experiment.hosts.protected import Protected
from auto_experiment.hosts.shell import LONGEST, Shell, make_temporary, remove_temporary
from auto_experiment.launchers.process import SHIM

PATH = {"PATH": os.environ["PATH"]}
LONG = f"{os.getpid() + 10**8}"  # seconds to sleep, by which the tests that run beside each other tell theirs apart


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture(params=["none", "bubblewrap", "landlock"])
def words(request):
    if request.param == "none":
        return None
    found = Fence.detect(LocalHost(), os.environ)
    if request.param == "landlock" and found.mode == "bubblewrap":
        found = Fence("landlock", scope=True)
    if found.mode != request.param:
        pytest.skip(found.said)
    return found.words(Profile(None, ()))


@pytest.fixture
def shell():
    return Shell(python=sys.executable, shim=str(SHIM), variables=os.environ)


@pytest.fixture
def run(shell, tmp_path, words):
    def call(command, **kw):
        kw = {"timeout": 20.0, "env": PATH, "cwd": str(tmp_path), "fence": words, **kw}
        return shell.run(command.replace("LONG", LONG), **kw)

    return call


def test_it_is_a_real_shell(run, tmp_path):
    done = run("cd / && x=3; echo $((x + 1)) | tr 4 5 > $OLDPWD/out; pwd; cat <(echo there)")
    assert (done.code, done.signal, done.output) == (0, None, "/\nthere\n")
    assert (tmp_path / "out").read_text() == "5\n"


@pytest.mark.parametrize(
    ("command", "code", "number"), [("exit 7", 7, None), ("exit 137", 137, None), ("kill -9 $$", None, 9)]
)
def test_a_code_is_a_code_and_a_signal_a_signal(run, command, code, number):
    done = run(command)
    assert (done.code, done.signal, done.timed_out, done.error) == (code, number, False, "")


def test_both_streams_come_in_their_order(run):
    assert run("echo 1; echo 2 >&2; echo 3; no-such-program; echo 5").output.split()[:3] == ["1", "2", "3"]


def test_head_and_tail_are_kept(run):
    done = run("seq 1000000; echo the end", cap=2000)
    assert done.output.startswith("1\n2\n3\n")
    assert done.output.endswith("1000000\nthe end\n")
    assert done.cut > 6_000_000
    assert f"[... {done.cut:,} bytes left out ...]" in done.output
    assert len(done.output) < 2100


def test_output_that_is_just_short_enough_is_whole(run):
    done = run("printf '%0100d' 7", cap=100)
    assert (done.output, done.cut) == ("0" * 99 + "7", 0)


@pytest.mark.parametrize("stubborn", ["", "trap '' TERM; "])
def test_the_limit_ends_the_whole_tree(run, tmp_path, stubborn):
    done = run(
        f"{stubborn}(setsid sleep LONG & ); sleep LONG & cat /proc/*/cmdline | tr '\\0' ' '; echo up; wait; sleep LONG",
        timeout=0.5,
    )
    assert done.timed_out
    assert "up" in done.output
    assert not left()


def left() -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").strip()
        except OSError:
            continue
        if line == f"sleep {LONG}".encode():
            found.append(int(name))
    return found


def test_a_daemon_ends_with_its_command(run):
    done = run("setsid nohup env -i sleep LONG >/dev/null 2>&1 & sleep 0.1; echo done")
    assert (done.code, done.output) == (0, "done\n")
    assert not left()


def test_abort_ends_it_at_once(run, shell, tmp_path):
    threading.Thread(target=lambda: (wait_for(tmp_path / "up"), shell.abort())).start()
    begun = time.monotonic()
    done = run("touch up; setsid sleep LONG & exec sleep LONG", timeout=1000)
    assert time.monotonic() - begun < 60
    assert (done.code, done.signal, done.timed_out, done.aborted) == (None, None, False, True)
    assert not left()
    assert run("echo next").output == "next\n"


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_aborted_before_the_command_has_a_session_of_its_own(tmp_path, words):
    """Then it still is of the group of its fence's outer side, which would be stopped with it, and stay."""
    if words is None or words.kind != "bubblewrap":
        pytest.skip("only this fence has an outer side")
    source, early = Path(SHIM).read_text(), "        os.setsid()\n        os.close(told)\n"
    assert source.count(early) == 1
    slow = tmp_path / "slow_shim.py"
    slow.write_text(source.replace(early, "        time.sleep(5)\n" + early))
    shell = Shell(python=sys.executable, shim=str(slow), variables=os.environ)

    def abort_early():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            lines = [line for line in commands() if str(slow) in line and " inner " in line and "bwrap" not in line]
            if len(lines) == 2:  # the first process inside, and the one that becomes the command
                break
            time.sleep(0.01)
        shell.abort()

    threading.Thread(target=abort_early).start()
    assert shell.run("echo no", timeout=1000, env=PATH, cwd=str(tmp_path), fence=words).aborted
    assert not [line for line in commands() if str(slow) in line]


def commands() -> list[str]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_abort_without_a_command_does_nothing(shell, run):
    shell.abort()
    assert run("echo here").output == "here\n"


@pytest.mark.parametrize("victim", ["ours", "tether"])
def test_a_death_is_the_end_of_all(tmp_path, words, victim):
    """Ours, by SIGKILL; and the supervisor's, whose guard is left."""
    code = f"""
        import os, sys
        from auto_experiment.hosts.shell import Shell
        from auto_experiment.records.run import FenceWords
        shell = Shell(python=sys.executable, shim={str(SHIM)!r}, variables=os.environ)
        print(shell.run("touch up; setsid sleep {LONG} & exec sleep {LONG}", timeout=1000, env=dict(os.environ),
                        cwd={str(tmp_path)!r}, fence={words!r}), flush=True)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    wait_for(tmp_path / "up")
    [guard] = offspring(child.pid)
    os.kill(child.pid if victim == "ours" else offspring(guard)[0], signal.SIGKILL)
    said = child.communicate(timeout=60)[0]
    assert victim == "ours" or b"its end was not seen" in said
    end = time.monotonic() + 60
    while left() or alive(guard):
        assert time.monotonic() < end
        time.sleep(0.01)


def offspring(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_gpu_no_stdin_no_core_and_no_descriptors(run):
    done = run(
        'echo "[$CUDA_VISIBLE_DEVICES]"; cat; ulimit -c; ls /proc/self/fd', env={**PATH, "CUDA_VISIBLE_DEVICES": "0"}
    )
    assert done.output.split() == ["[]", "0", "0", "1", "2", "3"]


def test_the_environment_is_what_was_given(run):
    names = {line.partition("=")[0] for line in run("env", env={**PATH, "MINE": "1"}).output.splitlines()}
    assert names >= {"MINE", "PATH"}
    assert names <= {"MINE", "PATH", "PWD", "SHLVL", "_", "OLDPWD", "CUDA_VISIBLE_DEVICES", "AUTO_EXPERIMENT_ATTEMPT"}


def test_a_huge_file_is_stopped(run, monkeypatch, tmp_path):
    monkeypatch.setattr("auto_experiment.hosts.shell.room", lambda path: (0, None))
    monkeypatch.setattr("auto_experiment.hosts.shell.FILE_FLOOR", 1 << 20)
    assert run("yes > big; echo ended").output.endswith("ended\n")
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_a_command_that_is_too_long(run):
    assert "write_file" in run("echo " + "x" * LONGEST).error
    assert "write_file" in run("echo \0").error


def test_a_folder_that_is_gone(run, tmp_path):
    done = run("echo hi", cwd=str(tmp_path / "no"))
    assert (done.code, "cannot enter" in done.error) == (126, True)


def test_two_at_once_are_a_bug(shell, run, tmp_path):
    other = threading.Thread(target=run, args=("touch up; sleep LONG",))
    other.start()
    wait_for(tmp_path / "up")
    with pytest.raises(HostError):
        run("echo two")
    shell.abort()
    other.join()


def test_a_program_that_prints_for_ever_is_drained(run):
    done = run("yes", timeout=0.3, cap=1000)
    assert done.timed_out
    assert done.cut > 1000


def test_a_fork_bomb_is_over_with_its_limit(run):
    """Processes that start another and end: the tree is stopped before it is killed."""
    done = run(
        "b() { b & b & sleep 0.3; }; for i in 1 2 3; do sleep LONG & done; (sleep 0.1; exec -a bomb sleep LONG) & wait",
        timeout=0.5,
    )
    assert done.timed_out
    assert not left()


def test_in_a_fence_the_first_process_goes_first(monkeypatch):
    """A bomb forks faster than it can be looked at; with the first process the kernel ends all inside."""
    from auto_experiment.launchers import shim

    done = []
    monkeypatch.setattr(shim, "strike", lambda one, number: done.append((one, number)))
    monkeypatch.setattr(shim, "fell", lambda *_, **more: done.append(("fell", more["rounds"])) or {})
    tether = object.__new__(shim.Tether)
    tether.nest, tether.outer = "nest", 0
    tether.fell_all()
    assert done[0] == ("nest", signal.SIGKILL)
    assert ("fell", shim.NEST_ROUNDS) in done


class TestTemporary:
    def test_it_is_empty_private_and_the_same(self, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        path = make_temporary("/some/project")
        Path(path, "left").touch()
        assert make_temporary("/some/project") == path
        assert os.listdir(path) == []
        assert os.stat(path).st_mode & 0o777 == 0o700
        remove_temporary(path)
        assert not os.path.exists(path)

    def test_a_link_in_its_place_is_left_alone(self, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        path = make_temporary("/some/project")
        remove_temporary(path)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/file").touch()
        os.symlink(tmp_path / "elsewhere", path)
        other = make_temporary("/some/project")
        assert other != path
        assert (tmp_path / "elsewhere/file").exists()


def test_the_shells_own_fence(shell, tmp_path):
    """TMPDIR is writable, /tmp is not, nor the home."""
    found = Fence.detect(LocalHost(), os.environ)
    if found.mode == "none":
        pytest.skip(found.said)
    project, temporary, home = tmp_path / "project", tmp_path / "tmp", tmp_path / "home"
    for folder in (project, temporary, home / ".cache"):
        folder.mkdir(parents=True)
    kept = Protected(str(project), str(project / "workspace"), ())
    profile = shell_profile(kept, temporary=str(temporary), home=str(home), variables={})
    command = (
        'for f in here "$TMPDIR/t" "$HOME/.cache/c" "$HOME/h" ../up; do echo x 2>/dev/null > "$f" && echo "$f"; done'
    )
    env = {**PATH, **profile.env, "HOME": str(home)}
    done = shell.run(command, timeout=20, env=env, cwd=str(project), fence=found.words(profile))
    assert [
        line for line in done.output.splitlines() if "annot" not in line and "enied" not in line and "nly" not in line
    ] == [
        "here",
        f"{temporary}/t",
        f"{home}/.cache/c",
    ]
