"""What `status`, `list` and `show` print: widths, marks, numbers, times; nothing of a title or a log acts on a terminal."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from auto_experiment import clock
from auto_experiment.objective import Objective
from auto_experiment.views import experiment_text, listing_text, status_text, terminal
from auto_experiment.views.standing import Standing
from auto_experiment.views.terminal import Screen, cells

NOW = 1_800_000_000.0
SCREEN = Screen(80, 24, now=NOW)
BEST = Standing(Objective("val_acc", "max"))
NASTY = "a \x1b[31mred\x1b[0m \r title\x07 \u202e 😀 你好 " * 12


def iso(ago):
    return clock.iso(NOW - ago)


def run(state="finished", **facts):
    return {
        "id": "exp001/run01", "attempt": 1, "kind": "full", "state": state, "exit_code": 0, "signal": None, "fault": "none",
        "reason": "", "exception": None, "command": "python train.py --lr 0.1", "params": {}, "started_at": iso(7260),
        "ended_at": iso(7200), "value": None, "pid": 7, "log": "/p/workspace/runs/exp001/run01/a1/train.log", **facts,
    }  # fmt: skip


def row(number, value=None, result="not_improved", *runs, **facts):
    return {
        "id": f"exp{number:03d}", "cycle": number, "title": f"title {number}", "hypothesis": "h", "success_criteria": "s",
        "base": None, "result": result, "value": value, "finding": None, "decision": None, "next": None, "usd": 0.0,
        "runs": list(runs) or [run()], **facts,
    }  # fmt: skip


def lines(rows, now=BEST, screen=SCREEN, **options):
    text = listing_text.as_text(rows, now, screen=screen, **options)
    assert all(cells(line) <= (screen.width or 9999) for line in text.splitlines()), text
    return text.splitlines()


# -- list -------------------------------------------------------------------------------------------------------------


def test_marks_values_and_differences():
    rows = [row(1, 0.5, "improved"), row(2, 0.25), row(3, 0.625, "improved"), row(4, 0.7, "failed", run("failed", exit_code=1)),
            row(5, 0.625), row(6, None, None, run("running", ended_at=None))]  # fmt: skip
    shown = lines(rows, best="exp003")
    assert [line[:8] for line in shown[1:7]] == ["+ exp001", "  exp002", "* exp003", "x exp004", "  exp005", "> exp006"]
    cut = [re.split(r"  +", line[2:]) for line in shown]
    assert cut[1][:3] == ["exp001", "improved", "0.500"]
    assert cut[2][1:5] == ["not improved", "0.250", "-0.250", "2 h ago"]
    assert cut[3][3] == "+0.125"
    assert cut[4][1:4] == ["failed: exit status 1", "(0.700)", "2 h ago"], (
        "a value that does not count is compared with none"
    )
    assert cut[5][3] == "="
    assert cut[6][1:3] == ["training", "-"]
    assert "6 experiments: 2 improved, 2 not improved, 1 failed" in shown
    assert "* best so far, + a best of its time, x failed, > runs" in shown
    assert shown[-1].startswith("(in parentheses: ")


def test_less_is_better_and_the_brief_sets_the_bar():
    loss = Standing(Objective("loss", "min"), bar=2.0)
    assert listing_text.bests_before([row(1, 3.0), row(2, 1.5, "improved"), row(3, 1.0, "improved")], loss) == {
        "exp001": 2.0, "exp002": 2.0, "exp003": 1.5}  # fmt: skip


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (run("stopped", fault="nan"), "failed: nan"),
        (run("lost", exit_code=None), "failed: lost"),
        (run("killed", exit_code=None, signal=9, fault="oom"), "failed: oom"),
        (run("killed", exit_code=None, signal=11), "failed: signal 11"),
        (run("failed", exit_code=3), "failed: exit status 3"),
        (run("failed", exit_code=1, fault="exception", exception="torch.Boom: bad"), "failed: torch.Boom"),
        (run("failed", kind="dry"), "failed: dry run"),
    ],
)
def test_why_it_failed_in_few_words(ended, words):
    assert listing_text.outcome(row(1, None, "failed", ended)) == words


def test_a_nan_is_said_plainly():
    assert "  nan  " in lines([row(1, None, "failed", run("stopped", fault="nan"))])[1]


def test_what_is_chosen():
    rows = [
        row(1, 0.5, "improved"),
        row(2, None, "failed"),
        row(3, 0.9, "improved"),
        row(4, 0.99, "failed"),
        row(5, 0.7),
    ]

    def chosen(*, last=None, by_value=False, failed=False):
        return [r["id"][-1] for r in listing_text.chosen(rows, BEST, last=last, by_value=by_value, failed=failed)]

    assert chosen() == ["1", "2", "3", "4", "5"]
    assert chosen(last=2) == ["4", "5"]
    assert chosen(last=99) == ["1", "2", "3", "4", "5"]
    assert chosen(failed=True, last=1) == ["4"]
    assert chosen(by_value=True) == ["3", "5", "1", "2", "4"], "what does not count stands behind"
    few = lines(listing_text.chosen(rows, BEST, last=2, by_value=False, failed=False), of_all=rows)
    assert "2 of 5 experiments: 2 improved, 1 not improved, 2 failed" in few
    assert "+" in few[2] or "-0.2" in few[2], "the best before is that of all"
    assert lines([], of_all=rows) == ["none of 5 experiments"]


def test_the_widest_row_fits_a_small_terminal():
    rows = [row(999, 0.12345, "improved"), row(1000, 0.12346, None, run(ended_at=iso(86400 * 10)), title="t" * 99)]
    metric = Standing(Objective("validation accuracy of all", "max"))
    assert "not finished: budget…" in lines(rows, metric, unfinished="not finished: budget used up")[2]


@pytest.mark.parametrize("width", [20, 40, 80, 109, 110, 200])
def test_nothing_of_a_title_acts_on_a_terminal(width):
    if width < 80:  # the columns need their room; then the terminal folds the lines
        text = listing_text.as_text([row(1, 0.5, title=NASTY)], BEST, screen=replace(SCREEN, width=width))
    else:
        text = "\n".join(lines([row(1, 0.5, title=NASTY)], screen=replace(SCREEN, width=width)))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


# -- status -----------------------------------------------------------------------------------------------------------


def document(**facts):
    return {
        "project": "cifar", "goal": "Reach 78% " * 20, "objective": {"metric": "val_acc", "direction": "max", "target": 0.78,
        "select": "best"}, "controller": {"state": "running", "until": None, "pid": 7, "phase": "dry_run", "reason": None},
        "cycles": 3, "experiments": 3, "runs": 2, "best": {"experiment": "exp002", "run": "exp002/run01", "value": 0.75,
        "status": "lead", "title": "wide " * 30}, "current_runs": [], "decisions": [f"exp{n:03d} (t): " + "why " * 60 for n in range(5)],
        "memory": {"brief_chars": 1, "log_chars": 1}, "pending_directive": "try\x1b[2J this " * 30,
        "llm": {"calls": 9, "input_tokens": 1, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4, "usd": 0.1},
        **facts,
    }  # fmt: skip


def going(n, **facts):
    return {"experiment": f"exp{n:03d}", "run": f"exp{n:03d}/run01", "attempt": 1, "kind": "full", "pid": 9,
            "command": "c", "log": f"/p/w/{n}/train.log", "elapsed_s": 600.0,
            "progress": {"done": 25.0, "total": 100.0, "unit": "epoch"}, "metrics": {"loss": 0.123456789, "acc": math.nan}, **facts}  # fmt: skip


KNOWN = status_text.Beside(best_at=iso(10800), before=("exp001", 0.7), results={"improved": 2, "failed": 1},
                           titles={"exp003": NASTY}, decided_at=tuple(iso(n) for n in range(5)))  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 12), (200, 60), (40, 24)])
@pytest.mark.parametrize("runs", [0, 1, 3])
def test_status_is_one_screen(width, height, runs):
    screen = Screen(width, height, now=NOW)
    text = status_text.as_text(document(current_runs=[going(n) for n in range(runs)]), "", KNOWN, screen)
    shown = text.splitlines()
    assert len(shown) < height, "the prompt has a line"
    assert all(0 < cells(line) <= width for line in shown), text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_the_newest_decisions_stay_where_not_all_have_room():
    shown = status_text.as_text(document(), "", KNOWN, replace(SCREEN, height=14)).splitlines()
    assert ["exp003:" in shown[-2], "exp004:" in shown[-1]] == [True, True]
    assert len(shown) == 13


def test_what_status_says():
    text = status_text.as_text(document(current_runs=[going(3)], goal="short"), "", KNOWN, SCREEN)
    said = [re.sub(r"  +", " ", line) for line in text.splitlines()]
    assert said[0] == "cifar: short"
    assert "objective val_acc, more is better, target 0.78 (best value of a run)" in said
    assert any(re.fullmatch(r"best 0.75 exp002/run01 wide.*… \d\d-\d\d \d\d:\d\d, 3 h ago", line) for line in said)
    assert " +0.05 against exp001, the best before; 0.03 short of the target" in said
    assert "controller running, pid 7, dry run" in said
    assert "done 3 cycles, 2 runs, 3 experiments: 2 improved, 1 failed" in said
    assert " ━━━━━─────────────── epoch 25/100, about 30m00s left" in said
    assert " loss 0.12346, acc nan" in said
    assert " log /p/w/3/train.log" in said


def test_nobody_knows_how_far_a_run_is_whose_log_nobody_reads():
    controller = {"state": "stopped", "until": None, "pid": None, "phase": None, "reason": "kill -9"}
    text = status_text.as_text(document(current_runs=[going(3)], controller=controller), "", KNOWN, SCREEN)
    assert " epoch 25/100 when its log was last read\n" in text
    assert " left" not in text


def test_a_path_is_shorter_below_the_current_folder():
    assert "log w/3/train.log" in status_text.as_text(
        document(current_runs=[going(3)]), "", KNOWN, replace(SCREEN, here="/p")
    )
    assert "log /p/w/3/train.log" in status_text.as_text(
        document(current_runs=[going(3)]), "", KNOWN, replace(SCREEN, here="/p/w/33")
    )


# -- show -------------------------------------------------------------------------------------------------------------


def full(*runs, **facts):
    more = {"metrics": {"val_acc": {"count": 3, "final": "nan", "highest": 0.5, "lowest": 0.25, "bad": 1}}, "progress": None,
            "tail": ["last \x1b[31mwords"], "notes": ["a note"], "argv": [], "program": None, "duration_s": 60.0}  # fmt: skip
    shown = row(
        5, 0.5, "not_improved", *(({**more, **r}) for r in runs), plan=None, llm={"calls": 0}, notes=[], code=None
    )
    return {**shown, **facts}


def test_what_show_says():
    known = experiment_text.Beside("val_acc", ("exp002", 0.75, "python train.py --lr 0.2 --amp"), None,
                                   {("exp001/run01", 1): ("val_acc", [0.1, 0.4, 0.5])})  # fmt: skip
    killed = run("killed", exit_code=None, signal=9, reason="killed by signal 9", fault="killed")
    text = experiment_text.as_text(full(run("lost", exit_code=None), killed, finding="refuted"), "", known, SCREEN)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)
    said = [re.sub(r"  +", " ", line).strip() for line in text.splitlines()]
    assert "against exp002, the best before: --lr 0.2 -> 0.1; gone: --amp" in said
    assert any(line.startswith("result not improved; val_acc 0.50; -0.25 against exp002, the") for line in said)
    assert "exp001/run01 training: lost: nobody saw how it ended" in said
    assert "exp001/run01 training: killed, signal 9 (SIGKILL)" in said
    assert "val_acc nan 0.25 0.50 3, 1 of them not finite" in said
    assert "val_acc, from 0.1 to 0.5" in said
    assert any(re.fullmatch(r"started .*, 2 h ago; took 1m00s", line) for line in said)
    assert "note a note" in said


@pytest.mark.parametrize(
    ("command", "base", "said"),
    [
        ("python t.py --lr 1 --x", "python t.py --lr 1 --x", []),
        ("python t.py --lr=2", "python t.py --lr 1", ["--lr 1 -> 2"]),
        ("python t.py --bias -1e-3", "python t.py --bias 0.5", ["--bias 0.5 -> -1e-3"]),
        ("python t.py --amp -v", "python t.py", ["new: --amp, -v"]),
        ("python u.py lr=2 +a.b=3", "A=1 python t.py lr=1", ["t.py -> u.py", "lr 1 -> 2", "new: +a.b 3", "gone: A 1"]),
        ("python 'open", "python t.py", ["t.py -> 'open"]),
    ],
)
def test_what_a_command_changes(command, base, said):
    assert experiment_text.changed(command, base) == said


# -- numbers, times, widths -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ago", "said"),
    [(0, "just now"), (-5, "just now"), (42, "42 s ago"), (600, "10 min ago"), (10800, "3 h ago"), (86400 * 3, "3 days ago"), (86400 * 30, "4 weeks ago")],
)  # fmt: skip
def test_relative_times(ago, said):
    assert terminal.ago(ago) == said


def test_an_old_time_has_its_year():
    assert terminal.stamp(iso(0), NOW).count("-") == 1
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", terminal.stamp(iso(86400 * 400), NOW))


def test_columns_of_numbers_can_be_read_down():
    assert terminal.decimals([0.91, 0.8555]) == 4
    assert terminal.decimals([97.123456, 3.0]) == 3
    assert terminal.decimals([1234567.0]) is None
    assert terminal.decimals([1e-9, 1.0]) is None
    assert terminal.decimals([math.nan, math.inf]) == 0
    assert [terminal.fixed(v, 2) for v in (1.0, "nan", math.nan, -math.inf)] == ["1.00", "nan", "nan", "-inf"]


@pytest.mark.parametrize("text", ["abc def", "你好世界" * 9, "e\u0301" * 30, "x" * 99])
@pytest.mark.parametrize("width", [5, 21, 80])
def test_a_cut_text_is_as_wide_as_it_may_be(text, width):
    told = terminal.cut(text, width)
    assert cells(told) <= width
    assert told == text or told.endswith("…")
    assert all(cells(line) <= 68 for line in SCREEN.wrapped(text * 9, 3))
    assert len(SCREEN.wrapped(text * 9, 3)) <= 3
