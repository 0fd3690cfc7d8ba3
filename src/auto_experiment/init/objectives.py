"""Which metric a campaign could be after: from an earlier log where there is one, else from what the source prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from auto_experiment.goal import read_goal
from auto_experiment.init.looking import File, Look
from auto_experiment.init.printed import Told
from auto_experiment.objective import Objective
from auto_experiment.records.observation import Series
from auto_experiment.watch.metrics.match import Match, match_objective
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.metrics.splits import split_of
from auto_experiment.watch.metrics.summary import direction_of
from auto_experiment.watch.sources.find import Search, sources_of
from auto_experiment.watch.sources.read import read_one

_LOG = re.compile(
    r"(?i)(?:.*\.(?:log|out)|nohup.*|slurm-.*"
    r"|(?:.*[-_.])?(?:train|training|output|stdout|run)(?:[-_.]?\d+)?[-_.]?(?:log)?\.txt|log.*\.txt)$"
)
_METRICS_FILE = re.compile(
    r"(?i)metrics?\b.*\.(?:csv|tsv|jsonl?)|results\.csv|(?:training_)?history\.(?:csv|json)"
    r"|progress\.csv|trainer_state\.json|.*tfevents.*|log\.csv|training_log\.csv|scores?\.csv"
)
_MOST_LOGS = 4
_MOST_OF_A_LOG = 512 * 1024
_LARGEST_FILE = 4 << 20
_SPLITS = {"val": 0, None: 1, "test": 2, "train": 3}
_MOST = 12
_LONGEST = 3  # words of a name


@dataclass(frozen=True)
class Candidate:
    """``goal``: a sentence that is read as this metric and direction. ``best``: of an earlier log, when there is one.
    ``how``: printed, or the call that logs it."""

    name: str
    direction: str
    goal: str
    place: str
    how: str = "printed"
    best: float | None = None
    final: float | None = None
    split: str | None = None

    @property
    def in_words(self) -> str:
        seen = "" if self.best is None else f", best {self.best:.6g}, final {self.final:.6g}"
        logged = "" if self.how == "printed" or self.best is not None else f" ({self.how})"
        return f"{self.name} ({self.direction}): {self.place}{logged}{seen}"


def candidates(look: Look, told: Sequence[Told]) -> list[Candidate]:
    """The likeliest first: what a callback watches, the validation's before those without a split, what an earlier log
    shows before what the source promises, a quality before a loss."""
    seen = _seen(look)
    found: dict[str, Candidate] = {}
    for place, series in seen:
        for name, one in series.items():
            if name not in found and (made := _candidate(name, place)):
                value = Objective(name, made.direction).value_of(one)
                found[name] = replace(made, best=value, final=one.final)
    watched: set[str] = set()
    for each in told:
        same = match_objective(each.name, found, loosely=False) if found else None
        name = same.name if isinstance(same, Match) else each.name
        if each.watched:
            watched.add(name)
        if name not in found and (made := _candidate(each.name, each.place, each.how)):
            found[name] = made
    ranked = sorted(enumerate(found.values()), key=lambda pair: (*_rank(pair[1], watched, bool(seen)), pair[0]))
    best = [candidate for _, candidate in ranked][:_MOST]
    named = [replace(one, goal=goal_of(one.name, one.direction, [c.name for c in best])) for one in best]
    return [one for one in named if one.goal]


def _rank(one: Candidate, watched: set[str], logs: bool) -> tuple[int, ...]:
    record = re.match(r"(?i)(?:best|max|min|highest|lowest|ema|avg|running)[_ /-]", one.name) is not None
    return (
        one.name not in watched,
        record,
        _SPLITS[one.split],
        logs and one.best is None,
        one.how != "printed",
        one.direction == "min",
    )


def _candidate(name: str, place: str, how: str = "printed") -> Candidate | None:
    """None for what no Goal could be about: a learning rate, a time, a norm, a sentence."""
    if len(name.split()) > _LONGEST or re.search(
        r"(?i)(?:^|[^a-z])(?:lr|learning.?rate|grad|norm|time|seconds|step|epoch|weight|scale|mem)(?:$|[^a-z])", name
    ):
        return None
    family = next((d for text in _spelled(name) if (d := read_goal(f"Improve {text}.").direction)), None)
    if family is None:
        return None
    direction = direction_of(name) if direction_of(name) == "min" else family
    return Candidate(name, direction, "", place, how, split=split_of(name))


def sample_of(name: str, direction: str) -> str:
    """A Goal with a target, for an example."""
    for text in _spelled(name):
        goal = f"Reach 0.9 {text}." if direction == "max" else f"Reduce {text} below 0.35."
        stated = read_goal(goal)
        if stated.target is not None and stated.direction == direction:
            return goal
    return "Reach 78% accuracy."


def goal_of(name: str, direction: str, beside: Sequence[str] = ()) -> str:
    """A Goal that is read as this very metric, also where those ``beside`` are printed; "" when no wording is."""
    verb = "Maximise" if direction == "max" else "Minimise"
    for text in _spelled(name):
        goal = f"{verb} {text}."
        stated = read_goal(goal)
        if stated.metric is None or stated.direction != direction:
            continue
        match = match_objective(stated.metric, {name, *beside})
        if isinstance(match, Match) and match.name == name:
            return goal
    return ""


def _spelled(name: str) -> tuple[str, ...]:
    return (name, f"`{name}`", re.sub(r"[_/]+", " ", name), re.sub(r"[ /]+", "_", name))


# -- earlier runs -------------------------------------------------------------------------------------------------


def _seen(look: Look) -> list[tuple[str, dict[str, Series]]]:
    """(file, its series) of the newest log that shows any, else of the newest files of metrics."""
    logs = [f for f in look.files.values() if _LOG.fullmatch(f.name) and f.size > 0]
    for file in _newest(logs)[:_MOST_LOGS]:
        if look.over:
            break
        reader = LogReader(tail_lines=0)
        reader.feed(look.beginning(file.path, _MOST_OF_A_LOG, end=True))
        reader.finish()
        if reader.series:
            return [(file.path, dict(reader.judged))]
    return _in_files(look)


def _in_files(look: Look) -> list[tuple[str, dict[str, Series]]]:
    files = [f for f in look.files.values() if _METRICS_FILE.fullmatch(f.name) and 0 < f.size <= _LARGEST_FILE]
    search = Search()
    for file in _newest(files)[: 2 * _MOST_LOGS]:
        search.names.setdefault(file.folder, []).append(file.name)
    found = []
    for source in sources_of(look.root, search)[:_MOST_LOGS]:
        if look.over:
            break
        read = read_one(look.root, source)
        if read.series:
            found.append((source.path, dict(read.series)))
    return found


def _newest(files: list[File]) -> list[File]:
    return sorted(files, key=lambda f: (-f.modified, f.path))
