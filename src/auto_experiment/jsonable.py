"""JSON as all our outputs have it: NaN and infinities are the strings "nan", "inf" and "-inf"."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(body: object) -> str:
    """JSON for a column or a file: ASCII, so that no text is too strange for SQLite or for a reader."""
    return json.dumps(plain(body), allow_nan=False)


def plain(value: Any) -> Any:
    """``value`` with NaN and infinities as "nan", "inf", "-inf", in any depth."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
