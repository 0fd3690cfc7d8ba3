"""Tables: a header row names the columns of the rows after it; or each row names its own value.

A header has no mark of its own, so it is looked for only when a line comes that looks like a row: among the few lines
above it. Tabs, commas, bars and plain columns; a bar of progress at the end of a row is not part of it.

A row of one class is not the mean row: of the rows with a label only those for all classes, for a split or for a mean
are metrics.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice

from auto_experiment.watch.metrics import counters
from auto_experiment.watch.metrics.numbers import NUMBER, to_float, value_of
from auto_experiment.watch.metrics.reading import Reading
from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.text import ends_like_metric, is_metric_name

_PAIR = re.compile(rf"\s*[|│┃]\s*([A-Za-z_][\w /@.%()-]{{0,58}}?)\s*[|│┃]\s*({NUMBER})\s*%?\s*[|│┃]\s*")
_PLAIN_PAIR = re.compile(rf"\s{{0,9}}([A-Za-z][\w/@.%()-]*(?: [\w/@.%()-]+){{0,5}})\s{{2,80}}({NUMBER})\s*")
_TWO_RULES = re.compile(r"\s*-{3,}\s{1,9}-{3,}\s*")
_GROUP = re.compile(r"\s*[|│┃]\s*([A-Za-z_]\w{0,30}/)\s*[|│┃]\s*[|│┃]\s*")
_COCO = re.compile(
    r"\bAverage (Precision|Recall)\s+\(A[PR]\) @\[ IoU=(\d(?:\.\d{1,4})?(?::\d(?:\.\d{1,4})?)?)\s*"
    rf"\| area=\s*(\w+)\s*\| maxDets=\s*(\d+)\s*\]\s*=\s*({NUMBER})"
)
_EPOCH = {"epoch", "epochs", "ep", "e", "current_epoch", "epoch_num", "epoch #"}
_STEP = {
    "step", "steps", "iter", "iters", "iteration", "iterations", "it", "itr", "#", "batch", "round", "tree", "trees",
    "global_step", "n_iter", "timesteps", "total_timesteps", "time/total_timesteps", "timesteps_total", "update",
    "training_iteration", "itn", "number_of_trees", "global step", "num_updates", "generation", "gen", "episode",
    "cycle", "example counter",
}  # fmt: skip
_WALKED = {"step", "steps", "total_timesteps", "timestep", "timesteps", "timestepssofar", "totalenvinteracts"}
_COUNTED = {"n_updates", "fps", "iterations", "episodes", "total_timesteps"}  # of a row that names itself: no metric
_NO_METRIC = {
    "images", "labels", "instances", "targets", "img_size", "gpu_mem", "support", "dur", "count", "counts", "samples",
    "n", "pid", "remaining", "size", "done", "weight", "no", "num", "number", "class_id", "#",
}  # fmt: skip
_LABELS = {
    "class",
    "classes",
    "category",
    "label",
    "name",
    "metric",
    "split",
    "phase",
    "mode",
    "set",
    "stage",
    "dataset",
    "dset",
    "subset",
    "task",
    "model",
    "what",
    "",
}
_NAMED_APART = {"dataset", "task"}  # each with a name of its own; what classes are is no use to know
_IDS = {"id", "class id", "label id", "category id", "category_id", "cls", "cat"}  # of a row, where no column counts
_ALL = {"all", "mean", "average", "avg", "overall", "total"}
_SIDES = {"|", "│", "┃"}
_BORDER = str.maketrans("│┃┆║", "||||")
_RULE = re.compile(r"[\s|+:=\-_─━═┼╇╪╬┏┓┗┛┡┩└┘┌┐├┤┬┴╭╮╰╯┠┨┯┷╞╡╒╕╤╘╛╧╔╗╚╝╠╣╦╩]+")
_WIDE = re.compile(r"\s{2,}")
_BAR_AT_END = re.compile(r":?\s*(?<![\w.])\d{1,3}%(?=[\s|█▏▎▍▌▋▊▉#]|$)")
# ScanNet's and Cityscapes's "what : AP AP50" over "car : 0.307 0.420"
_NAMES_BEHIND_COLON = re.compile(r"\s{0,9}[A-Za-z][\w+/ .-]{0,40}:(?:\s{1,40}[A-Za-z][\w.%@-]{0,30}){2,40}\s*")
_ROW_BEHIND_COLON = re.compile(rf"\s{{0,9}}[A-Za-z][\w+/ .-]{{0,40}}:(?:\s{{1,40}}{NUMBER}){{2,40}}\s*")
_DASHES = re.compile(r"\s{0,9}-{2,}(?:\s{1,9}-{2,}){2,}\s*")
_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d|\d\d?:\d\d:\d\d(?:\.\d+)?")
_OF = re.compile(r"(\d+)/(\d+)")
_SHARE_OF_TIME = re.compile(r"(?:^|[_\s/])(?:time|timestamp|eta|elapsed|sec|secs|seconds)(?:$|[_\s/])")
_HEADERS = 3  # known at a time: a training's rows and its evaluation's come in turn
_ABOVE = 3  # lines above a row in which its header stands
_PATIENCE = 3  # other lines after which plain columns without a counter are over
_MOST_COLUMNS = 200
_TWO = 2


@dataclass
class _Header:
    """``names`` of the columns, in one reading or two where a space may belong to a name. ``by``: what parts them."""

    by: str
    readings: tuple[tuple[str, ...], ...]
    others: int = 0  # lines since its last row that were none

    @property
    def counts(self) -> bool:
        return any(_is_counter(name) for name in self.readings[0])


class Tables:
    """What the tables of one log have shown so far."""

    def __init__(self) -> None:
        self._headers: list[_Header] = []  # the one used last comes first
        self._are_pairs = False  # the rows of two plain columns under a rule, without a header
        self._ruled: tuple[tuple[str, ...], tuple[slice, ...]] | None = None  # names over dashes, and where these are

    def read(self, text: str, above: Callable[[], Iterator[str]], into: Reading) -> bool:
        """True when ``text`` is part of a table, whether or not it held a metric. ``above`` gives the lines before it
        that are not blank, the nearest one first."""
        bars = "|" in text or "│" in text
        if bars and _reads_pair(text, above, into):
            return True
        if "Average" in text and (match := _COCO.search(text)) is not None:
            into.pairs.append((_coco_name(match), to_float(match[5])))
            return True
        if "  " in text and not bars and self._reads_plain_pair(text, above, into):
            return True
        row = _row_of(text)
        if row is None:
            return False
        by, cells, tail = row
        known = (header for header in self._headers if header.by == by)
        for header in chain(_header_above(by, above), known):
            if _reads_row(header, cells, into):
                header.others = 0
                self._headers = [header, *(h for h in self._headers if h is not header)][:_HEADERS]
                counters.take(tail, into)
                return True
        if by == " " and self._reads_ruled(text, above, into):
            return True
        for old in self._headers:
            old.others += 1
        self._headers = [h for h in self._headers if h.by != " " or h.counts or h.others < _PATIENCE]
        return False

    def _reads_ruled(self, text: str, above: Callable[[], Iterator[str]], into: Reading) -> bool:
        """A row of which a cell is empty: the dashes under the header say where each column is."""
        lines = above()
        rule = next(lines, "")
        if _DASHES.fullmatch(rule) is not None:
            header, spans = next(lines, ""), tuple(slice(*m.span()) for m in re.finditer("-+", rule))
            names = tuple(header[span].strip() for span in spans)
            self._ruled = (names, spans) if _are_names(names, " ") and len(header.split()) == len(names) else None
        if self._ruled is None:
            return False
        names, spans = self._ruled
        cells = [text[span].strip() for span in spans]
        if "".join(cells) != "".join(text.split()) or not _take(names, cells, into):
            self._ruled = None
        return self._ruled is not None

    def _reads_plain_pair(self, text: str, above: Callable[[], Iterator[str]], into: Reading) -> bool:
        """A row of a name and its value under a rule of two parts; with a header above the rule it is another table."""
        match = _PLAIN_PAIR.fullmatch(text)
        if match is None:
            self._are_pairs = False
            return False
        if not self._are_pairs:
            lines = above()
            if not _TWO_RULES.fullmatch(next(lines, "")):
                return False
            header = _WIDE.split(next(lines, "").strip())
            if len(header) == _TWO and value_of(header[1]) is None and header[0].lower() not in {"name", "metric"}:
                return False
        self._are_pairs = True
        _take_pair(match[1], to_float(match[2]), "", into)
        return True


def _reads_pair(text: str, above: Callable[[], Iterator[str]], into: Reading) -> bool:
    """A row of a name and its value: | ep_rew_mean | 1.87 |; the names of a group stand under it."""
    match = _PAIR.fullmatch(text)
    if match is None:
        return False
    into.waits = True
    _take_pair(match[1], to_float(match[2]), "" if "/" in match[1] else _group_of(above()), into)
    return True


def _take_pair(name: str, value: float, group: str, into: Reading) -> None:
    low = name.rsplit("/", 1)[-1].lower()
    if low in _EPOCH:
        into.epoch, into.epoch_whole = value, value.is_integer()
    elif low in _WALKED:
        into.step = value
    elif low not in _COUNTED and not _is_no_metric(name):
        into.pairs.append((group + name, value))


def _group_of(above: Iterable[str]) -> str:
    """The nearest row of a group ("| rollout/ | |") in the table that the next row is part of."""
    for line in above:
        if "|" not in line.translate(_BORDER) or _RULE.fullmatch(line):
            break
        if (group := _GROUP.fullmatch(line)) is not None:
            return group[1]
    return ""


def _reads_row(header: _Header, cells: list[str], into: Reading) -> bool:
    for names in header.readings:
        if len(names) == len(cells):
            return _take(names, cells, into)
    if header.by != " ":
        return False
    if len(cells[-1]) == 1 and not cells[-1].isdigit() and len(cells) > len(header.readings[0]):
        return _reads_row(header, cells[:-1], into)  # a mark of the best, of a holdout
    tail = _from_counter(header.readings[-1])
    if tail and len(cells) > len(header.readings[-1]) and any(_DATE.fullmatch(cell) for cell in cells[: -len(tail)]):
        return _take(tail, cells[-len(tail) :], into)  # dates and times in front take more cells than names
    label, numbers = _label_of(cells)
    if not label or not numbers or _is_counter(label):
        return False
    for names in header.readings:
        if len(names) == len(numbers) and not header.counts:
            return _take(("", *names), [label, *numbers], into)
        if len(names) == len(numbers) + 1:
            return _take(names, [label, *numbers], into)
    if ends_like_metric(label) and len(numbers) <= len(header.readings[0]):
        into.pairs.append((label, to_float(numbers[0])))  # "accuracy   0.95   200": its own column and the support
        return True
    return False


def _from_counter(names: tuple[str, ...]) -> tuple[str, ...]:
    return next((names[i:] for i, name in enumerate(names) if _is_counter(name)), ())


def _row_of(text: str) -> tuple[str, list[str], str] | None:
    """(what parts the cells, cells, progress bar after them) of a line that may be a row; None: it is none."""
    tail = ""
    if "%" in text and text.lstrip()[:1] not in _SIDES and (bar := _BAR_AT_END.search(text)) is not None:
        text, tail = text[: bar.start()], text[bar.start() :]
    is_behind_colon = False
    if "=" in text or ": " in text:
        is_behind_colon = "=" not in text and text.count(":") == 1 and _ROW_BEHIND_COLON.fullmatch(text) is not None
        if not is_behind_colon and '"' not in text:
            return None
    text = _out_of_box(text)
    by = ":" if is_behind_colon else _parted_by(text)
    cells = _cells(text, by)
    if not 2 <= len(cells) <= _MOST_COLUMNS:
        return None
    numeric = sum(_value(cell) is not None or _OF.fullmatch(cell) is not None for cell in cells)
    return (by, cells, tail) if numeric and (by != " " or numeric * 2 >= len(cells)) else None


def _out_of_box(text: str) -> str:
    """Plain columns in a box around the whole table."""
    if "|" in text or "│" in text or "┃" in text:
        inner = text.translate(_BORDER).strip()
        if inner.count("|") == _TWO and inner[:1] == inner[-1:] == "|":
            return inner[1:-1]
    return text


def _parted_by(text: str) -> str:
    if "|" in text or "│" in text or "┃" in text:
        return "|"
    stripped = text.strip()
    return "\t" if "\t" in stripped else "," if "," in stripped else ";" if ";" in stripped else " "


def _cells(text: str, by: str) -> list[str]:
    if by == "|":
        return [cell.strip() for cell in text.translate(_BORDER).strip().strip("|").split("|")]
    if by == "\t":
        return [cell.strip() for cell in text.strip("\r\n").split("\t")]
    if by == ",":
        text = re.sub(r"^\w+: ", "", text.strip())
        if '"' not in text:
            return [cell.strip() for cell in text.split(",")]
        try:
            return [cell.strip() for cell in next(csv.reader([text]))]
        except (csv.Error, StopIteration):
            return []
    if by == ";":
        return [cell.strip() for cell in text.split(";")]
    if by == ":":
        label, _, rest = text.partition(":")
        return [label.strip(), *rest.split()]
    return text.rstrip(": ").split()


def _header_above(by: str, above: Callable[[], Iterator[str]]) -> Iterator[_Header]:
    """The nearest line above that may be the header of a row."""
    lines = (line for line in above() if not _RULE.fullmatch(line))
    for line in islice(lines, 1 if by in "\t,;" else _ABOVE):
        found = _names_of(line, by)
        if found is not None:
            both = _two_lines(next(lines, ""), line, by)
            yield _Header(by, (both,) if both else found)
            return


@lru_cache(maxsize=64)
def _names_of(line: str, by: str) -> tuple[tuple[str, ...], ...] | None:
    """The names of a header's columns, in one reading or two; None: it is no header."""
    if "%" in line:
        bar = _BAR_AT_END.search(line)
        line = line[: bar.start()] if bar else line
    line = _out_of_box(line)
    if by != (":" if _NAMES_BEHIND_COLON.fullmatch(line) else _parted_by(line)) or "=" in line:
        return None
    if by != " ":
        names = tuple(_name(cell) for cell in _cells(line, by))
        return (names,) if _are_names(names, by) else None
    if line.rstrip()[-1:] == ":" or (len(line.split()) <= _TWO and not _WIDE.search(line.strip())):
        return None  # "Test Error:" is no header of two columns
    wide = tuple(_name(cell) for cell in _WIDE.split(line.strip()))
    narrow = tuple(_name(cell) for cell in line.split())
    return tuple(names for names in dict.fromkeys((wide, narrow)) if _are_names(names, by)) or None


