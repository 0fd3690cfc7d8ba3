import sys

import lightgbm as lgb
from sklearn.datasets import load_diabetes

X, y = load_diabetes(return_X_y=True)
train = lgb.Dataset(X[:340], y[:340])
valid = lgb.Dataset(X[340:], y[340:], reference=train)
params = {"objective": "regression", "metric": ["l2", "l1"], "learning_rate": 0.08, "num_leaves": 15, "num_threads": 2}
if "--fail" in sys.argv:
    params["metric"] = "l2"
    bst = lgb.train(params, train, 30, valid_sets=[valid], callbacks=[lgb.log_evaluation(5)])
    print("train done, scoring the holdout")
    bst.predict(X[340:, :7])
else:
    bst = lgb.train(params, train, 100, valid_sets=[train, valid], valid_names=["training", "valid_0"],
                    callbacks=[lgb.early_stopping(10), lgb.log_evaluation(5)])
