"""Which files of a folder hold metrics: by their names, and where a name may mean anything, by their first line.

The search is bounded in depth and entries, follows no link, and opens only regular files. Files of predictions and data
sets look like tables of metrics: a table or a file of JSON lines counts when it has a column for the step or the epoch,
or when its name says so.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from auto_experiment.watch.sources import delimited, json_document, json_lines, mlflow, rows, trainer_state
from auto_experiment.watch.sources.opening import GZIP, descended, opened
from auto_experiment.watch.sources.record import Kind, SourceFile

DEEPEST = 6  # folders below the one that is searched
MOST_IN_A_FOLDER = 2000
MOST_ENTRIES = 20_000
MOST_LOOKED_INTO = 500
_HEAD = 1 << 16
_FIRST_LINES = 20
_METRIC_WORDS = re.compile(
    r"(?i)metric|result|histor|score|progress|monitor|scalar|training|_error\b|eval|\blog\b|(?<![a-z])logs?(?![a-z])"
)
_JSON_WORDS = re.compile(
    r"(?i)metric|result|histor|score|summary|scalar|catboost_training|(?<![a-z])(?:eval|logs?)(?![a-z])"
)
_DATA_WORDS = re.compile(
    r"(?i)predict|(?<![a-z])preds?(?![a-z])|submission|dataset|annotation|label|sample|confusion|config|args|param"
    r"|metadata|tokeni[sz]er|vocab|index|time_left"
)
_TEXTS = {
    ".csv": Kind.TABLE, ".tsv": Kind.TABLE, ".jsonl": Kind.JSON_LINES, ".ndjson": Kind.JSON_LINES, ".json": Kind.JSON,
    ".txt": Kind.JSON_LINES, ".log": Kind.JSON_LINES,
}  # fmt: skip
_CHECKPOINT = re.compile(r"(?:^|/)checkpoint-\d+$")
_DULL = {"__pycache__", "node_modules", ".git", "code", "site-packages"}


@dataclass
class Search:
    """What was found, and what the bounds left out, in words."""

    names: dict[str, list[str]] = field(default_factory=dict)  # folder -> names of its regular files
    notes: list[str] = field(default_factory=list)


def find(folder: str) -> tuple[SourceFile, ...]:
    """The sources of a folder, by preference. Empty for what is no folder, or cannot be read."""
    return sources_of(folder, walk(folder))


def walk(folder: str) -> Search:
    """The names of all regular files, breadth first, within the bounds."""
    search, left = Search(), MOST_ENTRIES
    waiting = deque([("", 0)])
    while waiting and left > 0:
        path, depth = waiting.popleft()
        try:
            with descended(folder, path) as fd, os.scandir(fd) as entries:
                most = min(MOST_IN_A_FOLDER, left)
                here = list(itertools.islice(entries, most + 1))
                if len(here) > most:
                    search.notes.append(f"{path or 'the folder'} holds too many files: not all were looked at")
                kept = sorted(
                    (e.name, e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False)) for e in here[:most]
                )
        except OSError:
            continue
        left -= len(kept)
        if not all(name.isprintable() for name, _, _ in kept):  # also what is no UTF-8: nothing that can be shown
            search.notes.append("files with names that cannot be shown were left out")
            kept = [entry for entry in kept if entry[0].isprintable()]
        search.names[path] = [name for name, _, regular in kept if regular]
        if depth < DEEPEST:
            waiting.extend((_join(path, name), depth + 1) for name, inner, _ in kept if inner and name not in _DULL)
    if waiting:
        search.notes.append("the folder holds too many entries: not all were looked at")
    return search


def sources_of(folder: str, search: Search) -> tuple[SourceFile, ...]:
    """What of a search's files are sources, put together where several files are one."""
    looks = itertools.count()
    events: dict[str, list[str]] = {}
    states: dict[str, list[str]] = {}
    stores: dict[str, list[str]] = {}
    found: list[SourceFile] = []
    for above, names in search.names.items():
        run = mlflow.run_of(above, search.names)
        if run is not None:
            stores.setdefault(run, []).extend(_join(above, name) for name in names)
            continue
        for name in names:
            path = _join(above, name)
            kind = by_name(name)
            if kind is Kind.TENSORBOARD:
                events.setdefault(above, []).append(path)
            elif kind is Kind.TRAINER_STATE:
                states.setdefault(_CHECKPOINT.sub("", above), []).append(path)
            elif name == "wandb-summary.json":
                if not _has_log(search, above):
                    found.append(SourceFile(Kind.JSON, path, (path,)))
            elif kind in (None, Kind.WANDB) or next(looks) < MOST_LOOKED_INTO:
                kind = kind if kind in (None, Kind.WANDB) else by_content(name, _head(folder, path))
                if kind is not None:
                    found.append(SourceFile(kind, path, (path,)))
    found += [
        SourceFile(Kind.TENSORBOARD, ps[0] if len(ps) == 1 else above or ".", tuple(ps)) for above, ps in events.items()
    ]
    found += [_store(run, paths, search.notes) for run, paths in stores.items() if paths]
    for paths in states.values():
        newest = max(paths, key=lambda path: _age(folder, path))
        found.append(SourceFile(Kind.TRAINER_STATE, newest, (newest,)))
    if next(looks) > MOST_LOOKED_INTO:
        search.notes.append(f"more than {MOST_LOOKED_INTO} files may hold metrics: not all were looked at")
    return tuple(sorted(found, key=lambda one: one.rank))


