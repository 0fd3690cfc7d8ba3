"""Views -> the texts that a model is shown. Each part has a bound, so a prompt is as long after ten thousand cycles as
after twenty; from what stays to what changes, so that a provider's cache can hold the beginning. Decides nothing.

What was printed by programs or noted earlier stands between tags, as data, and cannot close them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auto_experiment.clock import human
from auto_experiment.command import join, split
from auto_experiment.errors import CommandError
from auto_experiment.objective import Objective
from auto_experiment.planners.base import Left, PlanView, ReflectView, Repeats, Row
from auto_experiment.planners.words import block, flat, number, signed
from auto_experiment.records.lesson import Result
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Plan
from auto_experiment.watch.log_tail import clean

_BRIEF_MAX = 20_000  # a guard: the config's own cap is far below
_MEMORY_MAX = 20_000
_DIRECTIVE_MAX = 2000
_EARLIER, _EARLIER_MAX = 4, 200  # earlier directives
_NOTE_MAX = 600
_FILES_MAX = 900
_CHANGE_MAX = 1200
_COMMAND_MAX = 600
_SPACE_LINES, _SPACE_MAX = 24, 80
_TITLE_MAX, _DIFFERENCE_MAX, _HOW_MAX = 60, 120, 80  # of a row
_TAKEN_APART = 20_000  # characters: a longer command is shown from its beginning
_SENTENCE_MAX = 300
_METRICS, _METRIC_MAX = 15, 40
_GIVEN_UP = 12  # experiments that are named
_REPEATED, _REPEATED_MAX = 3, 160
_LINE_CHARS = 300  # of a log
_TAG = re.compile(
    r"<(?=\s*/?\s*(?:brief|directive|earlier_directives|memory|experiments|plan|outcome|change|note|log|files)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Size:
    """What gives way when a model finds the prompt too long."""

    rows: int
    lines: int  # of the log's tail


FULL, SHORT = Size(rows=20, lines=50), Size(rows=9, lines=25)


def plan_text(view: PlanView, size: Size = FULL) -> str:
    parts = [
        *_lasting(view),
        *_so_far(view, size),
        _left(view.left),
        _previous(view),
        _given_up(view.given_up),
        _repeated(view.repeated),
        _directive(view.directive),
        f"Plan experiment exp{view.number:03d}: call submit_plan.",
    ]
    return "\n\n".join(filter(None, parts))


def reflect_text(view: ReflectView, outcome: Outcome, size: Size = FULL, *, with_plan: bool) -> str:
    ahead = view.ahead
    known = [*_lasting(ahead), *_so_far(ahead, size, but=view.experiment)] if ahead else [_objective(view.objective)]
    parts = [
        *known,
        "" if ahead else _tagged("memory", block(view.memory, _MEMORY_MAX)),
        _experiment(view),
        _outcome(outcome, view.objective),
        _tagged("change", block(view.change, _CHANGE_MAX)),
        _log(outcome.tail, size),
        _comparison(view, outcome),
        _given_up(view.line, "A pivot now would give up"),
        _memory_limits(view),
        *([_left(ahead.left), _repeated(ahead.repeated), _directive(ahead.directive)] if ahead and with_plan else []),
        f"Reflect on {view.experiment}: call submit_reflection" + (", with the next plan in it." if with_plan else "."),
    ]
    return "\n\n".join(filter(None, parts))


# -- what lasts ---------------------------------------------------------------------------------------------------


def _lasting(view: PlanView) -> list[str]:
    agent = (
        "A code agent carries out what `task` says; without a task the command runs as it stands."
        if view.agent
        else "There is no code agent: leave `task` empty, the command has to say all."
    )
    earlier = [flat(text, _EARLIER_MAX) for text in view.directives[-_EARLIER:]]
    return [
        _tagged("brief", block(view.brief, _BRIEF_MAX)),
        _objective(view.objective, is_open=view.objective_open),
        f"Training command: {flat(join(view.command), _COMMAND_MAX)}\n{agent}" if view.command else agent,
        _space(view),
        _tagged("earlier_directives", "\n".join(f"- {text}" for text in earlier)),
    ]


def _objective(objective: Objective, *, is_open: bool = False) -> str:
    if is_open:
        return "Objective: nobody has stated one. Propose it in `objective`: metric, direction, target if there is one."
    return f"Objective: {flat(str(objective), _SENTENCE_MAX)}; that is the value that counts."


def _space(view: PlanView) -> str:
    if not view.space:
        return ""
    lines = [flat(str(parameter), _SPACE_MAX) for parameter in view.space[:_SPACE_LINES]]
    return "Search space, as a hint: " + "; ".join(lines)


# -- so far -------------------------------------------------------------------------------------------------------


def _so_far(view: PlanView, size: Size, but: str = "") -> list[str]:
    """``but``: an experiment that is shown in full elsewhere."""
    return [
        _tagged("files", block(view.files, _FILES_MAX)),
        _tagged("note", block(view.note, _NOTE_MAX)),
        _tagged("memory", block(view.memory, _MEMORY_MAX)),
        _table(view, size, but),
        _best(view),
    ]


def _table(view: PlanView, size: Size, but: str) -> str:
    shown, older = view.rows[-size.rows :], view.rows[: -size.rows]
    best = [row for row in older if view.best and row.experiment == view.best.experiment]
    shown = (*best, *shown[len(best) :])
    lines = [_row(row, view) for row in shown if row.experiment != but]
    if not lines:
        return ""
    head = "id <base | title | difference to the training command | value, * the best until then | time"
    return _tagged("experiments", "\n".join([head, *lines])) + _noise(view.repeats)


def _row(row: Row, view: PlanView) -> str:
    base = f" <{flat(row.base, 12)}" if row.base else ""
    title, difference = flat(row.title, _TITLE_MAX), flat(_difference(row.command, view.command), _DIFFERENCE_MAX)
    titles = [] if _letters(title) == _letters(difference) else [title.replace("|", "/")]
    cells = [row.experiment + base, *titles, difference, _result(row, view.objective), human(row.duration_s)]
    return " | ".join(cells)


def _result(row: Row, objective: Objective) -> str:
    if not row.counts or row.value is None:
        how = flat(row.how, _HOW_MAX)
        said = how if how.startswith(f"{row.result}:") else f"{row.result or 'open'}: {how}"
        return said if row.value is None else f"{said} ({number(row.value)} does not count)"
    other, word = (row.final, "final") if objective.select == "best" else (row.best, "best")
    beside = "" if other is None or other == row.value else f" ({word} {number(other)})"
    return f"{number(row.value)}{'*' if row.result == Result.IMPROVED.value else ''}{beside}"


def _letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _difference(text: str, known: Sequence[str]) -> str:
    """What a command has that the training command has not; the whole of another command."""
    if len(text) > _TAKEN_APART:
        return text
    try:
        words = split(text)
    except CommandError:
        return text
    if not known or words[:2] != tuple(known[:2]):
        return text
    before, after = _units(known), _units(words)
    new = [unit for unit in after if unit not in before]
    names = {unit[0].partition("=")[0] for unit in after}
    gone = [unit[0] for unit in before if unit not in after and unit[0].partition("=")[0] not in names]
    return " ".join([*(join(unit) for unit in new), *(f"without {name}" for name in gone)]) or "as it stands"


def _units(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Flags with the values behind them; other words alone."""
    units: list[tuple[str, ...]] = []
    for word in words:
        if units and units[-1][0].startswith("-") and not _is_name(word):
            units[-1] = (*units[-1], word)
        else:
            units.append((word,))
    return units


