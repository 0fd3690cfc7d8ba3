import sys

import optuna
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

X, y = load_digits(return_X_y=True)


def objective(trial):
    k = trial.suggest_int("n_neighbors", 1, 30)
    p = trial.suggest_float("p", 1.0, 4.0)
    if trial.number == 4:
        raise RuntimeError("worker lost its data")
    score = cross_val_score(KNeighborsClassifier(k, p=p), X[:500], y[:500], cv=3).mean()
    trial.report(score, 0)
    if trial.number in (7, 9):
        raise optuna.TrialPruned()
    if trial.number == 10:
        return float("nan")
    return score


study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0), study_name="knn")
study.optimize(objective, n_trials=14, catch=(RuntimeError,) if "--catch" in sys.argv else ())
print("Best trial:", study.best_trial.number, "value:", study.best_value)
