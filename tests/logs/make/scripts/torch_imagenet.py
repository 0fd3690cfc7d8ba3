"""The meters of the PyTorch ImageNet example."""
import time

import torch
from sklearn.datasets import load_digits
from torch import nn


class AverageMeter:
    def __init__(self, name, fmt=":f"):
        self.name, self.fmt = name, fmt
        self.val = self.avg = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count

    def __str__(self):
        return ("{name} {val" + self.fmt + "} ({avg" + self.fmt + "})").format(**self.__dict__)


def display(prefix, total, batch, meters):
    width = len(str(total))
    print("\t".join([f"{prefix}[{batch:{width}d}/{total}]"] + [str(m) for m in meters]), flush=True)


def accuracy(out, target, topk=(1, 5)):
    _, pred = out.topk(max(topk), 1)
    hit = pred.eq(target[:, None])
    return [hit[:, :k].any(1).float().mean().item() * 100 for k in topk]


torch.manual_seed(2)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
tr, va = torch.arange(1280), torch.arange(1280, len(X))
model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
opt = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, weight_decay=1e-4)
lossf = nn.CrossEntropyLoss()
print("=> creating model 'mlp24'")
print("using CPU, this will be slow")
best = 0
for epoch in range(6):
    meters = [AverageMeter("Time", ":6.3f"), AverageMeter("Data", ":6.3f"), AverageMeter("Loss", ":.4e"),
              AverageMeter("Acc@1", ":6.2f"), AverageMeter("Acc@5", ":6.2f")]
    end = time.time()
    batches = tr[torch.randperm(len(tr))].split(32)
    for i, idx in enumerate(batches):
        meters[1].update(time.time() - end)
        out = model(X[idx])
        loss = lossf(out, y[idx])
        a1, a5 = accuracy(out, y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        for m, v in zip(meters[2:], (loss.item(), a1, a5)):
            m.update(v, len(idx))
        meters[0].update(time.time() - end)
        end = time.time()
        if i % 10 == 0:
            display(f"Epoch: [{epoch}]", len(batches), i + 1, meters)
    meters = [AverageMeter("Time", ":6.3f"), AverageMeter("Loss", ":.4e"), AverageMeter("Acc@1", ":6.2f"), AverageMeter("Acc@5", ":6.2f")]
    with torch.no_grad():
        end = time.time()
        batches = va.split(64)
        for i, idx in enumerate(batches):
            out = model(X[idx])
            a1, a5 = accuracy(out, y[idx])
            for m, v in zip(meters[1:], (lossf(out, y[idx]).item(), a1, a5)):
                m.update(v, len(idx))
            meters[0].update(time.time() - end)
            end = time.time()
            if i % 4 == 0:
                display("Test: ", len(batches), i + 1, meters)
    print(f" *   Acc@1 {meters[2].avg:.3f} Acc@5 {meters[3].avg:.3f}")
