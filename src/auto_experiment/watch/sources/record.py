"""What is known of a file that holds metrics, before and after it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from auto_experiment.records.observation import Series


class Kind(Enum):
    """The kind of a source in words. The order is the order of preference: formats that keep all digits of a value
    come first, event files, which hold 32-bit floats, last."""

    TRAINER_STATE = "Hugging Face trainer state"
    JSON_LINES = "JSON lines"
    TABLE = "table"
    WANDB = "W&B run"
    MLFLOW = "MLflow run"
    JSON = "JSON document"
    TENSORBOARD = "TensorBoard events"


_RANK = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True)
class SourceFile:
    """``path``: relative to the folder that was searched, "/" between its parts. ``parts``: the files that belong
    together as one source (the event files of one run), in the order of reading; each of them relative as well."""

    kind: Kind
    path: str
    parts: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sorts by preference: the kind, then the shallower path, then the name."""
        return _RANK[self.kind], self.path.count("/"), self.path


@dataclass(frozen=True)
class Source:
    """``whole``: False when a part of it was not read, so that nothing can be said of its best or final values.
    ``note``: what was left out or is wrong with it, in words; "" when nothing."""

    file: SourceFile
    series: Mapping[str, Series]
    note: str = ""
    whole: bool = True
    modified: float = 0.0  # the newest part's time of modification, seconds since the epoch

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def kind(self) -> str:
        return self.file.kind.value


@dataclass(frozen=True)
class Sources:
    """All sources of a folder by preference, and what is to be said of the search itself."""

    found: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
