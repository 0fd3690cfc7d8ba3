"""What a line means because of the lines around it: tables, headings, counters of other lines, ranks, bars."""

from __future__ import annotations

import math

import pytest

from auto_experiment.records.observation import Fault, Progress
from auto_experiment.views.chart import chart
from auto_experiment.watch.metrics.headings import title
from auto_experiment.watch.metrics.prefixes import strip
from auto_experiment.watch.metrics.reader import LogReader


def read(text: str) -> LogReader:
    reader = LogReader()
    reader.feed(text.encode())
    reader.finish()
    return reader


def finals(reader: LogReader) -> dict[str, float]:
    return {name: one.final for name, one in reader.series.items()}


TABLES = [
    # fastai: plain columns, a time at the end
    (
        (
            "epoch     train_loss  valid_loss  accuracy  time    \n"
            "0         0.912000    0.751000    0.712000  00:03     \n"
            "1         0.612000    0.551000    0.812000  00:03     \n"
        ),
        {"train_loss": 0.612, "valid_loss": 0.551, "accuracy": 0.812},
        Progress(1, None, "epoch"),
    ),
    # skorch: a rule below the header, colours for the best
    (
        (
            "  epoch    train_loss    valid_acc    valid_loss     dur\n"
            "-------  ------------  -----------  ------------  ------\n"
            "      1        \x1b[36m0.6869\x1b[0m       \x1b[32m0.6000\x1b[0m        \x1b[35m0.6801\x1b[0m  0.0210\n"
            "      2        \x1b[36m0.6552\x1b[0m       \x1b[32m0.6350\x1b[0m        \x1b[35m0.6690\x1b[0m  0.0190\n"
        ),
        {"train_loss": 0.6552, "valid_acc": 0.635, "valid_loss": 0.669},
        Progress(2, None, "epoch"),
    ),
    # spaCy: names with a space in them
    (
        (
            "E    #       LOSS TOK2VEC  LOSS TAGGER  TAG_ACC  SCORE \n"
            "---  ------  ------------  -----------  -------  ------\n"
            "  0       0          0.00        25.77    30.17    0.30\n"
            "  1     200         10.50         9.77    80.50    0.81\n"
        ),
        {"LOSS TOK2VEC": 10.5, "LOSS TAGGER": 9.77, "TAG_ACC": 80.5, "SCORE": 0.81},
        Progress(1, None, "epoch"),
    ),
    # Ultralytics: two tables in turn, bars behind the rows and the header, rows of single classes
    (
        (
            "     Epoch   gpu_mem       box       obj    labels  img_size\n"
            "       0/1     2.87G    0.1585   0.00573       103       640: 100%|####| 9/9 [00:09<00:00,  1.6it/s]\n"
            "               Class     Images     Labels          P          R     mAP@.5 mAP@.5:.95: 100%|#| 5/5 [0:3<0:0, 1it/s]\n"
            "                 all        128        929      0.641      0.502      0.551      0.352\n"
            "     Epoch   gpu_mem       box       obj    labels  img_size\n"
            "       1/1     2.87G    0.1385   0.00473       103       640: 100%|####| 9/9 [00:09<00:00,  1.6it/s]\n"
            "               Class     Images     Labels          P          R     mAP@.5 mAP@.5:.95: 100%|#| 5/5 [0:3<0:0, 1it/s]\n"
            "                 all        128        929      0.741      0.602      0.651      0.452\n"
            "              person        128        254      0.941      0.902      0.951      0.852\n"
        ),
        {"box": 0.1385, "obj": 0.00473, "P": 0.741, "R": 0.602, "mAP@.5": 0.651, "mAP@.5:.95": 0.452},
        Progress(1, 1, "epoch"),
    ),
    # scikit-learn's report: the mean rows and the accuracy, no single class
    (
        (
            "              precision    recall  f1-score   support\n\n"
            "           0       0.95      0.90      0.92       100\n"
            "       nan         0.85      0.80      0.82       100\n\n"
            "    accuracy                           0.91       200\n"
            "   macro avg       0.90      0.85      0.87       200\n"
        ),
        {"accuracy": 0.91, "macro avg precision": 0.9, "macro avg recall": 0.85, "macro avg f1-score": 0.87},
        None,
    ),
    # commas with a document in a cell; tabs
    (
        (
            "training_iteration,done,episode_reward_mean,config\n"
            "1,False,10.5,\"{'lr': 0.1, 'layers': [512]}\"\n"
            "2,False,11.5,\"{'lr': 0.1, 'layers': [512]}\"\n"
        ),
        {"episode_reward_mean": 11.5},
        Progress(2, None, "step"),
    ),
    ("step\tloss\n10\t8.46\n20\t7.68\n", {"loss": 7.68}, Progress(20, None, "step")),
    # a table of Markdown's kind, and one of classes side by side, under a heading
    (
        (
            "Evaluation results for bbox: \n|   AP   |  AP50  |\n|:------:|:------:|\n| 39.121 | 60.222 |\n"
            "Per-category bbox AP: \n| category | AP | category | AP |\n|:--|:--|:--|:--|\n| cat | 1.5 | dog | 2.5 |\n"
        ),
        {"bbox/AP": 39.121, "bbox/AP50": 60.222},
        None,
    ),
    # Lightning's closing table
    (
        (
            "┏━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┓\n┃ Test metric ┃ DataLoader 0 ┃\n┡━━━━━━━━━━━━━╇━━━━━━━━━━━━━━┩\n"
            "│  test_acc   │     0.93     │\n└─────────────┴──────────────┘\n"
        ),
        {"test_acc": 0.93},
        None,
    ),
    # Ludwig: a row for each metric, a column for each split; Ray: plain columns in a box
    (
        (
            "│          │   train │   validation │   test │\n╞══════════╪═════════╪══════════════╪════════╡\n"
            "│ accuracy │  0.9373 │       0.9042 │ 0.8735 │\n├──────────┼─────────┼──────────────┼────────┤\n"
            "│ loss     │  0.2505 │       0.3064 │ 0.3060 │\n"
        ),
        {
            "train_accuracy": 0.9373,
            "validation_accuracy": 0.9042,
            "test_accuracy": 0.8735,
            "train_loss": 0.2505,
            "validation_loss": 0.3064,
            "test_loss": 0.306,
        },
        None,
    ),
    (
        (
            "│ Trial name   status       iter   accuracy │\n├───────────────────────────────────────────┤\n"
            "│ fn_00000     TERMINATED     10       0.82 │\n"
        ),
        {"accuracy": 0.82},
        Progress(10, None, "step"),
    ),
    # H2O: more cells than names, for a date and a time are two
    (
        (
            "            timestamp   duration number_of_trees training_rmse validation_auc\n"
            "1 2022-06-01 10:00:00 0.000 sec               5       0.49747          0.66491\n"
        ),
        {"training_rmse": 0.49747, "validation_auc": 0.66491},
        Progress(5, None, "step"),
    ),
    # a header of two lines, and a mark behind a row
    (
        (
            "average  since         example  current\n"
            "loss     last          counter    label\n"
            "0.912345 0.912345            1   1.0000\n"
            "0.712345 0.512345            2   0.0000 h\n"
        ),
        {"average loss": 0.712345, "since last": 0.512345, "current label": 0},
        Progress(2, None, "step"),
    ),
    (
        (
            "|=====================================|\n"
            "|  Epoch  |  Mini-batch |  Mini-batch |\n"
            "|         |   Accuracy  |     Loss    |\n"
            "|=====================================|\n"
            "|       1 |      11.72% |      2.3026 |\n"
            "|       2 |      58.00% |      1.2213 |\n"
        ),
        {"Mini-batch Accuracy": 58, "Mini-batch Loss": 1.2213},
        Progress(2, None, "epoch"),
    ),
    (
        (
            "Epoch   Train Loss   Val Loss   Val Acc\n"
            "1       0.5          0.6        81.2%\n"
            "2       0.4          0.55       82.3%  *\n"
        ),
        {"Train Loss": 0.4, "Val Loss": 0.55, "Val Acc": 82.3},
        Progress(2, None, "epoch"),
    ),
    # a matrix is no table of metrics
    ("confusion matrix\n 950 20 3\n  24 72 7\n", {}, None),
]


