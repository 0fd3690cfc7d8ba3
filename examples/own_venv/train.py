"""Tells points on two sides of a blurred line apart, with a library that only this project's .venv has."""

from __future__ import annotations

import argparse
import random
import sys

from perceptron import Perceptron


def points(count: int, dice: random.Random) -> list[tuple[list[float], int]]:
    """Rows of eight numbers, and the side of the line that they are on, -1 or 1; one in twenty is on the wrong side."""
    found = []
    for _ in range(count):
        row = [dice.gauss(0, 1) for _ in range(8)]
        side = 1 if sum(row[:4]) - sum(row[4:]) > 0.5 else -1
        found.append((row, -side if dice.random() < 0.05 else side))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1.0)
    parser.add_argument("--margin", type=float, default=0.0)
    parser.add_argument("--decay", type=float, default=1.0, help="of the learning rate, per epoch")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    data = random.Random(1)
    train, validation = points(2000, data), points(1000, data)
    model = Perceptron(8, args.lr, args.margin)
    print(f"python: {sys.executable}", flush=True)
    for epoch in range(1, args.epochs + 1):
        mistakes = sum(model.learn(row, label) for row, label in train)
        right = sum(model.score(row) * label > 0 for row, label in validation)
        model.lr *= args.decay
        print(
            f"Epoch {epoch}/{args.epochs}: train errors {mistakes}, val_accuracy: {right / len(validation):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
