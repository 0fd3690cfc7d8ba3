"""scikit-learn: mlp, gbdt, grid, gridfail, sgd, rf."""
import sys

from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

what = sys.argv[1]
X, y = load_digits(return_X_y=True)
Xa, Xb, ya, yb = train_test_split(X / 16, y, random_state=0)
if what == "mlp":
    clf = MLPClassifier((32,), verbose=True, early_stopping=True, random_state=0, max_iter=30, n_iter_no_change=4, learning_rate_init=5e-3).fit(Xa, ya)
    print("test score: %.4f" % clf.score(Xb, yb))
if what == "gbdt":
    X, y = load_breast_cancer(return_X_y=True)
    clf = GradientBoostingClassifier(n_estimators=40, subsample=0.8, verbose=1, random_state=0).fit(X[:400], y[:400])
    print("accuracy on test:", clf.score(X[400:], y[400:]))
if what == "grid":
    g = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": ["scale", 0.01]}, cv=3, verbose=3).fit(Xa[:500], ya[:500])
    print(f"Best params: {g.best_params_}\nBest CV score: {g.best_score_:.4f}\nTest accuracy: {g.score(Xb, yb):.4f}")
if what == "gridfail":
    g = GridSearchCV(SGDClassifier(random_state=0), {"loss": ["hinge", "log_loss"], "penalty": ["l2", "none"]}, cv=3, verbose=3).fit(Xa[:500], ya[:500])
    print("best:", g.best_params_, round(g.best_score_, 4))
if what == "sgd":
    clf = SGDClassifier(verbose=1, random_state=0, max_iter=8, tol=None)
    clf.fit(Xa[ya < 2], ya[ya < 2])
    clf.partial_fit(Xa, ya)
if what == "rf":
    clf = RandomForestClassifier(60, verbose=2, random_state=0, n_jobs=1).fit(Xa[:300], ya[:300])
    print("oob is off; test accuracy = {:.3%}".format(clf.score(Xb, yb)))
