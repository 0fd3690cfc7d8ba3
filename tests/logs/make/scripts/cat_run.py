import sys

import numpy as np
from catboost import CatBoostClassifier, CatBoostRegressor, Pool
from sklearn.datasets import load_breast_cancer, load_diabetes

if "--fail" in sys.argv:
    X, y = load_diabetes(return_X_y=True)
    model = CatBoostRegressor(iterations=40, verbose=10, learning_rate=0.1, random_seed=0, thread_count=2)
    model.fit(X[:340], y[:340], eval_set=(X[340:], y[340:]))
    print(model.predict(Pool(X[340:].astype(str), cat_features=[0, 1])))
else:
    X, y = load_breast_cancer(return_X_y=True)
    model = CatBoostClassifier(iterations=60, learning_rate=0.15, depth=4, eval_metric="AUC", random_seed=0, thread_count=2, verbose=5)
    model.fit(X[:400], y[:400], eval_set=(X[400:], y[400:]))
