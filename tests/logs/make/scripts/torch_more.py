"""More ways to fail: --how nocuda, alarm, disk, workerkill, cgroup."""
import argparse
import os
import signal
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ap = argparse.ArgumentParser()
ap.add_argument("--how", required=True)
ap.add_argument("--epochs", type=int, default=6)
args = ap.parse_args()


class Watchdog(TimeoutError):
    pass


def late(*_):
    raise TimeoutError("no step finished within 3 s")


class Slow(TensorDataset):
    def __getitem__(self, i):
        if args.how == "workerkill" and i == 250 and state["epoch"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


state = {"epoch": 0}
torch.manual_seed(0)
x = torch.randn(400, 6)
y = x[:, :1] ** 2
data = Slow(x, y)
model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
bank = []
print("INFO: start, %d samples" % len(data))
if args.how == "alarm":
    signal.signal(signal.SIGALRM, late)
for epoch in range(1, args.epochs + 1):
    state["epoch"] = epoch
    total = 0.0
    loader = DataLoader(data, 50, shuffle=True, num_workers=1 if args.how == "workerkill" else 0)
    for step, (a, b) in enumerate(loader):
        signal.alarm(3 if args.how == "alarm" else 0)
        if args.how == "alarm" and epoch == 4 and step == 5:
            time.sleep(10)
        loss = nn.functional.mse_loss(model(a), b)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
    print(f"INFO: [{epoch}/{args.epochs}] train_mse={total / len(loader):.4f} lr=0.01", flush=True)
    if args.how == "disk" and epoch % 2 == 0:
        torch.save({"model": model.state_dict(), "epoch": epoch}, f"ckpt/epoch_{epoch}.pt")
    if args.how == "nocuda" and epoch == 2:
        model.to("cuda")
    if args.how == "cgroup" and epoch == 3:
        print("INFO: caching features", flush=True)
        while True:
            bank.append(torch.ones(16, 1024, 1024))
