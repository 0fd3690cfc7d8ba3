"""The lines of timm's train script, with timm's model, scheduler, meters and summary."""
import logging
import time
from collections import OrderedDict

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, accuracy, random_seed, setup_default_logging, update_summary

log = logging.getLogger("train")
setup_default_logging()
random_seed(42)
model = timm.create_model("resnet10t", num_classes=4, in_chans=3)
log.info(f"Model resnet10t created, param count:{sum(m.numel() for m in model.parameters())}")
opt = create_optimizer_v2(model, "sgd", lr=0.05, momentum=0.9)
sched = CosineLRScheduler(opt, 4, warmup_t=1, warmup_lr_init=1e-3)
g = torch.Generator().manual_seed(0)
y = torch.arange(96) % 4
x = torch.randn(96, 3, 32, 32, generator=g) * 0.5
for i in range(96):
    x[i, 0, (y[i] // 2) * 16:(y[i] // 2) * 16 + 16, (y[i] % 2) * 16:(y[i] % 2) * 16 + 16] += 1
lossf = torch.nn.CrossEntropyLoss()
best, best_epoch = None, None
log.info("Scheduled epochs: 4. LR stepped per epoch.")
for epoch in range(4):
    model.train()
    m, bt = AverageMeter(), AverageMeter()
    end = time.time()
    for i in range(0, 64, 8):
        loss = lossf(model(x[i:i + 8]), y[i:i + 8])
        opt.zero_grad()
        loss.backward()
        opt.step()
        m.update(loss.item(), 8)
        bt.update(time.time() - end)
        end = time.time()
        k = i // 8
        if k % 3 == 0 or k == 7:
            lr = sum(p["lr"] for p in opt.param_groups) / len(opt.param_groups)
            log.info(f"Train: {epoch} [{k:>4d}/8 ({100.0 * k / 7:>3.0f}%)]  Loss: {m.val:#.3g} ({m.avg:#.3g})  Time: {bt.val:.3f}s, {8 / bt.val:>7.2f}/s  "
                     f"({bt.avg:.3f}s, {8 / bt.avg:>7.2f}/s)  LR: {lr:.3e}  Data: 0.000 (0.000)")
    model.eval()
    lm, t1, t5 = AverageMeter(), AverageMeter(), AverageMeter()
    with torch.no_grad():
        for k, i in enumerate(range(64, 96, 16)):
            out = model(x[i:i + 16])
            a1, a5 = accuracy(out, y[i:i + 16], topk=(1, 3))
            lm.update(lossf(out, y[i:i + 16]).item(), 16)
            t1.update(a1.item(), 16)
            t5.update(a5.item(), 16)
            log.info(f"Test: [{k:>4d}/1]  Time: {0.01:.3f} ({0.01:.3f})  Loss: {lm.val:>7.3f} ({lm.avg:>6.3f})  Acc@1: {t1.val:>7.3f} ({t1.avg:>7.3f})  Acc@5: {t5.val:>7.3f} ({t5.avg:>7.3f})")
    row = OrderedDict([("loss", lm.avg), ("top1", t1.avg), ("top5", t5.avg)])
    update_summary(epoch, OrderedDict(loss=m.avg), row, "summary.csv", write_header=best is None)
    if best is None or t1.avg > best:
        best, best_epoch = t1.avg, epoch
    log.info(f"Current checkpoints:\n ('./output/train/checkpoint-{epoch}.pth.tar', {t1.avg})\n")
    sched.step(epoch + 1)
log.info("*** Best metric: {0} (epoch {1})".format(best, best_epoch))
