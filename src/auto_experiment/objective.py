"""The objective: which metric, which direction, which target, which value of a run counts.

"Better" is a method here and nowhere else. NaN, infinities and missing values are never better than anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from auto_experiment.records.observation import Series

PERCENT = "percent?"  # the human wrote "78%", which is kept as 0.78
BARE = "ratio?"  # the human wrote 78 or 0.78, of a metric that people give in either way

_RATIO = re.compile(
    r"\b(?:m?acc(?:uracy)?\d*|top ?\d+|f ?1|f score|precision|recall|sensitivity|specificity|dice|jaccard|m?iou\d*"
    r"|m?ap\d*|average precision|(?:roc |pr )?auc|auroc|auprc|(?:sacre)?bleu\d*|rouge\w*|meteor|chrf|em|exact match"
    r"|ndcg|mrr|hits?|pass|(?:win|success|solve|completion|hit|pass) rate|eer|ece)\b"
)
_UNBOUNDED = re.compile(r"\b(?:[wctd]er|per(?! [a-z])|s?mape|(?:word|character|char|phone|token) error rate)\b")
_ERROR = re.compile(
    r"(?:(?:val(?:idation|id)?|test(?:ing)?|train(?:ing)?|dev|eval(?:uation)?|classification|class|label"
    r"|sentence|equal|top ?\d+) )*err(?:or)?(?: (?:rate|top ?\d+|\d+))*"
)
_NO_RATIO = re.compile(r"\b(?:loss|perplexity|ppl)\b")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_HIGHEST_RATE = 5.0  # a word error rate of 5 is 500 % where it is a fraction: not even a run that learned nothing


def _words(metric: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", _CAMEL.sub(" ", metric).lower()).strip()


def is_ratio(metric: str) -> bool:
    """Is it a share of something, which some print as 0.78 and others as 78? A loss, a distance, a reward is none."""
    words = _words(metric)
    share = _RATIO.search(words) or _UNBOUNDED.search(words) or _ERROR.fullmatch(words)
    return bool(share) and not _NO_RATIO.search(words)


def _is_nearer(a: float, b: float, to: float) -> bool:
    """By their proportion."""
    return min(a, b, to) > 0 and abs(math.log(a / to)) < abs(math.log(b / to))


@dataclass(frozen=True)
class Objective:
    """``target`` is in the scale that the runs print, once ``scale`` is settled; before, as the human wrote it.

    ``scale``: "" when there is nothing to settle or it is settled; PERCENT or BARE while it is not known whether a
    target of 0.78 or 78 will be met by a printed 0.78 or by a printed 78.
    """

    metric: str
    direction: str  # "max" | "min"
    target: float | None = None
    select: str = "best"  # "best" | "final"
    scale: str = ""

    def better(self, a: float | None, b: float | None) -> bool:
        """Is ``a`` strictly better than ``b``?"""
        if a is None or not math.isfinite(a):
            return False
        if b is None or not math.isfinite(b):
            return True
        return a > b if self.direction == "max" else a < b

    def best(self, values: Iterable[float | None]) -> float | None:
        """The best of some values; None when none of them is finite. The first one wins a tie."""
        found: float | None = None
        for value in values:
            if self.better(value, found):
                found = value
        return found

    def reached(self, value: float | None) -> bool:
        """Does ``value`` meet the target? Equal is enough. Never while the scale is open."""
        if self.target is None or value is None or not math.isfinite(value) or self.scale:
            return False
        return value >= self.target if self.direction == "max" else value <= self.target

    def value_of(self, series: Series) -> float | None:
        """The value that counts of one run: its best finite one, or its last one; None when that is not finite."""
        if self.select == "final":
            return series.final if math.isfinite(series.final) else None
        return series.highest if self.direction == "max" else series.lowest

    def prints_percent(self, series: Series) -> bool:
        """A fraction never exceeds 1, so one finite value above 1 shows percentages. A run that stays at or below 1
        shows fractions: a percentage that never leaves the first percent would be a run that learned nothing.
        A word error rate may exceed 1 before anything is learned."""
        highest, lowest = series.highest or 0.0, series.lowest or 0.0
        if _UNBOUNDED.search(_words(self.metric)):
            return lowest > 1.0 or highest > _HIGHEST_RATE
        return highest > 1.0

    def factor(self, series: Series, bar: float | None = None) -> float:
        """What turns the human's numbers into the scale of the first run that printed the metric; 1 when alike.
        ``bar``: the brief's Current Best, for an objective without a target."""
        stated = bar if self.target is None else self.target
        if not self.scale or stated is None or series.highest is None:
            return 1.0
        as_fraction = self._is_fraction(stated)
        if not self.prints_percent(series):
            return 1.0 if as_fraction else 0.01
        if not as_fraction or self._is_small_percentage(stated, beside=series.lowest):
            return 1.0
        return 100.0

    def beside_target(self, bar: float) -> float:
        """A Current Best in the convention that the target is written in: 0.75 beside a target of 78 is 75."""
        if not self.scale or self.target is None or self._is_fraction(bar) == self._is_fraction(self.target):
            return bar
        if not self._is_fraction(bar):
            return bar if self._is_small_percentage(self.target, beside=bar) else round(bar / 100.0, 10)
        return bar if self._is_small_percentage(bar, beside=self.target) else round(bar * 100.0, 10)

    def _is_fraction(self, stated: float) -> bool:
        """An error rate "below 1" means 1 %: as a fraction it would ask for nothing."""
        return self.scale == PERCENT or (stated <= 1.0 if self.direction == "max" else stated < 1.0)

    def _is_small_percentage(self, number: float, beside: float | None) -> bool:
        """ "Error below 0.5" of a run that prints 1.2 means half a percent: the reading nearer to what is known."""
        return (
            self.scale == BARE
            and self.direction == "min"
            and beside is not None
            and _is_nearer(number, number * 100.0, to=beside)
        )

    def settled(self, factor: float) -> Objective:
        """The objective in the scale of the runs."""
        target = None if self.target is None else round(self.target * factor, 10)
        return replace(self, target=target, scale="")

    @property
    def identity(self) -> str:
        """Values are compared only between runs that were read with the same identity."""
        return f"{self.metric}|{self.direction}|{self.select}"

    def document(self) -> dict[str, object]:
        """The contract's four keys."""
        return {"metric": self.metric, "direction": self.direction, "target": self.target, "select": self.select}

    def __str__(self) -> str:
        goal = "" if self.target is None else f", target {self.target:g}"
        return f"{self.metric} ({self.direction}{goal}, {self.select} value of a run)"
