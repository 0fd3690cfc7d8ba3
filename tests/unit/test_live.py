"""The live view, drawn: every size, every state, and texts and numbers of every kind."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len

from auto_experiment.cli.live import Look, draw
from auto_experiment.records.observation import Progress
from auto_experiment.views.live import Curve, Live, Shown
from auto_experiment.views.sparkline import sparkline

NAN = math.nan
SHOWN = Shown(
    run="exp006/run01",
    kind="training",
    state="running",
    title="lr=0.1",
    elapsed_s=100.0,
    progress=Progress(53, 120, "epoch"),
    metrics=(("val_acc", "0.97"), ("train_loss", "0.2"), ("grad_norm", "1.5")),
    curves=(Curve("val_acc", (0.5, 0.8, 0.97)), Curve("train_loss", (1.0, 0.5, 0.2))),
)
LIVE = Live(
    at=1000.0,
    project="spirals",
    goal="Reach 97.8% validation accuracy.",
    objective="val_acc (max, target 0.978, best value of a run)",
    state="running",
    pid=4711,
    phase="training",
    phase_s=90.0,
    reason="",
    until=None,
    counts=(6, 6, 7),
    best="0.9758  exp002/run01  lr=0.19",
    results=Curve("val_acc", (0.9, 0.95, 0.9758)),
    shown=SHOWN,
    decisions=tuple(f"decision {i}" for i in range(1, 6)),
    cost="$0.0312, 14 calls, 120,000 tokens in, 3,000 out",
    directive="",
    gpus=("0 NVIDIA A100: 97% busy, 30.5/40 GiB, 61 C",),
)
SIZES = [(80, 24), (200, 50), (40, 10), (20, 5), (8, 3), (1, 1), (500, 200)]


def drawn(live=LIVE, columns=80, rows=24, age=10.0, **look):
    return draw(live, Look(columns, rows, hint="q leaves", **look), since_boot=live.at + age, unix=1_700_000_000.0)


def text(live=LIVE, *args, **facts):
    return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(drawn(live, *args, **facts)))


NASTY = "中文" * 200
LIVES = {
    "usual": LIVE,
    "nothing yet": replace(LIVE, state="stopped", pid=None, phase=None, phase_s=None, counts=(0, 0, 0), best="", shown=None,
                           results=Curve("", ()), decisions=(), cost="", gpus=(), objective="not known yet"),
    "wide and long": replace(LIVE, project=NASTY, goal=NASTY, objective=NASTY, best=NASTY, reason=NASTY, decisions=(NASTY,) * 5,
                             directive=NASTY, trouble=NASTY, gpus=(NASTY,) * 16,
                             shown=replace(SHOWN, title=NASTY, metrics=((NASTY, "1"),) * 8,
                                           curves=(Curve(NASTY, (1.0, 2.0)), Curve("x" * 300, (1.0, 1.0))))),
    "numbers of every kind": replace(LIVE, results=Curve("a", (NAN, math.inf, 1e308, -1e308, 0.0)),
                                     shown=replace(SHOWN, progress=Progress(1e-300, math.inf), elapsed_s=1e9, curves=(
                                         Curve("a", (NAN, NAN)), Curve("b", (1e308, -1e308, NAN, math.inf, -math.inf, 5e-324))))),
    "hardly begun": replace(LIVE, shown=replace(SHOWN, progress=Progress(1e-300, 100), elapsed_s=1e9)),
    "a dry run without curves": replace(LIVE, phase="dry_run", shown=replace(SHOWN, kind="dry run", progress=None, curves=())),
}  # fmt: skip


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("columns", "rows"), SIZES)
@pytest.mark.parametrize("name", LIVES)
def test_it_fits(name, columns, rows, plain):
    lines = text(LIVES[name], columns, rows, plain=plain).split("\n")
    assert len(lines) <= max(rows * 2 // 3, 1)
    assert max(map(cell_len, lines)) <= max(columns - 1, 1)


def test_at_80_by_24_everything_that_matters_is_there():
    shown = text()
    for words in (
        "spirals", "pid 4711", "[TRAINING]", "running, training for 1m40s", "best      0.9758  exp002/run01",
        "training exp006/run01", "44%  epoch 53/120, about 2m19s left, 1m50s so far", "val_acc 0.97", "train_loss 0.2",
        "decision 5", "$0.0312, 14 calls", "97% busy", "q leaves",
    ):  # fmt: skip
        assert words in shown


def test_at_200_by_50_there_is_more_of_it():
    shown = text(LIVE, 200, 50)
    for words in (
        "goal      Reach",
        "objective val_acc",
        "decision 1",
        "metrics   grad_norm 1.5",
        "results ▁▆█ 0.9 to 0.9758",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"state": "parked", "until": 1_700_000_240.0, "reason": "529"}, "4m00s left: 529"),
        ({"state": "paused", "reason": "by hand"}, "paused: by hand"),
        ({"state": "paused", "until": None}, "paused, training"),
        ({"state": "stopped", "reason": "interrupted by SIGINT"}, "no controller is running (interrupted by SIGINT)"),
        ({"state": "stopped", "phase": None}, "epoch 53 when its log was last read; what runs goes on"),
        ({"state": "stopped", "shown": replace(SHOWN, over=True)}, "it has ended after 1m40s; the next run records it"),
        ({"directive": "try adam"}, "pending: try adam"),
        ({"trouble": "ledger.db: is damaged"}, "trouble   ledger.db: is damaged"),
        ({"best": ""}, "best      none yet that counts"),
        ({"cost": ""}, "model     none was asked"),
        ({"shown": None}, "nothing has run yet"),
        ({"shown": replace(SHOWN, state="finished", elapsed_s=None)}, "last      training exp006/run01"),
        ({"shown": replace(SHOWN, state="queued", elapsed_s=None)}, "about to start"),
        ({"shown": replace(SHOWN, progress=None)}, "no progress read yet, 1m50s"),
        ({"shown": replace(SHOWN, progress=Progress(7.0))}, "step 7, 1m50s, of an unknown total"),
        ({"shown": replace(SHOWN, elapsed_s=40_000.0)}, "about 14h02m left, 11h06m so far"),
        ({"shown": replace(SHOWN, progress=Progress(130, 120))}, "100%  step 130/120, 1m50s so far"),
    ],
)  # fmt: skip
def test_states_are_told(facts, words):
    assert words in text(replace(LIVE, **facts))


def test_markup_is_no_markup():
    told = "[bold red]x[/] [/nonsense] :smile: [link=http://x]"
    lines = "\n".join(drawn(replace(LIVE, best=told)))
    assert told in re.sub(r"\x1b\[[\d;]*m", "", lines)
    assert "\x1b]" not in lines


def test_without_colours_there_are_none():
    assert re.search(r"\x1b\[[\d;]*3[1-6]m", "\n".join(drawn()))
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3|4|9)\d", "\n".join(drawn(color=False)))


def test_ascii_is_ascii():
    assert text(plain=True).isascii()


def test_a_sparkline():
    assert sparkline([1, 2, NAN, 8]) == "▁▂ █"
    assert sparkline([1, 8], plain=True) == "18"
    assert sparkline([3, 3]) == "▄▄"
    assert sparkline([NAN]) == sparkline([]) == ""
    assert len(sparkline([-1.7e308, 1.7e308, 0.0])) == 3
