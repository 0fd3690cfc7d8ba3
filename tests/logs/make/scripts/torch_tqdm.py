"""tqdm with a postfix; --nested adds an outer bar over the epochs."""
import argparse
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from tqdm import tqdm

ap = argparse.ArgumentParser()
ap.add_argument("--epochs", type=int, default=5)
ap.add_argument("--nested", action="store_true")
ap.add_argument("--sleep", type=float, default=0.02)
args = ap.parse_args()
torch.manual_seed(1)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
tr, va = torch.arange(1300), torch.arange(1300, len(X))
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
lossf = nn.CrossEntropyLoss()
outer = tqdm(range(args.epochs), desc="epochs") if args.nested else range(args.epochs)
for epoch in outer:
    bar = tqdm(tr[torch.randperm(len(tr))].split(64), desc=f"Epoch {epoch + 1}/{args.epochs}", leave=not args.nested, unit="batch")
    running, right, seen = 0.0, 0, 0
    for i, idx in enumerate(bar, 1):
        opt.zero_grad()
        out = model(X[idx])
        loss = lossf(out, y[idx])
        loss.backward()
        opt.step()
        running += loss.item()
        right += (out.argmax(1) == y[idx]).sum().item()
        seen += len(idx)
        bar.set_postfix(loss=f"{running / i:.4f}", acc=f"{right / seen:.3f}")
        time.sleep(args.sleep)
    with torch.no_grad():
        out = model(X[va])
        acc = (out.argmax(1) == y[va]).float().mean().item()
        vloss = lossf(out, y[va]).item()
    if args.nested:
        outer.set_postfix(val_loss=vloss, val_acc=acc)
    else:
        tqdm.write(f"val_loss: {vloss:.4f}  val_acc: {acc:.4f}")
if args.nested:
    print("final val_acc=%.4f val_loss=%.4f" % (acc, vloss))
