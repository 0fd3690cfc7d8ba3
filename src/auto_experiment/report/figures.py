"""Draws the report's figures: a request as JSON on stdin, SVG as JSON on stdout. Run as a process of its own, so that
matplotlib's second of import, its memory and its crashes stay out of the controller.

Each figure is drawn by itself: one that fails is told, the others are there.
"""

from __future__ import annotations

import io
import json
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from auto_experiment.report.parameters import LEAST, is_number, is_wide, varied
from auto_experiment.report.svg import COLOURS, tidy

WIDE, NARROW, SMALL = (8.9, 3.1), (5.0, 3.1), (3.6, 2.7)  # inches; a page shows them as wide as there is room
SIZE = 9.5  # of text, in points
MOST_POINTS = 1_500  # in the picture of all experiments
MOST_LINKS = 400
MANY = 200  # points, from here on smaller ones
MOST_PARAMETERS = 6
_SERIES = ("accent", "s1", "s2", "s3", "s4")
_INK, _MUTED, _LINE, _ACCENT, _BAD = (COLOURS[name] for name in ("ink", "muted", "line", "accent", "bad"))

Request = Mapping[str, Any]
Drawing = dict[str, Any]  # svgs, caption


def main() -> None:
    request = json.load(sys.stdin)
    with mpl.rc_context(cast("Any", _style())):
        answer = draw(request)
    json.dump(answer, sys.stdout)


def draw(request: Request) -> dict[str, Any]:
    """name -> {"svg": {variant: text}, "caption": text}, or {"failed": why}; None where there is nothing to draw."""
    made: dict[str, Any] = {}
    for name, make in FIGURES.items():
        try:
            made[name] = make(request)
        except Exception as error:  # noqa: BLE001  whatever it is, the others are drawn and this one is told
            made[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}
    return made


def _style() -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "auto-experiment",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": SIZE,
        "axes.labelsize": SIZE,
        "axes.labelcolor": _MUTED,
        "axes.edgecolor": _LINE,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.formatter.use_mathtext": False,
        "axes.formatter.useoffset": False,
        "axes.unicode_minus": True,
        "text.color": _INK,
        "xtick.color": _LINE,
        "ytick.color": _LINE,
        "xtick.labelcolor": _MUTED,
        "ytick.labelcolor": _MUTED,
        "xtick.labelsize": SIZE - 0.5,
        "ytick.labelsize": SIZE - 0.5,
        "grid.color": _LINE,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": SIZE - 0.5,
        "legend.labelcolor": _INK,
        "lines.solid_capstyle": "round",
        "path.simplify_threshold": 0.3,
    }


# -- all experiments --------------------------------------------------------------------------------------------------


def _objective(request: Request) -> Drawing | None:
    rows = request["experiments"]
    counted = [(n, value) for n, value, counts, _ in rows if counts]
    if not counted:
        return None
    scale = _Scale([value for _, value in counted], request["direction"], _references(request))
    title = f"{request['metric']} by experiment"
    about = (
        f"{len(counted)} experiments with a value that counts, {sum(failed for *_, failed in rows)} without one. "
        f"The line is the best value so far; it ends at {counted[-1][1] if len(counted) == 1 else _best(request):g}."
    )
    tips = {f"#exp{n:03d}": f"exp{n:03d}: {value:g}" for n, value in counted}
    svgs = {}
    for variant, size in (("wide", WIDE), ("narrow", NARROW)):
        figure, axes = _canvas(size)
        _draw_objective(axes, request, scale, columns=5 if variant == "wide" else 2)
        svgs[variant] = _svg(figure, f"o{variant[0]}", title, about, tips)
    linked = request["linked"] and len(counted) <= MOST_LINKS
    caption = "Points are experiments; a point leads to its details." if linked else ""
    off = [f"exp{n:03d} ({value:g})" for n, value in counted if scale.is_off(value)]
    if off:
        more = f" and {len(off) - 8} more" if len(off) > 8 else ""
        caption += f" Off the scale, drawn at its edge: {', '.join(off[:8])}{more}."
    return {"svg": svgs, "caption": caption.strip()}


