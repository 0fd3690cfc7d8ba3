"""Few words on the screen, the curves go to TensorBoard."""
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

torch.manual_seed(0)
writer = SummaryWriter("runs/exp1")
x = torch.randn(600, 6)
y = torch.sin(x[:, :1]) + 0.1 * torch.randn(600, 1)
model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(20):
    for i in range(0, 500, 50):
        loss = nn.functional.mse_loss(model(x[i:i + 50]), y[i:i + 50])
        opt.zero_grad()
        loss.backward()
        opt.step()
        writer.add_scalar("train/loss", loss.item(), epoch * 10 + i // 50)
    val = nn.functional.mse_loss(model(x[500:]), y[500:]).item()
    writer.add_scalar("val/mse", val, epoch)
    if epoch % 5 == 4:
        print(f"=> epoch {epoch:>2}: val/mse={val:.6f}", flush=True)
writer.close()
