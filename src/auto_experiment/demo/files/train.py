"""Train a small neural network, in NumPy, on the 1,797 handwritten digits that come with scikit-learn.

    python train.py --lr 0.01 --hidden 64 --optimizer adam

The images are split once into training (1,077), validation (360) and test (360), with the same share of every digit and
the same for every --seed. Only training images are used to standardise, and only training images are multiplied by
shifting them a pixel. Each epoch prints one line. The test images are used once, at the end, with the weights of the
epoch that was best on validation.

Needs no GPU, downloads nothing, and writes files only to the folder in AUTO_EXPERIMENT_RUN_DIR, when that is set.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

# One thread, unless the environment says otherwise: for matrices this small, more threads only get in each other's way.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402  NumPy reads the number of threads when it is imported
from numpy.typing import NDArray  # noqa: E402
from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # noqa: E402
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]  # noqa: E402

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

SPLIT_SEED = 0  # not --seed: every run sees the same training, validation and test images
HELD_OUT = 360  # images for validation, and as many for the test
MOMENTUM = 0.9


@dataclass(frozen=True)
class Images:
    x: Array  # a row of 64 pixels for each image
    y: Indices  # the digit that each image shows


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits.")
    parser.add_argument("--lr", type=float, default=0.003, help="learning rate (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=16, help="units in each of the two hidden layers (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step (%(default)s)")
    parser.add_argument("--epochs", type=int, default=80, help="passes over the training images (%(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.0001, help="L2 regularisation (%(default)s)")
    parser.add_argument("--dropout", type=float, default=0.5, help="share of hidden units left out (%(default)s)")
    parser.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd", help="%(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout; not of the split")
    args = parser.parse_args(argv)
    if min(args.lr, args.hidden, args.batch_size, args.epochs) <= 0 or args.weight_decay < 0 or args.seed < 0:
        parser.error("--lr, --hidden, --batch-size and --epochs must be above 0; --weight-decay and --seed at least 0")
    if not 0 <= args.dropout < 1:
        parser.error(f"--dropout must be at least 0 and below 1, got {args.dropout}")
    return args


def split(labels: Indices) -> tuple[Indices, Indices, Indices]:
    """The numbers of the images for training, validation and test: fixed, and no image in two of them."""
    rest, test = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=SPLIT_SEED)
    train, validation = train_test_split(rest, test_size=HELD_OUT, stratify=labels[rest], random_state=SPLIT_SEED)
    return train, validation, test


def nudge(images: Images) -> Images:
    """The images, and each one again moved by a pixel up, down, left and right."""
    padded = np.pad(images.x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    corners = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    moved = [padded[:, row : row + 8, column : column + 8].reshape(-1, 64) for row, column in corners]
    return Images(np.concatenate(moved), np.tile(images.y, len(corners)))


def load() -> tuple[Images, Images, Images]:
    """Training (nudged), validation and test images, standardised by what the training images look like."""
    pixels, labels = load_digits(return_X_y=True)
    train, validation, test = (Images(pixels[rows].astype(np.float32), labels[rows]) for rows in split(labels))
    train = nudge(train)
    mean, deviation = train.x.mean(axis=0), train.x.std(axis=0)
    deviation[deviation == 0] = 1  # a pixel that is always blank
    train, validation, test = (Images((part.x - mean) / deviation, part.y) for part in (train, validation, test))
    return train, validation, test


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


class Network:
    """Two hidden layers of ReLU units. The parameters of all layers lie in one vector, which an optimizer updates."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.shapes = ((64, hidden), (hidden, hidden), (hidden, 10))
        self.parameters = np.zeros(sum((rows + 1) * columns for rows, columns in self.shapes), np.float32)
        for weights, _bias in self.layers(self.parameters):
            weights[:] = rng.normal(0, math.sqrt(2 / len(weights)), weights.shape)

    def layers(self, vector: Array) -> list[tuple[Array, Array]]:
        """The weights and the bias of each layer, as windows on a vector of the parameters' length."""
        windows, start = [], 0
        for rows, columns in self.shapes:
            middle, end = start + rows * columns, start + (rows + 1) * columns
            windows.append((vector[start:middle].reshape(rows, columns), vector[middle:end]))
            start = end
        return windows

    def forward(self, x: Array, dropout: float = 0.0, rng: np.random.Generator | None = None) -> list[Array]:
        """The input of each layer, and the logits last. With ``rng``: inverted dropout on the hidden units."""
        *hidden, (last, last_bias) = self.layers(self.parameters)
        activations = [x]
        for weights, bias in hidden:
            x = np.maximum(x @ weights + bias, 0)
            if rng and dropout:
                x *= (rng.random(x.shape, np.float32) >= dropout) * np.float32(1 / (1 - dropout))
            activations.append(x)
        return [*activations, x @ last + last_bias]

    def gradient(self, images: Images, dropout: float, rng: np.random.Generator) -> tuple[float, Array]:
        """The mean cross-entropy of some images and how it changes with the parameters."""
        *activations, logits = self.forward(images.x, dropout, rng)
        chances, everyone = log_softmax(logits), np.arange(len(images.y))
        loss = -float(chances[everyone, images.y].mean())
        error = np.exp(chances)
        error[everyone, images.y] -= 1
        error /= len(everyone)

        gradient = np.empty_like(self.parameters)
        backwards = zip(self.layers(self.parameters), self.layers(gradient), activations, strict=True)
        for (weights, _bias), (d_weights, d_bias), x in reversed(list(backwards)):
            d_weights[:] = x.T @ error
            d_bias[:] = error.sum(axis=0)
            error = (error @ weights.T) * (x > 0) * np.float32(1 / (1 - dropout))  # a dropped unit is 0 as well
        return loss, gradient


