"""What the GPUs do, by ``nvidia-smi`` where there is one. A sample that fails, hangs or is garbage is no sample."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping

from auto_experiment.errors import HostError
from auto_experiment.hosts.base import Host
from auto_experiment.records.observation import GpuSample

_FIELDS = "index,name,memory.used,memory.total,utilization.gpu,temperature.gpu"
_TIMEOUT_S = 10.0
_INDEX = re.compile(r"[0-9]{1,4}")


def sample(host: Host, env: Mapping[str, str]) -> tuple[GpuSample, ...]:
    """One line per GPU; () where there is none. Takes at most 10 seconds."""
    try:
        done = host.run(
            ["nvidia-smi", f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"], env=env, timeout=_TIMEOUT_S
        )
    except HostError:
        return ()
    return parse(done.stdout.decode("utf-8", "replace")) if done.code == 0 else ()


def parse(text: str) -> tuple[GpuSample, ...]:
    """The CSV of ``nvidia-smi``: memory in MiB, "[N/A]", "ERR!" and the like where a GPU does not tell."""
    samples = []
    for line in text.split("\n"):
        row = _cells(line)
        if len(row) == 6 and _INDEX.fullmatch(row[0]):
            used, total, busy, heat = (_number(cell) for cell in row[2:])
            samples.append(GpuSample(int(row[0]), row[1], used, total, busy, heat))
    return tuple(samples)


def _cells(line: str) -> list[str]:
    """Line by line, so that one that is broken spoils no other."""
    try:
        return next(csv.reader([line.strip()], skipinitialspace=True), [])
    except csv.Error:
        return []


def _number(cell: str) -> float | None:
    """None for all that is no amount."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
