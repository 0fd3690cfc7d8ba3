import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
perm = torch.randperm(len(X))
tr, va = perm[:1400], perm[1400:]
model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
lossf = nn.CrossEntropyLoss()
EPOCHS = 14
print(f"device: cpu | params: {sum(p.numel() for p in model.parameters()):,}")
best = 0
for epoch in range(1, EPOCHS + 1):
    model.train()
    total = 0.0
    for idx in tr.split(64):
        opt.zero_grad()
        loss = lossf(model(X[idx]), y[idx])
        loss.backward()
        opt.step()
        total += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        out = model(X[va])
        vloss = lossf(out, y[va]).item()
        acc = (out.argmax(1) == y[va]).float().mean().item() * 100
    star = " *" if acc > best else ""
    best = max(best, acc)
    print(f"Epoch {epoch:02d}/{EPOCHS} | train loss {total / len(tr):.4f} | val loss {vloss:.4f} | val acc {acc:.2f}%{star}")
print(f"Done. Best val acc: {best:.2f}%")
