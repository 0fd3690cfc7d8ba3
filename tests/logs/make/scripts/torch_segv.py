import ctypes
import faulthandler
import sys

import torch
from torch import nn

if "--faulthandler" in sys.argv:
    faulthandler.enable()
torch.manual_seed(0)
model = nn.Linear(4, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.05)
w = torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
for epoch in range(1, 21):
    x = torch.randn(128, 4)
    loss = nn.functional.mse_loss(model(x), x @ w)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print("epoch {}/20, mse = {:.5f}".format(epoch, loss.item()), flush=True)
    if epoch == 13:
        ctypes.string_at(0)  # what a broken extension does
