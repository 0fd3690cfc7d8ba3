"""Are two numbers one, printed with different digits? What a log prints is the rounding of what a file keeps."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum

from auto_experiment.records.observation import Series

_FLOAT32 = 1.2e-7  # a value that went through a 32-bit float has changed by no more than this part of it
_MANY = 3  # digits from which on they say how finely a series is printed
_COARSEST = 0.05


class Agreement(Enum):
    NO = "no"
    SAME = "same"  # the file knows no more than the log
    FINER = "finer"  # the file has the digits that the log's rounding has lost


def compare(log: Series, printed: float, file: Series, kept: float) -> Agreement:
    """``printed`` is a value of the log's series, ``kept`` one of the file's, in the log's scale."""
    if not (math.isfinite(printed) and math.isfinite(kept)):  # too large to be put into the other scale
        return Agreement.NO
    apart = abs(kept - printed)
    if apart <= _FLOAT32 * abs(printed):
        return Agreement.SAME
    ours, theirs = _unit(log, printed), _unit(file, kept)
    if theirs > _COARSEST * abs(kept) or _digits(file)[1] < _MANY:
        theirs = 0.0  # round numbers by nature: no rounding to make room for
    if apart > max(ours, theirs) / 2 * (1 + 1e-6):
        return Agreement.NO
    return Agreement.FINER if theirs < ours else Agreement.SAME


def scaled(value: float, power: int) -> float:
    """``value`` times ten to ``power``, without the noise that a multiplication adds to its digits."""
    return float(Decimal(repr(value)).scaleb(power)) if power and math.isfinite(value) else value


def scaled_series(series: Series, power: int) -> Series:
    """The series with all its values so."""
    if not power:
        return series
    return Series(
        series.name,
        series.count,
        scaled(series.final, power),
        series.final_step,
        None if series.highest is None else scaled(series.highest, power),
        series.highest_step,
        None if series.lowest is None else scaled(series.lowest, power),
        series.lowest_step,
        series.bad,
    )


def _unit(series: Series, value: float) -> float:
    """One in the last digit with which ``value`` is printed, as far as the series shows how many digits it is printed
    with: a lone 0.87 may be 0.870, beside 0.8123 it is. Formats with so many decimals and with so many digits in all
    are both possible; the coarser reading stands."""
    decimals, digits = _digits(series)
    by_digits = 0.0 if not value else 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)
    unit = max(10.0**-decimals, by_digits)
    return unit if digits >= _MANY else min(unit, 2 * _COARSEST * abs(value))


def _digits(series: Series) -> tuple[int, int]:
    """(decimals, digits in all) of the values that are known of a series: the most that one of them has."""
    known = [v for v in (series.final, series.highest, series.lowest) if v is not None and math.isfinite(v)]
    shown = [Decimal(repr(v)).normalize().as_tuple() for v in known]
    decimals = [max(0, -int(one.exponent)) for one in shown]
    digits = [len(one.digits) + max(0, int(one.exponent)) for one in shown]
    return max(decimals, default=0), max(digits, default=1)
