import logging

import numpy as np
import torch
from gluonts.dataset.common import ListDataset
from gluonts.torch import SimpleFeedForwardEstimator

logging.basicConfig(level=logging.INFO)
torch.manual_seed(0)
rng = np.random.RandomState(0)
series = [{"start": "2024-01-01", "target": np.sin(np.arange(120) / 5 + i) + rng.randn(120) * 0.1} for i in range(8)]
SimpleFeedForwardEstimator(prediction_length=6, context_length=12, batch_size=8,
                           trainer_kwargs={"max_epochs": 4, "accelerator": "cpu"}, num_batches_per_epoch=10).train(ListDataset(series, freq="D"))
