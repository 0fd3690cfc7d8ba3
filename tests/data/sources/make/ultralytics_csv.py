"""Ultralytics: the results.csv of a detector that is trained on eight pictures of noise with a square in them."""

import json
import os
import shutil

import numpy as np
import torch
from common import Record, keep_only
from PIL import Image

# A torchvision that was built for another torch has no operators: they are named here, and the one that is used replaced.
if not hasattr(torch.ops.torchvision, "nms"):
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    torchvision.ops.nms = lambda boxes, scores, limit: scores.argsort(descending=True)[:10]
os.environ["YOLO_OFFLINE"] = "true"
from ultralytics import YOLO
from ultralytics.utils import SETTINGS

SETTINGS.update({"sync": False, "tensorboard": False, "wandb": False})
record = Record("ultralytics")
rng = np.random.default_rng(0)
data = os.path.join(record.folder, "data")
for split in ("train", "val"):
    os.makedirs(f"{data}/images/{split}")
    os.makedirs(f"{data}/labels/{split}")
    for n in range(8):
        picture = rng.integers(0, 60, (64, 64, 3), dtype="uint8")
        x, y = rng.integers(8, 32, 2)
        picture[y : y + 24, x : x + 24] = 255
        Image.fromarray(picture).save(f"{data}/images/{split}/{n}.png")
        with open(f"{data}/labels/{split}/{n}.txt", "w", encoding="utf-8") as file:
            file.write(f"0 {(x + 12) / 64} {(y + 12) / 64} {24 / 64} {24 / 64}\n")
with open(f"{data}/data.yaml", "w", encoding="utf-8") as file:
    file.write(f"path: {data}\ntrain: images/train\nval: images/val\nnames: {json.dumps(['square'])}\n")


def note(trainer):
    losses = trainer.label_loss_items(trainer.tloss)
    for name, value in {**losses, **trainer.metrics}.items():
        record.note(name, trainer.epoch + 1, float(value))


model = YOLO("yolo11n.yaml")
model.add_callback("on_fit_epoch_end", lambda trainer: note(trainer) if trainer.epoch < 3 else None)
model.train(
    data=f"{data}/data.yaml", epochs=3, imgsz=64, batch=4, device="cpu", workers=0, project=record.folder, name="train",
    plots=False, amp=False, verbose=False, seed=0,
)  # fmt: skip
shutil.rmtree(data)
keep_only(record.folder, "results.csv")
# The last epoch is measured once more with the best weights, after its row was written.
for points in record.series.values():
    del points[3:]
record.done()
