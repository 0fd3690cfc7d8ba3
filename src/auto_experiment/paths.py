"""Every path of a project, in one place. Knows names only: it creates and reads nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class ProjectPaths:
    """``root``: the project folder. ``workspace`` and ``ledger`` may lie elsewhere (config ``project``).
    All paths are absolute."""

    root: str
    brief: str
    workspace: str
    ledger: str

    @classmethod
    def of(
        cls, root: str, *, brief: str = "PROJECT_BRIEF.md", workspace: str = "workspace", ledger: str | None = None
    ) -> ProjectPaths:
        root = os.path.abspath(root)
        folder = os.path.join(root, os.path.expanduser(workspace))
        database = os.path.join(root, os.path.expanduser(ledger)) if ledger else os.path.join(folder, "ledger.db")
        return cls(root, os.path.join(root, os.path.expanduser(brief)), folder, database)

    @property
    def memory_log(self) -> str:
        return os.path.join(self.workspace, "MEMORY_LOG.md")

    @property
    def directive(self) -> str:
        return os.path.join(self.workspace, "HUMAN_DIRECTIVE.md")

    @property
    def directive_archive(self) -> str:
        return os.path.join(self.workspace, "directive_archive")

    @property
    def state(self) -> str:
        return os.path.join(self.workspace, "state.json")

    @property
    def controller_log(self) -> str:
        return os.path.join(self.workspace, "controller.log")

    @property
    def report(self) -> str:
        return os.path.join(self.workspace, "REPORT.md")

    @property
    def report_html(self) -> str:
        return os.path.join(self.workspace, "report.html")

    @property
    def notes(self) -> str:
        """The notes for people who have no vault."""
        return os.path.join(self.workspace, "progress_tracking")

    @property
    def told(self) -> str:
        """What was written into notes, and what was sent, so that nobody is told twice."""
        return os.path.join(self.workspace, "told")

    @property
    def lock(self) -> str:
        """Held with flock by the one controller; names its pid."""
        return os.path.join(self.workspace, "controller.lock")

    @property
    def requests(self) -> str:
        """Where other processes drop what they ask of the controller."""
        return os.path.join(self.workspace, "requests")

    @property
    def poke(self) -> str:
        """A FIFO that the controller listens on: a byte in it says "look at the requests"."""
        return os.path.join(self.workspace, "requests", "poke")

    @property
    def directed(self) -> str:
        """What `direct` has added to the directive, noted by itself."""
        return os.path.join(self.workspace, "requests", "directed")

    @property
    def code(self) -> str:
        """A bare git repository of our own: the project's code as it was recorded (docs/code.md)."""
        return os.path.join(self.workspace, "code.git")

    @property
    def runs(self) -> str:
        return os.path.join(self.workspace, "runs")

    def attempt(self, name: str) -> str:
        """The folder of an attempt ("exp003/run01/a1")."""
        return os.path.join(self.runs, *name.split("/"))

    def train_log(self, name: str) -> str:
        return os.path.join(self.attempt(name), "train.log")

    def out(self, name: str) -> str:
        """``AUTO_EXPERIMENT_RUN_DIR`` of an attempt."""
        return os.path.join(self.attempt(name), "out")
