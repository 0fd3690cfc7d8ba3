"""What a controller is built from. Put together by ``wiring.py``; the loop itself knows only ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.agent.tools import Toolbox
from auto_experiment.config import Config
from auto_experiment.cycle.execute import Ground
from auto_experiment.cycle.inputs import Inputs
from auto_experiment.hosts.base import Host, Stream
from auto_experiment.hosts.guard import Guard
from auto_experiment.launchers.base import Launcher
from auto_experiment.ledger.writer import Writer
from auto_experiment.models.base import Model
from auto_experiment.models.prices import Prices
from auto_experiment.planners.base import Planner
from auto_experiment.project import Project
from auto_experiment.records.gpu import Gpus, GpuWait
from auto_experiment.watch.monitor import Monitor


@dataclass(frozen=True)
class Minds:
    """Who thinks, by the config as it is now. ``fallback``: who plans while the model cannot be asked. ``model``: the
    code agent's; None: the code is not changed. ``prices``: of its calls, None when they are not known."""

    planner: Planner
    fallback: Planner | None = None
    model: Model | None = None
    prices: Prices | None = None


@dataclass(frozen=True)
class Parts:
    """``read_inputs`` reads brief and config afresh; ``minds`` builds who thinks; ``report`` writes REPORT.md and
    returns its path; ``page`` begins to write report.html, and its helper says what came of it; ``say`` tells a human
    one line. ``snapshots``: None where the code cannot be recorded.
    ``toolbox``: the code agent's tools, for one dispatch. ``guard``: looks after what must not be changed; None where
    nobody but humans changes anything. ``gpus`` looks at them, which may take long; ``gpu_wait``: None where nothing is
    to be held up by a busy one. ``tell``: shown the status after each stored step, for notes and messages; it takes no
    time and never fails."""

    ground: Ground
    ledger: Writer
    minds: Callable[[Config], Minds]
    snapshots: Snapshots | None
    toolbox: Callable[[Inputs], AbstractContextManager[Toolbox]]
    guard: Callable[[Inputs], Guard] | None
    fence: tuple[str, str] | None  # mode and sentence of the fence around what the code agent and its trainings write
    launcher: Launcher
    monitor: Monitor
    host: Host
    read_inputs: Callable[[], Inputs]
    project: Callable[[Inputs], Project]
    report: Callable[[Inputs], str]
    page: Callable[[Inputs], Stream]
    say: Callable[[str], None]
    gpus: Callable[[], Gpus]
    gpu_wait: GpuWait | None
    tell: Callable[[Inputs, Mapping[str, Any]], None] = lambda _now, _status: None