def _store(run: str, paths: list[str], notes: list[str]) -> SourceFile:
    """A run of MLflow's file store: a file for each metric."""
    run = run or "."
    kept = sorted(path for path in paths if rows.is_metric(mlflow.name_of(run, path)))
    if len(kept) > mlflow.MOST_METRICS:
        notes.append(f"{run} holds too many metrics: not all were looked at")
    return SourceFile(Kind.MLFLOW, run, tuple(kept[: mlflow.MOST_METRICS]))


def one(folder: str, name: str) -> SourceFile | None:
    """The source that a single file is, when a human names it: whatever columns it has. None when it is no source."""
    kind = by_name(name)
    if kind is Kind.JSON and json_document.looks_like_lines(_head(folder, name)):
        kind = Kind.JSON_LINES
    return None if kind is None or _plain(name).endswith((".txt", ".log")) else SourceFile(kind, name, (name,))


def by_name(name: str) -> Kind | None:
    """What a file of this name may be; None when it is none of ours."""
    low = _plain(name)
    if low != name.lower():
        kind = _TEXTS.get(os.path.splitext(low)[1])
        return None if low == "trainer_state.json" else kind
    if low.startswith("events.out.tfevents") or ".tfevents." in low:
        return Kind.TENSORBOARD
    if low == "trainer_state.json":
        return Kind.TRAINER_STATE
    return Kind.WANDB if low.endswith(".wandb") else _TEXTS.get(os.path.splitext(low)[1])


def by_content(name: str, head: bytes) -> Kind | None:
    """What a file is whose name alone does not say it."""
    kind = by_name(name)
    if kind is Kind.TABLE:
        return kind if _is_told(name, _columns(head)) else None
    sure = _plain(name).endswith((".jsonl", ".ndjson"))
    if sure or json_document.looks_like_lines(head):
        lines = head.splitlines()[:_FIRST_LINES]
        first = next((row for row in map(json_lines.loads, lines) if row is not None), {})
        names = [key for key, _ in rows.flat(first)]
        if rows.has_counter(names) or (sure and _is_told(name, names)):
            return Kind.JSON_LINES
    told = _JSON_WORDS.search(name) and not _DATA_WORDS.search(name)
    return Kind.JSON if kind is Kind.JSON and told else None


def _plain(name: str) -> str:
    """In lower case, and what it is called where it is not packed."""
    return name.lower().removesuffix(GZIP)


def _is_told(name: str, columns: Iterable[str]) -> bool:
    return rows.has_counter(columns) or bool(_METRIC_WORDS.search(name) and not _DATA_WORDS.search(name))


def _columns(head: bytes) -> list[str]:
    lines = head.decode("utf-8-sig", "replace").splitlines()
    return next((delimited.names(line) for line in lines if line.strip() and line[0] != "#"), [])


def _head(folder: str, path: str) -> bytes:
    try:
        with opened(folder, path, _HEAD) as stream:
            return stream.read(_HEAD)
    except OSError:
        return b""


def _age(folder: str, path: str) -> tuple[int, float, str]:
    """The newest trainer state is that of the highest step; of several the one that was written last."""
    try:
        with opened(folder, path, _HEAD) as stream:
            return trainer_state.global_step(stream.read(_HEAD)), stream.modified, path
    except OSError:
        return -1, 0.0, path


def _has_log(search: Search, above: str) -> bool:
    """Does the run of this wandb-summary.json (RUN/files/wandb-summary.json) have its log? That one says it all."""
    run = above.rpartition("/")[0]
    return any(name.endswith(".wandb") for name in search.names.get(run, ()))


def _join(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
