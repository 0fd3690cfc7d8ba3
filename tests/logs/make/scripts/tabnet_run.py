import numpy as np
import torch
from pytorch_tabnet.tab_model import TabNetClassifier
from sklearn.datasets import load_breast_cancer

X, y = load_breast_cancer(return_X_y=True)
X = X.astype(np.float32)
clf = TabNetClassifier(seed=0, verbose=1, optimizer_params={"lr": 2e-2}, device_name="cpu")
clf.fit(X[:400], y[:400], eval_set=[(X[:400], y[:400]), (X[400:], y[400:])], eval_name=["train", "valid"], eval_metric=["auc", "accuracy"],
        max_epochs=15, patience=6, batch_size=128, virtual_batch_size=64)