@lru_cache(maxsize=64)
def _two_lines(upper: str, lower: str, by: str) -> tuple[str, ...] | None:
    """The names of a header's columns when they take two lines (MATLAB, Vowpal Wabbit); None: they do not. In plain
    columns each word stands under its own; between bars the lower line lacks what the upper one says."""
    if by not in {" ", "|"} or by != _parted_by(upper) or "=" in upper:
        return None
    tops, lows = _cells(upper, by), _cells(lower, by)
    if len(tops) != len(lows) or len(tops) <= _TWO or any(map(str.isdigit, upper)):
        return None
    if by == " ":
        spots = zip(re.finditer(r"\S+", upper), re.finditer(r"\S+", lower), strict=True)
        fits = all(top.start() == low.start() or top.end() == low.end() for top, low in spots)
    else:
        fits = "" not in tops and ("" in lows or len(set(lows)) < len(lows))
    names = tuple(f"{_name(top)} {_name(low)}".strip() for top, low in zip(tops, lows, strict=True))
    return names if fits and len(set(names)) == len(names) and _are_names(names, by) else None


def _name(cell: str) -> str:
    """A column's name as its cell gives it: YOLO prints ``Box(P`` over the first of a group, and ``mAP50-95)``."""
    cell = cell.strip().strip("\"'").rstrip(":")
    if len(cell) > 1:
        cell = cell.lstrip("# ")
    if "(" in cell and ")" not in cell:
        cell = cell.split("(")[-1]
    return cell.rstrip(")") if ")" in cell and "(" not in cell else cell


