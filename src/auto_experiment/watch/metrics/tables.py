"""Rows of tables whose name and value stand on one line. Tables with a header row are not read here."""

from __future__ import annotations

import re

from auto_experiment.watch.metrics.numbers import NUMBER, to_float
from auto_experiment.watch.metrics.reading import Reading

_ROW = re.compile(rf"\s*[|│┃]\s*([A-Za-z_][\w /@.%()-]{{0,58}}?)\s*[|│┃]\s*({NUMBER})\s*%?\s*[|│┃]\s*")
_COCO = re.compile(
    r"\bAverage (Precision|Recall)\s+\(A[PR]\) @\[ IoU=([\d.]+(?::[\d.]+)?)\s*"
    rf"\| area=\s*(\w+)\s*\| maxDets=\s*(\d+)\s*\]\s*=\s*({NUMBER})"
)
_COUNTERS = {"epoch": "epoch", "step": "step", "total_timesteps": "step", "iterations": "", "n_updates": "", "fps": ""}


def read(text: str, into: Reading) -> bool:
    """True when the line is a row of such a table, whether or not it held a metric."""
    match = _ROW.fullmatch(text)
    if match is not None:
        _row(match[1], to_float(match[2]), into)
        return True
    if "Average" in text and (match := _COCO.search(text)) is not None:
        into.pairs.append((_coco_name(match), to_float(match[5])))
        return True
    return False


def _row(name: str, value: float, into: Reading) -> None:
    counter = _COUNTERS.get(name.rsplit("/", 1)[-1].lower())
    if counter == "epoch":
        into.epoch = value
    elif counter == "step":
        into.step = value
    elif counter is None and not name.lower().endswith(("elapsed", "time", "seconds")):
        into.pairs.append((name, value))


def _coco_name(match: re.Match[str]) -> str:
    """The names that COCO's own tables use: AP, AP50, AP75, APs, AR1, AR100, ARl."""
    kind = "AP" if match[1] == "Precision" else "AR"
    if match[3] != "all":
        return kind + match[3][0]
    if kind == "AR":
        return f"AR{match[4]}"
    return "AP" if ":" in match[2] else f"AP{round(float(match[2]) * 100)}"
