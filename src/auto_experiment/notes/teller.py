"""Tells people what was stored: decides when a child process is sent out to write notes or to send a message.

Called after each stored step (``tell``) and while the controller waits (``look``). It waits for nothing, and what goes
wrong here is said once and does the campaign no harm: everything is in the ledger, and the next child tells it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from auto_experiment.config import Config
from auto_experiment.errors import AutoExperimentError
from auto_experiment.ledger.reader import Reader
from auto_experiment.notes import news
from auto_experiment.notes.errand import Errand
from auto_experiment.notes.obsidian import folder_of
from auto_experiment.notes.told import Told
from auto_experiment.paths import ProjectPaths
from auto_experiment.project import Project

MINUTE_S = 60.0  # within which news are collected into one message
CALM_S = 10.0  # between two writings of the notes, but for the last one
LIMIT_S, LAST_LIMIT_S = 20, 10  # for a child; for one that outlives the controller
_LONGEST_S = 3600.0  # between two tries of a message that nobody takes


class _Job:
    """One of the two things to do: when it is due, and the child that is at it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.due = math.inf
        self.errand: Errand | None = None
        self.said: set[str] = set()
        self.failures = 0


class Teller:
    """``variables``: the environment of a child; ``secrets``: what it hides. ``now``: the clock."""

    def __init__(
        self,
        ledger: Reader,
        paths: ProjectPaths,
        say: Callable[[str], None],
        *,
        variables: Callable[[Config], Mapping[str, str]],
        secrets: Callable[[], tuple[str, ...]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._paths, self._say = ledger, paths, say
        self._variables, self._secrets, self._now = variables, secrets, now
        self._notes, self._messages = _Job("obsidian"), _Job("notify")
        self._jobs = (self._notes, self._messages)
        self._told = Told(paths, "messages")
        self._config: Config | None = None
        self._project: Project | None = None
        self._shown: object = None  # what the notes that were asked for last say
        self._written_at = -math.inf
        self._said: set[str] = set()
        self._ended = 0  # the session whose end was told

    def begin(self, config: Config) -> None:
        """Before a session begins: what has happened until now is old, unless somebody was told of a part of it."""
        with suppress(OSError, AutoExperimentError):
            if config.notify and self._told.cursor() is None:
                self._told.store(news.here(self._ledger, running=False))

    def tell(self, config: Config, project: Callable[[], Project], status: Mapping[str, Any]) -> None:
        """Something was stored, or the controller waits: ``status`` as it is now."""
        self._config = config
        if not config.obsidian.enabled and not config.notify:
            return
        with self._harmless():
            self._project = project()
            ended = status["controller"]["state"] == "stopped"
            if config.obsidian.enabled:
                self._have_notes(status)
            if config.notify:
                self._have_news(self._project, status)
            if ended:
                self._leave()

    def look(self) -> float:
        """Do what is due. Seconds until the next look; infinite when there is nothing to look after."""
        with self._harmless():
            for job in self._jobs:
                self._collect(job)
                if job.errand is None and job.due <= self._now():
                    self._start(job, LIMIT_S)
        return min(self._wait(job) for job in self._jobs)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Whatever is wrong here, also a mistake of ours, costs a note and not the campaign."""
        try:
            yield
        except (OSError, AutoExperimentError):
            pass  # the ledger's and the disk's faults are said elsewhere
        except Exception as error:  # noqa: BLE001  the loop must live
            text = f"telling failed ({type(error).__name__}: {error})"
            if text not in self._said:
                self._said.add(text)
                self._say(f"{text}; the campaign goes on")

    # -- what is due --------------------------------------------------------------------------------------------

    def _have_notes(self, status: Mapping[str, Any]) -> None:
        controller = status["controller"]
        state, idle = controller["state"], controller["state"] != "running"
        shown = (self._ledger.last_lesson(), state, controller["reason"] if idle else None)
        if shown != self._shown:
            self._shown = shown
            self._notes.due = max(self._now(), self._written_at + CALM_S)

    def _have_news(self, project: Project, status: Mapping[str, Any]) -> None:
        cursor = self._told.cursor()
        if cursor is None:
            self._told.store(news.here(self._ledger, running=True))
            return
        found, _ = news.since(self._ledger, project, status, cursor)
        if found:
            self._messages.due = min(self._messages.due, self._now() + MINUTE_S)

    def _leave(self) -> None:
        """The session has ended, and nobody will look any more: what there is to tell is told now, by children that
        outlive us for some seconds."""
        session = self._ledger.last_session()
        if session is None or session.id == self._ended:
            return
        self._ended = session.id
        for job in self._jobs:
            self._collect(job)
            if job.due < math.inf:
                self._start(job, LAST_LIMIT_S, last=True)

    # -- the children -------------------------------------------------------------------------------------------

    def _start(self, job: _Job, limit_s: int, *, last: bool = False) -> None:
        config, project = self._config, self._project
        job.due = math.inf
        if config is None or project is None:
            return
        task = notes_task(config, project) if job is self._notes else {"do": "message", "urls": config.notify}
        task |= {"project": asdict(project), "secrets": self._secrets(), "limit_s": limit_s, "name": job.name}
        if last:
            task["log"] = self._paths.controller_log
        if job is self._notes:
            self._written_at = self._now()
        try:
            job.errand = Errand(task, self._variables(config), heard=not last, now=self._now)
        except OSError as error:
            self._fault(job, f"no child process could be started: {error.strerror}")
            job.due = self._now() + MINUTE_S

    def _collect(self, job: _Job) -> None:
        """Take in what a child came to. One that hangs for good, on a drive that is gone, is left alone: nothing else
        of its kind is started beside it."""
        errand = job.errand
        if errand is None:
            return
        answer = errand.answer()
        if answer is None:
            if errand.overdue():
                self._fault(job, f"no end after {LIMIT_S} s; nothing more is tried before it has come to its end")
            return
        job.errand = None
        faults = [str(fault) for fault in answer.get("faults", ())]
        for fault in faults:
            self._fault(job, fault)
        job.said &= set(faults)
        unsent = job is self._messages and bool(faults) and not answer.get("sent")
        job.failures = job.failures + 1 if unsent else 0
        if unsent:
            job.due = self._now() + min(MINUTE_S * 2**job.failures, _LONGEST_S)

    def _fault(self, job: _Job, fault: str) -> None:
        if fault not in job.said:
            job.said.add(fault)
            self._say(f"{job.name}: {fault}; the campaign goes on")

    def _wait(self, job: _Job) -> float:
        if job.errand is not None:
            return job.errand.next_look()
        return max(job.due - self._now(), 0.0)


def notes_task(config: Config, project: Project) -> dict[str, Any]:
    """Where the notes lie, as the child wants to know it: in the vault, or else in the workspace."""
    given = config.obsidian
    vault = os.path.join(project.paths.root, os.path.expanduser(given.vault_path)) if given.vault_path else ""
    return {
        "do": "notes",
        "root": vault or project.paths.notes,
        "own": not vault,
        "folder": folder_of(given.project_subdir, project.name) if vault else "",
        "daily": given.auto_append_daily,
    }


__all__ = ["Teller", "notes_task"]