@pytest.mark.parametrize(("text", "wanted", "progress"), TABLES, ids=range(len(TABLES)))
def test_tables(text, wanted, progress):
    reader = read(text)
    assert finals(reader) == pytest.approx(wanted)
    assert reader.progress == progress


BOX = (
    "-----------------------------\n| rollout/           |      |\n|    ep_rew_mean     | {}   |\n"
    "| time/              |      |\n|    fps             | 900  |\n|    total_timesteps | {} |\n"
    "-----------------------------\n"
)


def test_the_values_of_a_box_belong_to_the_counter_in_it():
    reader = read(BOX.format(20, 1024) + BOX.format(30, 2048) + BOX.format(25, 4096) + "done\n")
    series = reader.series["rollout/ep_rew_mean"]
    assert (series.highest, series.highest_step, series.final, series.final_step) == (30, 2048, 25, 4096)
    assert "time/fps" not in reader.series


def test_a_box_that_breaks_off_is_read_as_far_as_it_goes():
    assert finals(read(BOX.format(20, 1024)[:89])) == {"rollout/ep_rew_mean": 20}


def test_headings_hold_for_the_lines_under_them():
    text = "Epoch 1 loss: 0.5\n***** Running validation *****\nloss: 0.7\nacc: 0.8\nEpoch 2 loss: 0.4\nacc: 0.9\n"
    assert finals(read(text)) == {"loss": 0.4, "validation_loss": 0.7, "validation_acc": 0.9}


