"""What stands in the notes: ledger -> the dashboard and a text for each day, as Markdown that Obsidian and everybody
else can show. Pure: the same ledger gives the same text, with no time of writing in it. Reads and writes no file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auto_experiment.clock import human, local
from auto_experiment.ledger.reader import Reader
from auto_experiment.project import Project
from auto_experiment.texts import one_line
from auto_experiment.views.listing import listing, shown_value
from auto_experiment.views.standing import standing
from auto_experiment.views.status import spent, status

DASHBOARD, DAILY = "Dashboard", "Daily"
PROJECT_NAME = "{project_name}"
_RECENT, _DAYS = 15, 14  # experiments and days on the dashboard
_MOST_DAYS, _MOST_EXPERIMENTS = 400, 2_000  # that are looked at: older notes stay as they are
_NO_LINK = re.compile(r"[\[\]|#^\\]|%%")  # what a wikilink cannot hold
_SPECIAL = re.compile(r"([\\`*\[\]|#^$])")
_RESULTS = {"improved": "new best", "not_improved": "not better", "inconclusive": "inconclusive", "failed": "failed"}


@dataclass(frozen=True)
class Line:
    """One thing that ended. ``at``: UTC, ISO 8601; ``id``: of its block, so that links find it."""

    at: str
    id: str
    text: str

    @property
    def day(self) -> str:
        return local(self.at).date().isoformat()

    def __str__(self) -> str:
        return f"- {local(self.at):%H:%M} {self.text} ^{self.id}"


@dataclass(frozen=True)
class Notes:
    """``days``: by date, newest first."""

    dashboard: str
    days: Mapping[str, str]


def folder_of(subdir: str, project: str) -> str:
    """The folder below the vault, with a project's name that may stand in a note's path."""
    name = re.sub(r'[\[\]|#^\\/:*?"<>%\x00-\x1f\x7f]', "-", project).strip(" .-") or "project"
    return "/".join(part for part in subdir.replace(PROJECT_NAME, name).split("/") if part not in ("", "."))


def front(project: str) -> str:
    """The front matter that a new note begins with; from then on it is the human's."""
    return f"---\ntags:\n  - auto-experiment\nproject: {json.dumps(project, ensure_ascii=False)}\n---\n\n"


def notes(project: Project, ledger: Reader, folder: str, *, daily: bool) -> Notes:
    """``folder``: of the notes, as links name it; "" for beside each other. ``daily``: with a text for each day."""
    left_out = max(ledger.experiment_count() - _MOST_EXPERIMENTS, 0)
    rows = listing(project, ledger, standing(ledger, project.objective), after=left_out)
    lines = _lines(rows, ledger) if daily else []
    days: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line.at, _rank(line), line.id)):
        days.setdefault(line.day, []).append(line)
    newest = _whole(sorted(days, reverse=True), ledger, left_out)[:_MOST_DAYS]
    back = _link(folder, DASHBOARD, DASHBOARD)
    title = f"## {_text(project.name)}\n\n{back}\n\n"
    return Notes(
        _dashboard(project, ledger, rows, {line.id: line.day for line in lines}, newest, folder),
        {day: title + "\n".join(str(line) for line in days[day]) for day in newest},
    )


def _whole(days: Sequence[str], ledger: Reader, left_out: int) -> Sequence[str]:
    """The days, newest first, of which every experiment is listed; the newest one in any case."""
    last = ledger.experiment(left_out) if left_out else None
    at = ledger.lesson_times().get(last.cycle) if last else None
    return [day for day in days if at is None or day == days[0] or day > local(at).date().isoformat()]


def _rank(line: Line) -> int:
    """What is of one millisecond: a session begins before and ends after what happens in it."""
    return 0 if line.id.startswith("start") else 2 if line.id.startswith("end") else 1


def _lines(rows: Sequence[Mapping[str, Any]], ledger: Reader) -> list[Line]:
    times = ledger.lesson_times()
    found = [Line(times[row["cycle"]], row["id"], _ended(row)) for row in rows if row["cycle"] in times]
    for session in ledger.sessions():
        found.append(Line(session.started_at, f"start{session.id}", "`run` began"))
        if session.ended_at:
            found.append(Line(session.ended_at, f"end{session.id}", f"`run` ended: {_text(session.reason or '')}"))
    for event in ledger.events("directive", _MOST_DAYS):
        said = " / ".join(str(event.body["text"]).splitlines())
        found.append(Line(event.at, f"directive{event.id}", f"directive: {_text(said, 200)}"))
    return found


