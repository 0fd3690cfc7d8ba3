"""Does a plan fit the campaign? Its command is one, its base exists and was not given up, it says what it needs to say,
and it does not ask for a result that is there already. What it says is not judged."""

from __future__ import annotations

import re
from collections.abc import Collection, MutableMapping
from dataclasses import replace

from auto_experiment import command
from auto_experiment.errors import CommandError
from auto_experiment.planners.base import PlanView
from auto_experiment.planners.submissions import Unusable
from auto_experiment.planners.words import flat
from auto_experiment.records.plan import Action, Plan, fingerprint

CURRENT = "current"
_ANSWER_MAX = 200
_SHOWN = 120
COMMAND_MAX = 20_000  # characters; a longer one is refused: a command that is cut is another command
_EXPERIMENT = re.compile(r"exp0*(\d{1,9})", re.IGNORECASE)
_ASKS_FOR_A_REPEAT = re.compile(
    r"\b(?:repeat\w*|again|re-?run\w*|replicat\w*|reproduc\w*|seeds?|noise|varian\w+|confirm\w*|once more)\b", re.I
)


def fitting(plan: Plan, view: PlanView, given_up: Collection[str], told: MutableMapping[str, str]) -> Plan:
    """The plan as it is stored. Raises Unusable with the reason. ``told``: the repeats that this talk has been told of,
    fingerprint -> the reason that the plan gave."""
    plan = replace(plan, answer=_answer(plan) if view.directive is not None else "")
    if plan.action is not Action.EXPERIMENT:
        if not plan.reason:
            raise Unusable(f"reason: is empty; say why to {plan.action.value}")
        return Plan(plan.action, reason=plan.reason, answer=plan.answer)
    _says_enough(plan, view)
    plan = _with_command(_with_base(plan, view, given_up), view)
    _is_new(plan, view, told)
    return plan


def _answer(plan: Plan) -> str:
    """To the human's directive, one line."""
    return flat(plan.reason or plan.title, _ANSWER_MAX)


def _says_enough(plan: Plan, view: PlanView) -> None:
    missing = [name for name in ("title", "hypothesis", "success_criteria") if not getattr(plan, name)]
    if missing:
        raise Unusable(f"{', '.join(missing)}: missing, an experiment needs a title, a hypothesis and success_criteria")
    if plan.task and not view.agent:
        raise Unusable("task: there is no code agent here; leave it empty and say all in the command")
    if not plan.task and not plan.command:
        raise Unusable("task, command: both are empty; give the training command, or what the code agent must change")
    if view.objective_open and plan.objective is None:
        raise Unusable("objective: nobody has stated one; propose metric and direction (and a target if there is one)")


def _with_base(plan: Plan, view: PlanView, given_up: Collection[str]) -> Plan:
    base = _resolved(plan.base, view)
    stands_on = view.code if base == CURRENT else base
    if stands_on in given_up:
        at = "the folder holds the code of" if base == CURRENT else "it builds on"
        raise Unusable(
            f"base: after a pivot {at} {stands_on}, which belongs to the line just given up "
            f"({_listed(given_up)}); leave base out for the best code, or name an older experiment"
        )
    return replace(plan, base=base)


def _resolved(base: str | None, view: PlanView) -> str | None:
    """None for the best one's, ``current``, or an experiment's name in our spelling."""
    word = (base or "").strip().lower()
    if word in ("", "best", "null", "none"):
        return None
    if word == CURRENT:
        return CURRENT
    found = _EXPERIMENT.fullmatch(word)
    if found is None or not 0 < int(found[1]) < view.number:
        last = f"exp001 to exp{view.number - 1:03d}" if view.number > 1 else "none yet"
        raise Unusable(f"base: there is no experiment {flat(word, _SHOWN)!r}; there are {last}, or `current`")
    return f"exp{int(found[1]):03d}"


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:6]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _with_command(plan: Plan, view: PlanView) -> Plan:
    if not plan.command:
        return plan
    if len(plan.command) > COMMAND_MAX:
        raise Unusable(f"command: {len(plan.command):,} characters, at most {COMMAND_MAX:,}; put settings into a file")
    text = plan.command.replace("\\\n", " ")  # a line that goes on: a shell would take it so
    if not all(c.isprintable() or c in "\n\t" for c in text):
        raise Unusable("command: it holds control or invisible characters; write it in plain text")
    try:
        words = command.split(text)
        command.program(words)
    except CommandError as error:
        said = str(error).rpartition(repr(text))[2].strip(" :")
        raise Unusable(f"command {flat(text, _SHOWN)!r}: {flat(said, 200)}") from None
    return replace(plan, command=command.join(words), params=command.params_in(words, view.space))


def asks_for_a_repeat(plan: Plan, directive: str) -> bool:
    """Does the plan's reason, or the human's directive, say that a result is wanted once more?"""
    return bool(_ASKS_FOR_A_REPEAT.search(f"{directive}\n{plan.reason}"))


def _is_new(plan: Plan, view: PlanView, told: MutableMapping[str, str]) -> None:
    """The same command on the same code is answered with its result, once; a good reason repeats it."""
    key = _fingerprint(plan, view)
    old = view.finished.get(key, "") if key else ""
    if not old or asks_for_a_repeat(plan, view.directive or ""):
        return
    if key in told and plan.reason and plan.reason != told[key]:
        return
    told[key] = plan.reason
    raise Unusable(
        f"this is {flat(old, _SHOWN)} again, the same command on the same code; change something, "
        "or say in `reason` why it should be repeated"
    )


def _fingerprint(plan: Plan, view: PlanView) -> str:
    """ "" when it cannot be known before the code agent has been at it, or for code that is not recorded."""
    if plan.task or not plan.command:
        return ""
    if not view.code_of:
        return fingerprint(plan.command)
    base = plan.base or view.base or (view.best.experiment if view.best else CURRENT)
    code = view.code_of.get(base) or (view.code_of.get(view.code) if base == CURRENT else None)
    return fingerprint(plan.command, code) if code else ""
