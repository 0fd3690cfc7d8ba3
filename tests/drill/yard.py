"""Attempts of adversarial trees under the real launcher, for the drills about trees and about killed shims."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from auto_experiment.hosts.local import LocalHost
from auto_experiment.launchers.process import SHIM, ProcessLauncher
from auto_experiment.records.run import Ref, Running, Sighting, Spec
from drill import adversaries

PATIENCE_S = 20.0


class Yard:
    """Attempts below one folder, each a tree with a mark of its own."""

    def __init__(self, folder: Path, shim: Path = SHIM) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.launcher = ProcessLauncher(LocalHost(), python=sys.executable, shim=str(shim), env=os.environ)
        self.count = 0

    def ref(self) -> Ref:
        self.count += 1
        return Ref(f"exp/run/a{self.count}", str(self.folder / f"a{self.count}"))

    def mark(self) -> str:
        return f"tree-{os.getpid()}-{os.urandom(6).hex()}"

    def start(
        self,
        ref: Ref,
        kind: str,
        mark: str,
        *,
        grace_s: float = 0.3,
        leaves: bool = False,
        wall_limit_s: float | None = None,
    ) -> None:
        argv = tuple(adversaries.argv(kind, mark, leaves=leaves))
        spec = Spec(ref.attempt, argv, str(self.folder), grace_s=grace_s, wall_limit_s=wall_limit_s)
        self.launcher.ensure(ref, spec, {"PATH": os.environ["PATH"]})

    def plant(self, kind: str, **kw: Any) -> tuple[Ref, str]:
        """Start a tree; returns the attempt and the mark of its processes."""
        ref, mark = self.ref(), self.mark()
        self.start(ref, kind, mark, **kw)
        return ref, mark

    def stands(self, ref: Ref) -> bool:
        log = Path(ref.folder, "train.log")
        return until(lambda: log.exists() and b"READY" in log.read_bytes()[:4096])

    def end(self, ref: Ref, patience: float) -> Sighting:
        """What is said of the attempt once it no longer runs; its last state after ``patience`` seconds."""
        until(lambda: not isinstance(self.state(ref), Running), patience)
        return self.state(ref)

    def state(self, ref: Ref) -> Sighting:
        return self.launcher.state([ref])[ref]


def until(condition: Callable[[], bool], patience: float = PATIENCE_S) -> bool:
    """Wait for ``condition``; False when it has not come after ``patience`` seconds."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
