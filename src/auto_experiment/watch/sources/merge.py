"""Where the objective's value of a run is read from: the log, a source beside it, or a source alone.

1. The log names the metric as ever (``watch/metrics/match.py``), and its value stands.
2. A source whose metric means the same, and whose value is the one that the log prints before rounding, gives its
   digits. A percentage in one and a fraction in the other is the same value; the scale of the log stands.
3. A source that says something else changes nothing, and the note says what it says.
4. Where the log does not print the objective, or several of its metrics may be meant, the sources give the value, by
   their order of preference; when two of them contradict each other none does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from auto_experiment.objective import Objective, is_ratio
from auto_experiment.records.observation import Series
from auto_experiment.watch.metrics.match import Ambiguous, Match, Missing, match_objective
from auto_experiment.watch.sources.record import Source, Sources
from auto_experiment.watch.sources.rounding import Agreement, compare, scaled, scaled_series

_MOST_SAID = 3


@dataclass(frozen=True)
class Choice:
    """``value``: None when there is none, and then ``note`` says why; else ``note`` says how it was read, "" when by
    its very name. ``read_as``: the metric's name where it was read. ``series``: that metric, in the scale of the value;
    None when none was chosen. ``source``: the source that gave the value; None when the log did."""

    value: float | None
    note: str
    read_as: str | None
    series: Series | None
    source: Source | None = None


def decide(
    log: Mapping[str, Series], objective: Objective, sources: Sources, *, beside_validation: Collection[str] = ()
) -> Choice:
    """The objective's value of a run. ``log``: the series of its log. ``beside_validation``: of the log's reader."""
    found = from_log(log, objective, beside_validation=beside_validation)
    whole = [source for source in sources.found if source.whole]
    if found.series is None:
        unclear = isinstance(match_objective(objective.metric, log, beside_validation=beside_validation), Ambiguous)
        why = "several metrics of the log fit" if unclear else "the log does not print it"
        return _without_log(found, why, objective, sources, list(_fitting(objective.metric, whole)))
    if found.value is None:  # a NaN in the end is what the run came to
        return found
    chosen = _beside_log(
        found, found.value, found.series, objective, list(_fitting(found.series.name, whole, loosely=False))
    )
    better = list(_of_a_better_split(found.series.name, log, objective, whole))
    return replace(chosen, note=_joined(chosen.note, _some(better)))


def from_log(log: Mapping[str, Series], objective: Objective, *, beside_validation: Collection[str] = ()) -> Choice:
    """What the log alone says."""
    match = match_objective(objective.metric, log, beside_validation=beside_validation)
    if isinstance(match, Match):
        value = objective.value_of(log[match.name])
        how = "" if match.how == "exact" else f"{objective.metric} read as `{match.name}` ({match.how})"
        if value is None:
            how = f"`{match.name}` has no finite {objective.select} value"
        return Choice(value, how, match.name, log[match.name])
    if isinstance(match, Ambiguous):
        said = f"{objective.metric} may be any of: {', '.join(match.candidates)}; set objective.metric to one"
        return Choice(None, said, None, None)
    seen = ", ".join(sorted(log)[:20])
    shown = f"{seen}; set objective.metric in config.yaml to one of them" if seen else "no metric at all"
    return Choice(None, f"{objective.metric} was never printed; the log shows: {shown}", None, None)


def _fitting(name: str, sources: list[Source], *, loosely: bool = True) -> Iterator[tuple[Source, Series]]:
    for source in sources:
        match = match_objective(name, source.series, loosely=loosely)
        if isinstance(match, Match):
            yield source, source.series[match.name]


def _of_a_better_split(
    name: str, log: Mapping[str, Series], objective: Objective, sources: list[Source]
) -> Iterator[str]:
    """An objective "accuracy" of a log that prints the training's only is read there; that a file has the validation's
    is told."""
    for source, series in _fitting(objective.metric, sources):
        match = match_objective(objective.metric, [name, series.name])
        if isinstance(match, Match) and match.name != name and isinstance(match_objective(series.name, log), Missing):
            yield f"{source.path} has `{series.name}`, which the log does not print"


def _powers(*names: str) -> tuple[int, ...]:
    """The scales in which a value may be kept beside the log's: as it is, as a fraction, as a percentage."""
    return (0, 2, -2) if any(map(is_ratio, names)) else (0,)


