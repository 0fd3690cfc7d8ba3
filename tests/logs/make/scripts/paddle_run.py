import sys

import numpy as np
import paddle
from paddle.io import Dataset

paddle.seed(0)


class Rows(Dataset):
    def __init__(self, n, seed):
        rng = np.random.RandomState(seed)
        self.x = rng.randn(n, 8).astype("float32")
        self.y = (self.x[:, 0] > self.x[:, 1]).astype("int64")[:, None]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


net = paddle.nn.Sequential(paddle.nn.Linear(8, 16), paddle.nn.ReLU(), paddle.nn.Linear(16, 2))
model = paddle.Model(net)
model.prepare(paddle.optimizer.Adam(5e-3, parameters=net.parameters()), paddle.nn.CrossEntropyLoss(), paddle.metric.Accuracy())
model.fit(Rows(480, 0), Rows(120, 1), epochs=3, batch_size=32, verbose=2 if "--lines" in sys.argv else 1, log_freq=5)
