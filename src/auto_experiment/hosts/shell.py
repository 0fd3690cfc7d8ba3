"""The code agent's shell: a real ``bash``, one command at a time, gone with all that it started when it ends, when its
time is up, when somebody calls ``abort``, and when we die.

The tether (a verb of ``shim.py``) holds the tree of processes; our end of its stdin is what keeps it alive. This file
decides nothing about commands: the fence says what they may write, and the environment is given.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import selectors
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from auto_experiment.errors import HostError
from auto_experiment.files import room
from auto_experiment.records.run import FenceWords

LONGEST = 100_000  # bytes of a command: the kernel takes no longer word
PIECE = 1 << 16
SLACK_S = 15.0  # seconds after the limit in which the tether must have ended everything
MORE_PROCESSES = 4096  # than the user has now: a brake for a fork bomb, where the kernel counts (not for root)
FILE_FLOOR = 1 << 30  # a single file may have this, or half of what is free
OOM_SCORE = 500  # when memory is short, this goes before a training does
_HELPER = ("PATH", "HOME", "LANG")


@dataclass(frozen=True)
class ShellResult:
    """``code`` and ``signal``: one of them, of bash itself; both None when the command was ended before it came to an
    end of its own, or could not be started (``error``). ``output``: both streams in their order; ``cut`` bytes of its
    middle are left out and the text says so."""

    code: int | None
    signal: int | None
    timed_out: bool
    aborted: bool
    output: str
    cut: int = 0
    error: str = ""


class Shell:
    """``shim`` and ``python`` are paths; ``variables`` is where the helper's few variables are taken from."""

    def __init__(self, *, python: str, shim: str, variables: Mapping[str, str]) -> None:
        self._argv = [python, "-I", "-S", shim, "tether"]
        self._env = {name: variables[name] for name in _HELPER if name in variables}
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def run(
        self,
        command: str,
        *,
        timeout: float,
        cap: int = 1 << 16,
        env: Mapping[str, str],
        cwd: str,
        fence: FenceWords | None = None,
    ) -> ShellResult:
        """Blocks until the last process of the command is gone. ``cap``: bytes of output that are kept."""
        if len(command.encode("utf-8", "replace")) > LONGEST or "\0" in command:
            why = f"a command has at most {LONGEST:,} bytes and no NUL; write a script with write_file and run that"
            return ShellResult(None, None, timed_out=False, aborted=False, output="", error=why)
        child = self._start()
        try:
            talk = _Talk(child, cap)
            talk.ask(_request(command, timeout, env, cwd, fence))
            talk.listen(time.monotonic() + timeout + SLACK_S)
        finally:
            with self._lock:
                self._child = None
            _end(child)
        return _result(talk, aborted=self._aborted)

    def abort(self) -> None:
        """End the command that runs, at once; from any thread."""
        with self._lock:
            if self._child is not None and self._child.stdin is not None:
                self._aborted = True
                with contextlib.suppress(OSError, ValueError):
                    os.write(self._child.stdin.fileno(), b"abort\n")

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._child is not None:
                raise HostError("a shell runs one command at a time: this is a bug")
            self._aborted = False
            pipe = subprocess.PIPE
            try:
                self._child = subprocess.Popen(
                    self._argv, stdin=pipe, stdout=pipe, stderr=pipe, env=self._env, bufsize=0, start_new_session=True
                )
            except OSError as error:
                raise HostError(f"the shell's helper cannot be started: {error}") from error
            return self._child


