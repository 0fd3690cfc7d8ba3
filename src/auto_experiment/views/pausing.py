"""Who asked for a pause, and when: read from the standing request, said in words."""

from __future__ import annotations

from dataclasses import dataclass

from auto_experiment import clock
from auto_experiment.paths import ProjectPaths
from auto_experiment.watch import requests

GO_ON = "`auto-experiment resume` goes on"


@dataclass(frozen=True)
class Pause:
    """``at``: ISO 8601, "" when it is not known; ``by``: user@host."""

    at: str
    by: str

    def __str__(self) -> str:
        """ "since 2026-11-26 09:30 by ann@lab"."""
        try:
            since = f"since {clock.local(self.at):%Y-%m-%d %H:%M}"
        except ValueError:
            since = "since an unknown time"
        return since + (f" by {self.by}" if self.by else "")


def pause_of(paths: ProjectPaths) -> Pause | None:
    """The pause that was asked for; None when nothing holds the project up. It need not have begun: what runs goes
    on to its end."""
    asked = requests.standing(paths.requests, requests.PAUSE)
    return None if asked is None else Pause(str(asked.get("at", "")), str(asked.get("by", "")))
