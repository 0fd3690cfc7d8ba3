"""Segmentation-like scores per class; one class is called nan, and one has no pixels."""
import numpy as np
import torch
from sklearn.datasets import load_wine
from torch import nn

CLASSES = ["barolo", "nan", "barbera"]
torch.manual_seed(0)
X, y = load_wine(return_X_y=True)
X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
y = torch.tensor(y)
perm = torch.randperm(len(X))
tr, va = perm[:120], perm[120:]
model = nn.Linear(13, 3)
opt = torch.optim.SGD(model.parameters(), lr=0.05)
for epoch in range(1, 9):
    for idx in tr.split(20):
        loss = nn.functional.cross_entropy(model(X[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    pred = model(X[va]).argmax(1).numpy()
    true = y[va].numpy()
    print(f"Epoch(val) [{epoch}][8]  loss: {loss.item():.4f}")
    print("+---------+-------+-------+")
    print("|  Class  |  IoU  |  Acc  |")
    print("+---------+-------+-------+")
    ious = []
    for c, name in enumerate(CLASSES + ["unused"]):
        inter, union, n = ((pred == c) & (true == c)).sum(), ((pred == c) | (true == c)).sum(), (true == c).sum()
        with np.errstate(invalid="ignore"):
            iou, acc = np.float64(inter) / union * 100, np.float64(inter) / n * 100
        ious.append(iou)
        print(f"|{name:^9}|{iou:^7.2f}|{acc:^7.2f}|")
    print("+---------+-------+-------+")
    print(f"mIoU: {np.nanmean(ious):.2f}  aAcc: {(pred == true).mean() * 100:.2f}")
