"""The fixture of ``workbench.py``, for every test."""

from __future__ import annotations

from workbench import project

__all__ = ["project"]
