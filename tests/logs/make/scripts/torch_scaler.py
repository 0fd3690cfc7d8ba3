"""Half precision with the gradient scaler of PyTorch on the CPU; it meets overflows at its high first scale."""
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 1))
opt = torch.optim.SGD(model.parameters(), lr=5e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=25)
x = torch.randn(1024, 16)
y = x @ torch.randn(16, 1) + 2
for it in range(120):
    idx = torch.randint(0, 1024, (64,))
    with torch.autocast("cpu", dtype=torch.float16):
        out = model(x[idx])
    loss = nn.functional.mse_loss(out.float(), y[idx])
    opt.zero_grad()
    scaler.scale(loss).backward()
    before = scaler.get_scale()
    scaler.unscale_(opt)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    scaler.step(opt)
    scaler.update()
    if scaler.get_scale() < before:
        print(f"Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to {scaler.get_scale()}")
    if it % 5 == 0:
        print(f" iteration {it:8d}/     120 | lm loss: {loss.item():.6E} | loss scale: {scaler.get_scale():.1f} | grad norm: {norm:.3f} |")
print("training ended")
