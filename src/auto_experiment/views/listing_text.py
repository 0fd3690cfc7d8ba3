"""``list`` for a terminal: a line per experiment, the newest one last."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from auto_experiment import clock
from auto_experiment.clock import human
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views.listing import counts
from auto_experiment.views.standing import Standing
from auto_experiment.views.terminal import Screen, cells, counted, decimals, difference, fixed, stamp, table

Row = Mapping[str, Any]
_LONGEST_METRIC, _LONGEST_OUTCOME = 14, 30  # columns
_NARROW_METRIC, _NARROW_OUTCOME = 12, 21  # where there is no room for more
_LEAST_TITLE = 8
_WIDE = 110  # columns from which on there is room for what is nice to have
_MARKS = {"improved": "+", "failed": "x"}
_STYLES = {"improved": "good", "failed": "bad", "inconclusive": "warn"}
_WORDS = {result.value: result.value.replace("_", " ") for result in Result}


def chosen(
    rows: Sequence[dict[str, Any]], now: Standing | None, *, last: int | None, by_value: bool, failed: bool
) -> list[dict[str, Any]]:
    """The failed ones, of them the newest ``last``; then by value, the best one first and those without one that counts
    behind."""
    found = [row for row in rows if not failed or row["result"] == Result.FAILED.value]
    found = found[len(found) - min(last, len(found)) :] if last is not None else found
    if not by_value or now is None:
        return found
    sign = -1.0 if now.objective.direction == "max" else 1.0
    valued = [row for row in found if counts(row) and row["value"] is not None]
    return sorted(valued, key=lambda row: sign * row["value"]) + [row for row in found if row not in valued]


def bests_before(rows: Sequence[Row], now: Standing | None) -> dict[str, float]:
    """Experiment -> the best value that counted before it, the brief's Current Best included."""
    if now is None:
        return {}
    best, found = now.bar, {}
    for row in rows:
        if best is not None:
            found[row["id"]] = best
        value = row["value"] if counts(row) else None
        if value is not None and (best is None or now.objective.better(value, best)):
            best = value
    return found


def as_text(
    rows: Sequence[Row],
    now: Standing | None,
    unfinished: str = "",
    *,
    of_all: Sequence[Row] | None = None,
    best: str | None = None,
    screen: Screen | None = None,
) -> str:
    """``of_all``: every experiment, where ``rows`` are chosen ones. ``best``: the one that leads. ``unfinished``:
    what the function of this name says of the newest one."""
    all_rows, screen = rows if of_all is None else of_all, screen or Screen(now=time.time())
    if not rows:
        return f"none of {counted(len(all_rows), 'experiment')}" if all_rows else "no experiments yet"
    before = bests_before(all_rows, now)
    places = decimals(row["value"] for row in rows if row["value"] is not None)
    wide = screen.width is None or screen.width >= _WIDE
    longest = _LONGEST_OUTCOME if wide else _NARROW_OUTCOME
    metric = screen.cut(now.objective.metric if now else "value", _LONGEST_METRIC if wide else _NARROW_METRIC)
    heads = ["", "id", "outcome", metric, "vs best", "took", "ended", "", "title"]
    body = [heads]
    for row in rows:
        value, last = row["value"], row["runs"][-1] if row["runs"] else None
        body.append(
            [
                _mark(row, best, unfinished),
                row["id"],
                screen.cut(outcome(row, unfinished), longest),
                _value(row, places),
                difference(value, before[row["id"]], places) if counts(row) and row["id"] in before else "",
                _took(row),
                "" if last is None or not last["ended_at"] else stamp(last["ended_at"], screen.now),
                screen.ago(last["ended_at"]) if last else "",
                row["title"],
            ]
        )
    if not wide:
        body = [[*cols[:5], *cols[7:]] for cols in body]
        body[0][5] = "ended"
    lines = [
        _line(padded, row, screen) for padded, row in zip(table(body, right=_right(wide)), [None, *rows], strict=True)
    ]
    return "\n".join([*lines, *_footer(rows, all_rows, best, unfinished, screen)])


def _right(wide: bool) -> tuple[int, ...]:
    return (3, 4, 5, 7) if wide else (3, 4, 5)


