"""Nothing is started on a GPU that somebody else uses: `run` is refused at its start, and a launch waits for its GPUs.

Which they are says CUDA_VISIBLE_DEVICES as the launch gets it. Where nothing names any, a launch takes what it takes,
and is held up only when a human asked for that. Nobody's process is ever ended here. Where neither NVML nor nvidia-smi
answers, nothing is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from auto_experiment import clock
from auto_experiment.clock import human
from auto_experiment.cycle.calls import Job
from auto_experiment.cycle.parts import Parts
from auto_experiment.errors import DiskFault, EnvironmentNotReady, UsageError
from auto_experiment.ledger.rows import AttemptRow
from auto_experiment.records.gpu import Gpu, Gpus, GpuWait
from auto_experiment.watch.monitor import Redirected, StopAsked

PAUSES_S = (1.0, 2.0, 5.0, 15.0)  # between looks; the first ones are for a run of our own that is just letting go
_SAID_FROM = 2  # looks that found it busy


def words_of(visible: str | None) -> list[str] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES names; None when nothing names any. What comes behind a -1, CUDA ignores."""
    if visible is None:
        return None
    words = [word.strip() for word in visible.split(",") if word.strip()]
    return words[: words.index("-1")] if "-1" in words else words


def why_not(gpus: Gpus, words: list[str] | None) -> str:
    """Why none of these should be given to a launch; "" when they may. Where nothing is named, one that is free will
    do."""
    if words is None:
        reasons = [_busy(gpu) for gpu in gpus.usable]
        return "; ".join(reasons) if all(reasons) else ""
    return "; ".join(filter(None, (_busy(gpu) for gpu in gpus.named(words)[0])))


def _busy(gpu: Gpu) -> str:
    why = gpu.why_busy(but_ours=True)
    return f"{gpu} is in use: {why}" if why else ""


def require(
    look: Callable[[], Gpus], visible: str | None, origin: str, wait: GpuWait, adopts: Callable[[], bool]
) -> str:
    """Refuse what a start can already know: ids that do not exist (UsageError), and GPUs in use unless they shall be
    waited for. ``origin``: who names them. ``adopts``: a training of ours may be on them. Returns what a human should
    know of GPUs that nobody sees; "" when there is nothing to say."""
    words = words_of(visible)
    if not words:
        return ""
    gpus = look()
    if not gpus.answered:
        return f"{origin} names GPU {','.join(words)}: {gpus.why}"
    unknown = gpus.named(words)[1]
    if unknown:
        there = ", ".join(map(str, gpus.found)) or "none"
        raise UsageError(f"{origin}: there is no GPU {unknown[0]}; there are: {there}")
    why = why_not(gpus, words)
    if why and not wait.asked and not adopts():
        free = [gpu.id for gpu in gpus.usable if gpu.is_free]
        other = f"or take one that is free (--gpu {free[0]})" if free else "no other one is free"
        raise EnvironmentNotReady(f"{why}; wait for it with --gpu-wait, {other}; `auto-experiment gpus` shows all")
    return ""


class GpuGate:
    """``show`` publishes what ``status`` says."""

    def __init__(self, parts: Parts, show: Callable[[], None]) -> None:
        self._look, self._wait, self._visible = parts.gpus, parts.gpu_wait, parts.ground.env.cuda_visible_devices
        self._ledger, self._monitor, self._say, self._show = parts.ledger, parts.monitor, parts.say, show

    def pass_through(self, attempt: AttemptRow, started: Callable[[], bool]) -> bool:
        """Returns when an attempt may start, or when a human ends it; True when that took a wait. ``started``: has it
        been already? Raises StopAsked, and EnvironmentNotReady when a wait has lasted too long."""
        words = words_of(attempt.spec["env"].get("CUDA_VISIBLE_DEVICES", self._visible))
        if self._wait is None or words == [] or (words is None and not self._wait.asked):
            return False
        began, looks = time.monotonic(), 0
        try:
            while (why := self._why_not(words)) and not (looks == 0 and started()):
                looks += 1
                self._hold_on(attempt, why, self._wait.most_s, looks, time.monotonic() - began)
                if self._monitor.ending:
                    return True
        finally:
            if looks >= _SAID_FROM:
                self._ledger.tell_parked("")
                with suppress(DiskFault), self._ledger.transaction() as tx:
                    tx.event("gpu_free")
        if looks >= _SAID_FROM and not self._monitor.ending:
            self._show()
            self._say(f"  the GPU is free after {human(time.monotonic() - began)} of waiting")
        return looks > 0

    def _why_not(self, words: list[str] | None) -> str:
        """A look may take long, so it is made in a thread, and a stop does not wait for it."""
        job = Job(self._look)
        try:
            self._monitor.until(job.start())
        except (StopAsked, Redirected):
            if self._monitor.ending:  # the launch is made void in the way that every run is ended
                return ""
            raise
        return why_not(job.result(), words)

    def _hold_on(self, attempt: AttemptRow, why: str, most_s: float | None, looks: int, waited: float) -> None:
        pause = PAUSES_S[min(looks, len(PAUSES_S)) - 1]
        if most_s is not None:
            if waited >= most_s:
                raise EnvironmentNotReady(f"waited {human(waited)} (--gpu-wait): {why}; the next `run` carries on")
            pause = min(pause, max(most_s - waited, 0.05))
        if looks >= _SAID_FROM:
            with self._ledger.transaction() as tx:  # whoever is killed while waiting was not killed by this step
                tx.seen()
                tx.moved_on(attempt.id)
                if looks == _SAID_FROM:
                    tx.event("gpu_wait", why=why)
            self._ledger.tell_parked(why, clock.later(pause))
            self._show()
        if looks == _SAID_FROM:
            self._say(f"  waiting: {why}")
        self._monitor.wait(pause)