class Optimizer:
    """SGD with momentum, or Adam. Weight decay is part of the gradient."""

    def __init__(self, args: argparse.Namespace, parameters: Array) -> None:
        self.adam, self.lr, self.weight_decay = args.optimizer == "adam", args.lr, args.weight_decay
        self.parameters, self.steps = parameters, 0
        self.mean, self.square = np.zeros_like(parameters), np.zeros_like(parameters)

    def step(self, gradient: Array) -> None:
        self.steps += 1
        gradient += self.weight_decay * self.parameters
        self.mean *= MOMENTUM
        if not self.adam:
            self.mean += gradient
            self.parameters -= self.lr * self.mean
            return
        self.mean += (1 - MOMENTUM) * gradient
        self.square *= 0.999
        self.square += 0.001 * gradient**2
        size = np.sqrt(self.square / (1 - 0.999**self.steps)) + 1e-8
        self.parameters -= self.lr / (1 - MOMENTUM**self.steps) * self.mean / size


def train_epoch(
    network: Network, optimizer: Optimizer, train: Images, args: argparse.Namespace, rng: np.random.Generator
) -> float:
    """One pass over the training images in random order; the mean of the batches' losses, dropout included."""
    order = rng.permutation(len(train.y))
    losses = []
    for start in range(0, len(order), args.batch_size):
        rows = order[start : start + args.batch_size]
        loss, gradient = network.gradient(Images(train.x[rows], train.y[rows]), args.dropout, rng)
        optimizer.step(gradient)
        losses.append(loss)
    return float(np.mean(losses))


def evaluate(network: Network, images: Images) -> tuple[float, int]:
    """The mean cross-entropy, and how many images are recognised."""
    chances = log_softmax(network.forward(images.x)[-1])
    loss = -float(chances[np.arange(len(images.y)), images.y].mean())
    return loss, int((chances.argmax(axis=1) == images.y).sum())


def fit(args: argparse.Namespace, train: Images, validation: Images) -> tuple[Network, dict[str, float]]:
    """The network of the epoch with the most validation images right (the first such), and what that epoch printed."""
    rng = np.random.default_rng(args.seed)
    network = Network(args.hidden, rng)
    optimizer = Optimizer(args, network.parameters)
    best: dict[str, float] = {"val_accuracy": -1}
    kept = network.parameters.copy()
    for epoch in range(1, args.epochs + 1):
        train_loss = train_epoch(network, optimizer, train, args, rng)
        val_loss, correct = evaluate(network, validation)
        finite = math.isfinite(train_loss + val_loss)
        accuracy = correct / len(validation.y) if finite else math.nan  # the digit of a NaN is not a guess
        print(f"epoch {epoch}/{args.epochs} {train_loss=:.4f} {val_loss=:.4f} val_accuracy={accuracy:.4f}", flush=True)
        if not finite:
            sys.exit(f"The loss is {train_loss}: training diverged in epoch {epoch}. A smaller --lr may help.")
        if accuracy > best["val_accuracy"]:
            best = {"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, "val_accuracy": accuracy}
            kept[:] = network.parameters
    network.parameters[:] = kept
    return network, best


def save(folder: Path, network: Network, document: dict[str, object]) -> None:
    """The weights as ``Network`` keeps them, and what was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "weights.npz", parameters=network.parameters, shapes=np.array(network.shapes))
    (folder / "metrics.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    args = parse()
    train, validation, test = load()
    with np.errstate(all="ignore"):  # a diverging run is reported once, by its loss, instead of by many warnings
        network, best = fit(args, train, validation)
        _test_loss, correct = evaluate(network, test)
    print(f"test_accuracy={correct / len(test.y):.4f} test_correct={correct} test_total={len(test.y)}")
    if folder := os.environ.get("AUTO_EXPERIMENT_RUN_DIR"):
        result = {"settings": vars(args), "best": best, "test_correct": correct, "test_total": len(test.y)}
        save(Path(folder), network, result)


if __name__ == "__main__":
    main()
