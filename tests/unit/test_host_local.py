"""Short commands on this machine: whole output, no deadlock, nothing left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auto_experiment.errors import HostError
from auto_experiment.hosts.base import Completed
from auto_experiment.hosts.local import LocalHost

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def host():
    return LocalHost()


def sh(host, command: str, *, timeout: float = 20.0, **kw) -> Completed:
    return host.run(["sh", "-c", command], env=kw.pop("env", ENV), timeout=timeout, **kw)


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.003)


def children() -> set[str]:
    """Zombies included."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


class TestRun:
    def test_code_and_both_outputs(self, host):
        assert sh(host, "echo out; echo err >&2; exit 3") == Completed(3, b"out\n", b"err\n")

    def test_a_signal_is_a_negative_code(self, host):
        assert sh(host, "kill -9 $$").code == -9

    def test_the_environment_is_exactly_what_was_given(self, host):
        done = host.run(["/usr/bin/env"], env={"A": "1"}, timeout=60)
        assert done.stdout == b"A=1\n"

    def test_large_input_and_output_at_once(self, host):
        data = os.urandom(1 << 20) * 4
        done = host.run(["cat"], stdin=data, env=ENV, timeout=20, cap=len(data))
        assert done.stdout == data

    def test_input_that_nobody_reads(self, host):
        assert sh(host, "exec 0<&-; echo done", stdin=b"x" * (1 << 20)).stdout == b"done\n"

    def test_output_is_cut_at_the_cap_and_the_rest_does_not_block(self, host):
        done = sh(host, "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2", cap=1000)
        assert (done.code, len(done.stdout), len(done.stderr)) == (0, 1000, 1000)

    def test_a_missing_program(self, host):
        with pytest.raises(HostError, match=r"cannot start '/no/such/program'.*check that it exists"):
            host.run(["/no/such/program"], env=ENV, timeout=60)

    def test_a_nul_byte_in_an_argument(self, host):
        with pytest.raises(HostError):
            host.run(["echo", "a\0b"], env=ENV, timeout=60)

    def test_the_timeout_ends_the_whole_group(self, host):
        began = time.monotonic()
        done = sh(host, "sleep 1000 & echo $!; echo $$; wait", timeout=0.3)
        assert done.code is None
        assert time.monotonic() - began < 60
        for pid in done.stdout.split():
            wait_until(lambda pid=pid: not is_there(int(pid)))

    def test_a_program_that_closes_its_output_is_still_waited_for(self, host):
        assert sh(host, "exec >&- 2>&-; sleep 0.1; exit 4").code == 4

    def test_a_background_process_neither_holds_us_up_nor_survives(self, host):
        began = time.monotonic()
        done = sh(host, "sleep 1000 & echo $!")
        assert done.code == 0
        assert time.monotonic() - began < 60
        wait_until(lambda: not is_there(int(done.stdout)))

    def test_a_detached_daemon_that_keeps_the_pipes_does_not_hold_us_up(self, host):
        began = time.monotonic()
        done = sh(host, "setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.1")
        assert time.monotonic() - began < 60
        os.kill(int(done.stdout), signal.SIGKILL)

    def test_neither_zombies_nor_descriptors_are_left(self, host):
        zombies, fds = children(), len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            sh(host, "exit 0")
        sh(host, "sleep 1000", timeout=0.05)
        assert children() == zombies
        assert len(os.listdir("/proc/self/fd")) == fds

    def test_a_kernel_without_pidfd(self, host, monkeypatch):
        def refuse(pid):
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", refuse)
        assert sh(host, "sleep 1000 & echo up; exit 2") == Completed(2, b"up\n", b"")
        assert sh(host, "sleep 1000", timeout=0.1).code is None


class TestOpen:
    @pytest.fixture
    def open_stream(self, host):
        streams = []

        def start(*argv):
            streams.append(host.open(argv, env=ENV))
            return streams[-1]

        yield start
        for stream in streams:
            stream.close()

    def take(self, stream, size: int) -> bytes:
        data = b""
        while len(data) < size:
            assert select.select([stream], [], [], 20)[0], "silence"
            piece = stream.read()
            assert piece is not None
            data += piece
        return data

    def test_a_talk(self, open_stream):
        stream = open_stream("cat")
        assert stream.read() == b""
        stream.write(b"hello")
        assert self.take(stream, 5) == b"hello"

    def test_the_other_side_is_gone(self, open_stream):
        stream = open_stream("true")
        select.select([stream], [], [], 20)
        assert stream.read() is None
        stream.write(b"nobody hears it")
        assert stream.read() is None

    def test_a_write_never_blocks(self, open_stream):
        stream = open_stream("cat")
        data = os.urandom(1 << 20)
        stream.write(data)
        assert self.take(stream, len(data)) == data

    def test_close_ends_a_helper_that_listens(self, open_stream):
        stream = open_stream("cat")
        pid = stream._child.pid
        stream.close()
        stream.close()
        assert str(pid) not in children()
        assert not is_there(pid)

    def test_close_ends_a_helper_that_does_not_listen(self, open_stream, monkeypatch):
        monkeypatch.setattr("auto_experiment.hosts.local.GOODBYE", 0.1)
        stream = open_stream("sleep", "1000")
        pid = stream._child.pid
        stream.close()
        assert str(pid) not in children()
        assert not is_there(pid)

    def test_our_sudden_death_is_its_end(self):
        code = """
import os, time
from auto_experiment.hosts.local import LocalHost
stream = LocalHost().open(["cat"], env={"PATH": os.environ["PATH"]})
print(stream._child.pid, flush=True)
time.sleep(1000)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
            helper = int(parent.stdout.readline())
            assert is_there(helper)
            parent.kill()
        wait_until(lambda: not is_there(helper))

    def test_a_missing_program(self, host):
        with pytest.raises(HostError, match="/no/such/program"):
            host.open(["/no/such/program"], env=ENV)
