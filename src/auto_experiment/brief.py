"""PROJECT_BRIEF.md -> ``Brief``: its sections, and what each of them states.

The text is the human's and is never changed here. Reading is strict where a wrong guess would cost a campaign (a
search space) and lenient elsewhere: what is not understood becomes a notice. What a Goal means is ``goal.py``'s
business, what a search-space line means ``search_space.py``'s; whether a command can be started is checked where it is
started.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from auto_experiment.errors import BriefError, UsageError
from auto_experiment.goal import LONGEST, Stated, read_current_best, read_goal
from auto_experiment.records.brief import Brief, Parameter
from auto_experiment.search_space import FORMS, could_be_whole, parse_line

BRIEF_NAME = "PROJECT_BRIEF.md"
MAX_BYTES = 1_000_000
HIGHEST_GPU = 63  # "GPU 3090" is a model, not an id

GOAL, CODEBASE, CONSTRAINTS, BEST, SPACE, FROZEN = (
    "Goal",
    "Codebase",
    "Constraints",
    "Current Best",
    "Search Space",
    "Frozen",
)
_TITLES = {
    GOAL: "goal|goals|the goal|objective|objectives|aim|project goal|research goal|main goal|task goal",
    CODEBASE: "codebase|code base|code|the code|repository|training|training command|how to train|how to run",
    CONSTRAINTS: "constraints|constraint|limits|limitations|resources|hardware|compute|constraints and resources",
    BEST: "current best|best so far|current best result|baseline|best result|current result|current results",
    SPACE: "search space|searchspace|parameter space|hyperparameter space|hyperparameter search space",
    FROZEN: "frozen|frozen files|read-only|read only|do not change|do not modify|protected|protected files|off limits",
}
_SECTION_OF = {title: section for section, titles in _TITLES.items() for title in titles.split("|")}

_HEADING = re.compile(r" {0,3}(?P<marks>#{1,6})(?P<space>\s*)(?P<title>.*?)\s*#*\s*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)\s*")
_OPENING = re.compile(r"<!--|^[ \t]*(?:[-*+][ \t]+)?(?P<fence>`{3,}|~{3,})[^`\n]*$", re.MULTILINE)
_ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s+(?P<text>.+)")
_COMMAND = re.compile(
    r"\s*(?:[-*+•]\s+)?[*_`]*(?:(?:to )?train(?:ing)?(?: (?:command|script|code|entry ?point|run|with))?"
    r"|command|run command|entry ?point|how to train)[*_`]*\s*[:=]\s*[*_]*\s*(?P<command>.*)",
    re.IGNORECASE,
)
_EDIT = re.compile(r"<!--\s*EDIT:\s*(?P<what>[^\n]*)")
_NO_VALUE = frozenset({"", "none", "n a", "na", "tbd", "todo", "nothing", "none yet", "nothing yet"})
_TOO_LONG = 2_000  # a line that is longer is prose, not a heading, a command or a glob
_GPU_LIST = r"\d{1,6}(?:\s*(?:-|\u2013|\.\.|to|through)\s*\d{1,6})?"
_GPUS = re.compile(
    rf"\b(?:(?P<name>gpus?)(?:\s+(?:ids?|ind(?:ex|ices)|devices?|number|no\.?))?"
    r"|CUDA_VISIBLE_DEVICES|cuda(?=:\d)|gpu_ids?)"
    rf"[\s\-]*(?P<colon>[:=]?)[\s#(\[]*(?P<ids>{_GPU_LIST}(?:\s*(?:,|and\b|&|\+)\s*(?:gpus?\s*)?{_GPU_LIST})*)"
    r"(?![\w%]|\.\d|\s*(?:-|\u2013|\.\.)\s*\d)"
    r"(?!\s*-?\s*(?:gi?b|mi?b|hours?|hrs?|h|minutes?|days?|percent|x|%|gpus?|cards?)\b)",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"\b(?:not|no|never|except|avoid|without|don[\u2019']t|but|broken|other than)\b[^.,;\n]{0,40}$", re.IGNORECASE
)
_TAKEN = re.compile(
    r"[^.;,\n]*\b(?:is|are)\s+(?:\w+\s+)?(?:reserved|busy|broken|taken|used by|off[- ]limits|not)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    fenced: bool


@dataclass
class _Outline:
    """The lines of each known section; ``preamble`` is what stands before the first of them."""

    sections: dict[str, list[_Line]] = field(default_factory=dict)
    preamble: list[_Line] = field(default_factory=list)
    rest: list[_Line] = field(default_factory=list)
    unknown: list[tuple[int, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def lines(self, section: str) -> list[_Line]:
        return self.sections.get(section, [])

    def text(self, section: str, *, fenced: bool = False) -> str:
        return _joined(self.lines(section), fenced=fenced)

    @property
    def is_empty(self) -> bool:
        everything = [*self.preamble, *self.rest, *(line for lines in self.sections.values() for line in lines)]
        return not any(line.text.strip() for line in everything)


def load_brief(path: str) -> Brief:
    """The brief in a file. Every refusal is a ``BriefError`` of one line."""
    data = _read(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        encoding = "UTF-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "LATIN1"
        raise BriefError(
            f"{path}: not UTF-8 at byte {wrong.start}; convert it, for example: iconv -f {encoding} -t UTF-8"
        ) from wrong
    return parse_brief(text, path)


def parse_brief(text: str, name: str = BRIEF_NAME) -> Brief:
    """The brief in a text. ``name`` is what errors call it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise BriefError(f"{name}: holds NUL characters; write it as UTF-8 text")
    outline = _outline(text)
    if outline.is_empty:
        raise BriefError(f"{name}: says nothing yet; write at least a `# Goal`, such as: reach 78% accuracy")
    goal, stated = _goal(outline, name)
    best = read_current_best(outline.text(BEST), stated)
    command, command_notices = _command(outline)
    gpus, gpu_notices = _gpus(outline.text(CONSTRAINTS)[:LONGEST])
    space, space_notices = _space(outline.lines(SPACE), name)
    frozen, frozen_notices = _frozen(outline.lines(FROZEN))
    return Brief(
        text=text,
        digest=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        goal=goal,
        command=command,
        gpus=gpus,
        search_space=space,
        frozen=frozen,
        current_best=best.value,
        current_best_is_percent=best.percent,
        metric=stated.metric,
        direction=stated.direction,
        target=stated.target,
        target_is_percent=stated.percent,
        notices=(
            *outline.notices,
            *stated.notices,
            *command_notices,
            *gpu_notices,
            *best.notices,
            *space_notices,
            *frozen_notices,
            *to_edit(text),
        ),
    )


