"""A polynomial fitted by gradient descent, with its settings in Hydra: ``python train.py optim.lr=0.1``."""

from __future__ import annotations

import json
import math
import os
import random

import hydra
from omegaconf import DictConfig, OmegaConf


def points(count: int, dice: random.Random) -> list[tuple[float, float]]:
    """(x, y) with y = sin(3 x) and a little noise."""
    return [(x, math.sin(3 * x) + dice.gauss(0, 0.1)) for x in (dice.uniform(-1, 1) for _ in range(count))]


def error(weights: list[float], data: list[tuple[float, float]]) -> float:
    """Mean squared error."""
    return sum((sum(w * x**n for n, w in enumerate(weights)) - y) ** 2 for x, y in data) / len(data)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    data = random.Random(1)  # the same points whatever the seed is
    train, validation = points(400, data), points(200, data)
    dice = random.Random(config.seed)
    weights = [0.0] * (config.model.degree + 1)
    optim = config.optim
    for epoch in range(1, config.epochs + 1):
        dice.shuffle(train)
        for start in range(0, len(train), optim.batch_size):
            batch = train[start : start + optim.batch_size]
            slopes = [0.0] * len(weights)
            for x, y in batch:
                off = sum(w * x**n for n, w in enumerate(weights)) - y
                slopes = [slope + 2 * off * x**n / len(batch) for n, slope in enumerate(slopes)]
            weights = [
                w - optim.lr * (slope + optim.weight_decay * w) for w, slope in zip(weights, slopes, strict=True)
            ]
        print(f"epoch {epoch}/{config.epochs} train/mse={error(weights, train):.5f} "
              f"val/mse={error(weights, validation):.5f}", flush=True)  # fmt: skip
    if folder := os.environ.get("AUTO_EXPERIMENT_RUN_DIR"):
        with open(os.path.join(folder, "result.json"), "w", encoding="utf-8") as file:
            json.dump({"weights": weights, "config": OmegaConf.to_container(config)}, file)


if __name__ == "__main__":
    main()
