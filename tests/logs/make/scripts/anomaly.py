"""Lightning Fabric; autograd's anomaly mode meets a nan in the backward pass."""
import lightning as L
import torch
from torch import nn

L.seed_everything(0)
fabric = L.Fabric(accelerator="cpu", devices=1)
fabric.launch()
model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
model, opt = fabric.setup(model, torch.optim.Adam(model.parameters(), lr=1e-2))
x = torch.randn(300, 5)
y = x.norm(dim=1, keepdim=True)
torch.autograd.set_detect_anomaly(True)
for step in range(1, 61):
    idx = torch.randint(0, 300, (40,))
    pred = model(x[idx])
    loss = (pred - y[idx]).pow(2).mean()
    if step == 45:
        loss = loss + torch.sqrt((pred - pred).sum())  # the slope of sqrt at zero
    opt.zero_grad()
    fabric.backward(loss)
    opt.step()
    if step % 4 == 0:
        fabric.print(f"step={step} loss={loss.item():.4g}")
