"""A character model with the print lines of a small GPT trainer."""
import argparse
import math
import time

import torch
from torch import nn

ap = argparse.ArgumentParser()
ap.add_argument("--iters", type=int, default=300)
ap.add_argument("--lr", type=float, default=1e-2)
ap.add_argument("--eval-interval", type=int, default=50)
ap.add_argument("--pause", type=float, default=0.0)
args = ap.parse_args()
torch.manual_seed(1337)
text = ("the quick brown fox jumps over the lazy dog while seven wizards quickly jinx the gypsies " * 40)
chars = sorted(set(text))
data = torch.tensor([chars.index(c) for c in text])
n = int(0.9 * len(data))
train_data, val_data = data[:n], data[n:]


class Model(nn.Module):
    def __init__(self, vocab, d=32):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.rnn = nn.GRU(d, d, batch_first=True)
        self.head = nn.Linear(d, vocab)

    def forward(self, x, y):
        out, _ = self.rnn(self.emb(x))
        return nn.functional.cross_entropy(self.head(out).flatten(0, 1), y.flatten())


def batch(split):
    d = train_data if split == "train" else val_data
    i = torch.randint(len(d) - 17, (16,))
    return torch.stack([d[k:k + 16] for k in i]), torch.stack([d[k + 1:k + 17] for k in i])


@torch.no_grad()
def estimate():
    return {s: sum(model(*batch(s)).item() for _ in range(5)) / 5 for s in ("train", "val")}


model = Model(len(chars))
print(f"found vocab_size = {len(chars)}")
print("number of parameters: %.2fM" % (sum(p.numel() for p in model.parameters()) / 1e6,))
opt = torch.optim.AdamW(model.parameters(), lr=args.lr)
best = math.inf
t0 = time.time()
for it in range(args.iters + 1):
    if it % args.eval_interval == 0:
        losses = estimate()
        print(f"step {it}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}", flush=True)
        if losses["val"] < best:
            best = losses["val"]
            if it:
                print("saving checkpoint to out-char", flush=True)
    loss = model(*batch("train"))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    dt, t0 = time.time() - t0, time.time()
    if it % 10 == 0:
        print(f"iter {it}: loss {loss.item():.4f}, time {dt * 1000:.2f}ms, mfu -100.00%", flush=True)
    time.sleep(args.pause)
