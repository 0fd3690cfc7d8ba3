import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    def __init__(self, n, broken=None):
        g = torch.Generator().manual_seed(0)
        self.x = torch.randn(n, 8, generator=g)
        self.y = (self.x.sum(1) > 0).long()
        self.broken = broken

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if i == self.broken and state["epoch"] >= 2:
            raise ValueError(f"corrupt record at index {i}: expected 8 columns, got 7")
        return self.x[i], self.y[i]


state = {"epoch": 0}
torch.manual_seed(0)
model = nn.Linear(8, 2)
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(5):
    state["epoch"] = epoch
    loader = DataLoader(Rows(640, broken=417), batch_size=32, shuffle=True, num_workers=2)
    total, right = 0.0, 0
    for i, (x, y) in enumerate(loader):
        out = model(x)
        loss = nn.functional.cross_entropy(out, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item()
        right += (out.argmax(1) == y).sum().item()
        if i % 5 == 0:
            print(f"[epoch {epoch}] [batch {i}/{len(loader)}] loss: {loss.item():.4f}", flush=True)
    print(f"epoch {epoch} done - train_loss: {total / len(loader):.4f} - train_acc: {right / 640:.4f}", flush=True)
