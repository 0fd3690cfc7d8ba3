"""What a model hands in: the two tools with their schemas, and their arguments -> records.

The shape is checked here, and texts are cut at their bounds, never refused for their length. Whether a plan fits the
campaign (is its command one, does its base exist, is it new) is for ``rules.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from auto_experiment.models.base import Tool
from auto_experiment.planners.words import block, flat
from auto_experiment.records.lesson import Finding, Next, Reflection
from auto_experiment.records.plan import Action, Plan, ProposedObjective, StopWhen

TITLE_MAX = 120  # characters; longer texts are cut there
SENTENCE_MAX = 600  # hypothesis, success criteria, reason
TASK_MAX = 6000
DECISION_MAX = 400  # as long as an entry of the memory
MILESTONE_MAX = 120  # as much as a key result takes
RULES_MAX = 10
_ERROR_MAX = 400
_ERRORS = 3  # of one call that are told

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_PLAN_FIELDS: dict[str, Any] = {
    "action": {"enum": ["experiment", "wait", "report"]},
    "title": {"type": "string", "description": "what is changed, in a few words"},
    "hypothesis": _TEXT,
    "success_criteria": _TEXT,
    "task": {"type": "string", "description": "what the code agent must change; empty when the command says it all"},
    "command": {"type": "string", "description": "the training command, one program, no shell syntax"},
    "base": {
        "type": "string",
        "description": "experiment whose code to start from; default: the best one's; current: the folder as it is",
    },
    "objective": {
        "type": "object",
        "description": "only when none is stated",
        "properties": {"metric": _TEXT, "direction": {"enum": ["max", "min"]}, "target": _NUMBER},
    },
    "stop_when": {
        "type": "array",
        "description": "ends a run early: a reported metric above or below a bound (one of the two), from step `after`",
        "items": {
            "type": "object",
            "properties": {"metric": _TEXT, "above": _NUMBER, "below": _NUMBER, "after": _NUMBER},
            "required": ["metric"],
        },
    },
    "reason": {"type": "string", "description": "why; needed for wait, report and a repeat"},
}
_PLAN_SCHEMA: dict[str, Any] = {"type": "object", "properties": _PLAN_FIELDS, "required": ["action"]}

PLAN_TOOL = Tool("submit_plan", "Hand in the next plan.", _PLAN_SCHEMA)


def reflection_tool(*, with_plan: bool) -> Tool:
    """``with_plan``: the next plan may come along, which saves a call."""
    fields: dict[str, Any] = {
        "finding": {"enum": [f.value for f in Finding]},
        "milestone": {
            "type": ["string", "null"],
            "description": "words for Key Results, only for what is worth keeping; number and marks are added",
        },
        "decision": {"type": "string", "description": "what was learned and what follows, one sentence"},
        "next": {"enum": [n.value for n in Next]},
    }
    if with_plan:
        fields["plan"] = {**_PLAN_SCHEMA, "description": "the next plan, unless next is report"}
    schema = {"type": "object", "properties": fields, "required": ["finding", "decision", "next"]}
    return Tool("submit_reflection", "Say what came of the experiment.", schema)


class Unusable(Exception):
    """A call that cannot be used, and why, in one line for the model. ``rest``: what of it could be used."""

    def __init__(self, why: str, rest: Reflection | None = None) -> None:
        super().__init__(why)
        self.rest = rest


# -- shapes -------------------------------------------------------------------------------------------------------


def _text(given: object) -> object:
    return "" if given is None else given


def _word(given: object) -> object:
    return given.strip().lower() if isinstance(given, str) else given


def _unwrapped(given: object) -> object:
    """Models put a nested object into a string now and then."""
    if isinstance(given, str) and given.strip()[:1] in ("{", "["):
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return given
    return None if given == "" else given


def _no_flag(given: object) -> object:
    """``true`` is no number, though Python takes it for 1."""
    return str(given) if isinstance(given, bool) else given


_Text = Annotated[str, BeforeValidator(_text)]
_Number = Annotated[float, BeforeValidator(_no_flag), Field(allow_inf_nan=False)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


_S = TypeVar("_S", bound=_Shape)


class _Rule(_Shape):
    metric: str = Field(min_length=1)
    above: _Number | None = None
    below: _Number | None = None
    after: _Number | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> _Rule:
        if (self.above is None) == (self.below is None):
            raise ValueError("give exactly one of above and below")
        return self


class _Objective(_Shape):
    metric: str = Field(min_length=1)
    direction: Annotated[Literal["max", "min"], BeforeValidator(_word)]
    target: _Number | None = None


class _Plan(_Shape):
    action: Annotated[Literal["experiment", "wait", "report"], BeforeValidator(_word)]
    title: _Text = ""
    hypothesis: _Text = ""
    success_criteria: _Text = ""
    task: _Text = ""
    command: _Text = ""
    base: _Text = ""
    objective: Any = None
    stop_when: Annotated[list[_Rule], BeforeValidator(lambda given: _unwrapped(given) or [])] = Field(
        default_factory=list, max_length=RULES_MAX
    )
    reason: _Text = ""


class _Reflection(_Shape):
    finding: Annotated[Literal["supported", "refuted", "inconclusive"], BeforeValidator(_word)]
    milestone: str | None = None
    decision: str
    next: Annotated[Literal["iterate", "pivot", "report"], BeforeValidator(_word)]
    plan: Any = None


# -- arguments -> records -----------------------------------------------------------------------------------------


def read_plan(arguments: object, *, objective_open: bool = False) -> Plan:
    """Raises Unusable. ``objective_open``: the plan's objective is going to be used; else it is ignored, whatever it
    is. Values of the command are not known here (``params``)."""
    given = _checked(_Plan, arguments)
    return Plan(
        action=Action(given.action),
        title=flat(given.title, TITLE_MAX),
        hypothesis=flat(given.hypothesis, SENTENCE_MAX),
        success_criteria=flat(given.success_criteria, SENTENCE_MAX),
        command=given.command.strip(),
        base=flat(given.base, TITLE_MAX) or None,
        stop_when=tuple(StopWhen(flat(r.metric, TITLE_MAX), r.above, r.below, r.after) for r in given.stop_when),
        reason=flat(given.reason, SENTENCE_MAX),
        task=block(given.task, TASK_MAX),
        objective=_proposed(_unwrapped(given.objective)) if objective_open else None,
    )


def _proposed(given: object) -> ProposedObjective | None:
    if given is None:
        return None
    read = _checked(_Objective, given, "objective")
    return ProposedObjective(flat(read.metric, TITLE_MAX), read.direction, read.target)


def read_reflection(arguments: object) -> tuple[Reflection, object]:
    """The reflection, and the arguments of the plan that it brings along, None without one. Raises Unusable."""
    given = _checked(_Reflection, arguments)
    decision = flat(given.decision, DECISION_MAX)
    if not decision:
        raise Unusable("decision: is empty; say in one sentence what was learned")
    milestone = flat(given.milestone or "", MILESTONE_MAX) or None
    return Reflection(Finding(given.finding), decision, Next(given.next), milestone), _unwrapped(given.plan)


def _checked(shape: type[_S], arguments: object, inside: str = "") -> _S:
    try:
        return shape.model_validate(arguments)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        told = [_told((inside, *e["loc"]), e["type"], e["msg"], e["input"], shape) for e in errors[:_ERRORS]]
        more = f" (and {len(errors) - _ERRORS} more)" if len(errors) > _ERRORS else ""
        raise Unusable(flat("; ".join(told) + more, _ERROR_MAX)) from None


def _told(place: Sequence[int | str], kind: str, message: str, given: object, shape: type[BaseModel]) -> str:
    """One error in a few words: where, what was expected, what was given."""
    where = flat(".".join(str(part) for part in place if part != ""), 60) or "the arguments"
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "extra_forbidden":
        known = f", there are {', '.join(shape.model_fields)}" if len(place) == 2 else ""
        return f"{where}: there is no such field{known}"
    message = message.removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}{_given(given)}"


def _given(value: object) -> str:
    """Never the inside of a container: it may be as deep as the model likes."""
    if isinstance(value, str):
        return f" (given {flat(value, 60)!r})"
    if isinstance(value, int | float):
        return f" (given {value:.6g})" if abs(value) < 1e300 else ""
    return f" (given {'null' if value is None else type(value).__name__})"
