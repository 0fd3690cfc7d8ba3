"""Out of memory in three ways: --how host (a real allocation past ulimit), numpy, cuda (raised)."""
import argparse

import numpy as np
import torch
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--how", required=True)
args = ap.parse_args()
torch.manual_seed(0)
model = nn.Linear(32, 4)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
bank = []
for step in range(1, 201):
    x = torch.randn(64, 32)
    y = x[:, :4].argmax(1)
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 10 == 0:
        print(f"Step {step:>4}/200 - loss: {loss.item():.4f} - acc: {(model(x).argmax(1) == y).float().mean():.4f}", flush=True)
    if step == 120:
        if args.how == "host":
            for _ in range(100):
                bank.append(torch.ones(256, 1024, 1024))
        if args.how == "numpy":
            print("building the full kernel matrix ...", flush=True)
            bank.append(np.zeros((1_200_000, 1_200_000)))
        if args.how == "list":
            while True:
                bank.append(bytearray(200_000_000))
        if args.how == "cuda":
            raise torch.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.34 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.12 GiB is free. "
                "Including non-PyTorch memory, this process has 22.51 GiB memory in use. Of the allocated memory 20.98 GiB is allocated by "
                "PyTorch, and 1.07 GiB is reserved by PyTorch but unallocated.")
