"""The projects of the drills: those of the test suite (``tests/conftest.py``), in a drill's own folder.

``opened`` makes one and, when the drill is done with it, ends what was started and proves that nothing is left of it.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _suite() -> Any:
    """By its path: ``conftest`` is the name of several files, and an import would take any of them."""
    spec = importlib.util.spec_from_file_location("conftest_of_all", Path(__file__).parents[1] / "conftest.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_suite_of_all = _suite()
BRIEF, Project = _suite_of_all.BRIEF, _suite_of_all.Project
is_alive, until = _suite_of_all.is_alive, _suite_of_all.until


@contextlib.contextmanager
def opened(folder: Path, script: str, *, brief: str = BRIEF, config: Any = None) -> Iterator[Any]:
    project = Project(folder, script, brief, config)
    try:
        yield project
    finally:
        project.close()
