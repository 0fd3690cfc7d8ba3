"""What was read of a log, for a terminal: objective with its curve, metrics, progress, fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auto_experiment.views.chart import chart
from auto_experiment.views.code import plain
from auto_experiment.views.terminal import cells, counted, cut, pad, short

_MOST_METRICS = 40
_LONGEST_NAME = 44


def as_text(document: Mapping[str, Any], curves: Mapping[str, Sequence[float]], *, ascii_only: bool = False) -> str:
    """``document``: that of ``metrics PATH --json``. ``curves``: values by metric, in order."""
    return "\n".join([*_objective(document, curves, ascii_only), *_metrics(document), *_closing(document)])


def _objective(document: Mapping[str, Any], curves: Mapping[str, Sequence[float]], ascii_only: bool) -> Iterator[str]:
    found = document["objective"]
    if found:
        step = found["best_step"]
        at = "" if step is None else f" at {step:g}"
        yield (
            f"objective   {found['name']}: best {short(found['best'])}{at}, final {short(found['final'])} "
            f"({counted(found['count'], 'value')})"
        )
    note = document.get("objective_note")
    if note:
        yield f"            {note}" if found else f"objective   {note}"
    if found:
        yield from (f"  {line}" for line in chart(curves.get(found["name"], ()), plain=ascii_only))
    if found or note:
        yield ""


def _metrics(document: Mapping[str, Any]) -> Iterator[str]:
    metrics = document["metrics"]
    if not metrics:
        yield "metrics     none was read"
        return
    width = min(max(map(cells, metrics)), _LONGEST_NAME)
    yield f"{'metric':{width}}  {'final':>12}  values"
    for name, series in list(metrics.items())[:_MOST_METRICS]:
        yield f"{pad(cut(plain(name), width, '~'), width)}  {short(series['final']):>12}  {series['count']:>6}"
    if len(metrics) > _MOST_METRICS:
        yield f"and {len(metrics) - _MOST_METRICS} more: --json shows all of them"
    yield ""


def _closing(document: Mapping[str, Any]) -> Iterator[str]:
    for source in document.get("sources", ()):
        yield f"from        {plain(source['path'])}: {source['kind']}, {source['metrics']} metrics"
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