def test_what_follows_the_end_of_the_training_is_not_the_trainings():
    assert finals(read("Epoch 1 loss: 0.5\nTraining finished\nR2 = 0.91\n")) == {"loss": 0.5, "R2": 0.91}


SETTINGS = [
    "agnostic_nms=False, amp=True, angle=1.0, batch=16, data=coco.yaml, box=7.5, mode=train\n",
    "model:\n  name: resnet\n  dropout: 0.1\n  depth: 50\n",
    "optimizer: adam\nscheduler: cosine\nlogger: wandb\nlr: 0.1\n",
    "BASE_LR: 0.01\nMIN_SIZE_TEST: 800\n",
    "num_layers: 4\n",
]


@pytest.mark.parametrize("text", SETTINGS, ids=range(len(SETTINGS)))
def test_settings_are_no_metrics(text):
    assert finals(read(text)) == {}


def test_metrics_among_words_are_no_settings():
    text = "Results:\n  precision: 0.9\n  recall: 0.8\n  model: resnet\n  f1: 0.85\n  val_quality: 3.5\n"
    assert finals(read(text)) == {"precision": 0.9, "recall": 0.8, "f1": 0.85, "val_quality": 3.5}
    assert finals(read("Epoch 3: loss=0.3, best=True, lr=0.1\n")) == {"loss": 0.3, "lr": 0.1}


def test_a_value_without_a_name_takes_that_of_the_line_above():
    assert finals(read("~~~~ MeanAP @ IoU=[0.50,0.95] ~~~~\n=26.6\n")) == {"MeanAP": 26.6}
    assert finals(read("Test accuracy:\n93.5%\n")) == {"Test accuracy": 93.5}
    assert finals(read("the weather\n26.6\n")) == {}
    assert title("Saving the model") is None


def test_the_first_rank_speaks_for_all():
    text = "".join(f"[rank{r}]: step {s} loss={s + r / 10}\n" for s in range(1, 4) for r in (0, 1))
    series = read(text).series["loss"]
    assert (series.count, series.final) == (3, 3.0)


def test_summaries_of_epochs_go_before_their_batches():
    text = "".join(
        f"Epoch: [{e}][{b}/3] Acc@1 {100 if b == 2 else 50}.00 (75.00)\n" + (f" * Acc@1 7{e}.5\n" if b == 3 else "")
        for e in (1, 2)
        for b in (1, 2, 3)
    )
    reader = read(text)
    judged = reader.judged["Acc@1"]
    assert (judged.count, judged.highest, judged.highest_step) == (2, 72.5, 2)
    assert reader.series["Acc@1"].count == 8


