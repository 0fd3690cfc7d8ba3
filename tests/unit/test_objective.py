"""The objective: better, best, reached, which value of a run counts, and the scale of a target."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.objective import BARE, PERCENT, Objective, is_ratio
from auto_experiment.records.observation import Series

UP, DOWN = Objective("acc", "max"), Objective("loss", "min")
NAN, INF = math.nan, math.inf
NUMBERS = st.one_of(st.none(), st.floats())


def series(final=1.0, highest=None, lowest=None):
    return Series("acc", 3, final, 3.0, highest, 2.0, lowest, 1.0)


@pytest.mark.parametrize(
    ("objective", "a", "b", "wanted"),
    [
        (UP, 2, 1, True), (UP, 1, 2, False), (UP, 1, 1, False),
        (DOWN, 1, 2, True), (DOWN, 2, 1, False), (DOWN, 1, 1, False),
        (UP, 1, None, True), (UP, None, 1, False), (UP, None, None, False),
        (UP, NAN, None, False), (UP, 1, NAN, True), (UP, INF, 1, False), (DOWN, -INF, 1, False), (UP, 1, INF, True),
    ],
)  # fmt: skip
def test_better(objective, a, b, wanted):
    assert objective.better(a, b) is wanted


@given(st.sampled_from([UP, DOWN]), NUMBERS, NUMBERS)
def test_never_both_better(objective, a, b):
    assert not (objective.better(a, b) and objective.better(b, a))
    assert not objective.better(a, a)


@given(st.sampled_from([UP, DOWN]), st.lists(NUMBERS))
def test_best_is_finite_and_unbeaten(objective, values):
    best = objective.best(values)
    finite = [v for v in values if v is not None and math.isfinite(v)]
    assert best == ((max if objective is UP else min)(finite) if finite else None)


@pytest.mark.parametrize(
    ("objective", "value", "wanted"),
    [
        (replace(UP, target=0.9), 0.9, True),
        (replace(UP, target=0.9), 0.8999, False),
        (replace(DOWN, target=0.4), 0.4, True),
        (replace(DOWN, target=0.4), 0.41, False),
        (replace(DOWN, target=0.4), -INF, False),
        (replace(UP, target=0.9), INF, False),
        (replace(UP, target=0.9), NAN, False),
        (replace(UP, target=0.9), None, False),
        (UP, 1e9, False),
        (replace(UP, target=0.0), 0.0, True),
        (replace(UP, target=0.9, scale=PERCENT), 91.2, False),
    ],
)
def test_reached(objective, value, wanted):
    assert objective.reached(value) is wanted


@pytest.mark.parametrize(
    ("objective", "given", "wanted"),
    [
        (UP, series(0.7, highest=0.9, lowest=0.1), 0.9),
        (DOWN, series(0.7, highest=0.9, lowest=0.1), 0.1),
        (replace(UP, select="final"), series(0.7, highest=0.9, lowest=0.1), 0.7),
        (replace(UP, select="final"), series(NAN, highest=0.9, lowest=0.1), None),
        (replace(UP, select="final"), series(INF, highest=0.9, lowest=0.1), None),
        (UP, series(NAN), None),
        (UP, series(NAN, highest=0.5, lowest=0.5), 0.5),
    ],
)
def test_which_value_of_a_run_counts(objective, given, wanted):
    assert objective.value_of(given) == wanted


@pytest.mark.parametrize(
    ("target", "highest", "settled"),
    [
        (0.9, 91.2, 90.0),
        (0.9, 0.912, 0.9),
        (0.78, 1.0, 0.78),
        (0.57, 60.0, 57.0),  # 0.57 * 100 is 56.99999999999999
        (0.29, 35.0, 29.0),
    ],
)
def test_the_scale_of_a_target_is_settled_by_what_is_printed(target, highest, settled):
    open_one = replace(UP, target=target, scale=PERCENT)
    result = open_one.settled(open_one.factor(series(highest, highest, 0.0)))
    assert (result.target, result.scale) == (settled, "")
    assert result.reached(settled)


@pytest.mark.parametrize(
    ("metric", "direction", "target", "lowest", "highest", "settled"),
    [
        ("accuracy", "max", 78, 0.1, 0.82, 0.78),
        ("accuracy", "max", 78, 10.0, 82.0, 78),
        ("accuracy", "max", 0.78, 10.0, 82.0, 78),
        ("accuracy", "max", 1.0, 10.0, 82.0, 100),
        ("accuracy", "max", 0.78, 0.1, 0.82, 0.78),
        ("error", "min", 5, 0.04, 0.9, 0.05),
        ("error", "min", 5, 4.0, 90.0, 5),
        ("error", "min", 0.05, 4.0, 90.0, 5),
        ("error", "min", 0.5, 0.9, 1.2, 0.5),  # half a percent of a run that prints about one
        ("error", "min", 1, 4.0, 90.0, 1),  # one percent: 100 % would ask for nothing
        ("WER", "min", 8, 0.35, 0.4, 0.08),
        ("WER", "min", 8, 0.3, 1.2, 0.08),  # inserted words: above 1, and a fraction all the same
        ("WER", "min", 8, 7.5, 104.0, 8),
        ("WER", "min", 3, 1.8, 2.4, 3),
        ("WER", "min", 0.08, 12.0, 40.0, 8),
    ],
)
def test_a_bare_number_is_settled_in_either_direction(metric, direction, target, lowest, highest, settled):
    open_one = Objective(metric, direction, target, scale=BARE)
    assert open_one.settled(open_one.factor(series(lowest, highest, lowest))).target == settled


@pytest.mark.parametrize(("bar", "highest", "factor"), [(57.0, 0.84, 0.01), (57.0, 84.0, 1.0), (0.57, 84.0, 100.0)])
def test_without_a_target_the_bar_is_what_is_settled(bar, highest, factor):
    assert Objective("accuracy", "max", scale=BARE).factor(series(highest, highest, 0.0), bar) == factor


@pytest.mark.parametrize(
    ("metric", "direction", "target", "bar", "wanted"),
    [
        ("accuracy", "max", 78, 0.75, 75), ("accuracy", "max", 0.78, 75.2, 0.752), ("accuracy", "max", 78, 75.2, 75.2),
        ("WER", "min", 8, 0.12, 12), ("WER", "min", 0.08, 12, 0.12), ("error", "min", 0.5, 1.2, 1.2),
    ],
)  # fmt: skip
def test_a_bar_is_read_as_the_target_is_written(metric, direction, target, bar, wanted):
    assert Objective(metric, direction, target, scale=BARE).beside_target(bar) == pytest.approx(wanted)


def test_what_is_a_ratio():
    ratios = (
        "accuracy", "val_acc", "top-1 error", "top1_error", "Acc@1", "acc1", "error rate", "val error", "WER", "test_cer",
        "word error rate", "F1", "macro F1", "precision", "recall@10", "mIoU", "val/mIoU", "dice", "AP50", "bbox_mAP_50",
        "roc_auc", "AUC", "top-5 accuracy", "BLEU", "valAcc", "exact match", "success rate",
    )  # fmt: skip
    none = (
        "loss", "val loss", "dice loss", "FID", "perplexity", "bits per byte", "mean squared error", "RMSE", "reward",
        "PSNR", "pose error", "learning rate",
    )  # fmt: skip
    assert [name for name in (*ratios, *none) if is_ratio(name)] == list(ratios)


def test_nothing_to_settle_leaves_the_target_alone():
    assert replace(UP, target=0.9).factor(series(91.0, 91.0, 0.0)) == 1.0
    assert replace(UP, target=0.9, scale=PERCENT).factor(series(NAN)) == 1.0


def test_values_are_comparable_only_under_the_same_metric_direction_and_selection():
    assert replace(UP, target=0.5, scale=PERCENT).identity == UP.identity
    others = [replace(UP, metric="f1"), replace(UP, direction="min"), replace(UP, select="final")]
    assert len({UP.identity, *(o.identity for o in others)}) == 4


def test_the_document_is_the_contracts():
    assert replace(DOWN, target=0.4).document() == {
        "metric": "loss", "direction": "min", "target": 0.4, "select": "best",
    }  # fmt: skip
    assert str(replace(DOWN, target=0.4)) == "loss (min, target 0.4, best value of a run)"
