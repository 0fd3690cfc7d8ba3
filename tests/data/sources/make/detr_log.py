"""The log.txt of DETR and its descendants: a line of JSON per epoch, written by json.dumps as their main.py does it."""

import json
import os

from common import Record

record = Record("detr_log")
with open(os.path.join(record.folder, "log.txt"), "a", encoding="utf-8") as file:
    for epoch in range(12):
        loss, acc = record.curve(epoch, 12)
        stats = {
            "train_lr": 1e-4, "train_class_error": 100 * (1 - acc), "train_loss": loss, "test_loss": loss * 1.1,
            "test_coco_eval_bbox": [acc / 2, acc, 0.0, -1.0], "epoch": epoch, "n_parameters": 41302368,
        }  # fmt: skip
        file.write(json.dumps(stats) + "\n")
        for name, value in stats.items():
            if isinstance(value, float):
                record.note(name, epoch, value)
record.done()