def to_edit(text: str) -> list[str]:
    """What `init` has left to its reader: the comments that begin with EDIT, by their lines."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: still to edit: {_cut(_first_sentence(match['what']))}"
        for match in _EDIT.finditer(text)
    ]


def _first_sentence(text: str) -> str:
    return re.split(r"[.;:]\s|\s*-->", text, maxsplit=1)[0].strip(" .:")


def _read(path: str) -> bytes:
    folder, name = os.path.split(os.path.abspath(path)) if "\0" not in path else ("", path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise BriefError(
                f"{path}: is {'a folder' if stat.S_ISDIR(mode) else 'not a file'}; allowed: a Markdown file"
            )
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise BriefError(f"no {name} in {folder}: write one, or `auto-experiment init` makes a commented one") from None
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        raise BriefError(f"{path!r}: cannot be read: {getattr(wrong, 'strerror', None) or wrong}") from wrong
    if len(data) > MAX_BYTES:
        raise BriefError(f"{path}: larger than 1 MB; a brief is a page or two, put long material into other files")
    return data


# --- sections -----------------------------------------------------------------------------------------------------


def _outline(text: str) -> _Outline:
    outline = _Outline()
    lines = _lines(text, outline.notices)
    current, level = outline.preamble, 7
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else None
        heading = _heading(line, following)
        if heading is None:
            if not _is_underline(lines, index):
                current.append(line)
            continue
        depth, title = heading
        section, rest = _section(title)
        if section is not None:
            current, level = outline.sections.setdefault(section, []), depth
            current.append(_Line(line.number, rest, fenced=False))
            continue
        outline.unknown.append((line.number, title))
        if depth <= level:
            current, level = (outline.rest, depth) if outline.sections else (outline.preamble, 7)
    outline.notices += _near_misses(outline)
    return outline


def _heading(line: _Line, following: _Line | None) -> tuple[int, str] | None:
    """(level, title). Without a space after the marks, or underlined, only a known title is one."""
    if line.fenced or len(line.text) > _TOO_LONG:
        return None
    match = _HEADING.fullmatch(line.text)
    if match and (match["space"] or not match["title"] or _section(match["title"])[0]):
        return len(match["marks"]), match["title"]
    if following and _UNDERLINE.fullmatch(following.text) and not following.fenced and _section(line.text)[0]:
        return (1 if "=" in following.text else 2), line.text
    return None


def _is_underline(lines: list[_Line], index: int) -> bool:
    line, before = lines[index], lines[index - 1] if index else None
    return bool(before and _UNDERLINE.fullmatch(line.text) and not line.fenced and _section(before.text)[0])


def _section(title: str) -> tuple[str | None, str]:
    """The known section that a heading opens, and what stands after a colon in it."""
    head, _, rest = re.sub(r"[*_`]", "", title[:200]).partition(":") if ":" in title[:60] else (title, "", "")
    words = re.sub(r"\(.*?\)", "", re.sub(r"^(?:\d+[.)]|\W)+", "", re.sub(r"[*_`]", "", head))).lower()
    words = " ".join(words.replace("&", "and").split())
    rest = title.partition(":")[2].strip(" *_") if rest else ""
    return _SECTION_OF.get(words), rest


def _lines(text: str, notices: list[str]) -> list[_Line]:
    """All lines with their numbers; comments blanked out, code fences marked and their markers blanked out."""
    masked, fenced = _masked(text, notices)
    return [_Line(number, line, number in fenced) for number, line in enumerate(masked.split("\n"), start=1)]


def _masked(text: str, notices: list[str]) -> tuple[str, set[int]]:
    """A comment or fence that is never closed is ordinary text: it must not swallow the sections after it."""
    pieces: list[str] = []
    fenced: set[int] = set()
    unclosed: set[str] = set()
    position, line = 0, 1
    while match := _OPENING.search(text, position):
        line += text.count("\n", position, match.start())
        marker = match["fence"] or "<!--"
        end = None if marker in unclosed else _closing(text, match.end(), marker)
        if end is None:
            if marker not in unclosed:
                notices.append(f"line {line}: {marker} is never closed; it is read as ordinary text")
            unclosed.add(marker)
            pieces.append(text[position : match.end()])
            position = match.end()
            continue
        pieces += [text[position : match.start()], _blanked(text[match.start() : end], fence=bool(match["fence"]))]
        lines = text.count("\n", match.start(), end)
        if match["fence"]:
            fenced.update(range(line, line + lines + 1))
        position, line = end, line + lines
    return "".join([*pieces, text[position:]]), fenced


def _closing(text: str, position: int, marker: str) -> int | None:
    if marker == "<!--":
        found = text.find("-->", position)
        return None if found < 0 else found + 3
    match = re.compile(rf"^[ \t]*{marker[0]}{{{len(marker)},}}[ \t]*$", re.MULTILINE).search(text, position)
    return match.end() if match else None


def _blanked(block: str, *, fence: bool) -> str:
    """A comment is gone, its lines stay; a fence loses its first and last line's marks."""
    if not fence:
        return "\n" * block.count("\n")
    return "\n".join(["", *block.split("\n")[1:-1], ""])


