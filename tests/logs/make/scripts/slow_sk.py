"""Slow classic learners for a Ctrl-C or a limit: mlp, cat, lgb, xgb, optuna."""
import sys
import time

import numpy as np
from sklearn.datasets import load_digits, make_regression

what = sys.argv[1]
X, y = load_digits(return_X_y=True)
Xr, yr = make_regression(4000, 30, noise=5.0, random_state=0)
if what == "mlp":
    from sklearn.neural_network import MLPClassifier

    clf = MLPClassifier((256, 256), verbose=True, max_iter=3000, tol=0, n_iter_no_change=3000, random_state=0, learning_rate_init=1e-4).fit(X, y)
    print("train score", clf.score(X, y))
if what == "cat":
    from catboost import CatBoostRegressor

    CatBoostRegressor(iterations=100000, learning_rate=0.02, verbose=200, thread_count=2, random_seed=0).fit(Xr[:3000], yr[:3000], eval_set=(Xr[3000:], yr[3000:]))
if what == "lgb":
    import lightgbm as lgb

    def slow(env):
        time.sleep(0.05)

    lgb.train({"objective": "regression", "metric": "rmse", "num_threads": 2, "verbose": -1}, lgb.Dataset(Xr[:3000], yr[:3000]), 3000,
              valid_sets=[lgb.Dataset(Xr[3000:], yr[3000:])], valid_names=["holdout"], callbacks=[lgb.log_evaluation(10), slow])
if what == "xgb":
    import xgboost as xgb

    class Slow(xgb.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            sys.stdout.flush()
            time.sleep(0.1)
            return False

    xgb.train({"eta": 0.1, "nthread": 2}, xgb.DMatrix(Xr[:3000], yr[:3000]), 2000, evals=[(xgb.DMatrix(Xr[:3000], yr[:3000]), "train"), (xgb.DMatrix(Xr[3000:], yr[3000:]), "test")],
              callbacks=[Slow()], verbose_eval=5)
if what == "optuna":
    import optuna

    def objective(trial):
        a = trial.suggest_float("x", -5, 5)
        time.sleep(0.3)
        return (a - 2) ** 2

    optuna.create_study(study_name="quad", sampler=optuna.samplers.RandomSampler(0)).optimize(objective, n_trials=500)