class _Talk:
    """What comes from the tether: output, and at last the answer."""

    def __init__(self, child: subprocess.Popen[bytes], cap: int) -> None:
        self.answer = bytearray()
        self.output = _Kept(cap)
        self._child = child

    def ask(self, request: Mapping[str, Any]) -> None:
        line = memoryview(json.dumps(request).encode() + b"\n")
        with contextlib.suppress(BrokenPipeError):  # the answer that is missing will tell
            while line:
                line = line[os.write(_pipe(self._child.stdin).fileno(), line) :]

    def listen(self, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(_pipe(self._child.stdout), selectors.EVENT_READ, self.output.add)
            selector.register(_pipe(self._child.stderr), selectors.EVENT_READ, self.answer.extend)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    data = os.read(key.fd, PIECE)
                    if data:
                        key.data(data)
                    else:
                        selector.unregister(key.fileobj)


class _Kept:
    """The beginning and the end of what was printed."""

    def __init__(self, cap: int) -> None:
        self._head, self._tail = bytearray(), deque[bytes]()
        self._half, self._tail_size, self.total = max(cap // 2, 1), 0, 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        missing = self._half - len(self._head)
        self._head += data[:missing]
        if rest := data[missing:]:
            self._tail.append(rest)
            self._tail_size += len(rest)
            while self._tail_size - len(self._tail[0]) >= self._half:
                self._tail_size -= len(self._tail.popleft())

    @property
    def cut(self) -> int:
        return max(self.total - 2 * self._half, 0)

    def text(self) -> str:
        tail = b"".join(self._tail)[-self._half :]
        gap = f"\n[... {self.cut:,} bytes left out ...]\n".encode() if self.cut else b""
        return (bytes(self._head) + gap + tail).decode("utf-8", "replace")


def _request(
    command: str, timeout: float, env: Mapping[str, str], cwd: str, fence: FenceWords | None
) -> dict[str, Any]:
    return {
        "argv": ["bash", "--norc", "--noprofile", "-c", command],
        "cwd": cwd,
        "env": {**env, "CUDA_VISIBLE_DEVICES": ""},
        "timeout_s": timeout,
        "token": f"shell-{uuid.uuid4().hex}",
        "limits": _limits(cwd),
        "oom_score": str(OOM_SCORE),
        "fence": {"kind": fence.kind, "argv": list(fence.argv)} if fence else None,
    }


def _limits(cwd: str) -> dict[str, int]:
    limits = {"RLIMIT_CORE": 0, "RLIMIT_NPROC": _threads_of_user() + MORE_PROCESSES}
    with contextlib.suppress(OSError):
        limits["RLIMIT_FSIZE"] = max(room(cwd)[0] // 2, FILE_FLOOR)
    return limits


def _threads_of_user() -> int:
    count = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += max(os.stat(f"/proc/{name}/task").st_nlink - 2, 1)
    return count


def _result(talk: _Talk, *, aborted: bool) -> ShellResult:
    try:
        answer = dict(json.loads(bytes(talk.answer)))
    except ValueError:
        said = bytes(talk.answer).decode("utf-8", "replace").strip()[-300:]
        answer = {"exec_error": "" if aborted else f"the command's supervisor was killed: its end was not seen {said}"}
    ours = aborted or bool(answer.get("timed_out"))
    return ShellResult(
        code=answer.get("code"),
        signal=None if ours else answer.get("signal"),
        timed_out=bool(answer.get("timed_out")),
        aborted=aborted,
        output=talk.output.text(),
        cut=talk.output.cut,
        error=str(answer.get("exec_error") or answer.get("detail") or "").strip(),
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Its stdin closed is its end; it ends its tree first."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        _pipe(pipe).close()
    try:
        child.wait(SLACK_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise HostError("a pipe to a child process is missing: this is a bug")
    return pipe


# -- the temporary folder -------------------------------------------------------------------------------------------


def make_temporary(root: str) -> str:
    """An empty folder for a project's shell commands, of our own and nobody else's. Its path is short (sockets are made
    there) and the same each time, so that what a killed controller has left is found."""
    name = f"auto-experiment-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}"
    path = os.path.join(tempfile.gettempdir(), name)
    remove_temporary(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # another user's, or a living one's
        return tempfile.mkdtemp(prefix=name + "-")
    return path


def remove_temporary(path: str) -> None:
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
