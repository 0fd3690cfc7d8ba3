"""The child process that writes the notes or sends the messages: ``python -m auto_experiment.notes.child``, with its
task on standard input. It has a time limit, and may hang or die as it likes: nobody waits for it.

It opens the ledger read-only and takes from it what is new since it was told last. So whichever child comes first tells
it all, and the next one nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from auto_experiment.errors import AutoExperimentError
from auto_experiment.files import append_to
from auto_experiment.ledger.reader import Reader
from auto_experiment.notes import news, obsidian, sender
from auto_experiment.notes.managed import LeftAlone
from auto_experiment.notes.told import Told
from auto_experiment.notes.vault import Vault
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import Project
from auto_experiment.redact import Redactor
from auto_experiment.views.status import status

_GRACE_S = 5  # for what comes before and after the part that has a limit of its own
Answer = dict[str, Any]  # "faults": lines, each told once; "sent": how many addresses took a message


def main() -> int:
    task = json.load(sys.stdin.buffer)
    signal.alarm(int(task["limit_s"]) + _GRACE_S)
    hide = Redactor(task.get("secrets", ()))
    try:
        answer = _TASKS[task["do"]](task, hide)
    except ImportError as error:
        answer = {"faults": [f"Apprise cannot be loaded ({error}): pip install apprise"]}
    except (OSError, AutoExperimentError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        answer = {"faults": [said]}
    except Exception as error:  # noqa: BLE001  nobody reads what a child prints on stderr
        answer = {"faults": [f"{type(error).__name__}: {error}"]}
    faults = [hide(" ".join(fault.split())) for fault in answer.get("faults", ())]
    _log(task, faults)
    with contextlib.suppress(OSError):
        print(json.dumps({**answer, "faults": faults}), flush=True)
    os._exit(0)  # a thread that still waits for a server does not hold us


def _log(task: Mapping[str, Any], faults: list[str]) -> None:
    """Nobody is there any more to say what went wrong at the end of a campaign."""
    for fault in faults if task.get("log") else ():
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {task['name']}: {fault}\n"
        with contextlib.suppress(OSError):
            append_to(task["log"], bytearray(line.encode("utf-8", "replace")))


# -- messages -----------------------------------------------------------------------------------------------------


def _message(task: Mapping[str, Any], hide: Redactor) -> Answer:
    """Send what is new. That it is about to be sent is written down first: whatever kills us then, nobody is told
    twice. When nobody took it, that is written back, and the next message has it all."""
    project = project_from(task["project"])
    told = Told(project.paths, "messages")
    with told.alone():
        with closing(Reader.open(project.paths.ledger)) as ledger:
            now = status(project, ledger)
            before = told.cursor() or news.here(ledger, running=True)
            found, after = news.since(ledger, project, now, before)
        if not found:
            told.store(after)
            return {"sent": 0}
        title, text = news.message(project, found, now, os.uname().nodename)
        told.store(after)
        results = sender.send(task["urls"], hide(title), hide(text), limit_s=task["limit_s"])
        if all(results):
            told.store(before)
    return {"sent": results.count(""), "faults": _numbered(results)}


def _test(task: Mapping[str, Any], hide: Redactor) -> Answer:
    project = project_from(task["project"])
    text = f"a test of the notifications of {project.name}, from {os.uname().nodename}"
    results = sender.send(task["urls"], hide(f"{project.name}: a test"), hide(text), limit_s=task["limit_s"])
    return {"sent": results.count(""), "faults": _numbered(results)}


def _parse(task: Mapping[str, Any], _hide: Redactor) -> Answer:
    return {"services": sender.services(task["urls"])}


def _numbered(results: list[str]) -> list[str]:
    return [f"address {place} ({fault})" for place, fault in enumerate(results, start=1) if fault]


# -- notes --------------------------------------------------------------------------------------------------------


def _notes(task: Mapping[str, Any], _hide: Redactor) -> Answer:
    project = project_from(task["project"])
    told = Told(project.paths, "notes")
    with told.alone():
        with closing(Reader.open(project.paths.ledger)) as ledger:
            texts = obsidian.notes(project, ledger, task["folder"], daily=task["daily"])
        root = task["root"]
        if task["own"]:
            os.makedirs(root, exist_ok=True)
        place = os.path.join(root, task["folder"])
        return {"faults": _written(Vault(root, task["folder"]), texts, told, project.name, place)}


def _written(vault: Vault, texts: obsidian.Notes, told: Told, owner: str, place: str) -> list[str]:
    """The dashboard, the newest day, and each earlier day that has changed since it was written into this folder: a
    daily note that somebody has thrown away stays away."""
    held = told.read()
    known: dict[str, str] = held.get("days", {}) if held.get("place") == place else {}
    front, faults, written = obsidian.front(owner), [], dict(known)
    newest = next(iter(texts.days), "")
    try:
        vault.write(obsidian.DASHBOARD, texts.dashboard, owner=owner, front=front)
    except LeftAlone as error:
        faults.append(str(error))
    for day, text in texts.days.items():
        if day == newest or known.get(day) != _digest(text):
            try:
                vault.write(f"{obsidian.DAILY}/{day}", text, owner=owner, front=front)
                written[day] = _digest(text)
            except LeftAlone as error:
                faults.append(str(error))
    if written != known or held.get("place") != place:
        told.write({"place": place, "days": {day: written[day] for day in texts.days if day in written}})
    return faults


def _probe(task: Mapping[str, Any], _hide: Redactor) -> Answer:
    """Could the notes be written?"""
    root = task["root"]
    if not os.path.isdir(root):
        return {"faults": [f"{root}: there is no such folder"]}
    return {} if os.access(root, os.W_OK | os.X_OK) else {"faults": [f"{root}: cannot be written"]}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


# -- a project over a pipe ----------------------------------------------------------------------------------------


def project_from(document: Mapping[str, Any]) -> Project:
    """What ``dataclasses.asdict`` has made of one."""
    objective = document["objective"]
    return Project(
        **{
            **document,
            "paths": ProjectPaths(**document["paths"]),
            "objective": Objective(**objective) if objective else None,
            "notices": tuple(document["notices"]),
        }
    )


_TASKS: dict[str, Callable[[Mapping[str, Any], Redactor], Answer]] = {
    "message": _message,
    "test": _test,
    "parse": _parse,
    "notes": _notes,
    "probe": _probe,
}

if __name__ == "__main__":
    sys.exit(main())
