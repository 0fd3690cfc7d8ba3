"""A small character model in PyTorch, on sums written out in words that the script makes itself.

    forty-one plus eight hundred six is eight hundred forty-seven.

Takes the GPU when there is one, else two threads of the CPU. The sums of the validation text are in no training text.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import time

import torch
from torch import nn

LOW = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
HIGH = "_ _ twenty thirty forty fifty sixty seventy eighty ninety"
ONES, TENS = LOW.split(), HIGH.split()
ALPHABET = "\n -." + "abcdefghijklmnopqrstuvwxyz"
INDEX = {letter: number for number, letter in enumerate(ALPHABET)}
LINE = 96  # characters; shorter lines are filled up with line ends


def words(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + ("-" + ONES[number % 10] if number % 10 else "")
    return ONES[number // 100] + " hundred" + (" " + words(number % 100) if number % 100 else "")


def corpus(lines: int, seed: int) -> torch.Tensor:
    """(lines, LINE) indices into ALPHABET."""
    dice = random.Random(seed)
    pairs = sorted({(dice.randrange(500), dice.randrange(500)) for _ in range(2 * lines)})
    dice.shuffle(pairs)
    text = [f"{words(a)} plus {words(b)} is {words(a + b)}.\n".ljust(LINE, "\n") for a, b in pairs[:lines]]
    return torch.tensor([[INDEX[letter] for letter in line[:LINE]] for line in text])


class Model(nn.Module):
    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(ALPHABET), hidden)
        self.body = nn.GRU(hidden, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.head = nn.Linear(hidden, len(ALPHABET))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """(batch, length) indices -> (batch, length, len(ALPHABET)) logits of the character that follows each."""
        return self.head(self.body(self.embed(text))[0])


def loss_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Nats per character; what fills a line up does not count."""
    given, wanted = batch[:, :-1], batch[:, 1:]
    wanted = wanted.masked_fill((given == INDEX["\n"]) & (wanted == INDEX["\n"]), -100)
    return nn.functional.cross_entropy(model(given).reshape(-1, len(ALPHABET)), wanted.reshape(-1))


def main() -> None:
    parser = argparse.ArgumentParser(description="a character model on sums in words")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--lines", type=int, default=2000, help="of the training text")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(min(2, os.cpu_count() or 1))
    text = corpus(args.lines + 500, seed=1).to(device)  # the same text whatever --seed is
    train, validation = text[500:], text[:500]
    model = Model(args.hidden, args.layers, args.dropout).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"device: {name}, {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)

    for epoch in range(1, args.epochs + 1):
        model.train()
        begun, total = time.monotonic(), 0.0
        batches = train[torch.randperm(len(train), device=device)].split(args.batch_size)
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            bits = loss_of(model, validation).item() / math.log(2)
        print(f"epoch {epoch}/{args.epochs} train_loss={total / len(batches):.4f} val_bpc={bits:.4f} "
              f"seconds={time.monotonic() - begun:.1f}", flush=True)  # fmt: skip

    if folder := os.environ.get("AUTO_EXPERIMENT_RUN_DIR"):
        torch.save(model.state_dict(), os.path.join(folder, "model.pt"))


if __name__ == "__main__":
    main()
