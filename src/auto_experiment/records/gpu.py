"""A GPU as it was at one moment, who uses it, and whether somebody else may. Made by ``watch/gpu.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROOM_MIB = 1024.0  # a GPU with less than this in use has room: drivers and desktops take some
PROHIBITED = "prohibited"  # a compute mode: no program may use the GPU
_MOST_SAID = 2  # processes of one GPU in one sentence
_COMMAND_SAID = 60  # characters


@dataclass(frozen=True)
class GpuProcess:
    """``memory`` in MiB. ``user`` and ``command`` are None where the process cannot be seen from here: it runs in
    another container. ``run``: the run of this project that it belongs to, "exp003/run01"; "" for all others."""

    pid: int
    memory: float | None
    compute: bool  # False: it only draws, as a desktop does
    user: str | None = None
    command: str | None = None
    run: str = ""

    def __str__(self) -> str:
        """ "pid 4711 of mary, 23.1 GiB, python train.py"."""
        whose = f" of {self.user}" if self.user else ", not to be seen from here (another container?)"
        memory = "" if self.memory is None else f", {self.memory / 1024:.1f} GiB"
        command = self.command or ""
        cut = command if len(command) <= _COMMAND_SAID else command[: _COMMAND_SAID - 1] + "…"
        return f"pid {self.pid}{whose}{memory}" + (f", {cut}" if cut else "")


@dataclass(frozen=True)
class Gpu:
    """``id``: what CUDA_VISIBLE_DEVICES takes, an index in the order of the PCI bus, or the UUID of a MIG instance.
    Memory in MiB, utilisation in percent, temperature in degrees Celsius; None where the GPU does not tell, as is
    ``processes``. ``parent``: the id of the GPU that a MIG instance is a part of; ``split``: MIG is on, the instances
    come behind it. ``trouble``: why it cannot be asked, "GPU is lost"."""

    id: str
    uuid: str
    name: str
    memory_used: float | None = None
    memory_total: float | None = None
    utilisation: float | None = None
    temperature: float | None = None
    mode: str = ""  # "default", "exclusive", "prohibited"
    processes: tuple[GpuProcess, ...] | None = None
    parent: str = ""
    split: bool = False
    trouble: str = ""

    def why_busy(self, *, but_ours: bool = False) -> str:
        """Why nothing should be started on it; "" when it is free. What only draws is no reason while it takes little.
        ``but_ours``: what belongs to this project is no reason either."""
        if self.trouble:
            return self.trouble
        if self.mode == PROHIBITED:
            return "its compute mode is Prohibited (nvidia-smi -c 0 changes that)"
        ours = [p for p in self.processes or () if but_ours and p.run]
        others = [p for p in self.processes or () if p not in ours]
        if computing := [p for p in others if p.compute]:
            return _said(computing)
        if self.memory_used is None or any(p.memory is None for p in ours):
            return ""
        used = self.memory_used - sum(p.memory or 0.0 for p in ours)
        if used < ROOM_MIB:
            return ""
        return _said(others) if others else f"{used / 1024:.1f} GiB of it are in use by what cannot be seen from here"

    @property
    def is_free(self) -> bool | None:
        """None when neither its memory nor its processes can be told."""
        why = self.why_busy()
        return None if not why and self.memory_used is None and self.processes is None else not why

    def __str__(self) -> str:
        return f"GPU {self.id}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True)
class Gpus:
    """What was found. ``answered``: somebody knew, so that ids can be held against it; else ``why`` says what was in
    the way. ``why`` is "" when there are GPUs."""

    found: tuple[Gpu, ...] = ()
    answered: bool = False
    why: str = ""

    def named(self, words: Sequence[str]) -> tuple[list[Gpu], list[str]]:
        """The GPUs that such words of CUDA_VISIBLE_DEVICES mean, and the words that mean none."""
        pairs = [(word, self._one(word)) for word in words]
        return [gpu for _, gpu in pairs if gpu], [word for word, gpu in pairs if gpu is None]

    def _one(self, word: str) -> Gpu | None:
        """By index, or by the beginning of a UUID. Of a GPU that is split, CUDA takes the first instance."""
        fits = [g for g in self.found if word == g.id or (len(word) > 4 and g.uuid.startswith(word))]
        if fits and fits[0].split:
            return next((g for g in self.found if g.parent == fits[0].id), fits[0])
        return fits[0] if fits else None

    @property
    def usable(self) -> list[Gpu]:
        """What a training can be given: instances in place of the GPU that they are parts of."""
        return [gpu for gpu in self.found if not gpu.split or not any(g.parent == gpu.id for g in self.found)]


@dataclass(frozen=True)
class GpuWait:
    """What `run` was told. ``asked``: a busy GPU at the start is waited for, not refused. ``most_s``: how long any wait
    may last; None: as long as it takes."""

    asked: bool = False
    most_s: float | None = None


def _said(processes: Sequence[GpuProcess]) -> str:
    more = f" and {len(processes) - _MOST_SAID} more" if len(processes) > _MOST_SAID else ""
    return "; ".join(str(process) for process in processes[:_MOST_SAID]) + more
