"""Make a project folder whose ledger already holds many experiments.

    python benchmarks/make_ledger.py DIR N [--open] [--points P] [--seed S]

The brief, the config and the training script are real, and every row goes in through the ledger's own writer; only the
clock is a made one, so that the experiments lie behind each other. ``status``, ``list``, ``show`` and ``run`` work on
it. One in five goes wrong: a failed dry run, a crash, a kill, a NaN, an early stop. With ``--open`` the last
experiment's training is intended and not started, as after a kill of the controller; N counts it. ``--points P`` stores
so many points of each metric of each training. There are no log files.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import projects
import training
from auto_experiment import __version__, clock, command
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.rows import Phase, experiment_name
from auto_experiment.ledger.writer import Transaction, Writer
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.lesson import Finding, Lesson, Next, Reflection, Result
from auto_experiment.records.observation import Fault, Point, Progress, Series
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import Claim, Kind, RunState, Spec
from auto_experiment.views.standing import Standing

OBJECTIVE = Objective("val_accuracy", "max")
BATCH = 2_000  # experiments in one transaction
EPOCHS = 30
DRY_S = 2.0
GRACE_S = 30.0
# (share of the experiments, state, exit status, signal, fault, reason); what is left finishes well
FATES = (
    (0.04, RunState.FAILED, 1, None, Fault.EXCEPTION, "exit status 1: ValueError: bad shape"),
    (0.03, RunState.KILLED, None, 9, Fault.OOM, "killed by signal 9 (out of memory)"),
    (
        0.04,
        RunState.STOPPED,
        None,
        15,
        Fault.NAN,
        "nan rule: the objective val_accuracy was reported as NaN or infinite",
    ),
    (0.04, RunState.STOPPED, None, 15, Fault.NONE, "stop_when rule: val_loss above 10, and val_loss was 12.5"),
)
DRY_FAILS = 0.05


class MadeClock:
    """Stands in for ``clock.now`` while rows are written."""

    def __init__(self, start: float) -> None:
        self.at = start

    def now(self) -> str:
        return clock.iso(self.at)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        real, clock.now = clock.now, self.now
        try:
            yield
        finally:
            clock.now = real


@dataclass
class Story:
    """What the experiments so far came to."""

    best: float | None = None
    leader: str | None = None


class Maker:
    """Writes one experiment after another, phase by phase, as the controller would."""

    def __init__(self, paths: ProjectPaths, seed: int, points: int, start: float) -> None:
        self._paths, self._points = paths, points
        self._draw = random.Random(seed)
        self._words = command.split(projects.training_command())
        self._story = Story()
        self.clock = MadeClock(start)

    def experiment(self, tx: Transaction, *, is_open: bool) -> None:
        cycle = tx.cycle()
        plan = self._plan(cycle)
        self.clock.at += 0.2
        tx.plan(cycle, plan, _digest(f"basis {cycle}"))
        number = tx.experiment(cycle, plan, _digest(plan.command))
        name = experiment_name(number)
        dry = self._attempt(tx, number, plan, Kind.DRY, f"{name}/dry01/a1")
        tx.phase(cycle, Phase.DRY_RUN)
        self._begin(tx, dry)
        fails = cycle > 1 and self._draw.random() < DRY_FAILS
        outcome = self._dry_outcome(fails=fails)
        tx.outcome(dry, outcome, objective=OBJECTIVE.identity, passed=not fails)
        if not fails:
            run = tx.run(number, 1, plan.command, plan.params)
            gate = f"{name}/dry01/a1"
            full = self._attempt(tx, number, plan, Kind.FULL, f"{name}/run01/a1", run=run, gate=gate)
            tx.phase(cycle, Phase.TRAINING)
            if is_open:
                return
            self._begin(tx, full)
            outcome = self._outcome(tx, full, plan)
            tx.outcome(full, outcome, objective=OBJECTIVE.identity)
        tx.phase(cycle, Phase.REFLECT)
        self._reflect(tx, cycle, name, plan, outcome, dry=fails)
        tx.phase(cycle, Phase.DONE)
        self.clock.at += 0.1

    def _plan(self, cycle: int) -> Plan:
        params: dict[str, str | int | float | bool] = {
            "--lr": float(f"{10 ** self._draw.uniform(-4, -1):.4g}"),
            "--width": round(2 ** self._draw.uniform(4, 10)),
            "--optimizer": self._draw.choice(["sgd", "adam"]),
        }
        if cycle == 1:
            params = {"--lr": 0.1, "--width": 16, "--optimizer": "sgd"}
        bar = "" if self._story.best is None else f"{self._story.best:.6g}"
        return Plan(
            Action.EXPERIMENT,
            title=", ".join(f"{key.lstrip('-')}={command.spell(value)}" for key, value in params.items()),
            hypothesis=f"This setting beats {bar}." if bar else "The command as it stands gives a first value.",
            success_criteria=f"val_accuracy > {bar}" if bar else "val_accuracy is reported",
            command=command.join(command.with_values(self._words, params)),
            params=params,
            base=self._story.leader,
            reason=f"a made experiment, the {cycle}th",
        )

    def _attempt(
        self,
        tx: Transaction,
        number: int,
        plan: Plan,
        kind: Kind,
        name: str,
        *,
        run: int | None = None,
        gate: str | None = None,
    ) -> int:
        env = {
            "PYTHONUNBUFFERED": "1",
            "AUTO_EXPERIMENT_RUN_DIR": self._paths.out(name),
            "MASTER_PORT": str(self._draw.randrange(32768, 60999)),
        }
        if kind is Kind.DRY:
            env |= {"AUTO_EXPERIMENT_DRY_RUN": "1", "WANDB_MODE": "disabled"}
        spec = Spec(
            attempt=name,
            argv=command.split(plan.command),
            cwd=self._paths.root,
            env=env,
            env_names=("BENCH_JITTER", "BENCH_LONG_FROM", "BENCH_PACE", "BENCH_SECONDS"),
            wall_limit_s=600.0 if kind is Kind.DRY else None,
            grace_s=5.0 if kind is Kind.DRY else GRACE_S,
        )
        return tx.attempt(
            spec,
            experiment=number,
            kind=kind,
            n=1,
            command=plan.command,
            params=plan.params,
            run=run,
            gate=gate,
            gpus=0,
        )

    def _begin(self, tx: Transaction, attempt: int) -> None:
        self.clock.at += 0.1
        pid = self._draw.randrange(1000, 4_000_000)
        tx.claimed(attempt, Claim(pid, pid * 7, "00000000-0000-4000-8000-000000000000", "made", self.clock.at))
        tx.began(attempt, pid + 1, self.clock.now())

    def _dry_outcome(self, *, fails: bool) -> Outcome:
        began = self.clock.at
        self.clock.at += DRY_S
        base = _outcome(began, self.clock.at, _series(0.3, 2), 2, _tail(0.3, 2), 0.15)
        if not fails:
            return replace(base, state=RunState.STOPPED, signal=15, reason="dry run: two steps seen")
        why = "RuntimeError: mat1 and mat2 shapes cannot be multiplied"
        return replace(
            base,
            state=RunState.FAILED,
            exit_code=1,
            fault=Fault.EXCEPTION,
            exception=why,
            reason=f"dry run failed: {why}",
            value=None,
        )

    def _outcome(self, tx: Transaction, attempt: int, plan: Plan) -> Outcome:
        settings = {key: command.spell(value) for key, value in plan.params.items()}
        reached = min(training.accuracy(settings) + self._draw.gauss(0, 0.003), 0.999)
        began = self.clock.at
        self.clock.at += self._draw.uniform(20, 40)
        done = EPOCHS if self._story.best is None else self._epochs()
        if self._points:
            tx.observed(attempt, self._metric_points(reached), {})
        value = round(reached * (1 - 0.9**done), 4)
        base = _outcome(began, self.clock.at, _series(reached, done), done, _tail(reached, done), value)
        if done == EPOCHS:
            return replace(base, state=RunState.FINISHED, exit_code=0)
        return replace(base, **self._fate)

    def _epochs(self) -> int:
        """How far a training comes; ``_fate`` says why when it is not the end."""
        lot = self._draw.random()
        for share, state, exit_code, number, fault, reason in FATES:
            if lot < share:
                exception = reason.partition(": ")[2] if fault is Fault.EXCEPTION else None
                self._fate = {
                    "state": state, "exit_code": exit_code, "signal": number, "fault": fault, "reason": reason,
                    "exception": exception,
                }  # fmt: skip
                return self._draw.randrange(2, EPOCHS)
            lot -= share
        return EPOCHS

    def _metric_points(self, reached: float) -> list[tuple[int, Point]]:
        found = []
        for seq in range(self._points):
            value = reached * (1 - 0.9 ** (seq + 1))
            metrics = (("train_loss", 1.2 - value), ("val_loss", 1.3 - value), ("val_accuracy", value))
            found += [(seq, Point(name, round(v, 4), epoch=seq + 1.0)) for name, v in metrics]
        return found

    def _reflect(self, tx: Transaction, cycle: int, name: str, plan: Plan, outcome: Outcome, *, dry: bool) -> None:
        improved = outcome.counts and not dry and OBJECTIVE.better(outcome.value, self._story.best)
        if improved:
            result, finding = Result.IMPROVED, Finding.SUPPORTED
        elif outcome.counts and not dry:
            result, finding = Result.NOT_IMPROVED, Finding.REFUTED
        elif outcome.state is RunState.STOPPED and outcome.fault is Fault.NONE:
            result, finding = Result.INCONCLUSIVE, Finding.INCONCLUSIVE
        else:
            result, finding = Result.FAILED, Finding.INCONCLUSIVE
        said = f"val_accuracy={outcome.value:.6g}" if outcome.counts and not dry else outcome.reason
        decision = f"{name} ({plan.title}): {said}; try another setting"
        tx.lesson(cycle, Lesson(result, Reflection(finding, decision, Next.ITERATE, "" if improved else None)))
        tx.note("decision", decision, author="planner", plan=cycle)
        if improved:
            self._story = Story(outcome.value, name)
            line = f"E{name[1:]}: {plan.title}, val_accuracy={outcome.value:g} (new best!)"
            tx.note("milestone", line, author="harness", plan=cycle)


def make(
    root: str, count: int, *, is_open: bool = False, points: int = 0, seed: int = 0, **project: float
) -> ProjectPaths:
    """The project with ``count`` experiments; ``project`` goes to ``projects.make_project``."""
    paths = projects.make_project(root, **project)  # type: ignore[arg-type]
    os.makedirs(os.path.dirname(paths.ledger), exist_ok=True)
    maker = Maker(paths, seed, points, time.time() - count * 35.0)
    lock = ProjectLock.take(paths.lock)
    writer = Writer.open_with(paths.ledger, lock)
    with maker.clock.installed():
        with writer.transaction() as tx:
            writer.session = tx.session("made", "00000000-0000-4000-8000-000000000000", 1, __version__)
        with writer.transaction() as tx:
            for kind in ("objective_stated", "objective"):
                tx.event(kind, **Standing(OBJECTIVE).document())
        for first in range(0, count, BATCH):
            with writer.transaction() as tx:
                for number in range(first, min(first + BATCH, count)):
                    maker.experiment(tx, is_open=is_open and number == count - 1)
        if not is_open:
            with writer.transaction() as tx:
                tx.end_session(writer.session or 0, f"{count} cycles done (--max-cycles)")
    writer.close()
    lock.release()
    return paths


def _outcome(
    began: float, ended: float, series: tuple[Series, ...], done: int, tail: tuple[str, ...], value: float
) -> Outcome:
    return Outcome(
        state=RunState.FINISHED,
        exit_code=None,
        signal=None,
        fault=Fault.NONE,
        exception=None,
        reason="",
        started_at=began,
        ended_at=ended,
        duration_s=round(ended - began, 6),
        value=value,
        value_note="",
        read_as="val_accuracy",
        series=series,
        progress=Progress(done, EPOCHS, "epoch"),
        tail=tail,
    )


def _series(reached: float, done: int) -> tuple[Series, ...]:
    last, first = reached * (1 - 0.9**done), reached * 0.1
    rows = (
        ("train_loss", 1.2 - last, 1.2 - first),
        ("val_loss", 1.3 - last, 1.3 - first),
        ("val_accuracy", last, first),
    )
    return tuple(_one_series(name, done, round(final, 4), round(start, 4)) for name, final, start in rows)


def _one_series(name: str, count: int, final: float, start: float) -> Series:
    highest, lowest = max(final, start), min(final, start)
    at = {final: float(count), start: 1.0}
    return Series(name, count, final, float(count), highest, at[highest], lowest, at[lowest])


def _tail(reached: float, done: int) -> tuple[str, ...]:
    values = ((epoch, reached * (1 - 0.9**epoch)) for epoch in range(1, done + 1))
    return tuple(
        f"epoch {epoch}/{EPOCHS} train_loss={1.2 - v:.4f} val_loss={1.3 - v:.4f} val_accuracy={v:.4f}"
        for epoch, v in values
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", help="a folder without a ledger")
    parser.add_argument("count", metavar="N", type=int, help="experiments")
    parser.add_argument("--open", action="store_true", dest="is_open", help="the last training is still to be started")
    parser.add_argument("--points", type=int, default=0, metavar="P", help="stored points of each metric of a training")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other experiments")
    args = parser.parse_args()
    paths = ProjectPaths.of(args.folder)
    if os.path.exists(paths.ledger):
        sys.exit(f"{paths.ledger} is there already: name another folder")
    began = time.monotonic()
    make(args.folder, args.count, is_open=args.is_open, points=args.points, seed=args.seed)
    size = os.path.getsize(paths.ledger) / 2**20
    print(f"{args.count} experiments, {size:.1f} MiB, in {time.monotonic() - began:.1f} s: {paths.ledger}")


if __name__ == "__main__":
    main()