def test_one_summary_at_the_end_does_not_hide_the_epochs():
    text = "".join(f"Epoch {e}/9\n5/5 [====] - acc: 0.{e}\n" for e in range(1, 9)) + "acc: 0.1\n"
    assert read(text).judged["acc"].highest == 0.8


COUNTERS = [
    ("s:7 tel:3.25\n", Progress(7, None, "step")),
    ("584/10105 in 0 epoch finished, Loss is 0.5\n", Progress(584, 10105, "step")),
    ("Train: 3 [   6/8 ( 86%)]  Loss: 1.5 (1.6)\n", Progress(3, None, "epoch")),
    ("[ Valid | 100/100 ] loss = 0.04080, acc = 0.99\n", Progress(100, 100, "epoch")),
    ("Epoch(val) [8][4/8]  accuracy: 0.5\n", Progress(8, None, "epoch")),
    ("step:50K smpl:2M ep:5K epch:126.54 loss:0.023\n", Progress(50_000, None, "step")),
    ("max_iter: 2000\nIteration 500, loss = 1.5\n", Progress(500, 2000, "step")),
    ("Epoch 3/9 loss: 1\nStopping early. Best results observed at epoch 2, loss 0.5.\n", Progress(3, 9, "epoch")),
    ("epoch: 0|step: 475|loss: 1.0\nepoch: 0|step: 476|loss: 1.0\n", Progress(476, None, "step")),
    ('epoch 3 loss 1\neval: {"epoch": 1, "value": 0.5}\n', Progress(3, None, "epoch")),
    ("Score at iteration 40 is 0.98\n", Progress(40, None, "step")),
    # a bar around the training is not the training's
    (
        "".join(f"\r {i * 10}%|#| {i}/10 [00:01<00:01, 9it/s]" for i in range(1, 11))
        + "\n"
        + "".join(f"\r {i}%|#| {i}/100 [00:01<00:01, 9it/s, loss=0.{i}]" for i in range(1, 8))
        + "\n"
        + "".join(f"\r {i}%|#| {i}/900 [00:01<00:01, 9it/s]" for i in range(1, 900, 50))
        + "\n",
        Progress(7, 100, "step"),
    ),
]


@pytest.mark.parametrize(("text", "wanted"), COUNTERS, ids=range(len(COUNTERS)))
def test_counters(text, wanted):
    assert read(text).progress == wanted


def test_what_remains_is_told_by_the_pace_so_far():
    assert Progress(3, 10, "epoch").remaining_s(60) == 140
    for progress in (Progress(0, 10), Progress(10, 10), Progress(5, None)):
        assert progress.remaining_s(60) is None
    assert Progress(3, 10).remaining_s(None) is None


def test_the_step_of_a_value_is_its_epoch_where_steps_begin_again_with_each():
    text = "".join(f"Epoch {e}/3\nstep {s}/15 - loss: {10 - e * s / 15}\n" for e in (1, 2, 3) for s in (5, 10, 15))
    assert read(text).series["loss"].lowest_step == 3


def test_a_best_that_a_line_states_beside_its_values():
    text = "0:\ttest: 0.90\tbest: 0.90 (0)\ttotal: 2ms\n5:\ttest: 0.94\tbest: 0.97 (3)\ttotal: 9ms\n"
    series = read(text).series["test"]
    assert (series.highest, series.highest_step, series.final, series.count) == (0.97, 3, 0.94, 2)


def test_a_comparison_with_the_best_reports_nothing():
    text = "mAP=0.4\n[Epoch 0] mAP 0.4 higher than current best [0] saving\nval_loss did not improve from 0.5\n"
    assert [(one.name, one.count) for one in read(text).series.values()] == [("mAP", 1)]


