"""What the controller costs while a training runs: CPU seconds per hour, and memory.

    python benchmarks/idle.py

Two projects at once, each after nine short experiments (so that Optuna and its sampler are loaded and have been used):
in one the tenth training is silent, in the other it prints a line a second. CPU time is that of the controller and its
helper (the log follower), children that have ended included, over four windows after a warm-up, extrapolated to an
hour. A heartbeat (every 900 seconds by default) does not fall into them: it is measured apart, in a third project with
one every second, and four of them are added to the hour.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import measuring
import projects
from auto_experiment.paths import ProjectPaths

LONG_FROM = 10
WARM_UP_S = 20.0
WINDOW_S, WINDOWS = 120.0, 4
HEARTBEATS_PER_HOUR = 4
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Scene:
    """One project with its controller in the long training."""

    paths: ProjectPaths
    family: tuple[int, int]  # controller and log follower; what a heartbeat starts is counted once it was waited for
    shim: int
    guard: int


def measure(quick: bool) -> measuring.Result:
    result = measuring.Result()
    warm_up, window = (1.0, 2.0) if quick else (WARM_UP_S, WINDOW_S)
    long_from = 2 if quick else LONG_FROM
    with projects.scratch() as folder, contextlib.ExitStack() as stack:
        silent = _begin(stack, os.path.join(folder, "silent"), long_from, pace=0)
        lines = _begin(stack, os.path.join(folder, "lines"), long_from, pace=1)
        beats = _begin(stack, os.path.join(folder, "beats"), long_from, pace=0, extra="monitor: {poll_interval: 1}")
        scenes = (silent, lines, beats)
        time.sleep(warm_up)
        used = [_hourly(scenes, window / WINDOWS) for _ in range(WINDOWS)]  # window, scene, process
        sums = [[sum(processes) for processes in one] for one in used]
        heartbeats_s = [max(beating - still, 0.0) / 3600 for still, _, beating in sums]
        more = HEARTBEATS_PER_HOUR * statistics.median(heartbeats_s)
        quiet, loud = [one[0] + more for one in sums], [one[1] + more for one in sums]
        result.add("idle_silent", "CPU of controller and helper, silent log", quiet, "CPU-s/h", 2)
        result.add("idle_lines", "CPU of controller and helper, a line a second", loud, "CPU-s/h", 10)
        milliseconds = [one * 1000 for one in heartbeats_s]
        result.add("idle_heartbeat", "one heartbeat, contained four times in the above", milliseconds, "CPU-ms")
        _add_memory(result, lines)
    for number, log in enumerate(("silent log", "a line a second")):
        said = ", ".join(f"{statistics.median(one):.2f}" for one in zip(*(w[number] for w in used), strict=True))
        result.notes.append(f"{log}, CPU-s/h of controller, helper without heartbeats: {said}")
    length = f"{WINDOWS} windows of {window / WINDOWS:g} s after {warm_up:g} s"
    result.notes.append(f"{length}, each extrapolated to an hour; {_clock_in_words()}")
    return result


def _hourly(scenes: Sequence[Scene], window: float) -> list[list[float]]:
    """CPU seconds per hour of each scene's processes over the next ``window`` seconds."""
    before, began = [_cpu_s(scene) for scene in scenes], time.monotonic()
    time.sleep(window)
    after, took = [_cpu_s(scene) for scene in scenes], time.monotonic() - began
    return [[(b - a) * 3600 / took for a, b in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)]


def _begin(stack: contextlib.ExitStack, root: str, long_from: int, *, pace: float, extra: str = "") -> Scene:
    paths = projects.make_project(root, seconds=0.1, long_from=long_from, pace=pace, extra=extra)
    child = stack.enter_context(projects.controller(root))
    claim = os.path.join(paths.attempt(f"exp{long_from:03d}/run01/a1"), "claim")
    taken = projects.until(lambda: _document(claim))
    helper = projects.until(lambda: next(filter(_follows, projects.children(child.pid)), None))
    return Scene(paths, (child.pid, helper), int(taken["pid"]), int(taken["guard"]["pid"]))


def _follows(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().endswith(b"\0follow\0")
    return False


def _document(path: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return dict(json.load(file))
    return None


def _add_memory(result: measuring.Result, scene: Scene) -> None:
    family = [memory_mib(pid) for pid in scene.family]
    rss, pss = (sum(one[kind] for one in family) for kind in ("Rss", "Pss"))
    result.add("idle_rss", "memory of controller and helper, Optuna loaded: RSS", [rss], "MiB", 80)
    result.add("idle_pss", "the same: PSS", [pss], "MiB")
    shim, guard = memory_mib(scene.shim), memory_mib(scene.guard)
    result.add("shim_rss", "memory of the shim: RSS", [shim["Rss"]], "MiB", 15)
    result.add("guard_rss", "memory of the guard above it, nearly all of it shared: RSS", [guard["Rss"]], "MiB")
    result.add("shim_pss", "shim and guard together: PSS", [shim["Pss"] + guard["Pss"]], "MiB")
    each = ", ".join(f"{one['Rss']:.1f} (private {one['Private_Dirty'] + one['Private_Clean']:.1f})" for one in family)
    result.notes.append(f"RSS in MiB of controller, helper: {each}")


def memory_mib(pid: int) -> dict[str, float]:
    found = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[-1] == "kB":
                found[words[0].rstrip(":")] = int(words[1]) / 1024
    return found


# -- CPU time -----------------------------------------------------------------------------------------------------


def _cpu_s(scene: Scene) -> list[float]:
    """Of the controller and of its helper: what they used, and what children used that they have waited for."""
    return [own_cpu_s(pid) + reaped_cpu_s(pid) for pid in scene.family]


def own_cpu_s(pid: int) -> float:
    """In nanoseconds from schedstat where the kernel keeps it, else in clock ticks from stat."""
    with contextlib.suppress(OSError):
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9
    fields = projects.stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def reaped_cpu_s(pid: int) -> float:
    fields = projects.stat_fields(pid)
    return (int(fields[13]) + int(fields[14])) / TICKS


def _clock_in_words() -> str:
    fine = os.path.exists("/proc/self/schedstat")
    return "CPU time from /proc/PID/schedstat (nanoseconds)" if fine else f"from /proc/PID/stat (1/{TICKS} s)"


if __name__ == "__main__":
    measuring.main("idle", __doc__, measure)
