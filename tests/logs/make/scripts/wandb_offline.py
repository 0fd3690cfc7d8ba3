import torch
import wandb
from sklearn.datasets import load_iris
from torch import nn

torch.manual_seed(0)
run = wandb.init(project="iris", config={"lr": 0.05, "epochs": 15})
X, y = load_iris(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
perm = torch.randperm(150)
tr, va = perm[:100], perm[100:]
model = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 3))
opt = torch.optim.Adam(model.parameters(), lr=run.config.lr)
for epoch in range(run.config.epochs):
    loss = nn.functional.cross_entropy(model(X[tr]), y[tr])
    opt.zero_grad()
    loss.backward()
    opt.step()
    acc = (model(X[va]).argmax(1) == y[va]).float().mean().item()
    run.log({"train/loss": loss.item(), "val/accuracy": acc, "epoch": epoch})
    print(f"Epoch {epoch}: loss={loss.item():.4f}, accuracy={acc:.4f}")
run.finish()
