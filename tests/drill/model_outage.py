"""A day of 529 at the level of the whole loop (B01), with and without a fallback, on a clock that waits alone move.

The model answers until a training has ended, is away for 24 hours, and comes back. Nothing that was decided is lost, the
first hour costs few requests, ``status`` says why and until when, and the loop goes on within minutes of its return.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from auto_experiment.cycle.inputs import add_directive
from auto_experiment.cycle.parts import Minds
from auto_experiment.planners.optuna import OptunaPlanner
from drill.figures import Figure
from drill.judging import sound
from drill.mind import Clock, Mind, inside, thoughtful
from drill.model_faults import hasty
from model_server import Answer, ModelServer, Plain, Request

HOUR = 3600.0
AWAY_H = 24.0
TRAINING_H = 0.5  # simulated, of one that the fallback plans
MOST_IN_AN_HOUR = 25
BACK_WITHIN_S = 300.0
PLACES = ("think", "code", "reflect")


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    for place in PLACES:
        yield outage(place, folder / place)
    yield outage("think", folder / "fallback", fallback_h=TRAINING_H / min(scale, 1.0))


class Away(Mind):
    """Away from the first request of ``place`` in the second cycle on, for ``AWAY_H`` hours."""

    def __init__(self, place: str, clock: Clock) -> None:
        super().__init__(self._fault)
        self._place, self._clock = place, clock
        self.since: float | None = None
        self.refused: list[float] = []
        self.back: float | None = None  # when it answered again
        self.reflections = 0

    def _fault(self, purpose: str, request: Request) -> Answer | Plain | None:
        if self.since is None and self.reflections and purpose == self._place:
            self.since = self._clock.at
        if self.since is not None and self._clock.at < self.since + AWAY_H * HOUR:
            self.refused.append(self._clock.at)
            return Plain(529)
        if self.since is not None and self.back is None:
            self.back = self._clock.at
        self.reflections += purpose == "reflect"
        return None


class Passing(OptunaPlanner):
    """The fallback, whose every experiment takes its time on the clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def plan(self, view: Any) -> Any:
        self._clock.at += self._seconds
        return super().plan(view)


def outage(place: str, folder: Path, fallback_h: float = 0.0) -> Figure:
    begun, clock, said = time.monotonic(), Clock(), list[str]()
    mind, seen = Away(place, clock), list[dict[str, Any]]()
    mind.brings = place != "think"  # else nobody has to be asked there
    agent = {"max_cycles": 3, "cooldown_interval": 300, **({"fallback": "optuna"} if fallback_h else {})}
    with ModelServer(mind) as server, thoughtful(folder, server, agent=agent) as project:
        thinks = hasty(project)

        def minds(now: Any) -> Minds:
            asks = thinks(now)
            return Minds(asks.planner, Passing(clock, fallback_h * HOUR), asks.model) if fallback_h else asks

        def on_wait(_seconds: float) -> None:
            if mind.since is not None and mind.since + HOUR < clock.at < mind.since + 2 * HOUR and not seen:
                add_directive(project.paths, "remark 1.")
                seen.append(json.loads(Path(project.paths.state).read_text()))
                seen.append({"now": time.time()})

        clock.on_wait = on_wait
        if fallback_h:
            add_directive(project.paths, "remark 1.")
            agent["max_cycles"] = 2 + int(AWAY_H / fallback_h) + 2
            project.configure({"agent": {**_agent_of(project), **agent}})
        with inside(project, said, clock, minds=minds) as controller:
            controller.run()
        failures = [*judged(project, mind, clock, fallback=bool(fallback_h)), *map(str, server.failures)]
        failures += [] if fallback_h else parked(seen)
        experiments = len(project.attempts()) // 2
    since = mind.since or 0.0
    first_hour = sum(at < since + HOUR for at in mind.refused)
    facts = {"requests in the first hour": first_hour, "in the day": len(mind.refused),
             "back after, s": round((mind.back or 0.0) - since - AWAY_H * HOUR), "experiments": experiments,
             "seconds": round(time.monotonic() - begun)}  # fmt: skip
    name = f"a day of 529 in {place}" + (f", a fallback whose trainings take {fallback_h:g} h" if fallback_h else "")
    return Figure(name, len(mind.refused), tuple(failures), facts)


def _agent_of(project: Any) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load((project.root / "config.yaml").read_text())["agent"]
    return found


def judged(project: Any, mind: Away, clock: Clock, *, fallback: bool) -> Iterator[str]:
    since = mind.since or 0.0
    in_first = sum(at < since + HOUR for at in mind.refused)
    if not mind.refused or in_first > MOST_IN_AN_HOUR:
        yield f"{in_first} requests in the first hour"
    late = (mind.back or 1e9) - since - AWAY_H * HOUR
    if late > BACK_WITHIN_S + (TRAINING_H * HOUR if fallback else 0.0):
        yield f"asked again {late:.0f} s after its return"
    with project.ledger() as ledger:
        lessons, experiments = ledger.lessons(), ledger.experiments()
        taken = [note.text for note in ledger.directives()]
    if len(lessons) != len(experiments) or any(
        row.result not in ("improved", "not_improved") for row in lessons.values()
    ):
        yield f"{len(experiments)} experiments came to {[row.result for row in lessons.values()]}"
    if not fallback and len(experiments) != 3:
        yield f"{len(experiments)} experiments, not 3"
    if taken != ["remark 1."] or "remark 1." not in mind.directives():
        yield f"directives taken: {taken}"
    starts = [note["attempt"] for note in project.judged(dry=False) if "over" not in note]
    if len(starts) != len(set(starts)) or len(starts) != len(experiments):
        yield f"trainings started: {starts}"
    yield from sound(project, decisions_each=2)


def parked(seen: list[dict[str, Any]]) -> Iterator[str]:
    """What ``status`` said an hour after the beginning."""
    if not seen:
        yield "nobody waited for an hour"
        return
    controller, now = seen[0]["controller"], seen[1]["now"]
    until = controller["until"]
    if controller["state"] != "parked" or "529" not in str(controller["reason"]):
        yield f"status does not say why: {controller}"
        return
    ahead = datetime.fromisoformat(str(until).replace("Z", "+00:00")).timestamp() - now if until else -1.0
    if not 0.0 < ahead <= 301.0:
        yield f"status does not say until when: {controller}"