FAULTS = [
    ("Epoch 1 loss: 0.5\nDetected KeyboardInterrupt, attempting graceful shutdown ...\n", Fault.INTERRUPTED),
    ("iter 10: loss 0.5\ntimeout: sending signal TERM to command 'python'\nexit status: 124\n", Fault.TIMEOUT),
    ("iter 10: loss 0.5\njob exceeded its 25 s limit\n", Fault.TIMEOUT),
    ("iter 10: loss 0.5\ntrain.py ended with status 143\n", Fault.KILLED),
    ("iter 10: loss 0.5\ntrain.py ended with status 0\n", Fault.NONE),
    ("Epoch 2: loss nan.0\n", Fault.NAN),
    ("jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 144000 bytes.\n", Fault.OOM),
    ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\n", Fault.CUDA_OOM),
]
FAULTS += [
    ("Error in train.default(x, y) : bad\nExecution halted\n", Fault.EXCEPTION),
    ("/opt/torch/bin/luajit: train.lua:5: Error reading 3.JPEG\n", Fault.EXCEPTION),
    ("ERROR: LoadError: DimensionMismatch\n", Fault.EXCEPTION),
    ("5/9 [==>...] - loss: 2.35Batch 5: Invalid loss, terminating training\n", Fault.NAN),
    ("iter 1: loss 2\nInterrupted by user, finishing up ...\nBest acc: 0.23 (epoch 7)\n", Fault.INTERRUPTED),
    ("ERROR: LoadError: DimensionMismatch\nStacktrace:\n  [1] check(layer)\n  [2] top-level scope\n", Fault.EXCEPTION),
    ("Unhandled exception. System.IO.FileNotFoundException: no\n", Fault.EXCEPTION),
    ("trainer-0 exited with code 137\n", Fault.KILLED),
    ("trainer-0 exited with code 1\n", Fault.EXCEPTION),
    ("ERROR: Out of GPU memory trying to allocate 9 bytes\n", Fault.CUDA_OOM),
    ('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n', Fault.OOM),
]
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nOSError: no\n'


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=range(len(FAULTS)))
def test_faults(text, fault):
    assert read(text).fault.fault is fault


def test_a_training_that_says_that_it_is_finished_had_handled_its_exception():
    assert read(TRACEBACK + "[INFO] training finished\n").fault.fault is Fault.NONE
    assert read(TRACEBACK + "job finished at noon\n").fault.fault is Fault.EXCEPTION


def test_the_last_redraw_of_a_bar_is_no_sign_of_life():
    bar = " 50%|#####     | 60/120 [00:00<00:00, 79.01it/s]"
    assert read(bar.replace("60/", "55/") + "\n" + TRACEBACK + bar + "\n").fault.fault is Fault.EXCEPTION


def test_a_root_cause_is_not_replaced_by_a_chain_that_only_follows():
    chain = (
        TRACEBACK.replace("OSError: no", "SignalException: got 15")
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + TRACEBACK.replace("OSError: no", "SignalException: got 15")
    )
    text = TRACEBACK.replace("OSError: no", "torch.OutOfMemoryError: CUDA out of memory.") + chain
    assert read(text).fault.fault is Fault.CUDA_OOM


PREFIXES = [
    ("[08/30 23:53:55 d2.utils.events]:  eta: 1", None, " eta: 1"),
    ("I0615 15:42:40.730262  1860 solver.cpp:244]     loss = 1", None, "    loss = 1"),
    ("2021-09-03 20:47:31.106 | INFO     | yolox.core.trainer:after_train:184 - AP", None, "AP"),
    ("2025-03-02 08:17:29,979 - INFO - Epoch 20", None, "Epoch 20"),
    ("[2023-04-18 09:18:22,604] [INFO] [launch.py:460:main] Process", None, "Process"),
    ("INFO:root:Epoch[125]", None, "Epoch[125]"),
    ("2019-06-11 13:55:49,388 DEV : loss 0.23", None, "DEV : loss 0.23"),
    ("[rank1]: loss 3", 1, "loss 3"),
    ("[default0]:loss 3", 0, "loss 3"),
    ("s:9536 tel:3.27", None, "s:9536 tel:3.27"),
    ("[1] train loss: 3", None, "[1] train loss: 3"),
    ("2022-03-01 13:12:00,100   INFO  Train:    1/80", None, "Train:    1/80"),
    ("2022-03-01 13:12:00,100   indented", None, "  indented"),
    ("05 Mar 10:01    INFO  valid result: ", None, "valid result: "),
    ("Mar  5 10:01:07 node1 trainer", None, "node1 trainer"),
    ("May 10 loss: 0.5", None, "May 10 loss: 0.5"),
    ("accuracy: 0.5", None, "accuracy: 0.5"),
]


