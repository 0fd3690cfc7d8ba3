"""What the GPUs do: by NVML, in a process of its own, else by ``nvidia-smi``. A look that fails, hangs or is garbage is
no look: nothing is made up, each question takes at most 10 seconds, and whoever is asked ends with us.
"""

from __future__ import annotations

import csv
import json
import math
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from auto_experiment.errors import HostError
from auto_experiment.hosts import tethered
from auto_experiment.hosts.base import Completed, Host
from auto_experiment.hosts.hand import run_of
from auto_experiment.records.gpu import Gpu, GpuProcess, Gpus
from auto_experiment.watch import nvml
from auto_experiment.watch.log_tail import clean

NO_DRIVER = "no NVIDIA driver is here: neither its library (libnvidia-ml.so.1) nor nvidia-smi is found"
_NONE_SHOWN = "the NVIDIA driver is here and shows no GPU"
_SILENT = "{} did not answer in 10 seconds: look at the GPU and its driver (dmesg)"
_FIELDS = "index,name,memory.used,memory.total,utilization.gpu,temperature.gpu"
_MORE_FIELDS = "index,uuid,compute_mode"
_APPS = "gpu_uuid,pid,used_memory,process_name"
_TIMEOUT_S = 10.0
_LIFE_S = 15  # of whoever is asked, should nobody be there any more to end it
_INDEX = re.compile(r"[0-9]{1,4}")
_PID = re.compile(r"[0-9]{1,10}")
_MODES = {"default": "default", "prohibited": "prohibited"}  # the rest of nvidia-smi's begin with Exclusive
_TODO = {  # by NVML's error codes
    4: "; ask for access to /dev/nvidia*",
    9: "; load the driver (modprobe nvidia)",
    18: "; the driver was updated under way: restart the machine",
}
_LONGEST_NAME, _LONGEST_COMMAND = 80, 300
_MIB = 1 << 20


def look(host: Host, env: Mapping[str, str], runs: str = "") -> Gpus:
    """All GPUs, whatever CUDA_VISIBLE_DEVICES says, with their processes. ``runs``: the folder of a project's runs,
    whose processes are told by their names. ``host`` is this machine: its /proc tells users and commands."""
    found = _by_nvml(host, env)
    if not found.answered and found.why != _SILENT.format("NVML"):  # nvidia-smi stands on NVML, and would hang too
        other = _by_smi(host, env)
        found = found if found.why and other.why == NO_DRIVER else other
    return Gpus(tuple(_named(gpu, runs) for gpu in found.found), found.answered, found.why)


def until_blind(look: Callable[[], Gpus]) -> Callable[[], Gpus]:
    """The same look, made no more once it has found that there is no driver here: none comes while we live."""
    blind: list[Gpus] = []

    def one() -> Gpus:
        if blind:
            return blind[0]
        found = look()
        blind.extend([found] if found.why == NO_DRIVER else [])
        return found

    return one


def _ask(host: Host, env: Mapping[str, str], *words: str) -> Completed:
    """Raises HostError when no process can be had."""
    start = [sys.executable, "-I", "-S", tethered.__file__, str(_LIFE_S)]
    return host.run([*start, *words], env=env, timeout=_TIMEOUT_S)


# -- NVML -------------------------------------------------------------------------------------------------------------


def _by_nvml(host: Host, env: Mapping[str, str]) -> Gpus:
    library = find_spec("pynvml")  # imports nothing
    if library is None or library.origin is None:
        return Gpus()
    folder = os.path.dirname(os.path.abspath((library.submodule_search_locations or [library.origin])[0]))
    try:
        done = _ask(host, env, sys.executable, "-I", "-S", nvml.__file__, folder)
    except HostError as error:
        return Gpus(why=str(error))
    if done.code is None:
        return Gpus(why=_SILENT.format("NVML"))
    try:
        told = json.loads(done.stdout)
        found = tuple(_of_nvml(one) for one in told.get("gpus", ()))
    except (ValueError, KeyError, TypeError, AttributeError):  # it crashed in the driver's library
        return Gpus(why=f"NVML failed (exit status {done.code})")
    if "error" in told:
        absent = told["code"] in (None, nvml.LIBRARY_NOT_FOUND)
        return Gpus(why="" if absent else f"NVML: {clean(str(told['error']))}{_TODO.get(told['code'], '')}")
    return Gpus(found, answered=True, why="" if found else _NONE_SHOWN)


