"""Labelled logs: those made here, and those that other people published where they lie beside the checkout.

The figures are those of ``benchmarks/read_logs.py``. A log that is read wrongly here and is known to be is named below,
so that a new miss and a miss that is gone are both seen.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import labelled  # noqa: E402
import read_logs  # noqa: E402
from auto_experiment.watch.metrics import shapes  # noqa: E402

KNOWN = {
    labelled.OWN: {
        "gensim_lda": "values stand before their names: 15.6 perplexity estimate",
        "torch_class_nan": "Epoch(val) [8][8] counts epochs twice",
    },
    labelled.WRITTEN: {
        "autogluon": "the metric's name is in brackets",
        "burn_summary": "columns Min., Epoch, Max., Epoch",
        "coqui_tts": "an evaluation counts steps of its own on a line of its own",
        "detectron2_nan_abort": "the exception prints its losses once more",
        "lczero_train": "a network and its averaged weights print under one name",
        "lm_eval_table": "the metric's name is a cell of its row",
        "mlnet_missing": "rows that begin with a number glued to the frame",
        "mmseg_table": "percentages in a table, fractions on a line",
        "nerfstudio": "a table whose cells hold spaces, and some nothing",
        "paddleocr_rec": "the step of an evaluation is the global one",
        "parlai": "total_steps among names glued to their numbers",
        "pretrain_finetune": "two stages under one name",
        "sacrebleu_json": "a document of many lines whose metric is named by a value",
        "sample_factory": "the value is a text in a tuple, a process is numbered like a step",
        "slash_pairs": "two metrics around one slash",
        "t5x_slurm_time": "two evaluations under the name of one",
        "torch7_resnet_error": "a mean in brackets and a last value",
        "tr_va_slashes": "two metrics around one slash",
        "weka_cv": "a name and a value with nothing but blanks between",
    },
    labelled.PUBLIC: {
        "gluon_frcnn_voc": "a Namespace that was cut off in the middle hides six lines",
        "mlperf_ssd": "three ranks say the same on one line",
    },
}


@pytest.mark.parametrize("folder", list(KNOWN), ids=["own", "written", "public"])
def test_what_is_read_agrees_with_the_labels(folder):
    found = labelled.labels(folder)
    if not found:
        pytest.skip(f"{folder} is not here: the logs lie beside a checkout, not in it")
    score = read_logs.scored(found)
    for what, target in read_logs.TARGETS.items():
        least = target if folder != labelled.WRITTEN else 0.9  # tools that were chosen for being odd
        assert score.share(what) >= least, (what, score.misses)
    assert score.alarms == []
    assert {miss.split(":")[0] for miss in score.misses} == set(KNOWN[folder])


def test_ten_thousand_cuts_change_nothing():
    cuts, differing = read_logs.cut_anywhere(labelled.labels(labelled.OWN), 10_000)
    assert cuts >= 10_000
    assert differing == 0


def test_what_is_known_of_a_lines_shape_changes_nothing(monkeypatch):
    """With every line a shape of its own, as if none had been seen before, the same is read."""

    def read_all():
        found = [*labelled.labels(labelled.OWN), *labelled.labels(labelled.WRITTEN)]
        return [read_logs._all_of(lambda reader, one=one: reader.feed(one.log.read_bytes())) for one in found]

    by_shape = read_all()
    monkeypatch.setattr(shapes, "of", lambda text: text.encode("utf-8", "surrogatepass"))
    assert read_all() == by_shape


def test_the_scorer_can_fail():
    found = labelled.labels(labelled.OWN)[:20]
    score = labelled.Score()
    for label in found:
        score.add(label, {"metrics": {}, "objective": None, "progress": None, "fault": "killed", "exception": None})
    assert score.share("metric") == 0
    assert score.share("fault") < 0.3
    assert score.alarms
