import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, EpochScoring
from torch import nn

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
net = NeuralNetClassifier(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), criterion=nn.CrossEntropyLoss, max_epochs=12, lr=0.5,
                          batch_size=64, callbacks=[EpochScoring("f1_macro", lower_is_better=False, name="valid_f1"), EarlyStopping(patience=3)])
net.fit(X, y)
if "--predict" in sys.argv:
    net.predict(X.astype(np.float64))
