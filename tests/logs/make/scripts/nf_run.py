import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import NHITS

rng = np.random.RandomState(0)
df = pd.concat([pd.DataFrame({"unique_id": f"s{i}", "ds": pd.date_range("2024-01-01", periods=100, freq="D"),
                              "y": np.sin(np.arange(100) / 4 + i) + rng.randn(100) * 0.1}) for i in range(4)])
nf = NeuralForecast([NHITS(h=7, input_size=21, max_steps=60, val_check_steps=20, early_stop_patience_steps=5, accelerator="cpu", batch_size=4)], freq="D")
nf.fit(df, val_size=14)
