"""Where the objective's value is read from: the log, a file that has its digits, or a file alone."""

from __future__ import annotations

import math
import random

import pytest

from auto_experiment.objective import Objective
from auto_experiment.watch.metrics.series import SeriesTable
from auto_experiment.watch.sources.merge import decide
from auto_experiment.watch.sources.record import Kind, Source, SourceFile, Sources
from auto_experiment.watch.sources.rounding import Agreement, compare, scaled

BEST = Objective("val_acc", "max")
FINAL = Objective("val_acc", "max", select="final")


def series(**values):
    table = SeriesTable()
    for name, numbers in values.items():
        for step, value in enumerate(numbers if isinstance(numbers, list) else [numbers], start=1):
            table.add(name, float(value), float(step))
    return dict(table)


def source(path, kind=Kind.TABLE, whole=True, note="", **values):
    return Source(SourceFile(kind, path, (path,)), series(**values), note, whole)


def decided(log, *sources, objective=BEST, notes=()):
    found = tuple(sorted(sources, key=lambda one: one.file.rank))
    chosen = decide(series(**log), objective, Sources(found, notes))
    return chosen.value, chosen.note, chosen.source.path if chosen.source else None


# --- the log has it


def test_a_log_alone_is_read_as_ever():
    assert decided({"val_acc": [0.8, 0.874]}) == (0.874, "", None)
    assert decided({"val acc": [0.8, 0.874]}) == (0.874, "val_acc read as `val acc` (same name)", None)


@pytest.mark.parametrize(
    ("printed", "kept", "value"),
    [
        ([0.853, 0.874], [0.85312, 0.87412], 0.87412),
        ([0.853, 0.87], [0.85312, 0.87049], 0.87049),  # 0.870, printed with three decimals
        ([85.3, 87.4], [0.85312, 0.87412], 87.412),  # the scale of the log stands
        ([0.853, 0.874], [85.312, 87.412], 0.87412),
        ([0.853, 0.8745], [0.85312, 0.8745000123977661], 0.8745),  # a 32-bit float of the same number: nothing gained
    ],
)
@pytest.mark.parametrize("objective", [BEST, FINAL])
def test_the_digits_that_the_log_has_rounded_away(printed, kept, value, objective):
    got, note, path = decided({"val_acc": printed}, source("metrics.csv", val_acc=kept), objective=objective)
    exact = value != printed[-1]
    assert (got, path) == (value, "metrics.csv" if exact else None)
    assert note == ("val_acc exact from metrics.csv" if exact else "")


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ([0.853, 0.874], [0.85312, 0.87512]),
        ([0.8531, 0.87], [0.85312, 0.8741]),  # 0.8700 is not 0.8741
        ([85.3, 87.4], [0.85312, 0.88]),
        ([1.0], [0.62]),
        ([0.0], [0.0021]),
    ],
)
def test_a_contradiction_leaves_the_log_and_is_told(printed, kept):
    got, note, path = decided({"val_acc": printed}, source("metrics.csv", val_acc=kept))
    assert (got, path) == (max(printed), None)
    assert note == f"the log's val_acc {max(printed):g} stands: metrics.csv says {max(kept):g}"


def test_a_loss_is_no_percentage():
    objective = Objective("loss", "min")
    got, note, _ = decided({"loss": [8.64]}, source("metrics.csv", loss=[0.08642]), objective=objective)
    assert got == 8.64
    assert "metrics.csv says 0.08642" in note


def test_best_and_final_are_compared_with_their_like():
    log, kept = {"val_acc": [0.874, 0.851]}, source("metrics.csv", val_acc=[0.87412, 0.85088])
    assert decided(log, kept)[0] == 0.87412
    assert decided(log, kept, objective=FINAL)[0] == 0.85088


def test_a_better_value_that_was_never_printed_is_told_and_not_taken():
    got, note, _ = decided({"val_acc": [0.851, 0.874]}, source("metrics.csv", val_acc=[0.851, 0.88, 0.874]))
    assert got == 0.874
    assert "metrics.csv says 0.88" in note


