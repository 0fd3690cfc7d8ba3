import torch
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm.auto import tqdm
import logging

logging.basicConfig(format="%(asctime)s - %(levelname)s - %(name)s - %(message)s", datefmt="%m/%d/%Y %H:%M:%S", level=logging.INFO)
acc = Accelerator(cpu=True)
logger = get_logger(__name__)
logger.info(acc.state, main_process_only=False)
set_seed(0)
x = torch.randn(640, 12)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 2))
opt = torch.optim.AdamW(model.parameters(), lr=1e-2)
train = DataLoader(TensorDataset(x[:512], y[:512]), 16, shuffle=True)
val = DataLoader(TensorDataset(x[512:], y[512:]), 32)
model, opt, train, val = acc.prepare(model, opt, train, val)
total = 4 * len(train)
logger.info("***** Running training *****")
logger.info("  Num examples = 512")
logger.info("  Num Epochs = 4")
logger.info(f"  Total optimization steps = {total}")
bar = tqdm(range(total), disable=not acc.is_local_main_process)
for epoch in range(4):
    for a, b in train:
        loss = nn.functional.cross_entropy(model(a), b)
        acc.backward(loss)
        opt.step()
        opt.zero_grad()
        bar.update(1)
    right, n = 0, 0
    for a, b in val:
        p, t = acc.gather_for_metrics((model(a).argmax(-1), b))
        right, n = right + (p == t).sum().item(), n + len(t)
    logger.info(f"epoch {epoch}: {{'accuracy': {right / n}}}")
    print(f"process {acc.process_index} finished epoch {epoch}, last loss {loss.item():.4f}", flush=True)
acc.end_training()