@pytest.mark.parametrize(("line", "rank", "rest"), PREFIXES, ids=[line[:20] for line, _, _ in PREFIXES])
def test_prefixes(line, rank, rest):
    assert strip(line) == (rank, rest)


def test_a_chart():
    lines = chart([1, 2, 3, 4], width=4, height=2)
    assert len(lines) == 2
    assert lines[0].startswith("4 │")
    assert lines[-1].startswith("1 │")
    assert chart([1.0, math.nan]) == []
    stars = chart([0, 1, math.nan, 0], width=4, height=2, plain=True)
    assert stars == ["1 | *", "0 |*  *"]
    assert len(chart(list(range(5000)))[0]) < 80


SECTIONS = "{}Training:\n  loss: 0.5\n  acc: {}\nValidation:\n  loss: 0.6\n  acc: {}\n"


@pytest.mark.parametrize("epoch", ["Epoch {}\n", ""])
def test_sections_of_training_and_validation_stay_apart(epoch):
    text = "".join(SECTIONS.format(epoch.format(i), 0.4 + i / 4, 0.3 + i / 10) for i in (1, 2))
    validation, training = (read(text).series[name] for name in ("validation_acc", "train_acc"))
    assert (validation.count, validation.final, validation.highest) == (2, 0.5, 0.5)
    assert (training.count, training.final) == (2, 0.9)


def test_a_section_ends_where_something_else_is_said():
    text = "Epoch 1 acc: 0.9\nValidation:\nacc: 0.4\nSaving model\nacc: 0.95\n"
    assert read(text).series["validation_acc"].count == 1


REPEATED = ["Test: acc 0.{}\n", "Eval: reward 0.{}\n", "status: training\nphase: one\nstage: two\nloss: 0.{}\n"]


@pytest.mark.parametrize("line", REPEATED)
def test_lines_that_repeat_each_other_are_no_settings(line):
    (series,) = read("".join(line.format(i) for i in (5, 6, 7))).series.values()
    assert (series.count, series.final) == (3, 0.7)


def test_two_words_above_a_counter_are_no_table():
    reader = read("Test Error:\n Accuracy: 44.7%, Avg loss: 2.155\n\nEpoch 2\n-----\nloss: 2.1\n")
    assert reader.progress == Progress(2, None, "epoch")
    assert "test_Error" not in reader.series
    assert finals(read("Validation Loss:\nStep 100\n")) == {}


def test_the_nearest_header_names_the_columns():
    text = "epoch  train_loss  train_acc\n1  0.5  0.6\nepoch  val_loss  val_acc\n1  0.7  0.4\n"
    assert finals(read(text)) == {"train_loss": 0.5, "train_acc": 0.6, "val_loss": 0.7, "val_acc": 0.4}


FOOTERS = [
    "Training complete. Best epoch: 2, val_acc=0.7\n",
    "Loaded best checkpoint (epoch 2, val_acc=0.7)\n",
    "Resuming from checkpoint at epoch 2, val_acc=0.9\n",
    "best val_loss so far 0.5, val_acc = 0.7 at epoch 2\n",
]


@pytest.mark.parametrize("footer", FOOTERS)
def test_what_was_best_is_no_new_point(footer):
    reader = read("".join(f"epoch {e} val_acc=0.{v}\n" for e, v in ((1, 5), (2, 7), (3, 6))) + footer)
    series = reader.series["val_acc"]
    assert (series.count, series.final) == (3, 0.6)
    assert reader.progress == Progress(3, None, "epoch")


def test_each_metric_is_taken_from_the_first_rank_that_reports_it():
    reader = read("[rank1]: epoch 1 loss=0.7\n[rank0]: epoch 1 loss=0.5\n[rank0]: epoch 1 val_acc=0.5\n")
    assert finals(reader) == {"loss": 0.7, "val_acc": 0.5}


