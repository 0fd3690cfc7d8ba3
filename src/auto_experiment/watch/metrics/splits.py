"""Train, validation, test: the words for a split of the data, and how a name carries one.

A name that says its split is kept as printed ("val loss", "Validation-accuracy", "eval_loss"). Where the split stands
apart ("Val | loss 0.3", "[test] acc=0.9") it is joined to the names after it, in one spelling: ``val_loss``,
``test_acc``.
"""

from __future__ import annotations

import re
from functools import lru_cache

WORDS = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "val": "val", "vali": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val",
    "eval": "val", "evaluation": "val",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
_PIECES = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")


@lru_cache(maxsize=4096)
def split_of(name: str) -> str | None:
    """The split that a metric's name starts or ends with."""
    pieces = [piece.lower() for piece in _PIECES.split(name) if piece]
    if len(pieces) < 2:
        return None
    for piece in (pieces[0], pieces[-1], *pieces[1:2]):
        if piece in WORDS:
            return WORDS[piece]
    return None


@lru_cache(maxsize=1024)
def after_validation(names: tuple[str, ...]) -> frozenset[str]:
    """Of the names of one line, those without a split that come after the validation's where the training has its own:
    ``train_loss, valid_loss, accuracy``. What a loss without a split is, is not so clear."""
    splits = [split_of(name) for name in names]
    if "train" not in splits or "val" not in splits or "test" in splits:
        return frozenset()
    last = max(i for i, split in enumerate(splits) if split)
    if splits[last] != "val":
        return frozenset()
    return frozenset(name for name in names[last + 1 :] if "loss" not in name.lower() and name.lower() not in WORDS)