def test_a_file_with_the_final_value_only_is_no_contradiction():
    log = {"val_acc": [0.874, 0.851]}
    assert decided(log, source("all_results.json", Kind.JSON, val_acc=0.85088)) == (0.874, "", None)
    assert decided(log, source("all_results.json", Kind.JSON, val_acc=0.87412))[0] == 0.87412


def test_the_metric_of_another_split_gives_no_digits_and_is_named():
    got, note, path = decided({"val_acc": [0.874]}, source("metrics.csv", acc=[0.99]))
    assert (got, note, path) == (0.874, "", None)
    got, note, _ = decided({"acc": [0.91]}, source("m.csv", val_acc=[0.874]), objective=Objective("acc", "max"))
    assert got == 0.91
    assert note == "the log's acc 0.91 stands: m.csv says 0.874 (`val_acc`)"


def test_the_validation_of_a_log_that_prints_only_the_training_is_named():
    objective = Objective("accuracy", "max")
    kept = source("m.csv", train_acc=[0.99012], val_acc=[0.874])
    value, note, _ = decided({"train_acc": [0.990]}, kept, objective=objective)
    assert value == 0.99012
    assert note.endswith("train_acc exact from m.csv; m.csv has `val_acc`, which the log does not print")
    note = decided({"train_acc": [0.990], "val_acc": [0.874]}, kept, objective=objective)[1]
    assert "does not print" not in note
    note = decided({"val_acc": [0.874]}, source("m.csv", train_acc=[0.99]), objective=objective)[1]
    assert "train_acc" not in note


def test_a_nan_in_the_end_stands():
    value, note, path = decided({"val_acc": [0.8, math.nan]}, source("m.csv", val_acc=[0.8, 0.9]), objective=FINAL)
    assert (value, path) == (None, None)
    assert note == "`val_acc` has no finite final value"


def test_a_file_that_ends_in_nan_contradicts():
    value, note, _ = decided({"val_acc": [0.874]}, source("m.csv", val_acc=[0.874, math.nan]), objective=FINAL)
    assert (value, note) == (0.874, "the log's val_acc 0.874 stands: m.csv says no finite value")


def test_the_preference_is_the_same_in_any_order():
    events = source("events", Kind.TENSORBOARD, val_acc=[0.8741199970245361])
    table = source("b/metrics.csv", val_acc=[0.87412])
    lines = source("z.jsonl", Kind.JSON_LINES, val_acc=[0.874123])
    for given in ([events, table, lines], [lines, table, events], [table, events, lines]):
        assert decided({"val_acc": [0.874]}, *given) == (0.874123, "val_acc exact from z.jsonl", "z.jsonl")
    assert decided({"val_acc": [0.874]}, events, table)[2] == "b/metrics.csv"


def test_one_that_agrees_and_one_that_does_not():
    got, note, _ = decided({"val_acc": [0.874]}, source("a.csv", val_acc=[0.87412]), source("b.csv", val_acc=[0.9]))
    assert got == 0.87412
    assert note == "val_acc exact from a.csv; not so val_acc elsewhere: b.csv says 0.9"


def test_many_contradictions_are_told_in_few_words():
    rivals = [source(f"{n}.csv", val_acc=[0.1 * n]) for n in range(1, 8)]
    note = decided({"val_acc": [0.9512]}, *rivals)[1]
    assert note.endswith(" and 4 more")


def test_a_file_that_was_not_read_to_its_end_gives_nothing():
    assert decided({"val_acc": [0.874]}, source("m.csv", whole=False, val_acc=[0.87412])) == (0.874, "", None)
    value, note, _ = decided({}, source("m.csv", whole=False, note="too large", val_acc=[0.87412]))
    assert value is None
    assert "m.csv: too large" in note


# --- only files have it


def test_a_log_that_does_not_print_it():
    value, note, path = decided({"loss": [0.5]}, source("m.csv", val_acc=[0.8, 0.87412, 0.86]))
    assert (value, path) == (0.87412, "m.csv")
    assert note == "val_acc read as `val_acc` from m.csv: the log does not print it"