def _is_name(word: str) -> bool:
    """A flag or name=value; a negative number is neither."""
    return "=" in word or (word.startswith("-") and not word[1:2].isdigit() and word[1:2] != ".")


def _noise(repeats: Iterable[Repeats]) -> str:
    lines = [
        f"The same setting {r.runs} times ({', '.join(r.experiments)}): {number(r.low)} to {number(r.high)}, "
        f"{number(r.high - r.low)} apart: that is noise."
        for r in repeats
    ]
    return "".join(f"\n{line}" for line in lines)


def _best(view: PlanView) -> str:
    bar = "" if view.bar is None else f" The brief's Current Best is {number(view.bar)}."
    best = f"Best so far: {view.best.experiment}, {number(view.best.value)}." if view.best else "No best value yet."
    more = "".join(
        f", {flat(text, _TITLE_MAX)}" for text in (view.edited, view.remains and f"with {view.remains}") if text
    )
    code = f" The folder holds the code of {flat(view.code, _TITLE_MAX)}{more}." if view.code else ""
    return f"{best}{bar}{code}"


# -- where it stands ----------------------------------------------------------------------------------------------


def _left(left: Left) -> str:
    amounts = [
        (left.cycles, "{:.0f} cycles (this one included)"),
        (left.experiments, "{:.0f} experiments"),
        (left.usd, "${:.2f}"),
        (left.gpu_hours, "{:.2f} GPU hours"),
        (left.wall_hours, "{:.2f} hours"),
    ]
    parts = [form.format(max(amount, 0)) for amount, form in amounts if amount is not None]
    used = f"Used: {left.used_wall_hours:.2f} hours, {left.used_gpu_hours:.2f} GPU hours, ${left.used_usd:.2f}."
    return f"Left: {', '.join(parts) or 'no limit'}. {used}"


def _previous(view: PlanView) -> str:
    last = view.previous
    if last is None:
        return ""
    lines = [f"The cycle before: {flat(last.what, _SENTENCE_MAX)}: {last.result}"]
    lines += [f"{name}: {flat(text, _SENTENCE_MAX)}" for name, text in
              (("how it ended", last.reason), ("decision", last.decision)) if text]  # fmt: skip
    return _tagged("outcome", "\n".join(lines))


def _given_up(line: Sequence[str], words: str = "After the pivot no plan may build on") -> str:
    if not line:
        return ""
    more = f" and {len(line) - _GIVEN_UP} older ones" if len(line) > _GIVEN_UP else ""
    return f"{words} the line {', '.join(line[:_GIVEN_UP])}{more}."


