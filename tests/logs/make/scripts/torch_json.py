"""One JSON object a line to stdout and to metrics.jsonl."""
import json
import time

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from torch import nn

torch.manual_seed(0)
X, y = load_breast_cancer(return_X_y=True)
X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
y = torch.tensor(y, dtype=torch.float32)
perm = torch.randperm(len(X))
tr, va = perm[:400], perm[400:]
model = nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 1))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
with open("metrics.jsonl", "w") as f:
    for epoch in range(10):
        t = time.time()
        for idx in tr.split(50):
            loss = nn.functional.binary_cross_entropy_with_logits(model(X[idx]).squeeze(1), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            p = model(X[va]).squeeze(1)
            row = {"epoch": epoch, "train_loss": loss.item(), "val_loss": nn.functional.binary_cross_entropy_with_logits(p, y[va]).item(),
                   "val_auc": float(roc_auc_score(y[va].numpy(), p.numpy())), "seconds": round(time.time() - t, 4)}
        print(json.dumps(row), flush=True)
        f.write(json.dumps(row) + "\n")
