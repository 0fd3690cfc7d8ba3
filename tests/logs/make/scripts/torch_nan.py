"""A rate too high: the loss runs away. --stop: leave with status 1 when it does."""
import argparse
import math
import sys

import torch
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--stop", action="store_true")
ap.add_argument("--lr", type=float, default=0.9)
args = ap.parse_args()
torch.manual_seed(0)
x = torch.randn(512, 16) * 3
y = x @ torch.randn(16, 1)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
print("Start training")
for epoch in range(12):
    if epoch == 4:
        for g in opt.param_groups:
            g["lr"] = args.lr
    total, n = 0.0, 0
    for i in range(0, 512, 64):
        loss = nn.functional.mse_loss(model(x[i:i + 64]), y[i:i + 64])
        if args.stop and not math.isfinite(loss.item()):
            print("Loss is {}, stopping training".format(loss.item()))
            sys.exit(1)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total, n = total + loss.item(), n + 1
    val = nn.functional.mse_loss(model(x[:100]), y[:100]).item()
    print(f"epoch: {epoch:3d}  lr: {opt.param_groups[0]['lr']:.4g}  train_loss: {total / n:.6g}  val_loss: {val:.6g}")
print("Training done, model written to model.pt")
