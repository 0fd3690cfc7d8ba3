from __future__ import annotations

import argparse
from pathlib import Path

from regression.files import batches
from regression.model import Line


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    parts = list(batches(args.data, args.batch_size))[:50]
    train, validation = parts[1:], parts[0]
    model = Line(args.lr, args.momentum)
    for epoch in range(1, args.epochs + 1):
        for points in train:
            model.learn(points)
        print(f"epoch {epoch}/{args.epochs} val_mse={model.error(validation):.4f}", flush=True)


if __name__ == "__main__":
    main()
