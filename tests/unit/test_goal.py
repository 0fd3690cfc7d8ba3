"""What a Goal states and what it does not; which number is the current best."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.goal import Stated, read_current_best, read_goal, same_metric

UNDERSTOOD = [
    ("reach 78%+ top-1 accuracy", "accuracy", "max", 0.78, True),
    ("FID below 15", "FID", "min", 15.0, False),
    ("get FID under 15", "FID", "min", 15.0, False),
    ("val loss under 0.4", "val loss", "min", 0.4, False),
    ("validation accuracy of at least 0.97", "validation accuracy", "max", 0.97, False),
    ("maximize mIoU", "mIoU", "max", None, False),
    ("minimise WER", "WER", "min", None, False),
    ("beat 0.52 RMSE", "RMSE", "min", 0.52, False),
    ("BLEU > 30", "BLEU", "max", 30.0, False),
    ("perplexity <= 20", "perplexity", "min", 20.0, False),
    ("lower the validation loss", "validation loss", "min", None, False),
    ("improve F1 to 0.9", "F1", "max", 0.9, False),
    ("raise R@1 above 45%", "R@1", "max", 0.45, True),
    ("Reach 78%+ top-1 accuracy on ImageNet with ResNet-18 in 90 epochs.", "accuracy", "max", 0.78, True),
    ("Reach 78% validation\naccuracy on CIFAR-100.", "validation accuracy", "max", 0.78, True),
    ("- **Metric:** `val_acc`\n- note\n", "val_acc", "max", None, False),
    ("Metric: accuracy\nTarget: 78%", "accuracy", "max", 0.78, True),
    ("val_loss <= 0.3", "val_loss", "min", 0.3, False),
    ("maximize `my_score`", "my_score", "max", None, False),
    ("optimise `my_thing` (lower is better)", "my_thing", "min", None, False),
    ("val_gizmo below 0.3", "val_gizmo", "min", 0.3, False),
    ("eval/ndcg@10 > 0.4", "eval/ndcg@10", "max", 0.4, False),
    ("Get the best val loss", "val loss", "min", None, False),
    ("improve accuracy from 72% to 78%", "accuracy", "max", 0.78, True),
    ("accuracy ≥ 0.9 (currently 0.8)", "accuracy", "max", 0.9, False),
    ("Improve over the baseline of 72.3% accuracy", "accuracy", "max", 0.723, True),
    ("Reduce overfitting and reach 78% accuracy", "accuracy", "max", 0.78, True),
    ("bring WER down to 5%", "WER", "min", 0.05, True),
    ("Word Error Rate below 5 percent", "word error rate", "min", 0.05, True),
    ("The error must drop below 3%", "error", "min", 0.03, True),
    ("top-5 accuracy above 93%", "top-5 accuracy", "max", 0.93, True),
    ("reach 78% top-1", "accuracy", "max", 0.78, True),
    ("Maximise top 1 acc.", "acc", "max", None, False),
    ("Reach 0.9 top 1 accuracy", "accuracy", "max", 0.9, False),
    ("Reach 92% top 5 accuracy.", "top 5 accuracy", "max", 0.92, True),
    ("top 1 error below 20%", "error", "min", 0.2, True),
    ("Get val top 1 accuracy above 70%", "val accuracy", "max", 0.7, True),
    ("Validation Accuracy: 97 %", "validation accuracy", "max", 0.97, True),
    ("macro-F1 over 0.8", "macro F1", "max", 0.8, False),
    ("F1 score of 0.9", "F1", "max", 0.9, False),
    ("mAP@0.5 of 0.6 or higher", "mAP@0.5", "max", 0.6, False),
    ("hit 45 mAP on COCO", "mAP", "max", 45.0, False),
    ("an R² of 0.9", "R²", "max", 0.9, False),
    ("PSNR of 30 dB", "PSNR", "max", 30.0, False),
    ("bits per byte under 0.9", "bits per byte", "min", 0.9, False),
    ("negative log-likelihood under 1.2", "negative log-likelihood", "min", 1.2, False),
    ("perplexity of 20 on WikiText-103", "perplexity", "min", 20.0, False),
    ("reach loss 0.4 or lower", "loss", "min", 0.4, False),
    ("get below 0.4 validation loss", "validation loss", "min", 0.4, False),
    ("Maximize the mean reward above 2,000", "mean reward", "max", 2000.0, False),
    ("average return of -150", "average return", "max", -150.0, False),
    ("accuracy on ImageNet 2012 above 78%", "accuracy", "max", 0.78, True),
    ("accuracy > 78", "accuracy", "max", 78.0, False),
    ("keep trying until accuracy > 0.9", "accuracy", "max", 0.9, False),
    ("Maximise accuracy without increasing training loss", "accuracy", "max", None, False),
    (
        "[Reach](http://x) *78%* test **accuracy** in 2 hours on 4 GPUs, seed 0, batch size 128",
        "test accuracy",
        "max",
        0.78,
        True,
    ),
    ("1e-3 RMSE", "RMSE", "min", 1e-3, False),
    ("accuracy (top-1) above 78%", "accuracy", "max", 0.78, True),
    ("Word error rate (WER) below 5%", "WER", "min", 0.05, True),
    ("Push top-1 accuracy beyond 80.5% using ViT-S/16 within a 4 hour budget.", "accuracy", "max", 0.805, True),
    ("Detect anomalies: F1 ≥ 0.8, precision is secondary", "F1", "max", 0.8, False),
    ("Reduce FID from 25 to under 15", "FID", "min", 15.0, False),
    ("win rate of 60% against baseline", "win rate", "max", 0.6, True),
]


@pytest.mark.parametrize(("text", "metric", "direction", "target", "percent"), UNDERSTOOD)
def test_a_goal_is_understood(text, metric, direction, target, percent):
    stated = read_goal(text)
    assert (stated.metric, stated.direction, stated.target, stated.percent) == (metric, direction, target, percent)
    quiet = "Metric:" in text and target is None
    assert quiet or not stated.notices


@pytest.mark.parametrize(
    ("text", "metric", "direction", "target", "fact"),
    [
        ("Train a better model", None, None, None, "no metric was understood"),
        ("", None, None, None, "no metric was understood"),
        ("Mixed precision training that scales", None, None, None, "no metric was understood"),
        ("return the best model and map the inputs", None, None, None, "no metric was understood"),
        ("Reach 78%", None, None, None, "78% is not tied to a metric"),
        ("Reach 0.9 F1 and 0.8 accuracy", None, None, None, "several targets (F1 0.9, accuracy 0.8)"),
        ("accuracy of 0.9, F1 of 0.8", None, None, None, "several targets (accuracy 0.9, F1 0.8)"),
        ("FID below 15. Accuracy above 0.9.", None, None, None, "several targets (FID 15, accuracy 0.9)"),
        ("accuracy and F1 above 0.9", None, None, None, "several targets (accuracy 0.9, F1 0.9)"),
        ("reach 70% accuracy, ideally 78% accuracy", "accuracy", "max", None, "several targets for accuracy (70%, 78%)"),
        ("maximize accuracy and minimize loss", None, None, None, "several metrics (accuracy, loss)"),
        ("improve accuracy by 2%", "accuracy", "max", None, 'a change "by 2%" is not a target'),
        ("accuracy 0.75-0.80", "accuracy", "max", None, "the range 0.75-0.80"),
        ("accuracy between 70% and 80%", "accuracy", "max", None, "the range between 70% and 80%"),
        ("Accuracy on CIFAR-10.", "accuracy", "max", None, "it names accuracy only"),
        ("accuracy below 5", "accuracy", "min", 5.0, "taken as written"),
        ("maximize the loss", "loss", "max", None, "taken as written"),
        ("`gizmo_rate` of 3", "gizmo_rate", None, 3.0, "is not said"),
        ("reach 78% accuracy while keeping loss below 2", "accuracy", "max", 0.78, "condition on loss (2) is not enforced"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_said(text, metric, direction, target, fact):
    stated = read_goal(text)
    assert (stated.metric, stated.direction, stated.target) == (metric, direction, target)
    assert any(fact in notice for notice in stated.notices)
    assert all(len(notice.splitlines()) == 1 for notice in stated.notices)


@pytest.mark.parametrize(
    "text", ["Train a better model", "Reach 78%", "accuracy of 0.9, F1 of 0.8", "`gizmo_rate` of 3"]
)
def test_a_notice_says_how_to_state_it(text):
    assert any("config.yaml" in notice and "objective:" in notice for notice in read_goal(text).notices)


PERCENT = read_goal("reach 78%+ top-1 accuracy")
LOSS = read_goal("val loss under 0.4")
OPEN = Stated()


@pytest.mark.parametrize(
    ("text", "goal", "value"),
    [
        ("72.3% accuracy", PERCENT, 0.723),
        ("0.723", PERCENT, 0.723),
        ("val_loss=0.41", LOSS, 0.41),
        ("0.41", LOSS, 0.41),
        ("accuracy 72.3 ± 0.4% (seed 0, epoch 90)", PERCENT, 0.723),
        ("- Validation accuracy 75.2%, ResNet-18, lr 0.1, 200 epochs", PERCENT, 0.752),
        ("ResNet-18: 72.3% top-1", PERCENT, 0.723),
        ("| accuracy | 72.3% |\n| loss | 0.9 |", PERCENT, 0.723),
        ("train loss 0.3, val loss 0.41", LOSS, 0.41),
        ("Accuracy: 72.3%\nLoss: 0.9\n- lr 0.1", PERCENT, 0.723),
        ("72.3%", OPEN, 0.723),
        ("0.5 accuracy", OPEN, 0.5),
        ("72.3%", read_goal("accuracy > 78"), 72.3),
    ],
)
def test_a_current_best_is_read(text, goal, value):
    best = read_current_best(text, goal)
    assert best.value == value
    assert not best.notices


@pytest.mark.parametrize(
    "text", ["", "none", "None yet.", "n/a yet", "N/A", "-", "no results yet", "*unknown*", "TBD", "no baseline"]
)
def test_no_current_best_is_no_complaint(text):
    assert read_current_best(text, PERCENT) == read_current_best("none", PERCENT)
    assert read_current_best(text, PERCENT).value is None
    assert not read_current_best(text, PERCENT).notices


@pytest.mark.parametrize(
    ("text", "goal", "value", "fact"),
    [
        ("we have something", PERCENT, None, "no number in it was understood"),
        ("loss 0.4", PERCENT, None, "it gives loss, the Goal is about accuracy"),
        ("test loss 0.4", LOSS, None, "it gives test loss, the Goal is about val loss"),
        ("0.3 or 0.4", OPEN, None, "several numbers (0.3, 0.4)"),
        ("baseline: 70% accuracy, ours: 72% accuracy", PERCENT, 0.72, "the best of them, 72%, is the bar"),
        ("72.3", PERCENT, 0.723, "read as a percentage"),
    ],
)
def test_a_doubtful_current_best_is_said(text, goal, value, fact):
    best = read_current_best(text, goal)
    assert best.value == value
    assert any(fact in notice for notice in best.notices)


def test_a_percentage_is_remembered():
    assert read_current_best("72.3% accuracy", PERCENT).percent
    assert not read_current_best("0.7", PERCENT).percent


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("val_acc", "validation accuracy", True),
        ("accuracy", "test accuracy", True),
        ("val accuracy", "test accuracy", False),
        ("top-1 accuracy", "acc", True),
        ("top 1 accuracy", "acc", True),
        ("top-5 accuracy", "accuracy", False),
        ("top 5 accuracy", "top-5 accuracy", True),
        ("loss", "accuracy", False),
        ("PPL", "perplexity", True),
    ],
)
def test_names_of_one_metric(a, b, same):
    assert same_metric(a, b) is same
    assert same_metric(b, a) is same


pieces = st.lists(
    st.sampled_from(
        [
            "accuracy",
            "loss",
            "val_loss",
            "`x_y`",
            "top-1",
            "FID",
            "below",
            "above",
            "at",
            "least",
            "78%",
            "0.4",
            "and",
            "by",
            "from",
            ",",
            ".",
            ";",
            ":",
            "to",
            ">",
            "<=",
            "(",
            ")",
            "3e5",
            "1,000",
            "±",
            "\n",
            "-",
            "*",
            "between",
            "without",
        ]
    )
    | st.text(max_size=4),
    max_size=25,
).map(" ".join)


@settings(deadline=None)  # a busy machine is no failure
@given(pieces | st.text())
def test_any_text_is_read(text):
    stated = read_goal(text)
    best = read_current_best(text, stated)
    for notice in (*stated.notices, *best.notices):
        assert len(notice.splitlines()) == 1
        assert len(notice) < 600
    assert stated.metric is not None or (stated.direction is None and stated.target is None)
