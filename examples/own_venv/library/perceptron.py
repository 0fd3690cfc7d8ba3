"""A perceptron with a margin. Stands for the libraries that only the project's own environment has."""

from __future__ import annotations

from collections.abc import Sequence


class Perceptron:
    """Weights of ``size`` inputs and a bias; labels are -1 and 1."""

    def __init__(self, size: int, lr: float, margin: float) -> None:
        self.weights = [0.0] * (size + 1)
        self.lr, self.margin = lr, margin

    def score(self, row: Sequence[float]) -> float:
        return sum(w * x for w, x in zip(self.weights, (*row, 1.0), strict=True))

    def learn(self, row: Sequence[float], label: int) -> bool:
        """Returns whether the row was learnt from."""
        if label * self.score(row) > self.margin:
            return False
        self.weights = [w + self.lr * label * x for w, x in zip(self.weights, (*row, 1.0), strict=True)]
        return True
