"""A line, and how it learns."""

from __future__ import annotations


class Line:
    def __init__(self, lr: float, momentum: float) -> None:
        self.slope = self.offset = 0.0
        self._speed = (0.0, 0.0)
        self._lr, self._momentum = lr, momentum

    def error(self, points: list[tuple[float, float]]) -> float:
        """Mean squared error."""
        return sum((self.slope * x + self.offset - y) ** 2 for x, y in points) / len(points)

    def learn(self, points: list[tuple[float, float]]) -> None:
        off = [(2 * (self.slope * x + self.offset - y), x) for x, y in points]
        slopes = (sum(o * x for o, x in off) / len(off), sum(o for o, _ in off) / len(off))
        self._speed = tuple(self._momentum * v - self._lr * s for v, s in zip(self._speed, slopes, strict=True))
        self.slope, self.offset = self.slope + self._speed[0], self.offset + self._speed[1]
