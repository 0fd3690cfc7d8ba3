import torch
from torch import nn
from tqdm import tqdm


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 8 * 8, 10)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).flatten(1))


def run():
    torch.manual_seed(0)
    model = Net()
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(256, 1, 8, 8), torch.randint(0, 10, (256,))
    xv, yv = torch.randn(64, 1, 9, 9), torch.randint(0, 10, (64,))
    for epoch in range(3):
        bar = tqdm(range(0, 256, 16), desc=f"train {epoch}")
        for i in bar:
            loss = nn.functional.cross_entropy(model(x[i:i + 16]), y[i:i + 16])
            opt.zero_grad()
            loss.backward()
            opt.step()
            bar.set_description(f"train {epoch} loss {loss.item():.3f}")
        with torch.no_grad():
            out = model(xv)
            print("val loss", nn.functional.cross_entropy(out, yv).item())


if __name__ == "__main__":
    run()
