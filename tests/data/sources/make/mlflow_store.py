"""MLflow's file store: one run, its metrics one by one and several at once, some of them in groups."""

import glob
import math
import os
import shutil

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"

import mlflow
from common import Record

record = Record("mlflow_store")
mlflow.set_tracking_uri("file:" + os.path.join(record.folder, "mlruns"))
mlflow.set_experiment("digits")
with mlflow.start_run(run_name="first"):
    mlflow.log_params({"lr": 0.1, "batch": 16})
    mlflow.set_tag("note", "a sample")
    for epoch in range(12):
        loss, acc = record.curve(epoch, 12)
        mlflow.log_metric("train_loss", loss, step=epoch)
        record.note("train_loss", epoch, loss)
        grouped = {"val/accuracy": acc, "val/top 5": 1 - (1 - acc) / 5, "epoch": epoch, "test_f1": acc / 2}
        if epoch % 4 == 0:
            grouped["grad_norm"] = math.inf if epoch == 8 else 1 / (1 + epoch)
        mlflow.log_metrics(grouped, step=epoch)
        for name, value in grouped.items():
            record.note(name, epoch, value)
for folder in glob.glob(os.path.join(record.folder, "mlruns", "*", "*", "[tpa]*")):  # tags, params, artifacts
    shutil.rmtree(folder)
record.done()
