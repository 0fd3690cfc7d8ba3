"""The fixture of ``workbench.py``, for every test, and what keeps tests out of the user's home."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench import project

__all__ = ["project"]


@pytest.fixture(scope="session", autouse=True)
def _caches_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What matplotlib keeps of the fonts that it finds is not written into the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        yield
