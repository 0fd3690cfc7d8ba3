"""Asks NVML for the GPUs and their processes: a program of its own, ``python -I -S nvml.py FOLDER``, that answers in
JSON. NVML can hang with a broken GPU and keeps a driver open: here it takes this process along, and not the controller.

FOLDER is where the package nvidia-ml-py lies. It names no user and no command: that is for whoever sees the processes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

LIBRARY_NOT_FOUND = 12  # of NVML's error codes: there is no driver
_EXCLUSIVE_PROCESS, _EXCLUSIVE_THREAD, _PROHIBITED = 3, 1, 2
_MODES = {0: "default", _EXCLUSIVE_THREAD: "exclusive", _PROHIBITED: "prohibited", _EXCLUSIVE_PROCESS: "exclusive"}
_CORE = 0  # the sensor of the chip itself


def answer() -> dict[str, Any]:
    """{"gpus": [...]} or {"error": text, "code": NVML's number}."""
    try:
        import pynvml  # type: ignore[import-untyped, unused-ignore]  # the library has no types
    except ImportError as error:
        return {"error": str(error), "code": None}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"error": str(error), "code": error.value}
    try:
        return {"gpus": [gpu for index in range(pynvml.nvmlDeviceGetCount()) for gpu in _gpu(pynvml, index)]}
    except pynvml.NVMLError as error:
        return {"error": str(error), "code": error.value}
    finally:
        _ask(pynvml, pynvml.nvmlShutdown)


def _gpu(nvml: Any, index: int) -> Iterator[dict[str, Any]]:
    """The GPU, then its MIG instances."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        yield {"id": str(index), "uuid": "", "name": "", "trouble": str(error)}
        return
    modes = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    split = bool(modes and modes[0])
    yield {**_facts(nvml, handle), "id": str(index), "split": split, "parent": ""}
    for part in range(_ask(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0 if split else 0):
        instance = _ask(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, part)
        if instance is not None:
            facts = _facts(nvml, instance)
            yield {**facts, "id": facts["uuid"], "split": False, "parent": str(index)}


def _facts(nvml: Any, handle: Any) -> dict[str, Any]:
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle, nvml.nvmlMemory_v2)  # without what the driver reserves
    memory = memory or _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    rates = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    return {
        "uuid": _ask(nvml, nvml.nvmlDeviceGetUUID, handle) or "",
        "name": _ask(nvml, nvml.nvmlDeviceGetName, handle) or "",
        "used": memory.used if memory else None,
        "total": memory.total if memory else None,
        "busy": rates.gpu if rates else None,
        "heat": _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, _CORE),
        "mode": _MODES.get(_ask(nvml, nvml.nvmlDeviceGetComputeMode, handle), ""),
        "processes": _processes(nvml, handle),
    }


def _processes(nvml: Any, handle: Any) -> list[tuple[int, int | None, bool]] | None:
    """(pid, bytes, whether it computes); None when they cannot be told."""
    computing = _listed(nvml, "nvmlDeviceGetComputeRunningProcesses", handle)
    drawing = _listed(nvml, "nvmlDeviceGetGraphicsRunningProcesses", handle)
    if computing is None:
        return None
    known = {process.pid for process in computing}
    found = [(p.pid, p.usedGpuMemory, True) for p in computing]
    return found + [(p.pid, p.usedGpuMemory, False) for p in drawing or () if p.pid not in known]


def _listed(nvml: Any, name: str, handle: Any) -> list[Any] | None:
    """Drivers before 510 have the second version of this call only."""
    for version in ("", "_v2"):
        call = getattr(nvml, name + version, None)
        found = _ask(nvml, call, handle) if call else None
        if found is not None:
            return list(found)
    return None


def _ask(nvml: Any, call: Callable[..., Any], *given: Any) -> Any:
    """None for what this GPU or this driver does not tell."""
    try:
        return call(*given)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError, UnicodeError):
        return None


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    json.dump(answer(), sys.stdout)