def _of_nvml(told: Mapping[str, Any]) -> Gpu:
    """Bytes become MiB; 0 bytes in all is a GPU that shares the machine's memory and does not count it."""
    total = _mib(told.get("total"))
    processes = told.get("processes")
    return Gpu(
        id=str(told["id"]),
        uuid=str(told["uuid"]),
        name=clean(str(told["name"]), _LONGEST_NAME),
        memory_used=_mib(told.get("used")) if total else None,
        memory_total=total or None,
        utilisation=told.get("busy"),
        temperature=told.get("heat"),
        mode=str(told.get("mode", "")),
        processes=None if processes is None else tuple(GpuProcess(p, _mib(b), bool(c)) for p, b, c in processes),
        parent=str(told.get("parent", "")),
        split=bool(told.get("split", False)),
        trouble=clean(str(told.get("trouble", ""))),
    )


def _mib(count: int | None) -> float | None:
    return None if count is None else round(count / _MIB, 1)


# -- nvidia-smi -------------------------------------------------------------------------------------------------------


def _by_smi(host: Host, env: Mapping[str, str]) -> Gpus:
    done = _smi(host, env, f"--query-gpu={_FIELDS}")
    if done is None:
        return Gpus(why=NO_DRIVER)
    if done.code is None:
        return Gpus(why=_SILENT.format("nvidia-smi"))
    found = parse(_text(done)) if done.code == 0 else ()
    if not found:
        said = [clean(line) for line in (_text(done) + done.stderr.decode("utf-8", "replace")).splitlines()]
        why = next(filter(None, said), f"exit status {done.code}")
        none = done.code == 0 or "no devices" in why.lower()
        return Gpus(answered=none, why=_NONE_SHOWN if none else f"nvidia-smi: {why}")
    more = {row[0]: row for row in _rows(_smi(host, env, f"--query-gpu={_MORE_FIELDS}"), 3)}
    apps = _smi(host, env, f"--query-compute-apps={_APPS}")
    users = None if apps is None or apps.code != 0 else list(_rows(apps, 4))
    return Gpus(tuple(_with_more(gpu, more.get(gpu.id), users) for gpu in found), answered=True)


def _with_more(gpu: Gpu, more: Sequence[str] | None, users: Sequence[Sequence[str]] | None) -> Gpu:
    uuid, mode = (more[1], more[2].lower()) if more else ("", "")
    processes = None
    if users is not None and uuid:
        rows = [row for row in users if row[0] == uuid and _PID.fullmatch(row[1])]
        processes = tuple(GpuProcess(int(r[1]), _number(r[2]), True, command=_program(r[3])) for r in rows)
    mode = "exclusive" if mode.startswith("exclusive") else _MODES.get(mode, "")
    return replace(gpu, uuid=uuid, mode=mode, processes=processes)


def _program(cell: str) -> str | None:
    """ "[Not Found]" and the like are no program."""
    return None if cell.startswith("[") or not cell else clean(cell, _LONGEST_COMMAND)


def _smi(host: Host, env: Mapping[str, str], query: str) -> Completed | None:
    """None where there is no nvidia-smi."""
    try:
        done = _ask(host, env, "nvidia-smi", query, "--format=csv,noheader,nounits")
    except HostError:
        return None
    return None if done.code in (tethered.MISSING, tethered.UNFIT) else done


def _text(done: Completed) -> str:
    return done.stdout.decode("utf-8", "replace")


def _rows(done: Completed | None, width: int) -> Iterator[list[str]]:
    if done is not None and done.code == 0:
        for line in _text(done).split("\n"):
            row = _cells(line)
            if len(row) == width:
                yield [cell.strip() for cell in row]


def parse(text: str) -> tuple[Gpu, ...]:
    """The CSV of ``nvidia-smi``: memory in MiB, "[N/A]", "ERR!" and the like where a GPU does not tell."""
    found = []
    for line in text.split("\n"):
        row = _cells(line)
        if len(row) == 6 and _INDEX.fullmatch(row[0]):
            used, total, busy, heat = (_number(cell) for cell in row[2:])
            found.append(Gpu(row[0], "", clean(row[1], _LONGEST_NAME), used, total, busy, heat))
    return tuple(found)


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


# -- whose they are ---------------------------------------------------------------------------------------------------


def _named(gpu: Gpu, runs: str) -> Gpu:
    if gpu.processes is None:
        return gpu
    return replace(gpu, processes=tuple(_owned(process, runs) for process in gpu.processes))


def _owned(process: GpuProcess, runs: str) -> GpuProcess:
    """With what /proc says; a process of another container is not there."""
    folder = f"/proc/{process.pid}"
    try:
        owner = os.stat(folder).st_uid
        with open(f"{folder}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return process
    run = run_of(process.pid, runs).rpartition("/")[0] if runs else ""
    command = clean(" ".join(words.split()), _LONGEST_COMMAND) or process.command
    return GpuProcess(process.pid, process.memory, process.compute, _user(owner), command, run)


def _user(owner: int) -> str:
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)
