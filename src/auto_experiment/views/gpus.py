"""The GPUs: the document of ``gpus --json``, and its form for a terminal."""

from __future__ import annotations

from typing import Any

from auto_experiment.records.gpu import Gpu, GpuProcess, Gpus
from auto_experiment.views.terminal import Screen, table

_MARGIN = 6  # columns in front of a process


def document(gpus: Gpus) -> list[dict[str, Any]]:
    """docs/gpus.md. Memory in MiB, as nvidia-smi counts; null for what a GPU does not tell."""
    return [
        {
            "id": gpu.id,
            "uuid": gpu.uuid or None,
            "name": gpu.name or None,
            "parent": gpu.parent or None,
            "memory_used_mb": gpu.memory_used,
            "memory_total_mb": gpu.memory_total,
            "utilisation": gpu.utilisation,
            "temperature": gpu.temperature,
            "compute_mode": gpu.mode or None,
            "processes": None if gpu.processes is None else [_process(process) for process in gpu.processes],
            "free": gpu.is_free,
            "why": gpu.why_busy() or None,
        }
        for gpu in gpus.found
    ]


def _process(process: GpuProcess) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "user": process.user,
        "memory_mb": process.memory,
        "command": process.command,
        "kind": "compute" if process.compute else "graphics",
        "run": process.run or None,
    }


def as_text(gpus: Gpus, visible: str | None = None, screen: Screen | None = None) -> str:
    """``visible``: CUDA_VISIBLE_DEVICES of whoever looks."""
    screen = screen or Screen()
    if not gpus.found:
        return f"no GPU: {screen.cut(gpus.why, 0)}"
    head, *rows = table([["id", "name", "memory used", "busy", "temp", ""], *map(_cells, gpus.found)], right=(2, 3, 4))
    lines = [screen.paint("bold", "  ".join(head).rstrip())]
    for gpu, row in zip(gpus.found, rows, strict=True):
        *front, state = row
        lines.append(f"{'  '.join(front)}  {screen.paint('good' if gpu.is_free else 'warn', state)}")
        lines += [f"{'':{_MARGIN}}{screen.cut(_line(process), before=_MARGIN)}" for process in gpu.processes or ()]
    free = [gpu.id for gpu in gpus.usable if gpu.is_free]
    lines.append(f"free: {', '.join(free)}" if free else "none is free")
    if visible is not None:
        lines.append(f"here CUDA_VISIBLE_DEVICES={screen.cut(visible, 0)}")
    return "\n".join(lines)


def _cells(gpu: Gpu) -> list[str]:
    busy, heat = _amount(gpu.utilisation, "%"), _amount(gpu.temperature, " C")
    return [f"  {gpu.id}" if gpu.parent else gpu.id, gpu.name or "?", _memory(gpu), busy, heat, _state(gpu)]


def in_one_line(gpu: Gpu) -> str:
    """ "0 NVIDIA A100: 97% busy, 30.3/40 GiB, 61 C"."""
    head = f"{gpu.id} {gpu.name}".rstrip()
    if gpu.trouble:
        return f"{head}: {gpu.trouble}"
    used, total = (None if n is None else n / 1024 for n in (gpu.memory_used, gpu.memory_total))
    memory = "" if used is None or total is None else f", {used:.1f}/{total:.0f} GiB"
    heat = "" if gpu.temperature is None else f", {gpu.temperature:g} C"
    return f"{head}: {'?' if gpu.utilisation is None else f'{gpu.utilisation:g}'}% busy{memory}{heat}"


def in_short(gpu: Gpu) -> str:
    return (
        "free" if gpu.is_free else gpu.trouble or ("cannot be told whether free" if gpu.is_free is None else "in use")
    )


def _memory(gpu: Gpu) -> str:
    used, total = _amount(gpu.memory_used), _amount(gpu.memory_total)
    return f"{used} / {total} MiB" if gpu.memory_total is not None else "?"


def _state(gpu: Gpu) -> str:
    """Who is on it is said in lines of their own."""
    if gpu.split:
        return "split by MIG: name an instance"
    if gpu.is_free is False and not gpu.processes:
        return gpu.why_busy()
    return in_short(gpu)


def _line(process: GpuProcess) -> str:
    memory = "" if process.memory is None else f", {process.memory:,.0f} MiB"
    draws = "" if process.compute else ", only draws"
    whose = f" of {process.user}" if process.user else ", not to be seen from here (another container?)"
    run = f"{process.run} of this project: " if process.run else ""
    return f"pid {process.pid}{whose}{memory}{draws}" + (f": {run}{process.command}" if process.command else "")


def _amount(number: float | None, unit: str = "") -> str:
    return "?" if number is None else f"{number:,.0f}{unit}"
