import numpy as np


def make(n):
    rng = np.random.RandomState(0)
    x = rng.randn(n, 12).astype("float32")
    return x, (x[:, 0] - 2 * x[:, 1] + 0.3 * rng.randn(n)).astype("float32")
