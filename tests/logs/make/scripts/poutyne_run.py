import torch
from poutyne import CSVLogger, Model
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
model = Model(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), "adam", "cross_entropy", batch_metrics=["accuracy"])
model.fit(X[:1280].numpy(), y[:1280].numpy(), validation_data=(X[1280:].numpy(), y[1280:].numpy()), epochs=6, batch_size=64,
          callbacks=[CSVLogger("log.tsv")])
