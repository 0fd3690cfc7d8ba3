"""The rules that end a run early: each on a log that is fed piece by piece, with a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.records.plan import StopWhen
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.stop_rules import (
    DRY_RUN_RULE,
    HANG_RULE,
    NAN_RULE,
    STOP_WHEN_RULE,
    Hang,
    NonFiniteObjective,
    StopWhenMetric,
    TwoSteps,
)


def verdicts(rule, *pieces, reader=None):
    """What the rule says after each piece of log."""
    reader = reader or LogReader()
    rule.begin(0.0)
    said = []
    for number, piece in enumerate(pieces):
        points = reader.feed(piece.encode())
        said.append(rule.check(float(number), reader, heard=bool(piece), points=points))
    return said


def first(rule, *pieces):
    """(number of the piece after which it ended the run, the sentence); None when it did not."""
    return next(((n, said) for n, said in enumerate(verdicts(rule, *pieces)) if said), None)


# --- the NaN rule


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-inf", "Infinity"])
def test_nan_rule_names_itself_and_the_metric(word):
    number, said = first(NonFiniteObjective("val_acc"), "step 1 val_acc=0.5\n", f"step 2 val_acc={word}\n")
    assert number == 1
    assert said.startswith(NAN_RULE)
    assert "val_acc" in said


def test_nan_rule_is_about_the_objective_alone():
    assert first(NonFiniteObjective("val_acc"), "step 1 val_acc=0.5 grad_norm=nan\n", "step 2 val_acc=0.6\n") is None


def test_nan_rule_sees_a_nan_that_was_followed_by_numbers_in_one_piece():
    assert first(NonFiniteObjective("val_acc"), "step 1 val_acc=nan\nstep 2 val_acc=0.5\n")


def test_nan_rule_reads_the_name_as_the_objective_is_read():
    _, said = first(NonFiniteObjective("accuracy"), "step 1 train_acc=nan val_acc=0.1\n", "step 2 val_acc=nan\n")
    assert "val_acc" in said


def test_nan_rule_on_an_empty_log_is_silent():
    assert first(NonFiniteObjective("val_acc"), "", "") is None


# --- stop_when


@pytest.mark.parametrize(
    ("rule", "pieces", "wanted"),
    [
        (StopWhen("loss", above=10), ["step 1 loss=5\n", "step 2 loss=11\n"], 1),
        (StopWhen("loss", above=10), ["step 1 loss=10\n", "step 2 loss=9\n"], None),
        (StopWhen("acc", below=0.2), ["step 1 acc=0.5\n", "step 2 acc=0.1\n"], 1),
        (StopWhen("acc", below=0.2), ["step 1 acc=0.2\n"], None),
        (StopWhen("loss", above=10, after=3), ["step 1 loss=99\n", "step 2 loss=99\n", "step 3 loss=99\n"], 2),
        (StopWhen("loss", above=10, after=3), ["step 1 loss=99\n", "step 3 loss=1\n"], None),
        (StopWhen("loss", above=10), ["step 1 loss=nan\n"], None),
        (StopWhen("loss", above=10), ["step 1 loss=inf\n"], 0),
        (StopWhen("other", above=10), ["step 1 loss=99\n"], None),
        (StopWhen("loss", below=0), ["step 1 loss=-1\n"], 0),
    ],
)
def test_stop_when(rule, pieces, wanted):
    found = first(StopWhenMetric(rule), *pieces)
    assert (found and found[0]) == wanted if wanted is not None else found is None
    if found:
        assert found[1].startswith(STOP_WHEN_RULE)
        assert rule.metric in found[1]


def test_stop_when_says_bound_and_value():
    _, said = first(StopWhenMetric(StopWhen("val_loss", above=10, after=2)), "step 2 val_loss=12.5\n")
    assert "above 10" in said
    assert "12.5" in said


def test_a_value_is_judged_once():
    """A rule that held back must not fire later on the same old value."""
    rule = StopWhenMetric(StopWhen("loss", above=10))
    reader = LogReader()
    rule.begin(0.0)
    reader.feed(b"step 1 loss=5\n")
    assert rule.check(0.0, reader, heard=True) == ""
    assert rule.check(9.0, reader, heard=False) == ""
    assert rule.next_look() is None


@pytest.mark.parametrize("pieces", [["step 1 loss=5\n", "step 2 loss=99\n", "step 3 loss=5\n"]])
def test_stop_when_does_not_depend_on_how_the_log_arrives(pieces):
    rule = StopWhen("loss", above=10)
    assert bool(first(StopWhenMetric(rule), *pieces)) == bool(first(StopWhenMetric(rule), "".join(pieces)))


# --- the hang rule


def test_hang_never_before_the_first_output():
    rule = Hang(1.0)
    rule.begin(0.0)
    assert rule.check(1e6, LogReader(), heard=False) == ""
    assert rule.next_look() is None


def test_hang_with_a_fixed_limit():
    rule, reader = Hang(5.0), LogReader()
    rule.begin(0.0)
    reader.feed(b"step 1 loss=1\n")
    assert rule.check(100.0, reader, heard=True) == ""
    assert 105.0 < rule.next_look() < 105.1
    assert rule.check(105.0, reader, heard=False) == ""
    said = rule.check(rule.next_look(), reader, heard=False)
    assert said.startswith(HANG_RULE)
    assert "monitor.hang_timeout" in said
    assert "5.0s" in said


def test_output_in_time_keeps_it_alive():
    rule, reader = Hang(5.0), LogReader()
    rule.begin(0.0)
    for now in range(0, 100, 4):
        reader.feed(b"still here\n")
        assert rule.check(float(now), reader, heard=True) == ""
    assert rule.check(96.0 + 5.1, reader, heard=False).startswith(HANG_RULE)


def test_hang_learns_the_runs_own_pace():
    rule, reader = Hang(None), LogReader()
    rule.begin(0.0)
    for hour in range(4):
        reader.feed(b"epoch\n")
        assert rule.check(hour * 3600.0, reader, heard=True) == ""
    assert rule.limit_s == 5 * 3600.0
    assert rule.check(3 * 3600.0 + rule.limit_s, reader, heard=False) == ""
    assert "own pace" in rule.check(3 * 3600.0 + rule.limit_s + 1, reader, heard=False)


@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=50))
def test_a_quick_run_is_given_ten_minutes_at_least(gaps):
    rule, reader, now = Hang(None), LogReader(), 0.0
    rule.begin(now)
    reader.feed(b"x\n")
    for gap in gaps:
        now += gap
        assert rule.check(now, reader, heard=True) == ""
    assert rule.check(now + 599.0, reader, heard=False) == ""


def test_a_new_attempt_begins_anew():
    rule, reader = Hang(5.0), LogReader()
    rule.begin(0.0)
    reader.feed(b"x\n")
    rule.check(0.0, reader, heard=True)
    rule.begin(1000.0)
    assert rule.check(1000.0, LogReader(), heard=False) == ""


# --- the dry run


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        (["step 1/9 loss=1\n", "step 2/9 loss=1\n"], 1),
        (["epoch 1\n", "epoch 2\n"], 1),
        (["loss=1.0\n", "loss=0.9\n"], 1),
        (["step 1/9 loss=1\n", "saved a file\n"], None),
        (["hello\n", "world\n"], None),
    ],
)
def test_two_steps(pieces, wanted):
    found = first(TwoSteps(), *pieces)
    assert found == (None if wanted is None else (wanted, f"{DRY_RUN_RULE}: two steps seen"))


def test_a_nan_ends_the_dry_run_at_once():
    number, said = first(TwoSteps(), "step 1/9 loss=nan\n", "step 2/9 loss=nan\n")
    assert number == 0
    assert "loss" in said
    assert "NaN" in said
