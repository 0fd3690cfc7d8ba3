"""What a controller is built from. Put together by ``wiring.py``; the loop itself knows only ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from auto_experiment.cycle.execute import Ground
from auto_experiment.cycle.inputs import Inputs
from auto_experiment.hosts.base import Host
from auto_experiment.launchers.base import Launcher
from auto_experiment.ledger.writer import Writer
from auto_experiment.planners.base import Planner
from auto_experiment.project import Project
from auto_experiment.watch.monitor import Monitor


@dataclass(frozen=True)
class Parts:
    """``read_inputs`` reads brief and config afresh; ``report`` writes the report and returns its path; ``say`` tells a
    human one line."""

    ground: Ground
    ledger: Writer
    planner: Planner
    launcher: Launcher
    monitor: Monitor
    host: Host
    read_inputs: Callable[[], Inputs]
    project: Callable[[Inputs], Project]
    report: Callable[[Inputs], str]
    say: Callable[[str], None]
