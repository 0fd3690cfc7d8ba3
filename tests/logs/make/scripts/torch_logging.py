"""logging with timestamps; --traceback: a hook fails, is reported and passed over."""
import argparse
import logging

import torch
from sklearn.datasets import load_diabetes
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--traceback", action="store_true")
ap.add_argument("--steps", type=int, default=400)
args = ap.parse_args()
logging.basicConfig(level=logging.INFO, format="[%(asctime)s] [%(levelname)s] [%(name)s:%(lineno)d] %(message)s")
log = logging.getLogger("trainer")
torch.manual_seed(0)
X, y = load_diabetes(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) * 20, torch.tensor(y, dtype=torch.float32)
y = (y - y.mean()) / y.std()
model = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, args.steps)


def upload(step, url="s3://bucket/ckpt"):
    raise ConnectionError(f"could not upload checkpoint-{step}: connection refused")


log.info("config: %s", vars(args))
for step in range(1, args.steps + 1):
    idx = torch.randint(0, 340, (32,))
    loss = nn.functional.mse_loss(model(X[idx]).squeeze(1), y[idx])
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    if step % 20 == 0:
        log.info("step=%d/%d loss=%.5f lr=%.2e grad_norm=%.3f", step, args.steps, loss.item(), sched.get_last_lr()[0], norm)
    if step % 100 == 0:
        with torch.no_grad():
            pred = model(X[340:]).squeeze(1)
            rmse = nn.functional.mse_loss(pred, y[340:]).sqrt().item()
            mae = (pred - y[340:]).abs().mean().item()
        log.info("[eval] step=%d rmse=%.5f mae=%.5f", step, rmse, mae)
        if args.traceback:
            try:
                upload(step)
            except ConnectionError:
                log.exception("upload failed, will try again at the next checkpoint")
log.info("training finished")
