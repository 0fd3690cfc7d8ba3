"""Ways of printing that say the same as ``name=value`` in an order or with marks of their own; made plain first."""

from __future__ import annotations

import re

from auto_experiment.watch.metrics.numbers import NUMBER

# (what must be in the line, the pattern, what it says)
_REWRITES = (
    # darknet's "12: 340.92, 618.07 avg, 0.001 rate"
    (" rate", re.compile(rf"^(\s*\d+: )({NUMBER}), ({NUMBER}) avg( loss)?, "), r"\1loss=\2, avg\4=\3, "),
    # Kaldi's "%WER 9.87 [ 1984 / 20138, ... ]"
    ("%", re.compile(rf"(?<![\w%])%([A-Z]{{2,5}} {NUMBER})"), r"\1"),
    # icefall's "loss[loss=6.5, ...], tot_loss[loss=6.9, ...]"
    ("[loss=", re.compile(r"\b(\w*loss)\[loss="), r"\1="),
    # ESPnet's "3epoch results:" and "3/50epoch started"
    (
        "epoch",
        re.compile(r"(?<![\w.])(\d{1,6}(?:/\d{1,6})?) ?epoch(?=[: ](?:results|started|train|valid))"),
        r"epoch \1 ",
    ),
    # TensorFlow's estimators: the numbers of an evaluation
    ("Saving dict for", re.compile(r"\bSaving dict for (?=global step)"), "eval | "),
    # clu's and T5X's "collection=eval accuracy=..."
    ("collection=", re.compile(r"\bcollection=[\w/]{0,30}eval[\w/]{0,30}"), "eval | "),
    ("collection=", re.compile(r"\bcollection=train\w{0,10}"), "train | "),
    # AutoGluon's "0.8868  = Validation score   (accuracy)"
    (
        " score ",
        re.compile(rf"^\s{{0,9}}({NUMBER})\s{{1,9}}= (Validation score)\s{{1,9}}\((\w{{1,30}})\)"),
        r"\2 (\3): \1",
    ),
    # Lightning's checkpoints: "'val_loss' reached 6.49 (best 6.49), saving"
    (" reached ", re.compile(rf"'([\w/@.-]{{1,60}})' reached ({NUMBER}) \(best .*"), r"\1=\2"),
    # PaddleOCR's "cur metric, acc: 0.4"
    (" metric, ", re.compile(r"\b(cur|best) metric, (?=\w+:)"), r"\1 metric "),
    # Stable-Baselines3's evaluations
    ("num_timesteps", re.compile(r"\bnum_timesteps="), "timesteps="),
)


def plain(text: str) -> str:
    for mark, pattern, said in _REWRITES:
        if mark in text:
            text = pattern.sub(said, text)
    return text
