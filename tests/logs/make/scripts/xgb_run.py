import sys

import numpy as np
import xgboost as xgb
from sklearn.datasets import load_breast_cancer

X, y = load_breast_cancer(return_X_y=True)
y = np.where(np.random.RandomState(0).rand(len(y)) < 0.05, 1 - y, y)
dtrain, dval = xgb.DMatrix(X[:400], y[:400]), xgb.DMatrix(X[400:], y[400:])
params = {"objective": "binary:logistic", "eta": 0.3, "max_depth": 4, "eval_metric": ["logloss", "auc"], "nthread": 2}
if "--fail" in sys.argv:
    params["objective"] = "multi:softprob"
    bst = xgb.train({**params, "objective": "binary:logistic"}, dtrain, 10, [(dtrain, "train"), (dval, "eval")])
    bst = xgb.train({**params, "num_class": 2, "eval_metric": "mlogloss"}, xgb.DMatrix(X[:400], y[:400] + 1), 10, [(dtrain, "train")], xgb_model=None)
else:
    bst = xgb.train(params, dtrain, 60, [(dtrain, "train"), (dval, "eval")], early_stopping_rounds=8)
    print("best iteration:", bst.best_iteration, "best score:", round(bst.best_score, 6))
