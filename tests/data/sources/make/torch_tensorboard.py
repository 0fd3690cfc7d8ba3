"""torch.utils.tensorboard: scalars in both styles, NaN and infinity, and what is no scalar (text, histogram, image)."""

import math

import torch
from common import Record
from torch.utils.tensorboard import SummaryWriter

record = Record("torch_tensorboard")
writer = SummaryWriter(record.folder)
writer.add_text("notes", "lr=0.1", 0)
for epoch in range(20):
    loss, acc = record.curve(epoch, 20)
    loss = {7: math.nan, 8: math.inf}.get(epoch, loss)
    writer.add_scalar("train/loss", loss, epoch)
    writer.add_scalar("val/acc", acc, epoch, new_style=True)
    record.note("train/loss", epoch, loss)
    record.note("val/acc", epoch, acc)
    if epoch % 10 == 0:
        writer.add_histogram("weights", torch.linspace(-1, 1, 50), epoch)
        writer.add_image("image", torch.zeros(3, 4, 4), epoch)
writer.close()
record.done(float32=True)