class _Scale:
    """The range of an axis of values: all of them, unless a few lie so far off on the bad side that the others would be
    one line."""

    def __init__(self, values: Sequence[float], direction: str, also: Sequence[float] = ()) -> None:
        low, high = min([*values, *also]), max([*values, *also])
        if len(values) >= 8:
            first, middle, third = statistics.quantiles(values, n=4)
            reach = 4 * max(third - first, abs(middle - (high if direction == "max" else low)), 1e-300)
            low = max(low, first - reach) if direction == "max" else low
            high = min(high, third + reach) if direction == "min" else high
        pad = 0.07 * (high - low) or 0.05 * abs(high) or 0.5
        self.low, self.high = low - pad, high + 1.6 * pad
        self._edge = 0.3 * pad

    def is_off(self, value: float) -> bool:
        return not self.low <= value <= self.high

    def clip(self, value: float) -> float:
        """Where a value is drawn: one that is off the scale at its edge."""
        return min(max(value, self.low + self._edge), self.high - self._edge)


def _draw_objective(axes: Axes, request: Request, scale: _Scale, columns: int) -> None:
    rows, better = request["experiments"], max if request["direction"] == "max" else min
    counted = [(n, value) for n, value, counts, _ in rows if counts]
    steps: list[tuple[float, float]] = []
    for n, value in counted:
        steps.append((n, value if not steps else better(steps[-1][1], value)))
    last = rows[-1][0]
    leaders = {
        n
        for (n, value), before in zip(counted, [None, *steps], strict=False)
        if before is None or better(value, before[1]) != before[1]
    }
    axes.plot(
        [n for n, _ in steps] + [last], [scale.clip(v) for _, v in steps] + [scale.clip(steps[-1][1])],
        drawstyle="steps-post", color=_ACCENT, linewidth=1.8, label="best so far", zorder=3,
    )  # fmt: skip
    others = _thinned([(n, v) for n, v in counted if n not in leaders])
    many = len(counted) > MANY
    size = 7 if many else 17
    _points(axes, [(n, scale.clip(v)) for n, v in others], request, _MUTED, "experiment", alpha=0.75, size=size)
    _points(axes, [(n, scale.clip(v)) for n, v in counted if n in leaders], request, _ACCENT, None, alpha=1, size=28)
    failed = _thinned([(n, 0.0) for n, *_, bad in rows if bad])
    if failed:
        axes.scatter(
            [n for n, _ in failed], [0.025] * len(failed), transform=axes.get_xaxis_transform(), marker="x",
            s=10 if many else 20, color=_BAD, linewidths=0.8 if many else 1.1, zorder=4,
            label="failed, or no value that counts",
        )  # fmt: skip
    for value, label, dashes in ((request["target"], "target", (5, 3)), (request["bar"], "Current Best", (1, 2))):
        if value is not None and not scale.is_off(value):
            axes.axhline(value, color=_INK, linewidth=1, dashes=dashes, label=label, zorder=2)
    axes.set_ylim(scale.low, scale.high)
    pad = max(0.6, 0.02 * (last - 1))
    axes.set_xlim(1 - pad, last + pad)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9 if columns > 2 else 6, min_n_ticks=1))
    axes.set_xlabel("experiment")
    _values(axes, request)
    _legend(axes, columns)
    _mark_best(axes, request, scale, last)


def _points(
    axes: Axes, points: Sequence[tuple[int, float]], request: Request, colour: str, label: str | None, *,
    alpha: float, size: float,
) -> None:  # fmt: skip
    if not points:
        return
    drawn = axes.scatter(
        [n for n, _ in points], [v for _, v in points], s=size, color=colour, alpha=alpha, linewidths=0, label=label,
        zorder=4,
    )  # fmt: skip
    if len(points) <= MOST_LINKS and request["linked"]:
        linked = set(request["linked"])
        drawn.set_urls([f"#exp{n:03d}" if n in linked else None for n, _ in points])


def _mark_best(axes: Axes, request: Request, scale: _Scale, last: int) -> None:
    best = request["best"]
    if best is None:
        return
    n, value = best
    up, right = request["direction"] == "max", n > 0.72 * last
    axes.annotate(
        f"{value:g}", (n, scale.clip(value)), xytext=(-3 if right else 3, 6 if up else -7), textcoords="offset points",
        ha="right" if right else "left", va="bottom" if up else "top", color=_INK, fontweight="bold", zorder=6,
        bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )  # fmt: skip


def _references(request: Request) -> list[float]:
    return [value for value in (request["target"], request["bar"]) if value is not None]


def _best(request: Request) -> float:
    better = max if request["direction"] == "max" else min
    return float(better(value for _, value, counts, _ in request["experiments"] if counts))


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    step = math.ceil(len(points) / MOST_POINTS)
    return points[:: max(step, 1)]


