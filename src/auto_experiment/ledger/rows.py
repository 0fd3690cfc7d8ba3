"""What the ledger's queries return: one frozen row per table that is read. JSON columns come parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from auto_experiment.records.observation import Fault
from auto_experiment.records.run import Kind, RunState


class Phase(str, Enum):
    """Where a cycle stands. Each has one transaction on entry (docs/architecture.md)."""

    THINK = "think"
    EXECUTE = "execute"
    DRY_RUN = "dry_run"
    TRAINING = "training"
    REFLECT = "reflect"
    DONE = "done"


@dataclass(frozen=True)
class CycleRow:
    id: int
    session: int
    phase: Phase
    recoveries: int
    parked: str | None  # until when, ISO 8601
    started_at: str
    ended_at: str | None
    parked_why: str | None = None
    dispatches: int = 0  # of the code agent, those that came to an end of their own


@dataclass(frozen=True)
class ExperimentRow:
    id: int
    cycle: int
    title: str
    hypothesis: str
    success_criteria: str
    base: str | None
    fingerprint: str

    @property
    def name(self) -> str:
        return experiment_name(self.id)


@dataclass(frozen=True)
class AttemptRow:
    id: int
    name: str
    experiment: int
    run: int | None
    kind: Kind
    n: int
    command: str
    params: Mapping[str, Any]
    gate: str | None
    passed: bool | None
    tree: str | None  # the recorded code that it was started from (docs/code.md)
    spec: Mapping[str, Any]
    intent_at: str
    claim: Mapping[str, Any] | None
    state: RunState
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    signal: int | None
    fault: Fault
    exception: str | None
    reason: str
    objective: str | None
    value: float | None
    counts: bool
    summary: Mapping[str, Any]
    gpus: int
    pid: int | None  # the training's own

    @property
    def run_name(self) -> str:
        """ "exp003/run01": the attempt's name without its last part."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class LaunchRow:
    """A launch as it was asked for, with the code that it is about: ``tree`` and ``code`` are None where none was
    recorded. ``dry_run_command``: "" for the command itself."""

    command: str
    dry_run_command: str
    params: Mapping[str, Any]
    tree: str | None
    code: str | None
    name: str
    note: str
    experiment: str = ""


@dataclass(frozen=True)
class ToolCallRow:
    """``result`` None: its intent was stored, and what became of it is not known."""

    id: int
    dispatch: int
    name: str
    args: str
    result: str | None


@dataclass(frozen=True)
class CodeRow:
    """What is known of an experiment's code. ``start``: the tree that it started from; ``tree``: the one that its
    newest attempt ran; ``skipped``: what was not recorded; ``saved``: the tree that lay in the folder before, and
    ``lay``: what of it was in no experiment, in words. None where nothing was."""

    start: str | None
    tree: str | None
    skipped: tuple[str, ...] = ()
    saved: str | None = None
    lay: str = ""


@dataclass(frozen=True)
class LessonRow:
    cycle: int
    result: str
    finding: str
    milestone: str | None
    decision: str
    next: str


@dataclass(frozen=True)
class NoteRow:
    id: int
    at: str
    kind: str
    text: str
    author: str
    state: str
    plan: int | None


@dataclass(frozen=True)
class EventRow:
    id: int
    at: str
    session: int | None
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class SessionRow:
    id: int
    host: str
    boot_id: str
    pid: int
    started_at: str
    ended_at: str | None
    reason: str | None
    version: str = ""  # of this program


def experiment_name(number: int) -> str:
    """1 -> "exp001"."""
    return f"exp{number:03d}"
