"""What was read of a log, for a terminal: objective with its curve, metrics, progress, fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auto_experiment.views.chart import chart

_MOST_METRICS = 40
_LONGEST_NAME = 44


def as_text(document: Mapping[str, Any], curves: Mapping[str, Sequence[float]], *, plain: bool = False) -> str:
    """``document``: that of ``metrics PATH --json``. ``curves``: values by metric, in order. ``plain``: ASCII only."""
    return "\n".join([*_objective(document, curves, plain), *_metrics(document), *_closing(document)])


def _objective(document: Mapping[str, Any], curves: Mapping[str, Sequence[float]], plain: bool) -> Iterator[str]:
    found = document["objective"]
    if found:
        step = found["best_step"]
        at = "" if step is None else f" at {step:g}"
        yield (
            f"objective   {found['name']}: best {_short(found['best'])}{at}, final {_short(found['final'])} "
            f"({_values(found['count'])})"
        )
    note = document.get("objective_note")
    if note:
        yield f"            {note}" if found else f"objective   {note}"
    if found:
        yield from (f"  {line}" for line in chart(curves.get(found["name"], ()), plain=plain))
    if found or note:
        yield ""


def _metrics(document: Mapping[str, Any]) -> Iterator[str]:
    metrics = document["metrics"]
    if not metrics:
        yield "metrics     none was read"
        return
    width = min(max(map(len, metrics)), _LONGEST_NAME)
    yield f"{'metric':{width}}  {'final':>12}  values"
    for name, series in list(metrics.items())[:_MOST_METRICS]:
        yield f"{_cut(name, width):{width}}  {_short(series['final']):>12}  {series['count']:>6}"
    if len(metrics) > _MOST_METRICS:
        yield f"and {len(metrics) - _MOST_METRICS} more: --json shows all of them"
    yield ""


def _closing(document: Mapping[str, Any]) -> Iterator[str]:
    for source in document.get("sources", ()):
        yield f"from        {source['path']}: {source['kind']}, {source['metrics']} metrics"
    progress = document["progress"]
    if progress:
        total = "" if progress["total"] is None else f" of {progress['total']:g}"
        yield f"progress    {progress['unit']} {progress['done']:g}{total}"
    else:
        yield "progress    none was read"
    exception = document["exception"]
    yield f"fault       {document['fault']}" + (f": {exception}" if exception else "")
    if document.get("note"):
        yield f"note        {document['note']}"


def _values(count: int) -> str:
    return f"{count} value" + ("" if count == 1 else "s")


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "~"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