# -- learning curves --------------------------------------------------------------------------------------------------


def _curves(request: Request) -> Drawing | None:
    found = [(curve, curve["objective"]) for curve in request["curves"] if curve["objective"]]
    if not found:
        return None
    figure, axes = _canvas(NARROW)
    for place, (curve, line) in enumerate(found):
        _line(axes, line, place, f"{curve['experiment']}  {curve['value']:g}")
    axes.set_ylabel(f"{_name(request['metric'])} ({_direction(request)})")
    _axis_of(axes, [line["unit"] for _, line in found], [line for _, line in found])
    _legend(axes, 3)
    about = f"{request['metric']} of the best {len(found)} runs as they trained, the best one first."
    return {"svg": {"": _svg(figure, "c", f"Learning curves: {request['metric']}", about)}, "caption": ""}


def _losses(request: Request) -> Drawing | None:
    found = [curve for curve in request["curves"] if curve["losses"]]
    if not found:
        return None
    figure, axes = _canvas(NARROW)
    for place, curve in enumerate(found):
        _line(axes, curve["losses"][0], place, f"{curve['experiment']}")
    second = found[0]["losses"][1:]
    for line in second:
        axes.plot(line["x"], _gaps(line["y"]), color=COLOURS[_SERIES[0]], linewidth=1.3, dashes=(3, 2), alpha=0.9,
                  label=f"{found[0]['experiment']} {_name(line['name'], 18)}")  # fmt: skip
    names = list(dict.fromkeys(curve["losses"][0]["name"] for curve in found))
    axes.set_ylabel(f"{_name(names[0])} (lower is better)")
    lines = [curve["losses"][0] for curve in found]
    _axis_of(axes, [line["unit"] for line in lines], lines)
    flat = [y for line in [*lines, *second] for y in line["y"] if y is not None]
    cut = ""
    if flat and is_wide(flat):
        _log_axis(axes.yaxis, axes.set_yscale, flat)
    elif len(flat) >= 8:
        scale = _Scale(flat, "min")
        axes.set_ylim(scale.low, scale.high)
        cut = f" Losses above {scale.high:.3g} lie outside of the figure." if max(flat) > scale.high else ""
    _legend(axes, 3)
    about = f"{', '.join(names)} of the best runs as they trained." + (
        f" Dashed: {second[0]['name']} of the best one." if second else ""
    )
    caption = f"Dashed: {second[0]['name']} of {found[0]['experiment']}." if second else ""
    caption += cut
    if len(names) > 1:
        caption += f" Not every run printed the same loss: {', '.join(names)}."
    return {"svg": {"": _svg(figure, "l", f"Learning curves: {names[0]}", about)}, "caption": caption.strip()}


def _line(axes: Axes, line: Mapping[str, Any], place: int, label: str) -> None:
    axes.plot(
        line["x"], _gaps(line["y"]), color=COLOURS[_SERIES[place % len(_SERIES)]], linewidth=2.0 if place == 0 else 1.3,
        zorder=9 - place, label=label, marker="o" if len(line["x"]) < 12 else None, markersize=3,
    )  # fmt: skip


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _axis_of(axes: Axes, units: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> None:
    same = len(set(units)) == 1
    axes.set_xlabel(units[0] if same else "epoch, step or report")
    if all(float(x).is_integer() for line in lines for x in line["x"]):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))


# -- parameters -------------------------------------------------------------------------------------------------------