def _repeated(lines: Sequence[str]) -> str:
    told = [f"- {flat(line, _REPEATED_MAX)}" for line in lines[-_REPEATED:]]
    return "\n".join(["Plans that were answered with an old result:", *told]) if told else ""


def _directive(text: str | None) -> str:
    return _tagged("directive", block(text or "", _DIRECTIVE_MAX))


# -- what an experiment came to -----------------------------------------------------------------------------------


def _experiment(view: ReflectView) -> str:
    plan: Plan = view.plan
    known = view.ahead.command if view.ahead else ()
    rows = [
        ("hypothesis", plan.hypothesis, _SENTENCE_MAX),
        ("success criteria", plan.success_criteria, _SENTENCE_MAX),
        ("task", plan.task, _SENTENCE_MAX),
        ("command, difference to the training command", _difference(plan.command, known), _COMMAND_MAX),
        ("base", plan.base or "", _TITLE_MAX),
    ]
    lines = [f"{view.experiment}: {flat(plan.title, _SENTENCE_MAX)}"]
    return _tagged("plan", "\n".join([*lines, *(f"{name}: {flat(text, limit)}" for name, text, limit in rows if text)]))


def _outcome(outcome: Outcome, objective: Objective) -> str:
    how = [outcome.state.value]
    how += [f"exit status {outcome.exit_code}"] if outcome.exit_code is not None else []
    how += [f"signal {outcome.signal}"] if outcome.signal is not None else []
    how += [f"after {human(outcome.duration_s)}"] if outcome.duration_s is not None else []
    rows = [
        ("ended", ", ".join(how)),
        ("fault", "" if outcome.fault.value == "none" else outcome.fault.value),
        ("reason", flat(outcome.reason, _SENTENCE_MAX)),
        ("exception", flat(outcome.exception or "", _SENTENCE_MAX)),
        (flat(objective.metric, _TITLE_MAX), _values(outcome, objective)),
        ("note", flat("; ".join(filter(None, (outcome.value_note, *outcome.notes))), _SENTENCE_MAX)),
        ("progress", _progress(outcome)),
        ("last values of other metrics", _others(outcome)),
    ]
    return _tagged("outcome", "\n".join(f"{name}: {text}" for name, text in rows if text))


def _values(outcome: Outcome, objective: Objective) -> str:
    stands = "counts" if outcome.counts else "does not count"
    value = f"{number(outcome.value)} ({stands})" if outcome.value is not None else "no value"
    found = [s for s in outcome.series if s.name == outcome.read_as]
    for series in found:
        best, step = (
            (series.highest, series.highest_step)
            if objective.direction == "max"
            else (series.lowest, series.lowest_step)
        )
        at = "" if step is None else f" at {step:g}"
        value += f"; best {number(best)}{at}, final {number(series.final)}, {series.count} values"
        value += f", {series.bad} of them not finite" if series.bad else ""
    return value


def _progress(outcome: Outcome) -> str:
    progress = outcome.progress
    if progress is None:
        return ""
    total = "" if progress.total is None else f" of {progress.total:g}"
    return f"{progress.unit} {progress.done:g}{total}"


def _others(outcome: Outcome) -> str:
    others = [s for s in outcome.series if s.name != outcome.read_as]
    shown = [f"{flat(s.name, _METRIC_MAX)} {s.final:.4g}" for s in others[:_METRICS]]
    more = [f"and {len(others) - _METRICS} more"] if len(others) > _METRICS else []
    return ", ".join(shown + more)


def _log(tail: Sequence[str], size: Size) -> str:
    shown = tail[-size.lines :]
    lines = [f"| {line}" for line in (clean(raw[: 64 * _LINE_CHARS], _LINE_CHARS) for raw in shown) if line]
    return _tagged("log", "\n".join(lines))


def _comparison(view: ReflectView, outcome: Outcome) -> str:
    """By the harness, in numbers."""
    said = f"The harness's verdict: {view.result.value}."
    bar = view.objective.best([view.best.value if view.best else None, view.bar])
    if bar is None or outcome.value is None or not math.isfinite(outcome.value):
        return said
    whose = view.best.experiment if view.best and view.best.value == bar else "the brief's Current Best"
    word = "better" if view.objective.better(outcome.value, bar) else "not better"
    stands = "" if outcome.counts else ", and it does not count"
    by = f"{signed(outcome.value - bar)}, {word}{stands}"
    return f"{said} {number(outcome.value)} against the best before, {number(bar)} ({whose}): {by}."


def _memory_limits(view: ReflectView) -> str:
    limits = view.limits
    return (
        f"Memory holds {limits.log} characters, {limits.milestones} of them key results, and the last "
        f"{limits.decisions} decisions: one line of at most 400 characters for a decision, 120 for a milestone."
    )


def _tagged(tag: str, text: str) -> str:
    """Nothing for no text. Tags of ours in the text are broken: what is data cannot pass for anything else."""
    return f"<{tag}>\n{_TAG.sub('< ', text)}\n</{tag}>" if text.strip() else ""
