import time

import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.logging import log
from torch_geometric.nn import GCNConv

torch.manual_seed(3)
n, c = 300, 3
y = torch.randint(0, c, (n,))
x = F.one_hot(y, c).float() + torch.randn(n, c) * 1.3
src = torch.randint(0, n, (4000,))
dst = torch.randint(0, n, (4000,))
keep = (y[src] == y[dst]) | (torch.rand(4000) < 0.25)
data = Data(x=x, y=y, edge_index=torch.stack([src[keep], dst[keep]]))
perm = torch.randperm(n)
masks = [perm[:60], perm[60:160], perm[160:]]


class GCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = GCNConv(c, 16), GCNConv(16, c)

    def forward(self, d):
        return self.conv2(F.dropout(self.conv1(d.x, d.edge_index).relu(), p=0.5, training=self.training), d.edge_index)


model = GCN()
opt = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
best_val = test_acc = 0
times = []
for epoch in range(1, 31):
    t = time.time()
    model.train()
    opt.zero_grad()
    loss = F.cross_entropy(model(data)[masks[0]], y[masks[0]])
    loss.backward()
    opt.step()
    model.eval()
    pred = model(data).argmax(-1)
    train_acc, val_acc, tmp = [(pred[m] == y[m]).float().mean().item() for m in masks]
    if val_acc > best_val:
        best_val, test_acc = val_acc, tmp
    log(Epoch=epoch, Loss=loss, Train=train_acc, Val=val_acc, Test=test_acc)
    times.append(time.time() - t)
print(f"Median time per epoch: {torch.tensor(times).median():.4f}s")
