"""tensorboardX, which writes its own protobuf: scalars, also without a step of their own."""

from common import Record
from tensorboardX import SummaryWriter

record = Record("tensorboardx")
writer = SummaryWriter(record.folder)
for epoch in range(1, 16):
    loss, acc = record.curve(epoch, 15)
    writer.add_scalar("loss", loss, epoch * 100)
    writer.add_scalar("val_acc", acc, epoch * 100)
    record.note("loss", epoch * 100, loss)
    record.note("val_acc", epoch * 100, acc)
writer.close()
record.done(float32=True)