def _near_misses(outline: _Outline) -> list[str]:
    """A mistyped heading would otherwise switch a section off in silence."""
    notices = []
    for number, title in outline.unknown:
        close = _close_title(title)
        if close and close not in outline.sections:
            notices.append(
                f'line {number}: the heading "{_cut(title)}" is not one that is read; did you mean "{close}"?'
            )
    return notices


def _close_title(title: str) -> str | None:
    close = get_close_matches(title.strip().lower()[:60], list(_SECTION_OF), n=1, cutoff=0.8)
    return _SECTION_OF[close[0]] if close else None


def _joined(lines: Iterable[_Line], *, fenced: bool) -> str:
    return "\n".join("" if line.fenced and not fenced else line.text for line in lines).strip()


# --- what the sections state --------------------------------------------------------------------------------------


def _goal(outline: _Outline, name: str) -> tuple[str, Stated]:
    goal = outline.text(GOAL, fenced=True)
    if goal:
        stated = read_goal(outline.text(GOAL))
        notices = stated.notices
        if len(outline.text(GOAL)) > LONGEST:
            notices += (f"Goal: only its first {LONGEST:,} characters are searched for a target",)
        return goal, Stated(stated.metric, stated.direction, stated.target, stated.percent, notices)
    if outline.lines(GOAL):
        raise BriefError(
            f"{name}, line {outline.lines(GOAL)[0].number}: the Goal is empty; write one, such as: reach 78% accuracy"
        )
    text = _joined(outline.preamble, fenced=False)
    stated = read_goal(text)
    if stated.metric is not None:
        notice = "no `# Goal` section: the goal is taken from the text before the first section"
        return text, Stated(stated.metric, stated.direction, stated.target, stated.percent, (notice, *stated.notices))
    typed = next((f"; did you mean it on line {n}?" for n, title in outline.unknown if _close_title(title) == GOAL), "")
    raise BriefError(
        f"{name}: no `# Goal` section; add one that says what to reach, such as: reach 78% accuracy{typed}"
    )