STILL_FAULTS = ["Best val_acc: 0.7\n", "Training was not completed\n", "final acc: 0.5\n"]


@pytest.mark.parametrize("words", STILL_FAULTS)
def test_the_last_words_after_a_crash_do_not_clear_it(words):
    assert read("epoch 1 val_acc=0.5\n" + TRACEBACK + words).fault.fault is Fault.EXCEPTION


NO_FAULTS = [
    "epoch 1 loss=1\nError: 0.25\n",
    "job status 137 rows processed\n",
    "WARNING: skipped 3 batches: CUDA out of memory\nDone.\n",
]


@pytest.mark.parametrize("text", NO_FAULTS)
def test_words_that_only_look_like_a_fault(text):
    assert read(text).fault.fault is Fault.NONE


def test_a_box_without_end_is_bounded():
    reader = LogReader()
    for start in range(0, 3000, 500):
        reader.feed("".join(f"| n{i}_loss | {i}.5 |\n" for i in range(start, start + 500)).encode())
        assert len(reader._held) <= 200


FASTAI = "epoch  train_loss  valid_loss  accuracy  time\n0      0.52        0.41        0.81      00:10\n"


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        (FASTAI, {"accuracy"}),
        (FASTAI + "accuracy: 0.5\n", set()),  # printed elsewhere too, and nobody says of what
        ("accuracy: 0.5\n" + FASTAI, set()),
        ("epoch 1 train_loss 0.5 val_loss 0.4 f1 0.8 lr 0.1\n", {"f1", "lr"}),
        ("train loss: 0.5 | dev loss: 0.4 | f1: 0.8\n", {"f1"}),
        ("epoch 1 train_loss=0.5 acc=0.8 val_loss=0.4\n", set()),
        ("epoch 1 train_acc=0.5 val_acc=0.4 loss=0.8\n", set()),
        ("epoch 1 train_loss=0.5 val_loss=0.4 test_loss=0.4 acc=0.8\n", set()),
        ("[Epoch 1] train=0.5 val=0.6 loss=1.2\n", set()),
        ("epoch 1 val_loss=0.4 acc=0.8\n", set()),
    ],
)
def test_metrics_that_only_ever_stand_after_the_validations(text, beside):
    assert read(text).beside_validation == beside


def test_brackets_of_an_evaluation_are_its_mean_only_where_it_counts_batches():
    assert finals(read("Test: [1/2] acc 0.5 (0.5)\nTest: [2/2] acc 0.7 (0.6)\n")) == {"test_acc": 0.6}
    assert finals(read("val acc: 0.6 (0.7)\n")) == {"val acc": 0.6}  # it may be the best so far


CLASSES = [
    ("cat: acc 0.99\ndog: acc 0.88\nmean: acc 0.93\n", {"cat acc": 0.99, "dog acc": 0.88, "acc": 0.93}),
    ("Class cat: IoU 0.81\nClass dog: IoU 0.71\nmIoU: 0.76\n", {"Class cat IoU": 0.81, "Class dog IoU": 0.71, "mIoU": 0.76}),
    ("[cat] AP: 0.9\n[dog] AP: 0.8\n", {"cat AP": 0.9, "dog AP": 0.8}),
    ("class_id = 0, name = dog, ap = 80.1%\nclass_id = 1, name = cat, ap = 70.1%\n", {"class_id 0 ap": 80.1, "class_id 1 ap": 70.1}),
    ("epoch 1\nD: loss 0.9\nG: loss 0.8\nepoch 2\nD: loss 0.7\nG: loss 0.6\n", {"D loss": 0.7, "G loss": 0.6}),
    ("Stage 1: loss 0.9\nStage 2: loss 0.8\n", {"Stage 1 loss": 0.9, "Stage 2 loss": 0.8}),
    ("[it 100] acc=0.9 f1=0.8\n[it 200] acc=0.8 f1=0.7\n", {"acc": 0.8, "f1": 0.7}),
    ("(it100): acc=0.9\n(it200): acc=0.8\n", {"acc": 0.8}),
    ("Round 1: acc=0.9\nRound 2: acc=0.8\n", {"acc": 0.8}),
    ("Results: acc 0.9\nacc 0.8\n", {"acc": 0.8}),
    ("Results: acc 0.9\n\nOther: acc 0.8\n", {"acc": 0.8}),  # they do not follow one another
    ("Results: acc 0.9\nResults: acc 0.8\nResults: acc 0.8\n", {"acc": 0.8}),
    ("train: acc 0.9\nval: acc 0.8\n", {"train_acc": 0.9, "val_acc": 0.8}),
    ("Loss: train=0.3 val=0.4\nAcc: train=0.9 val=0.8\n", {"Loss train": 0.3, "Loss val": 0.4, "Acc train": 0.9, "Acc val": 0.8}),
    ("id  acc  iou\n0  0.9  0.7\n1  0.8  0.6\n", {}),
    ("id,class,acc\n0,cat,0.9\n1,dog,0.8\n", {}),
    ("epoch  id  acc\n0  7  0.9\n1  7  0.8\n", {"acc": 0.8}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), CLASSES)
