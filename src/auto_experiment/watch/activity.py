"""Signs of life of a training that is silent: its processes and the files of its attempt, from /proc and stat(2).

It looks only when asked, compares with its last look, and decides nothing. It knows this machine alone. What it cannot
see (no /proc, another machine, processes of another user) counts as busy: nobody is blamed for what nobody saw.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from auto_experiment.errors import HostError
from auto_experiment.hosts.base import Host
from auto_experiment.records.gpu import Gpu

BUSY_CORES = 0.1  # CPU time wanted per second of time; threads that only wait for each other stay far below
BUSY_BYTES = 1 << 17  # read or written per second, by system calls
BUSY_GPU = 10.0  # percent
_MOST_ENTRIES = 2000  # files and folders of an attempt's own, that one look goes through
_MOST_OF_A_FOLDER = 500  # so that a folder of very many leaves something for those beside it
_MOST_PROCESSES = 500
_GPU_PAUSE_S = 30.0
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of the kernel: with ~PID above it, the clock of all the CPU time of a process
_DUMP_S = 1.5
REPORT = "hang.txt"


@dataclass(frozen=True)
class Activity:
    """What changed between two looks. ``stopped``: the process that somebody has stopped, in words; "" when none is."""

    logged: bool = False  # the log has grown, whether or not we have read it yet
    wrote: bool = False  # something in out/ has changed
    busy: bool = True
    stopped: str = ""
    words: str = ""


class Probe(Protocol):
    def look(self) -> Activity: ...
    def quiet_s(self) -> float:
        """How long ago the log was last written; 0 when that is not known."""
        ...

    def testify(self, why: str) -> str:
        """Write down where the processes are stuck; returns where it can be read, "" when it could not be written."""
        ...


class Unseen:
    """For a training whose processes cannot be looked at."""

    def look(self) -> Activity:
        return Activity()

    def quiet_s(self) -> float:
        return 0.0

    def testify(self, why: str) -> str:
        return ""


Files = tuple[int, int, int]  # how many, their bytes, the newest change


@dataclass(frozen=True)
class _Process:
    pid: int
    ticks: int  # its start, since boot
    state: str
    used_s: float  # CPU time that it had
    waited_s: float  # that its threads stood in line for
    moved: int  # bytes through system calls


@dataclass(frozen=True)
class _Glance:
    at: float
    processes: tuple[_Process, ...]
    log: int  # bytes
    out: Files
    known: bool

    @property
    def ids(self) -> set[tuple[int, int]]:
        return {(one.pid, one.ticks) for one in self.processes}


class ProcessProbe:
    """Looks at the attempt in ``folder``. ``gpus`` looks at the GPUs (it may take long, so it runs beside), ``dump``
    asks a debugger for the stacks of a pid, where there is one."""

    def __init__(
        self,
        folder: str,
        *,
        gpus: Callable[[], Sequence[Gpu]] = lambda: (),
        dump: Callable[[int], str] = lambda _pid: "",
    ) -> None:
        self._folder = folder
        self._gpus, self._dump = gpus, dump
        self._last: _Glance | None = None
        self._sampler: threading.Thread | None = None
        self._samples: tuple[float, Sequence[Gpu]] = (-_GPU_PAUSE_S, ())

    def look(self) -> Activity:
        last, now = self._last, self._glance()
        self._last = now
        stopped = next((_stop_words(one) for one in now.processes if one.state in "Tt"), "")
        if last is None:
            return Activity(logged=True, stopped=stopped)
        why = self._why_busy(last, now)
        return Activity(now.log > last.log, now.out != last.out, bool(why), stopped, why or "idle")

    def quiet_s(self) -> float:
        """By the wall clock, which may have jumped: so never longer than the attempt's supervisor lives."""
        claim = _record(self._folder, "claim")
        one = _process(int(claim.get("pid", 0)), threads=False)
        try:
            quiet = time.time() - os.stat(os.path.join(self._folder, "train.log")).st_mtime
        except OSError:
            return 0.0
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - one.ticks / os.sysconf("SC_CLK_TCK") if one else 0.0
        return min(max(quiet, 0.0), max(age, 0.0))

    def testify(self, why: str) -> str:
        lines = [why, ""]
        processes = list(self._processes())
        for one in processes:
            lines += _account(one)
        if processes:  # in a fence the first ones are the fence's
            training = _record(self._folder, "started.json").get("pid")
            pid = next((one.pid for one in processes if one.pid == training), processes[0].pid)
            lines.append(self._dump(pid)[:20_000])
        path = os.path.join(self._folder, REPORT)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="utf-8", errors="replace") as file:
                file.write("\n".join(lines)[:200_000] + "\n")
        except OSError:
            return ""
        return path

    def _why_busy(self, last: _Glance, now: _Glance) -> str:
        """In words; "" when nothing says that it works."""
        if not (now.known and last.known):
            return "its processes cannot be seen"
        if now.ids != last.ids:
            return "processes came or went"
        passed = max(now.at - last.at, 1e-6)
        wanted = _grown(last, now, lambda one: one.used_s) + _grown(last, now, lambda one: one.waited_s)
        cores = wanted / passed
        if cores >= BUSY_CORES:
            return f"{cores:.1f} cores busy"
        if _grown(last, now, lambda one: one.moved) >= BUSY_BYTES * passed:
            return "reading or writing"
        blocked = next((one for one in now.processes if one.state == "D"), None)
        if blocked:
            return f"pid {blocked.pid} waits for a device in {_wchan(blocked.pid) or 'the kernel'}"
        heat = max((gpu.utilisation or 0.0 for gpu in self._sample_gpus(now.at)), default=0.0)
        return f"a GPU is {heat:.0f} % busy" if heat >= BUSY_GPU else ""

    def _sample_gpus(self, now: float) -> Sequence[Gpu]:
        """The newest sample; a new one is taken beside, because their driver can hang."""
        at, samples = self._samples
        if now - at >= _GPU_PAUSE_S and not (self._sampler and self._sampler.is_alive()):
            self._sampler = threading.Thread(target=self._take_sample, args=(now,), daemon=True)
            self._sampler.start()
            self._sampler.join(0.2)  # the usual answer is quicker
            at, samples = self._samples
        return samples if now - at < 4 * _GPU_PAUSE_S else ()

    def _take_sample(self, now: float) -> None:
        self._samples = (now, self._gpus())

    def _glance(self) -> _Glance:
        processes = tuple(self._processes())
        _, log, _ = _files([os.path.join(self._folder, "train.log")])
        out = _files(_below(os.path.join(self._folder, "out")))
        return _Glance(time.monotonic(), processes, log, out, known=bool(processes))

    def _processes(self) -> Iterator[_Process]:
        """All that descends from the supervisor, the training itself first."""
        claim = _record(self._folder, "claim")
        supervisor = _process(int(claim.get("pid", 0)), threads=False)
        if supervisor is None or supervisor.ticks != claim.get("start_ticks"):
            return
        waiting = _children(supervisor.pid)
        for _ in range(_MOST_PROCESSES):
            if not waiting:
                return
            one = _process(waiting.pop(0))
            if one is not None:
                waiting += _children(one.pid)
                yield one