def _ended(row: Mapping[str, Any]) -> str:
    value = "" if row["value"] is None else f", {shown_value(dict(row))}"
    took = [run["ended_at"] for run in row["runs"] if run["ended_at"]]
    why = row["runs"][-1]["reason"] if row["runs"] and row["result"] == "failed" and took else ""
    result = _RESULTS.get(row["result"] or "", "no result")
    return f"**{row['id']}** {_text(row['title'])}: {result}{value}" + (f" ({_text(why, 200)})" if why else "")


def _dashboard(
    project: Project,
    ledger: Reader,
    rows: Sequence[Mapping[str, Any]],
    day_of: Mapping[str, str],
    days: Sequence[str],
    folder: str,
) -> str:
    document = status(project, ledger)
    objective, best, controller = document["objective"], document["best"], document["controller"]
    counts = ", ".join(f"{document[what]} {what}" for what in ("cycles", "experiments", "runs"))
    lines = [
        f"# {_text(project.name)}",
        "",
        "> This part is written by auto-experiment. What stands above and below it is yours.",
        "",
        f"- **Goal**: {_text(project.goal, 500)}",
        f"- **Objective**: {_objective(objective)}",
        f"- **Best so far**: {_best(best, day_of, folder)}",
        f"- **State**: {_state(controller)}",
        f"- **Done**: {counts}",
        f"- **Cost**: {_cost(document['llm'], ledger)}",
    ]
    if rows:
        lines += ["", "## Recent experiments", "", "| experiment | result | value | title |", "|---|---|---:|---|"]
        for row in reversed(rows[-_RECENT:]):
            result = _RESULTS.get(row["result"] or "", "not ended")
            name = _experiment(row["id"], day_of, folder, cell=True)
            lines.append(f"| {name} | {result} | {shown_value(dict(row))} | {_text(row['title'])} |")
    if document["decisions"]:
        lines += ["", "## Last decisions", "", *(f"- {_text(text, 300)}" for text in reversed(document["decisions"]))]
    if days:
        lines += ["", "## Days", "", *(f"- {_link(folder, f'{DAILY}/{day}', day)}" for day in days[:_DAYS])]
    return "\n".join(lines)


def _objective(objective: Mapping[str, Any] | None) -> str:
    if objective is None:
        return "not known yet"
    target = "" if objective["target"] is None else f", target {objective['target']:g}"
    return f"{_text(objective['metric'])} ({objective['direction']}{target})"


def _best(best: Mapping[str, Any] | None, day_of: Mapping[str, str], folder: str) -> str:
    if best is None:
        return "none yet that counts"
    return f"{best['value']:g}, {_experiment(best['experiment'], day_of, folder)} {_text(best['title'])}"


def _state(controller: Mapping[str, Any]) -> str:
    """Without the phase and without times: they change too often for a note."""
    reason = f": {_text(controller['reason'], 300)}" if controller["reason"] else ""
    return f"{controller['state']}{reason}"


def _cost(llm: dict[str, float | None], ledger: Reader) -> str:
    model = spent(llm) if llm["calls"] else "no model"
    seconds = ledger.gpu_seconds()
    return f"{model}, GPU time {human(seconds)}" if seconds else model


def _experiment(name: str, day_of: Mapping[str, str], folder: str, *, cell: bool = False) -> str:
    day = day_of.get(name)
    return name if day is None else _link(folder, f"{DAILY}/{day}", name, block=name, cell=cell)


def _link(folder: str, note: str, shown: str, *, block: str = "", cell: bool = False) -> str:
    """A wikilink from the vault's root on, so that no other note of this name is meant; where a folder's name does not
    allow one, a link of Markdown."""
    path = f"{folder}/{note}" if folder else note
    if _NO_LINK.search(path):
        return f"[{shown}](<{'../' if note == DASHBOARD else ''}{note}.md>)"
    anchor = f"#^{block}" if block else ""
    return f"[[{path}{anchor}{chr(92) if cell else ''}|{shown}]]"


def _text(text: str, most: int = 160) -> str:
    """Text from models, logs and humans as one piece of a line: no link, tag, table, comment or HTML of its own."""
    flat = one_line(text)
    if len(flat) > most:
        flat = f"{flat[: most - 3]}..."
    return _SPECIAL.sub(r"\\\1", flat).replace("<", "&lt;").replace("%%", "%\u200b%")
