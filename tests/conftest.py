"""The fixture of ``workbench.py``, for every test, what keeps tests out of the user's home, and which tests one worker
does in a row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench import project

__all__ = ["project"]

# Where a fixture that takes seconds serves a whole file: four workers would make it four times.
TOGETHER = ("test_report_browser.py", "test_report_html.py", "test_demo.py")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def _caches_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What matplotlib keeps of the fonts that it finds is not written into the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        yield
