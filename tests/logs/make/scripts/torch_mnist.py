"""Style of the PyTorch MNIST example; fails in epoch 4 where a class map lacks a key."""
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F


class MetricError(RuntimeError):
    pass


NAMES = {i: str(i) for i in range(9)}
torch.manual_seed(3)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
tr, te = torch.arange(1408), torch.arange(1408, len(X))
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10), nn.LogSoftmax(1))
opt = torch.optim.Adadelta(model.parameters(), lr=1.0)


def confusion(pred):
    out = {}
    for p in pred.tolist():
        try:
            out[NAMES[p]] = out.get(NAMES[p], 0) + 1
        except KeyError as err:
            raise MetricError(f"no name for class {p} in the class map") from err
    return out


def train(epoch):
    model.train()
    batches = tr.split(64)
    for i, idx in enumerate(batches):
        opt.zero_grad()
        loss = F.nll_loss(model(X[idx]), y[idx])
        loss.backward()
        opt.step()
        if i % 5 == 0:
            print("Train Epoch: {} [{}/{} ({:.0f}%)]\tLoss: {:.6f}".format(epoch, i * len(idx), len(tr), 100.0 * i / len(batches), loss.item()))


def test(epoch):
    model.eval()
    with torch.no_grad():
        out = model(X[te])
        loss = F.nll_loss(out, y[te]).item()
        right = (out.argmax(1) == y[te]).sum().item()
    print("\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\n".format(loss, right, len(te), 100.0 * right / len(te)))
    if epoch == 4:
        print("Confusion:", confusion(out.argmax(1)))


for epoch in range(1, 15):
    train(epoch)
    test(epoch)