def _importance(request: Request) -> Drawing | None:
    count = len(request["trials"])
    if count < LEAST:
        return {"svg": {}, "caption": "", "too_few": [count, LEAST]} if count else None
    from auto_experiment.report.importance import importance  # Optuna takes half a second to load

    found = importance([(value, params) for _, value, params in request["trials"]], request["direction"])
    if found is None:
        return None
    rows = found.rows[:10]
    figure, axes = _canvas((NARROW[0], 0.9 + 0.36 * len(rows)))
    places = range(len(rows))
    for place, (_, share, chance) in zip(places, rows, strict=True):
        axes.barh(place, share, height=0.62, color=_ACCENT if share > chance else _LINE, linewidth=0)
        axes.plot([chance, chance], [place - 0.38, place + 0.38], color=_INK, linewidth=1.4)
    axes.set_yticks(list(places), [_name(name, 22) for name, *_ in rows])
    axes.tick_params(axis="y", length=0, labelcolor=_INK)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, max(1.0, *(1.05 * chance for *_, chance in rows)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    axes.set_xlabel("share of the difference (PED-ANOVA)")
    sure = [name for name, share, chance in rows if share > chance]
    about = "; ".join(f"{name} {share:.0%}, by chance up to {chance:.0%}" for name, share, chance in rows)
    caption = (
        f"On {found.trainings} finished trainings: which parameters tell the best quarter from the others. The mark is "
        "what 19 of 20 shuffles of the values stay below: a bar that ends before it may be chance."
        + ("" if sure else " None does better than chance here.")
    )
    return {"svg": {"": _svg(figure, "i", "Which parameter mattered", about)}, "caption": caption, "sure": sure}


def _parameters(request: Request) -> Drawing | None:
    trials = request["trials"]
    names = varied([params for *_, params in trials])
    if len(trials) < 3 or not names:
        return None
    scale = _Scale([value for _, value, _ in trials], request["direction"])
    svgs = {}
    for place, name in enumerate(names[:MOST_PARAMETERS]):
        figure, axes = _canvas(SMALL)
        own = [(n, value, params[name]) for n, value, params in trials if name in params]
        _draw_parameter(axes, request, scale, own, name)
        about = f"{request['metric']} of {len(own)} trainings by {name}"
        svgs[name] = _svg(figure, f"p{place}", f"{name} against {request['metric']}", about)
    left = names[MOST_PARAMETERS:]
    more = f" Not drawn: {', '.join(left[:20])}." if left else ""
    off = sum(scale.is_off(value) for _, value, _ in trials)
    more += f" Off the scale, drawn at its edge: {off}." if off else ""
    return {"svg": svgs, "caption": f"Each point is a training whose value counts; the filled one is the best.{more}"}


def _draw_parameter(
    axes: Axes, request: Request, scale: _Scale, own: Sequence[tuple[int, float, Any]], name: str
) -> None:
    best = request["best"]
    thinned = own[:: max(math.ceil(len(own) / MOST_POINTS), 1)]
    if all(is_number(x) for *_, x in own):
        x = {n: float(value) for n, _, value in own}
        if is_wide(list(x.values())):
            _log_axis(axes.xaxis, axes.set_xscale, list(x.values()))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        kinds = sorted({str(value) for *_, value in own})
        x = {n: kinds.index(str(value)) + 0.22 * math.sin(n * 2.4) for n, _, value in own}  # side by side, not over
        axes.set_xticks(range(len(kinds)), [_name(kind, max(4, 34 // len(kinds))) for kind in kinds])
        axes.set_xlim(-0.6, len(kinds) - 0.4)
    axes.scatter(
        [x[n] for n, *_ in thinned], [scale.clip(value) for _, value, _ in thinned], s=7 if len(own) > MANY else 16,
        facecolors="none",
        edgecolors=_MUTED, linewidths=0.9, alpha=0.9,
    )  # fmt: skip
    if best is not None and best[0] in x:
        axes.scatter([x[best[0]]], [scale.clip(best[1])], s=34, color=_ACCENT, linewidths=0, zorder=5)
    axes.set_ylim(scale.low, scale.high)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel(_name(name, 30))
    axes.set_ylabel(_name(request["metric"], 24))


def _log_axis(axis: Any, set_scale: Callable[[str], None], values: Sequence[float]) -> None:
    set_scale("log")
    few = max(values) / min(values) < 300
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if few else (1.0,), numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


# -- what they share --------------------------------------------------------------------------------------------------


def _canvas(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    return figure, axes


def _values(axes: Axes, request: Request) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.set_ylabel(f"{_name(request['metric'])} ({_direction(request)})")


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncol=columns, borderaxespad=0.2, handlelength=1.5, columnspacing=1.2,
        handletextpad=0.5, borderpad=0.1,
    )  # fmt: skip


def _direction(request: Request) -> str:
    return "higher is better" if request["direction"] == "max" else "lower is better"


def _name(text: str, most: int = 26) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _svg(figure: Figure, prefix: str, title: str, about: str, tips: Mapping[str, str] | None = None) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return tidy(file.getvalue(), prefix, title, about, tips)


FIGURES: dict[str, Callable[[Request], Drawing | None]] = {
    "objective": _objective,
    "curves": _curves,
    "losses": _losses,
    "importance": _importance,
    "parameters": _parameters,
}

if __name__ == "__main__":
    main()
