"""The projects of the drills: those of the test suite (``tests/workbench.py``), in a drill's own folder.

``opened`` makes one and, when the drill is done with it, ends what was started and proves that nothing is left of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench import BRIEF, Project, is_alive, until

__all__ = ["BRIEF", "Project", "is_alive", "opened", "until"]


@contextlib.contextmanager
def opened(folder: Path, script: str, *, brief: str = BRIEF, config: Any = None) -> Iterator[Any]:
    project = Project(folder, script, brief, config)
    try:
        yield project
    finally:
        project.close()