def _are_names(names: tuple[str, ...], by: str) -> bool:
    """Words throughout, and at least one that a table of metrics has."""
    if len(names) < 2 or any(len(name) > 60 or value_of(name) is not None for name in names):
        return False
    if by == " " and not all(name == "#" or any(map(str.isalpha, name)) for name in names):
        return False
    if names[0] == "" and len(names) > _TWO and all(name.lower() in SPLITS for name in names[1:]):
        return True  # a metric's row for each split
    return any(name and (_is_counter(name) or ends_like_metric(name)) for name in names)


def _is_counter(name: str) -> bool:
    low = name.lower()
    return low in _EPOCH or low in _STEP


def _label_of(cells: list[str]) -> tuple[str, list[str]]:
    """The words in front of a row, and the numbers after them; no numbers when others stand among them."""
    at = next((i for i, cell in enumerate(cells) if _value(cell) is not None), len(cells))
    if at == 0:  # a class may have a number for its name
        at = 1
    elif any(cell[:1].isdigit() for cell in cells[:at]):
        return "", []  # 2/8, 9.15G: counts and sizes of another table
    numbers = cells[at:]
    return " ".join(cells[:at]), numbers if all(_value(cell) is not None for cell in numbers) else []


def _take(names: tuple[str, ...], cells: list[str], into: Reading) -> bool:
    """Put the row into ``into``. False: its cells do not fit their columns."""
    if names[0] == "" and len(names) > _TWO and all(name.lower() in SPLITS for name in names[1:]):
        values = [(f"{split}_{cells[0]}", _value(cell)) for split, cell in zip(names[1:], cells[1:], strict=True)]
        into.pairs.extend((name, value) for name, value in values if value is not None and is_metric_name(name))
        return bool(into.pairs)
    twice = _twice(names)
    if names[0] in twice or any(map(_is_counter, twice)):
        return True  # category | AP | category | AP: two rows of classes side by side
    found: list[tuple[str, float]] = []
    counted: list[tuple[str, float, float | None]] = []
    label: str | None = None
    labels = _LABELS if any(map(_is_counter, names)) else _LABELS | _IDS
    for name, cell in zip(names, cells, strict=True):
        low = name.lower()
        if low in _EPOCH or low in _STEP:
            match = _OF.fullmatch(cell)
            value = float(match[1]) if match else _value(cell)
            if value is None:
                return False
            counted.append((low, value, float(match[2]) if match else None))
        elif (value := _value(cell)) is not None:
            if low in labels and label is None and name != "":
                label = cell
            elif name and not _is_no_metric(name) and is_metric_name(name) and not (twice and name in dict(found)):
                found.append((name, value))
            elif name == "":
                label = cell
        elif low in labels and label is None:
            if _OF.fullmatch(cell):
                return False
            label = cell
    if not found and not counted:
        return False
    into.style = "table"
    for low, value, total in counted:
        if low in _EPOCH and into.epoch is None:
            into.epoch, into.epoch_total, into.epoch_whole = value, total, value.is_integer()
        elif low in _STEP and into.step is None:
            into.step, into.step_total = value, total
    is_apart = any(name.lower() in _NAMED_APART and cell == label for name, cell in zip(names, cells, strict=True))
    into.pairs.extend(_labelled(label, found, is_apart=is_apart))
    return True


@lru_cache(maxsize=64)
def _twice(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for i, name in enumerate(names) if name in names[:i])


def _labelled(label: str | None, found: list[tuple[str, float]], *, is_apart: bool) -> Iterable[tuple[str, float]]:
    low = (label or "").strip("*").lower()
    if not label or low in _ALL:
        return found
    if low in SPLITS:
        return [(f"{low}_{name}", value) for name, value in found]
    if is_apart or {"avg", "average", "mean"} & set(low.split()):
        return [(f"{label} {name}", value) for name, value in found]
    return []


def _value(cell: str) -> float | None:
    return value_of(cell) if cell[:1] in "0123456789.-+nNiI" and cell else None


def _is_no_metric(name: str) -> bool:
    low = name.lower()
    return low in _NO_METRIC or _SHARE_OF_TIME.search(low) is not None


def _coco_name(match: re.Match[str]) -> str:
    """The names that COCO's own tables use: AP, AP50, AP75, APs, AR1, AR100, ARl."""
    kind = "AP" if match[1] == "Precision" else "AR"
    if match[3] != "all":
        return kind + match[3][0]
    if kind == "AR":
        return f"AR{match[4]}"
    return "AP" if ":" in match[2] else f"AP{round(float(match[2]) * 100)}"