def test_a_log_in_which_several_may_be_meant():
    log = {"val_acc": [0.8], "valid_accuracy": [0.9]}
    objective = Objective("accuracy", "max")
    value, note, _ = decided(log, source("m.csv", val_acc=[0.85]), objective=objective)
    assert value == 0.85
    assert note == "accuracy read as `val_acc` from m.csv: several metrics of the log fit"
    assert decided(log, objective=objective)[0] is None


def test_two_files_that_agree_and_two_that_do_not():
    table = source("m.csv", val_acc=[0.8, 0.87412])
    assert decided({}, table, source("e", Kind.TENSORBOARD, val_acc=[0.8, 0.8741199970245361]))[0] == 0.87412
    assert decided({}, table, source("r.json", Kind.JSON, val_acc=0.87412))[0] == 0.87412
    value, note, path = decided({}, table, source("n.csv", val_acc=[0.7, 0.71]))
    assert (value, path) == (None, None)
    assert "m.csv and n.csv differ in it: 0.87412 and 0.71" in note


def test_a_curve_comes_before_a_single_value():
    curve = source("e", Kind.TENSORBOARD, val_acc=[0.9, 0.8])
    assert decided({}, curve, source("r.json", Kind.JSON, val_acc=0.8))[0] == 0.9


def test_a_file_without_a_finite_value():
    value, note, _ = decided({}, source("m.csv", val_acc=[math.nan]))
    assert (value, note) == (None, "`val_acc` of m.csv has no finite best value")


def test_what_the_search_left_out_is_told_when_the_value_is_missing():
    note = decided({}, notes=("m.csv is older than the run and was left out",))[1]
    assert note.endswith("; m.csv is older than the run and was left out")


def test_what_is_wrong_with_the_file_is_told():
    note = decided({}, source("m.csv", note="its last line has no end and was not read", val_acc=[0.5]))[1]
    assert note.endswith("; its last line has no end and was not read")


# --- rounding


@pytest.mark.parametrize("digits", [3, 4, 6])  # fewer tell too little
@pytest.mark.parametrize("form", ["f", "g", "e"])
@pytest.mark.parametrize("seed", range(20))
def test_the_rounding_of_a_number_agrees_with_it(form, digits, seed):
    rng = random.Random(f"{form}{digits}{seed}")
    scale = rng.choice((1, 1, 3, 100))
    kept = [rng.random() * scale for _ in range(30)]
    printed = [float(f"{value:.{digits}{form}}") for value in kept]
    log, file = series(a=printed)["a"], series(a=kept)["a"]
    for ours, theirs in ((log.highest, file.highest), (log.final, file.final)):
        assert compare(log, ours, file, theirs) is not Agreement.NO, (ours, theirs)
        unit = 10.0 ** -(digits if form == "f" else digits - math.floor(math.log10(theirs)) - 2)
        assert compare(log, ours, file, theirs + 30 * unit + 1e-6 * theirs) is Agreement.NO


def test_no_number_is_too_strange():
    extreme = (
        0.0,
        -0.0,
        5e-324,
        1e-300,
        1e-7,
        0.1,
        0.874,
        1.0,
        87.4,
        1e17,
        1e300,
        1.7e308,
        math.inf,
        -math.inf,
        math.nan,
    )
    numbers = [*extreme, *(-value for value in extreme)]
    for seed in range(3000):
        rng = random.Random(seed)
        one, two, three = ([rng.choice(numbers) for _ in range(rng.randint(1, 3))] for _ in range(3))
        objective = Objective("val_acc", rng.choice(("max", "min")), select=rng.choice(("best", "final")))
        log = {"val_acc": one} if rng.random() < 0.7 else {}
        value, _, _ = decided(log, source("a.csv", val_acc=two), source("b.csv", val_acc=three), objective=objective)
        assert value is None or math.isfinite(value)


def test_scaling_adds_no_noise():
    assert scaled(0.86412, 2) == 86.412
    assert scaled(86.4, -2) == 0.864
    assert math.isnan(scaled(math.nan, 2))
