"""A training that writes its metrics into its folder: what its run comes to, and what ``metrics PATH`` shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("auto-experiment")
DATA = Path(__file__).parent.parent / "data" / "sources"

# Prints as it is told, and writes what it is told: the rows of metrics.csv.
TRAIN = """
import argparse, csv, os, sys
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.parse_args()
rows = {rows!r}
path = os.path.join(os.environ["AUTO_EXPERIMENT_RUN_DIR"], "metrics.csv")
with open(path, "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["step", "val_acc"])
    for step, value in enumerate(rows, start=1):
        table.writerow([step, value])
        print({line!r}.format(step=step, acc=float(value), percent=100 * float(value)), flush=True)
judge.note(wrote=path)
if {old} and not judge.DRY:
    os.utime(path, (1000, 1000))
"""


def run(project, rows, line, *, old=False, **settings):
    """The row of the training of one cycle, and what the controller said."""
    work = project(script=TRAIN.format(rows=rows, line=line, old=old), config=settings)
    work.cli("run", "--max-cycles", "1")
    return work, work.attempt("exp001/run01/a1")


def test_the_digits_that_the_log_rounds_away_are_the_runs_value(project):
    work, row = run(project, [0.85312, 0.87412, 0.8699], "step {step}/3 val_acc={acc:.3f}")
    assert row.value == 0.87412
    assert row.summary["value_note"] == "val_acc exact from metrics.csv"
    assert row.summary["read_as"] == "val_acc"
    series = {one["name"]: one for one in row.summary["series"]}
    assert (series["val_acc"]["highest"], series["val_acc"]["count"]) == (0.874, 3)  # as it was printed
    assert work.json("list")[0]["value"] == 0.87412
    assert "val_acc exact from metrics.csv" in json.dumps(work.json("show", "exp001"))
    dry = work.attempt("exp001/dry01/a1")
    assert dry.value == 0.874
    assert "metrics.csv" not in dry.summary["value_note"]


def test_the_scale_of_the_log_stands(project):
    _, row = run(project, [0.85312, 0.87412], "step {step}/2 val_acc={percent:.1f}%")
    assert row.value == 87.412


def test_an_objective_that_is_only_in_a_file(project):
    work, row = run(
        project, [0.85312, 0.87412], "step {step}/2 loss=0.5", objective={"metric": "val_acc", "target": 87}
    )
    assert row.value == 0.87412
    assert row.summary["value_note"] == "val_acc read as `val_acc` from metrics.csv: the log does not print it"
    assert {one["name"] for one in row.summary["series"]} == {"loss", "val_acc"}
    status = work.json("status")
    assert status["objective"]["target"] == 0.87  # the file shows fractions: settled by what was read
    assert status["best"]["value"] == 0.87412


LIGHTNING = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.parse_args()
above = os.path.join(os.environ.get("PL_TRAINER_DEFAULT_ROOT_DIR") or ".", "lightning_logs")
folder = os.path.join(above, "version_%d" % (len(os.listdir(above)) if os.path.isdir(above) else 0))
if "AUTO_EXPERIMENT_DRY_RUN" not in os.environ:
    os.makedirs(folder)
    with open(os.path.join(folder, "metrics.csv"), "w") as file:
        file.write("step,val_acc\\n1,0.5\\n2,0.75\\n")
for step in (1, 2):
    print(f"step {step}/2 loss=0.{step}", flush=True)
"""


def test_files_in_the_working_directory_are_not_read_and_that_is_said(project):
    work = project(script=LIGHTNING)
    (work.root / "lightning_logs" / "version_0").mkdir(parents=True)
    work.cli("run", "--max-cycles", "1")
    row = work.attempt("exp001/run01/a1")
    assert row.value is None
    assert "lightning_logs/ of the project was written to meanwhile" in row.summary["value_note"]


def test_folders_that_nothing_was_written_to_are_not_spoken_of(project):
    work = project(script=LIGHTNING.replace("if ", "if 0 and "))
    for name in ("wandb", "lightning_logs"):
        (work.root / name).mkdir()
        os.utime(work.root / name, (1000, 1000))
    work.cli("run", "--max-cycles", "1")
    row = work.attempt("exp001/run01/a1")
    assert row.value is None
    assert "meanwhile" not in row.summary["value_note"]


def test_a_line_of_setup_brings_them_into_the_runs_folder(project):
    setup = 'export PL_TRAINER_DEFAULT_ROOT_DIR="$AUTO_EXPERIMENT_RUN_DIR"'
    work = project(script=LIGHTNING, config={"experiment": {"setup": setup}})
    work.cli("run", "--max-cycles", "1")
    row = work.attempt("exp001/run01/a1")
    assert row.value == 0.75
    assert "from lightning_logs/version_0/metrics.csv" in row.summary["value_note"]


def test_a_contradiction_is_said_and_the_log_stands(project):
    work, row = run(project, [0.5, 0.95], "step {step}/2 val_acc=0.6")
    assert row.value == 0.6
    assert row.summary["value_note"] == "the log's val_acc 0.6 stands: metrics.csv says 0.95"
    assert "the log's val_acc 0.6 stands" in work.said()


def test_a_nan_that_is_only_in_a_file_is_a_divergence(project):
    _, row = run(project, ["0.5", "nan", "0.6"], "step {step}/3 loss=0.5")
    assert row.fault.value == "nan"
    assert row.value == 0.6


def test_a_file_that_is_older_than_the_run_gives_nothing(project):
    _, row = run(project, [0.85312, 0.87412], "step {step}/2 loss=0.5", old=True)
    assert row.value is None
    assert "metrics.csv is older than the run and was left out" in row.summary["value_note"]


# --- metrics PATH


def metrics(path, *words, status=0):
    done = subprocess.run(
        [PROGRAM, "metrics", str(path), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


KEYS = {"metrics", "objective", "progress", "fault", "exception", "sources"}


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("keras_csv/training.csv", "table", "val_accuracy"),
        ("detr_log", "JSON lines", "test_loss"),
        ("sb3/progress.jsonl", "JSON lines", "rollout/ep_rew_mean"),
        ("hf_trainer/trainer_state.json", "Hugging Face trainer state", "eval_accuracy"),
        ("hf_trainer/all_results.json", "JSON document", "eval_accuracy"),
        ("torch_tensorboard", "TensorBoard events", "val/acc"),
        ("wandb_offline", "W&B run", "val/acc"),
        ("mlflow_store", "MLflow run", "val/accuracy"),
    ],
)
def test_metrics_of_a_file_or_a_folder(path, kind, name):
    document = json.loads(metrics(DATA / path, "--json"))
    assert document.keys() == KEYS
    assert kind in {source["kind"] for source in document["sources"]}
    folder = path.split("/")[0]
    noted = json.loads((DATA / folder / "expected.json").read_text())["series"][name]
    final = document["metrics"][name]["final"]
    assert final == pytest.approx(noted[-1][1], rel=1e-7)
    assert name in metrics(DATA / path)


def test_metrics_of_the_folder_of_a_run(tmp_path):
    shutil.copytree(DATA / "lightning", tmp_path / "out")
    best = max(value for _, value in json.loads((tmp_path / "out/expected.json").read_text())["series"]["val_acc"])
    (tmp_path / "train.log").write_text(f"epoch 1/2 val_acc={best - 0.1:.3f} loss=0.5\nepoch 2/2 val_acc={best:.3f}\n")
    document = json.loads(metrics(tmp_path, "--objective", "val_acc", "--json"))
    assert document["progress"] == {"done": 2.0, "total": 2.0, "unit": "epoch"}
    assert document["metrics"]["val_acc"] == {"final": round(best, 3), "count": 2}
    assert document["objective"]["best"] == pytest.approx(best, rel=1e-9)
    assert "val_acc exact from lightning_logs/version_0/metrics.csv" in document["objective_note"]
    assert [source["path"].split("/")[0] for source in document["sources"]] == ["lightning_logs", "tb"]


def test_metrics_of_a_log_has_no_sources(tmp_path):
    (tmp_path / "train.txt").write_text("epoch 1/2 val_acc=0.5\n")
    assert json.loads(metrics(tmp_path / "train.txt", "--json")).keys() == KEYS - {"sources"}


def test_metrics_of_a_folder_without_any(tmp_path):
    (tmp_path / "scores.csv").write_text("1,2\n3,4\n")
    (tmp_path / "notes.md").touch()
    assert "neither a train.log nor a file of metrics is in it" in metrics(tmp_path, status=2)
    (tmp_path / "train.log").touch()
    document = json.loads(metrics(tmp_path, "--objective", "acc", "--json"))
    assert (document["metrics"], document["sources"], document["objective"]) == ({}, [], None)


FASTAI = """
print("epoch     train_loss  valid_loss  accuracy  time")
for epoch, accuracy in enumerate((0.81, 0.86, 0.85)):
    print(f"{epoch}         0.52        0.41        {accuracy}      00:10", flush=True)
"""


def test_a_metric_beside_the_validations_is_the_objective(project):
    work = project(script=FASTAI, config={"objective": {"metric": "validation accuracy"}})
    work.cli("run", "--max-cycles", "1")
    row = work.attempt("exp001/run01/a1")
    assert row.value == 0.86
    assert "printed beside the validation's other metrics" in row.summary["value_note"]
    words = ("metrics", work.paths.attempt("exp001/run01/a1"), "--objective", "validation accuracy", "--json")
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["objective"]["best"] == 0.86