def test_rows_of_classes_are_no_series_of_one_metric(text, wanted):
    assert finals(read(text)) == wanted
    assert read(text).progress is None or "epoch" in text or "it 200" in text or "Round" in text


def test_a_line_that_waits_for_the_next_one_loses_nothing():
    reader = read("Results: acc 0.9\nepoch 2 acc 0.9\nResults: acc 0.7\nwords\nResults: acc 0.6")
    assert (reader.series["acc"].count, reader.series["acc"].final) == (4, 0.6)
    assert reader.series["acc"].lowest_step == 2
    many = read("".join(f"Class {n}: acc 0.{n:03}\n" for n in range(300)))
    assert list(many.series) == [f"Class {n} acc" for n in range(8)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("acc: 50%\nacc: 0.57\nacc: 0.6\n", (60.0, 60.0, 50.0)),
        ("acc: 0.57\nacc: 50%\nacc: 0.6\n", (0.6, 0.6, 0.5)),
        ("acc: 57\nacc: 50%\nacc: 55\n", (55, 57, 50)),
        ("acc: 0.3%\nacc: 0.5%\nacc: 0.4%\n", (0.4, 0.5, 0.3)),
        ("acc: 50% loss: 50\nacc: 60% loss: 0.5\nloss: 0.7 acc: 70%\n", (70.0, 70.0, 50.0)),
        ("Validation:\nacc: 50%\n\nValidation:\nacc: 0.7\n\nValidation:\nacc: 60%\n", (60.0, 70.0, 50.0)),
    ],
)
def test_percentages_and_fractions_of_one_metric_have_one_scale(text, wanted):
    series = read(text).series
    one = next(iter(series.values()))
    assert (one.final, one.highest, one.lowest, one.count) == (*wanted, 3)
    assert "loss" not in series or series["loss"].final == 0.7


A_AND_B = {"A R1": 80, "A mAP": 71.2, "B R1": 75, "B mAP": 60.1}
RULES = "------------  ----\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"epoch 3\n{RULES}Avg/Return    12.1\nEntropy        1.4\n{RULES}", {"Avg/Return": 12.1, "Entropy": 1.4}),
        (f"metric    value\n{RULES}val acc      0.9\nloss      0.8\n", {"val acc": 0.9, "loss": 0.8}),
        (f"class  acc\n{RULES}cat    0.9\ndog    0.8\n", {}),
        ("Entropy        1.4\nPolicy/Shift   0.4\n", {}),  # nothing says that they are pairs
        ("| Dataset | R1 | mAP |\n|:---|:---|:---|\n| A | 80 | 71.2 |\n| B | 75 | 60.1 |\n", A_AND_B),
        ("| class | R1 | mAP |\n|:---|:---|:---|\n| A | 80 | 71.2 |\n| B | 75 | 60.1 |\n", {}),
    ],
)
def test_rows_that_name_themselves(text, wanted):
    assert finals(read(text)) == wanted