def _line(padded: list[str], row: Row | None, screen: Screen) -> str:
    *front, title = padded
    head = "  ".join([f"{front[0]} {front[1]}", *front[2:]])
    title = title if screen.width is None else screen.cut(title, max(screen.width - cells(head) - 2, _LEAST_TITLE))
    if row is None:
        return screen.paint("bold", f"{head}  {title}")
    style = _STYLES.get(row["result"] or "")
    if style:
        head = head.replace(front[2], screen.paint(style, front[2]), 1)
    return f"{head}  {screen.cut(title, 0)}".rstrip()


def _mark(row: Row, best: str | None, unfinished: str) -> str:
    if row["id"] == best:
        return "*"
    running = (
        row["result"] is None and not unfinished and row["runs"] and not RunState(row["runs"][-1]["state"]).is_final
    )
    return ">" if running else _MARKS.get(row["result"] or "", " ")


def _value(row: Row, places: int | None) -> str:
    """In parentheses when it does not count; a NaN by its name."""
    if row["value"] is None:
        return "nan" if any(run["fault"] == Fault.NAN.value for run in row["runs"][-1:]) else "-"
    told = fixed(row["value"], places)
    return told if counts(row) else f"({told})"


def _took(row: Row) -> str:
    spans = [
        (clock.seconds(run["ended_at"]) or 0.0) - (clock.seconds(run["started_at"]) or 0.0)
        for run in row["runs"]
        if run["started_at"] and run["ended_at"] and run["kind"] == Kind.FULL.value
    ]
    return human(max(sum(spans), 0.0)) if spans else ""


def outcome(row: Row, unfinished: str = "") -> str:
    """What an experiment came to and, when it failed, why, in few words: "failed: nan", "failed: lost"."""
    last = row["runs"][-1] if row["runs"] else None
    if row["result"] is None:
        return unfinished or ("planned" if last is None else _at(last))
    word = _WORDS.get(row["result"], str(row["result"]))
    if row["result"] in (Result.IMPROVED.value, Result.NOT_IMPROVED.value):
        return word
    why = "nothing ran" if last is None else _why(last)
    return f"{word}: {why}" if why else word


def _at(run: Row) -> str:
    dry, state = run["kind"] == Kind.DRY.value, RunState(run["state"])
    if state is RunState.RUNNING:
        return "in its dry run" if dry else "training"
    return f"dry run {state.value}" if dry else state.value


def _why(run: Row) -> str:
    if run["kind"] == Kind.DRY.value:
        return "dry run"
    if run["state"] == RunState.LOST.value:
        return "lost"
    if run["fault"] == Fault.EXCEPTION.value and run["exception"]:
        return str(run["exception"]).partition(":")[0].split()[-1]
    if run["fault"] != Fault.NONE.value:
        return str(run["fault"])
    if run["state"] == RunState.KILLED.value:
        return f"signal {run['signal']}"
    if run["state"] == RunState.FAILED.value:
        return f"exit status {run['exit_code']}"
    return "stopped" if run["state"] == RunState.STOPPED.value else ""


def _footer(
    rows: Sequence[Row], all_rows: Sequence[Row], best: str | None, unfinished: str, screen: Screen
) -> list[str]:
    results = Counter(row["result"] for row in all_rows)
    told = ", ".join(f"{results[key]:,} {word}" for key, word in _WORDS.items() if results[key])
    some = f"{len(rows):,} of " if len(rows) < len(all_rows) else ""
    lines = [f"{some}{counted(len(all_rows), 'experiment')}" + (f": {told}" if told else "")]
    marks = {_mark(row, best, unfinished) for row in rows}
    legend = [("*", "best so far"), ("+", "a best of its time"), ("x", "failed"), (">", "runs")]
    lines.append(", ".join(f"{mark} {word}" for mark, word in legend if mark in marks))
    if any(row["value"] is not None and not counts(row) for row in rows):
        lines.append("(in parentheses: of a run that failed or was cut short; does not count)")
    return [screen.paint("dim", part) for line in lines for part in textwrap.wrap(line, screen.width or len(line) or 1)]
