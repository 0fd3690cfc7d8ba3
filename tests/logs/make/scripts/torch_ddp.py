"""Two ranks over gloo; --crash: rank 1 fails in epoch 2."""
import argparse
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

ap = argparse.ArgumentParser()
ap.add_argument("--crash", action="store_true")
ap.add_argument("--epochs", type=int, default=4)
args = ap.parse_args()
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(rank)
print(f"| distributed init (rank {rank}): env://, gpu {os.environ['LOCAL_RANK']}", flush=True)
x = torch.randn(400, 10)
y = (x[:, 0] + 0.3 * torch.randn(400) > 0).long()
model = DDP(nn.Linear(10, 2))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
table = {0: 1.0, 1: 0.9, 2: 0.8} if args.crash and rank == 1 else dict.fromkeys(range(args.epochs), 1.0)
for epoch in range(args.epochs):
    dist.barrier()
    for i in range(0, 400, 40):
        loss = nn.functional.cross_entropy(model(x[i:i + 40]), y[i:i + 40])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if i % 160 == 0:
            print(f"[rank {rank}] epoch {epoch} iter {i // 40}/10 loss {loss.item():.4f}", flush=True)
    weight = table[epoch] if not args.crash else table[epoch + rank]
    acc = (model(x).argmax(1) == y).float().mean() * weight
    dist.all_reduce(acc)
    if rank == 0:
        print(f"* epoch {epoch}: acc {acc.item() / world:.4f}", flush=True)
dist.destroy_process_group()
