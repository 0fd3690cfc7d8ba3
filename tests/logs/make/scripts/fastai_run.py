import sys

import numpy as np
import pandas as pd
from fastai.tabular.all import *
from sklearn.datasets import load_breast_cancer

set_seed(0, reproducible=True)
d = load_breast_cancer()
df = pd.DataFrame(d.data, columns=[c.replace(" ", "_") for c in d.feature_names])
df["target"] = d.target.astype(str)
dls = TabularDataLoaders.from_df(df, procs=[Normalize], cont_names=list(df.columns[:-1]), y_names="target", y_block=CategoryBlock(), bs=64,
                                 valid_idx=list(range(400, 569)), device="cpu")
cbs = [CSVLogger()]


class Boom(Callback):
    def after_epoch(self):
        if self.epoch == 2 and "--interrupt" in sys.argv:
            raise IndexError("list index out of range while writing the sample sheet")


learn = tabular_learner(dls, layers=[16], metrics=[accuracy, F1Score()], cbs=cbs + [Boom()])
learn.fit_one_cycle(6, 1e-2)