def _command(outline: _Outline) -> tuple[str | None, list[str]]:
    lines = outline.lines(CODEBASE) if CODEBASE in outline.sections else [*outline.preamble, *outline.rest]
    commands = list(dict.fromkeys(_commands(lines)))
    if len(commands) > 1:
        shown = " and ".join(f"`{_cut(command)}`" for command in commands[:2])
        return None, [
            f"Codebase: {len(commands)} training commands ({shown}), none is taken: keep one `Training:` line"
        ]
    return (commands[0] if commands else None), []


def _commands(lines: list[_Line]) -> Iterable[str]:
    joined = _continued(lines)
    for index, line in enumerate(joined):
        match = None if line.fenced or len(line.text) > _TOO_LONG else _COMMAND.fullmatch(line.text)
        if match is None:
            continue
        command = _bare_command(match["command"]) or _command_below(joined[index + 1 :])
        if command:
            yield command


def _continued(lines: list[_Line]) -> list[_Line]:
    """Lines that end in a backslash, joined with the next one."""
    joined: list[_Line] = []
    for line in lines:
        if joined and joined[-1].text.endswith("\\"):
            joined[-1] = _Line(
                joined[-1].number, f"{joined[-1].text[:-1].rstrip()} {line.text.strip()}", joined[-1].fenced
            )
        else:
            joined.append(_Line(line.number, line.text.rstrip(), line.fenced))
    return joined


def _command_below(lines: list[_Line]) -> str:
    """ "Training:" with the command on its own below, in a fence or in back-ticks."""
    inside = [line for line in lines[:12] if line.text.strip()]
    if not inside:
        return ""
    if inside[0].fenced:
        block = [line.text.strip().removeprefix("$ ") for line in inside if line.fenced]
        block = [text for text in block if not text.startswith("#")]
        return block[0] if len(block) == 1 else ""
    match = re.fullmatch(r"\s*(?:[-*+]\s+)?`([^`]+)`\s*", inside[0].text)
    return match[1].strip() if match else ""


def _bare_command(written: str) -> str:
    """The command without back-ticks, a link around it, or a remark behind it."""
    if _says_nothing(written):
        return ""
    quoted = re.match(r"`+([^`]+)`+", written)
    if quoted:
        return quoted[1].strip()
    plain = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", written)
    plain = re.sub(r"(?<!\s)\s+(?:[—\u2013].*|#\s.*|\([^()]*\)[.]?)$", "", plain)
    return plain.strip().rstrip(",;").strip()


def _says_nothing(text: str) -> bool:
    """ "none", "N/A", "...", or a placeholder such as "<your command>"."""
    stripped = text.strip()
    if stripped.startswith("<") and stripped.endswith(">"):
        return True
    return len(stripped) < _TOO_LONG and " ".join(re.findall(r"\w+", stripped.lower())) in _NO_VALUE