# -- the log has it -----------------------------------------------------------------------------------------------


def _beside_log(
    found: Choice, printed: float, log: Series, objective: Objective, fitting: list[tuple[Source, Series]]
) -> Choice:
    exact: Choice | None = None
    against: list[str] = []
    for source, series in fitting:
        kept = objective.value_of(series)
        verdict, power = _agreement(objective, log, printed, series, kept)
        if verdict is Agreement.FINER and exact is None and kept is not None:
            note = f"{log.name} exact from {source.path}" + (f" (`{series.name}`)" if series.name != log.name else "")
            exact = replace(found, value=scaled(kept, power), note=_joined(found.note, note), source=source)
        elif verdict is Agreement.NO and not _is_one_of(series, log, objective):
            said = "no finite value" if kept is None else f"{kept:g}"
            against.append(f"{source.path} says {said}" + (f" (`{series.name}`)" if series.name != log.name else ""))
    chosen = exact or found
    if against:
        stands = f"the log's {log.name} {printed:g} stands" if exact is None else f"not so {log.name} elsewhere"
        chosen = replace(chosen, note=_joined(chosen.note, f"{stands}: {_some(against)}"))
    return chosen


def _agreement(
    objective: Objective, log: Series, printed: float, series: Series, kept: float | None
) -> tuple[Agreement, int]:
    """Whether a source keeps what is printed, and by which power of ten its scale differs."""
    if kept is None:
        return Agreement.NO, 0
    for power in _powers(objective.metric, log.name, series.name):
        verdict = compare(log, printed, scaled_series(series, power), scaled(kept, power))
        if verdict is not Agreement.NO:
            return verdict, power
    return Agreement.NO, 0


def _is_one_of(series: Series, longer: Series, objective: Objective) -> bool:
    """A file that holds one value only (all_results.json) may hold the final one, or that of the best model."""
    if series.count != 1:
        return False
    return any(
        known is not None and _agreement(objective, longer, known, series, series.final)[0] is not Agreement.NO
        for known in (longer.final, longer.highest, longer.lowest)
    )


# -- only sources have it -----------------------------------------------------------------------------------------


def _without_log(
    found: Choice, why: str, objective: Objective, sources: Sources, fitting: list[tuple[Source, Series]]
) -> Choice:
    fitting.sort(key=lambda pair: pair[1].count == 1)  # whole curves before files that hold one value
    if not fitting:
        unread = [f"{s.path}: {s.note}" for s in sources.found if not s.whole] + list(sources.notes)
        return replace(found, note=_joined(found.note, _some(unread) if unread else ""))
    source, series = fitting[0]
    value = objective.value_of(series)
    for other, rival in fitting[1:]:
        theirs = objective.value_of(rival)
        if not _is_same(objective, series, value, rival, theirs) and not _is_one_of(rival, series, objective):
            said = f"{source.path} and {other.path} differ in it: {_shown(value)} and {_shown(theirs)}"
            return replace(found, note=_joined(found.note, said))
    note = f"{objective.metric} read as `{series.name}` from {source.path}: {why}"
    if value is None:
        note = f"`{series.name}` of {source.path} has no finite {objective.select} value"
    return Choice(value, _joined(note, source.note), series.name, series, source)


def _is_same(objective: Objective, one: Series, value: float | None, other: Series, theirs: float | None) -> bool:
    if value is None or theirs is None:
        return value is None and theirs is None
    return (
        _agreement(objective, one, value, other, theirs)[0] is not Agreement.NO
        or _agreement(objective, other, theirs, one, value)[0] is not Agreement.NO
    )


def _shown(value: float | None) -> str:
    return "no finite value" if value is None else f"{value:g}"


def _some(said: list[str]) -> str:
    more = len(said) - _MOST_SAID
    return ", ".join(said[:_MOST_SAID]) + (f" and {more} more" if more > 0 else "")


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
