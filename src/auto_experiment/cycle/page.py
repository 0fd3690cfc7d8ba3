"""report.html at the end of ``run``: written by a process that ends with us. It holds nothing up for long, and fails
nothing: the ledger has it all, and `report` writes it at any time."""

from __future__ import annotations

import contextlib
import json
import time

from auto_experiment.cycle.inputs import Inputs
from auto_experiment.cycle.parts import Parts
from auto_experiment.errors import AutoExperimentError
from auto_experiment.hosts.base import Stream
from auto_experiment.watch.monitor import Monitor

_LONGEST_S = 90.0  # it takes two seconds, far more on a machine that is busy; a stop does not wait for it


def write_page(parts: Parts, inputs: Inputs) -> list[str]:
    """Its path; none when the config says so, or when it could not be written, which is said. Raises StopAsked."""
    if not inputs.config.report.html:
        return []
    try:
        with contextlib.closing(parts.page(inputs)) as helper:
            said = _heard(helper, parts.monitor)
    except (AutoExperimentError, OSError) as error:
        said = {"failed": str(error)}
    if failed := said.get("failed"):
        parts.say(f"report.html: {failed}; `auto-experiment report` tries again")
    return [said["path"]] if said.get("path") else []


def _heard(helper: Stream, monitor: Monitor) -> dict[str, str]:
    """What the helper that writes it has said when it is done."""
    end, text = time.monotonic() + _LONGEST_S, b""
    while monitor.wait_for(helper.fileno(), end - time.monotonic()):
        piece = helper.read()
        if piece is None:
            break
        text += piece
    else:
        return {"failed": f"not written after {_LONGEST_S:g} s"}
    try:
        return dict(json.loads(text))
    except ValueError:
        return {"failed": "its process ended without a word"}
