"""The fixture of ``campaigns.py``, for every test."""

from __future__ import annotations

from campaigns import project

__all__ = ["project"]