def _gpus(section: str) -> tuple[str | None, list[str]]:
    """The ids that the section names, a line at a time: a list of GPUs does not go on in the next item."""
    ids: list[int] = []
    notices: list[str] = []
    for text, match in ((line, match) for line in section.splitlines() for match in _GPUS.finditer(line)):
        before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 60]
        shown = " ".join(match[0].split())
        if _NEGATED.search(before) or _TAKEN.match(after):
            notices.append(
                f'Constraints: "{shown}" is named as one not to use, which is not understood: use `run --gpu`'
            )
        elif _is_count(match):
            notices.append(
                f'Constraints: "{shown}" may be a number of GPUs or an id: use `run --gpu`, or write "GPU 0"'
            )
        else:
            named = _gpu_ids(match["ids"])
            notices += (
                [] if named is not None else [f'Constraints: "{shown}" is not a list of GPU ids such as "GPU 0-3"']
            )
            ids += named or []
    found = ",".join(str(gpu) for gpu in dict.fromkeys(ids))
    return (None, notices) if notices or not found else (found, [])


def _is_count(match: re.Match[str]) -> bool:
    """ "GPUs: 4" """
    plural = (match["name"] or "").lower() == "gpus"
    return plural and bool(match["colon"]) and match["ids"].isdecimal() and int(match["ids"]) > 0


def _gpu_ids(written: str) -> list[int] | None:
    """None when it is not a list of ids; empty when the number is a model's name ("GPU 3090")."""
    ids: list[int] = []
    for low, high in re.findall(r"(\d+)(?:\s*(?:-|\u2013|\.\.|to|through)\s*(\d+))?", written, re.IGNORECASE):
        first, last = int(low), int(high or low)
        if first > HIGHEST_GPU and not high:
            continue
        if last < first or last > HIGHEST_GPU:
            return None
        ids += range(first, last + 1)
    return ids


def _space(lines: list[_Line], name: str) -> tuple[tuple[Parameter, ...], list[str]]:
    parameters: dict[str, Parameter] = {}
    notices: list[str] = []
    for line in lines:
        if _says_nothing(line.text):
            continue
        parameter = _parameter(line, name)
        if parameter.name in parameters:
            raise BriefError(
                f"{name}, line {line.number}: {parameter.name} is in the search space twice; keep one line"
            )
        parameters[parameter.name] = parameter
        if could_be_whole(parameter, line.text):
            notices.append(
                f"line {line.number}: {parameter} takes real values; for whole numbers add `int` at the end of the line"
            )
    return tuple(parameters.values()), notices


def _parameter(line: _Line, name: str) -> Parameter:
    try:
        return parse_line(line.text)
    except UsageError as wrong:
        shown = _cut(line.text.strip())
        raise BriefError(
            f"{name}, line {line.number}: `{shown}`: {wrong}; allowed in the search space: {FORMS}"
        ) from wrong


def _frozen(lines: list[_Line]) -> tuple[tuple[str, ...], list[str]]:
    globs: list[str] = []
    notices: list[str] = []
    for line in lines:
        item = _ITEM.fullmatch(line.text)
        text = (item["text"] if item else line.text).strip()[:_TOO_LONG]
        if _says_nothing(text) and "*" not in text:  # "**" is a glob without a word in it
            continue
        found = _globs(text)
        if item and not found:
            notices.append(f'line {line.number}: "{_cut(text)}" is not taken for a frozen file: write a path or a glob')
        globs += found
    return tuple(dict.fromkeys(globs)), notices


def _globs(text: str) -> list[str]:
    """Paths in back-ticks, else paths with commas between them and a remark behind them."""
    quoted = [part.strip() for part in re.findall(r"`([^`]+)`", text)]
    if quoted:
        return [part for part in quoted if part]
    plain = re.sub(r"(?:(?<!\s)\s+(?:[—\u2013-]+\s|#|\().*|:\s.*)$", "", text)
    parts = [part.strip() for part in plain.split(",")]
    return parts if all(part and not re.search(r"\s", part) for part in parts) else []


def _cut(text: str) -> str:
    shown = "".join(char if char.isprintable() else " " for char in text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
