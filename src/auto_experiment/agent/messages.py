"""What the code agent is told in words: the system prompt, which is the same for every dispatch, and the messages.

Every part has a bound, so that no message grows with the age of a project. Texts that others wrote are framed as data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from auto_experiment.agent.base import DispatchView, OpenCall
from auto_experiment.agent.showing import framed, within
from auto_experiment.models.base import Message, ToolCall, ToolResult
from auto_experiment.watch.log_tail import clean, printable

BRIEF_MAX = 4_000  # characters; the brief is bounded where it is read, this is the last resort
TASK_MAX = 6_000
FAILED_MAX = 6_000
LINE_MAX = 240
LINES_MAX = 60

NOW_LAUNCH = "launch_experiment ends your work: call it, or go on. If the task cannot be done, say why in one sentence."
SMALLER = (
    "Your last reply was cut off at its output limit and nothing of it was carried out. Take smaller steps: one call "
    "in a reply, write_file with edits instead of a whole file, a long file in parts."
)
REPEATED = "You have done this {times} times with the same result. Do something else, or launch."
MUCH_SENT = "Little is left of what this work may cost: read nothing large any more, finish the change and launch."
TURNS_LEFT = "{turns} turns are left. Finish the change and launch."


@cache
def system_prompt() -> str:
    return resources.files("auto_experiment").joinpath("prompts/code_agent.md").read_text(encoding="utf-8")


# -- the first message ------------------------------------------------------------------------------------------------


def first_message(view: DispatchView) -> str:
    """What changes seldom comes first, so that a provider's cache can hold the most of it."""
    plan = view.plan
    parts = [
        _part("Brief", within(printable(view.brief).strip(), BRIEF_MAX)),
        _part("Frozen files", ", ".join(clean(glob, 100) for glob in view.frozen[:LINES_MAX])),
        _part("Note on the code, from earlier work", clean(" ".join(view.note.split()), 1_000)),
        f"# Experiment {view.experiment}, dispatch {view.dispatch} of {view.dispatches}",
        _fact("Title", plan.title),
        _fact("Hypothesis", plan.hypothesis),
        _fact("Success", plan.success_criteria),
        _fact("Training command", view.command or plan.command or "not known; find it out", 2_000),
        _part(
            "Task", within(printable(plan.task).strip(), TASK_MAX) or "The code stays as it is. Get the command to run."
        ),
        _part("What your predecessor did", _listed(view.last_calls)),
        _part("Why it has not come to a training yet", _data(view.failed, FAILED_MAX)),
        _part("Outcome unknown: inspect first", _listed(map(_open_call, view.unknown))),
    ]
    return "\n".join(part for part in parts if part)


def _part(title: str, text: str) -> str:
    return f"# {title}\n{text}\n" if text else ""


def _fact(name: str, text: str, most: int = 600) -> str:
    text = clean(" ".join(text.split()), most)
    return f"{name}: {text}" if text else ""


def _data(text: str, most: int) -> str:
    """The end of it is what counts."""
    text = within(printable(text).strip(), most)
    return framed(text) if text else ""


def _listed(lines: Iterable[str]) -> str:
    """Framed: the words of calls and results come from files and programs too."""
    last = list(lines)[-LINES_MAX:]
    return framed("\n".join(f"- {clean(line, LINE_MAX)}" for line in last)) if last else ""


def _open_call(call: OpenCall) -> str:
    return f"{call.name} {' '.join(call.arguments.split())}"


# -- a talk that begins anew ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """A call and what came of it. ``said``: the words that the model put before it."""

    call: ToolCall
    result: ToolResult
    said: str = ""


def done_line(call: ToolCall, result: ToolResult) -> str:
    """A call in a line: what was asked for, and the first line of what came of it."""
    given = call.arguments.get("path") or call.arguments.get("command") or ""
    what = clean(" ".join(str(given)[:400].split()), 100)
    first = clean(result.text.partition("\n")[0], 120)
    return f"{call.name} {first}" if what and first.startswith(what) else f"{call.name} {what}: {first}"


def retold(view: DispatchView, done: Sequence[Done], full: int) -> str:
    """The first message of a talk that takes the place of one that had become too long: what was done in a line each,
    the last ``full`` results as they were."""
    older, newer = done[: len(done) - full], done[len(done) - full :]
    lines = [line for one in older for line in _told(one)]
    return first_message(view) + "\n".join([
        _part("What you have done so far (results left out; read again what you still need)", _listed(lines)),
        *(f"# {one.call.name}: its result\n{one.result.text}\n" for one in newer),
    ])  # fmt: skip


def _told(one: Done) -> list[str]:
    said = [f"you: {' '.join(one.said.split())}"] if one.said.strip() else []
    return [*said, done_line(one.call, one.result)]


def last_within(done: Sequence[Done], chars: int, least: int = 0) -> int:
    """How many of the last results fit in ``chars`` together; ``least`` of them whatever they need."""
    used = count = 0
    for one in reversed(done):
        used += len(one.result.text)
        if used > chars and count >= least:
            break
        count += 1
    return count


# -- remarks ----------------------------------------------------------------------------------------------------------


def with_remark(message: Message, remark: str) -> Message:
    """The harness's own word, behind what is said; results keep their number."""
    if not remark:
        return message
    if isinstance(message, str):
        return f"{message}\n\n{remark}" if message else remark
    *others, last = message
    return (*others, dataclasses.replace(last, text=f"{last.text}\n\n{remark}"))


def chars_of(message: Message) -> int:
    return len(message) if isinstance(message, str) else sum(len(result.text) for result in message)