def stacks(host: Host, env: Mapping[str, str], pid: int) -> str:
    """The Python stacks of a process, by py-spy where it is installed. Short: whoever asks is about to stop it."""
    try:
        done = host.run(["py-spy", "dump", "--pid", str(pid)], env=env, timeout=_DUMP_S)
    except HostError:
        return ""
    return done.stdout.decode("utf-8", "replace")


def _grown(last: _Glance, now: _Glance, what: Callable[[_Process], float]) -> float:
    before = {(one.pid, one.ticks): what(one) for one in last.processes}
    return sum(max(what(one) - before[one.pid, one.ticks], 0.0) for one in now.processes)


def _files(paths: Iterable[str]) -> Files:
    count = size = newest = 0
    for path in paths:
        try:
            found = os.lstat(path)
        except OSError:
            continue
        count, size, newest = count + 1, size + found.st_size, max(newest, found.st_mtime_ns)
    return count, size, newest


def _below(folder: str) -> Iterator[str]:
    """The folder and what is in it, the nearest first; so much of each folder, and so much in all. The folders come
    with their own times, which tell of what is made or removed in them. No limit of time: two looks at the same files
    have to see the same."""
    yield folder
    left, folders = _MOST_ENTRIES, deque([folder])
    while left > 0 and folders:
        try:
            with os.scandir(folders.popleft()) as entries:
                for entry in islice(entries, min(left, _MOST_OF_A_FOLDER)):
                    left -= 1
                    yield entry.path
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue


# -- /proc ------------------------------------------------------------------------------------------------------------


def _process(pid: int, *, threads: bool = True) -> _Process | None:
    """None when it is gone, or a zombie."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    state = fields[0] if fields and fields[0] not in "ZX" else _left_behind(pid)
    if not fields or not state:
        return None
    ticks = int(fields[19])
    if not threads:
        return _Process(pid, ticks, state, 0.0, 0.0, 0)
    return _Process(pid, ticks, state, _used_s(pid, fields), _waited_s(pid), _moved(pid))


def _left_behind(pid: int) -> str:
    """The state of a thread that outlives the main one: the process looks like a zombie, and is none."""
    tasks = (_read(f"/proc/{pid}/task/{task}/stat").rpartition(")")[2].split() for task in _names(f"/proc/{pid}/task"))
    return next((task[0] for task in tasks if task and task[0] not in "ZX"), "")


def _used_s(pid: int, fields: Sequence[str]) -> float:
    """CPU time that it had, with that of its threads that have ended and of its children that it has waited for: a pool
    of threads for each batch, a script that is called now and then. It never shrinks while the process lives. A child
    that we saw counts again when it is waited for, but the look that misses it says "came or went" anyway."""
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    tick = 1 / os.sysconf("SC_CLK_TCK")
    try:
        used = time.clock_gettime(~pid << 3 | _CPU_CLOCK)  # the same as in stat, not in hundredths of a second
    except OSError:
        used = own * tick
    return used + children * tick


def _waited_s(pid: int) -> float:
    """How long its living threads stood in line for a core: on a crowded machine a busy process gets little. 0 where
    the kernel does not keep it."""
    lines = (_read(f"/proc/{pid}/task/{task}/schedstat").split() for task in _names(f"/proc/{pid}/task"))
    return sum(int(line[1]) for line in lines if len(line) == 3) / 1e9


def _moved(pid: int) -> int:
    pairs = (line.partition(": ") for line in _read(f"/proc/{pid}/io").splitlines())
    return sum(int(value) for name, _, value in pairs if name in ("rchar", "wchar"))


def _children(pid: int) -> list[int]:
    lists = [_read(f"/proc/{pid}/task/{task}/children") for task in _names(f"/proc/{pid}/task")]
    return [int(child) for text in lists for child in text.split()]


def _stop_words(one: _Process) -> str:
    status = dict(line.split(":\t", 1) for line in _read(f"/proc/{one.pid}/status").splitlines() if ":\t" in line)
    tracer = status.get("TracerPid", "0").strip()
    if one.state == "t" or tracer != "0":
        return f"the training is stopped (pid {one.pid}, state {one.state}) by the debugger with pid {tracer}"
    return (
        f"the training is stopped (pid {one.pid}, state {one.state}) by somebody; `kill -CONT {one.pid}` continues it"
    )


def _account(one: _Process) -> list[str]:
    """Where each of its threads is."""
    command = _read(f"/proc/{one.pid}/cmdline").replace("\0", " ")[:200]
    lines = [f"pid {one.pid}, state {one.state}, {one.used_s:.1f} s of CPU time: {command}"]
    places: dict[str, int] = {}
    for task in _names(f"/proc/{one.pid}/task")[:1000]:
        state = _read(f"/proc/{one.pid}/task/{task}/stat").rpartition(")")[2].split()[:1]
        name = _read(f"/proc/{one.pid}/task/{task}/comm").strip()
        call = _read(f"/proc/{one.pid}/task/{task}/syscall").split()[:1]
        stack = " < ".join(
            line.split("] ")[-1].split("+")[0] for line in _read(f"/proc/{one.pid}/task/{task}/stack").splitlines()
        )
        where = (
            f"{name}: state {''.join(state)}, system call {''.join(call) or '?'}, in {stack or _wchan(one.pid, task)}"
        )
        places[where] = places.get(where, 0) + 1
    return lines + [f"  {count} x {where}" for where, count in places.items()]


def _wchan(pid: int, task: str = "") -> str:
    found = _read(f"/proc/{pid}/task/{task}/wchan" if task else f"/proc/{pid}/wchan").strip()
    return "" if found == "0" else found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _read(path: str) -> str:
    """Nothing when it is gone or not ours to read."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""


def _record(folder: str, name: str) -> dict[str, Any]:
    try:
        record = json.loads(_read(os.path.join(folder, name)))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
