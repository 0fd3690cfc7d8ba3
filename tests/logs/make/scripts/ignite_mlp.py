import logging
import sys

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import ProgressBar
from ignite.metrics import Accuracy, Loss, RunningAverage
from ignite.utils import setup_logger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
train, val = DataLoader(TensorDataset(X[:1280], y[:1280]), 128, shuffle=True), DataLoader(TensorDataset(X[1280:], y[1280:]), 256)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
lossf = nn.CrossEntropyLoss()
trainer = create_supervised_trainer(model, opt, lossf)
RunningAverage(output_transform=lambda x: x).attach(trainer, "loss")
evaluator = create_supervised_evaluator(model, {"accuracy": Accuracy(), "nll": Loss(lossf)})
if "--bar" in sys.argv:
    bar = ProgressBar()
    bar.attach(trainer, ["loss"])
    say = bar.log_message
else:
    trainer.logger = setup_logger("trainer")
    evaluator.logger = setup_logger("evaluator", level=logging.WARNING)
    say = trainer.logger.info


@trainer.on(Events.EPOCH_COMPLETED)
def validate(engine):
    m = evaluator.run(val).metrics
    say(f"Validation Results - Epoch: {engine.state.epoch}  Avg accuracy: {m['accuracy']:.3f} Avg loss: {m['nll']:.3f}")
    if "--fail" in sys.argv and engine.state.epoch == 3:
        torch.save(model.state_dict(), "checkpoints/model_3.pt")


trainer.run(train, max_epochs=6)
