from ngboost import NGBRegressor
from sklearn.datasets import load_diabetes

X, y = load_diabetes(return_X_y=True)
ngb = NGBRegressor(n_estimators=120, verbose_eval=10, random_state=0)
ngb.fit(X[:340], y[:340], X_val=X[340:], Y_val=y[340:], early_stopping_rounds=15)
print("val NLL", -ngb.pred_dist(X[340:]).logpdf(y[340:]).mean())
