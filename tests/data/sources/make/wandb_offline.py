"""Weights & Biases without a network: history with nested names, NaN and text, and a summary value."""

import math
import os
import sys

os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true")
import wandb
from common import Record, keep_only

sys.argv = ["train.py"]
record = Record("wandb_offline")
settings = wandb.Settings(
    host="host", username="user", email="user@example.com", console="off", disable_git=True, disable_code=True,
    save_code=False, x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True, program="train.py",
    root_dir=record.folder,
)  # fmt: skip
run = wandb.init(project="project", dir=record.folder, config={"lr": 0.1}, settings=settings)
for step in range(30):
    loss, acc = record.curve(step, 30)
    loss = math.nan if step == 11 else loss
    row = {"loss": loss, "val": {"acc": acc}, "phase": "warm" if step < 3 else "hot", "epoch": step // 3}
    if step == 5:
        row["filler"] = "x" * 15_500  # an item longer than a block of the file
    run.log(row)
    record.note("loss", step, loss)
    record.note("val/acc", step, acc)
run.summary["best_acc"] = max(v for _, v in record.series["val/acc"])
record.note("best_acc", None, run.summary["best_acc"])
run.finish()
keep_only(record.folder, ".wandb", "wandb-summary.json")
record.done()
