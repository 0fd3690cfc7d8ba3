"""A ledger that a test fills as the loop would."""

from __future__ import annotations

import shlex
from pathlib import Path

from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.rows import Phase
from auto_experiment.ledger.writer import Writer
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import Project
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.observation import Fault, Point
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import Kind, RunState, Spec
from auto_experiment.report.markdown import render

UP = Objective("acc", "max", 0.9)


class Campaign:
    """A ledger, filled as the loop would fill it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = ProjectPaths.of(str(folder))
        Path(self.paths.workspace).mkdir(parents=True)
        self.lock = ProjectLock.take(self.paths.lock)
        self.ledger = Writer.open_with(self.paths.ledger, self.lock)
        with self.ledger.transaction() as tx:
            self.ledger.session = tx.session("h", "b", 1, "v")
        self.objective = UP
        self.goal, self.notices = "reach 90% accuracy", ()
        self.at = 1_700_000_000.0

    def close(self):
        self.ledger.close()
        self.lock.release()

    def stands(self, objective=UP, bar=None, said=""):
        self.objective = objective
        with self.ledger.transaction() as tx:
            tx.event("objective", **objective.document(), scale=objective.scale, bar=bar, said=said)

    def experiment(
        self,
        value=None,
        title="a title",
        command="python t.py",
        gate="dry",
        result=Result.NOT_IMPROVED,
        env=None,
        params=None,
        points=(),
        finding=Finding.INCONCLUSIVE,
        words="d",
        **facts,
    ):
        """``points``: of the training, (name, step, value). ``words``: what the planner says of it all."""
        params = params or {}
        plan = Plan(
            Action.EXPERIMENT, title=title, hypothesis=words, success_criteria=words, command=command, params=params, reason=words
        )  # fmt: skip
        known = {
            "state": RunState.FINISHED, "exit_code": 0, "signal": None, "fault": Fault.NONE, "exception": None,
            "reason": "", "started_at": self.at, "ended_at": self.at + 60, "duration_s": 60.0, "value": value,
            "value_note": "", "read_as": "acc",
        }  # fmt: skip
        dry = Outcome(**{**known, "ended_at": self.at + 5, "value": None, "started_at": self.at})
        objective = facts.pop("objective", self.objective)
        self.at += 100
        with self.ledger.transaction() as tx:
            cycle = tx.cycle()
            tx.plan(cycle, plan, "")
            n = tx.experiment(cycle, plan, "")
            name = f"exp{n:03d}"
            if gate == "dry":
                gate = f"{name}/dry01/a1"
                spec = Spec(gate, ("python",), "/")
                attempt = tx.attempt(spec, experiment=n, kind=Kind.DRY, n=1, command=command, params=params)
                tx.outcome(attempt, dry, objective=objective.identity, passed=True)
            spec = Spec(f"{name}/run01/a1", tuple(shlex.split(command)), "/", env=env or {})
            attempt = tx.attempt(
                spec, experiment=n, kind=Kind.FULL, n=1, command=command, params=params,
                run=tx.run(n, 1, command, params), gate=gate,
            )  # fmt: skip
            stored = [Point(name, value, step=step) for name, step, value in points]
            tx.observed(attempt, list(enumerate(stored)), {})
            outcome = Outcome(**{**known, **facts})
            tx.outcome(attempt, outcome, objective=objective.identity)
            tx.lesson(cycle, Lesson(result, Reflection(finding, words, Next.ITERATE)))
            tx.phase(cycle, Phase.DONE)
        return name

    @property
    def project(self):
        return Project("cifar", self.goal, self.paths, self.objective, 10, self.notices)

    @property
    def text(self):
        return render(self.project, self.ledger)

    def section(self, title):
        return self.text.partition(f"## {title}\n")[2].partition("\n## ")[0]

    def row(self, name):
        return next(line for line in self.section("Experiments").splitlines() if line.startswith(f"| {name} "))
