"""Lightning on digits. --rich: the Rich bar; --nan: the loss runs away and early stopping sees it; --rate: an error in epoch 2."""
import argparse

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ap = argparse.ArgumentParser()
ap.add_argument("--rich", action="store_true")
ap.add_argument("--nan", action="store_true")
ap.add_argument("--fail", action="store_true")
ap.add_argument("--epochs", type=int, default=5)
args = ap.parse_args()


class LitMLP(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def training_step(self, batch, i):
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        if args.nan and self.current_epoch >= 2:
            loss = loss * (loss.detach() * 1e30) * 1e30
        if args.fail and self.current_epoch == 2:
            self.log("lr", self.trainer.schedulers[0].get_last_lr()[0])
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, i):
        x, y = batch
        out = self.net(x)
        self.log_dict({"val_loss": nn.functional.cross_entropy(out, y), "val_acc": (out.argmax(1) == y).float().mean()}, prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=3e-3)


L.seed_everything(7)
X, y = load_digits(return_X_y=True)
X, y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(y)
train, val = DataLoader(TensorDataset(X[:1280], y[:1280]), 128, shuffle=True), DataLoader(TensorDataset(X[1280:], y[1280:]), 256)
callbacks = [RichProgressBar() if args.rich else TQDMProgressBar(), ModelCheckpoint(monitor="val_acc", mode="max")]
if args.nan:
    callbacks.append(EarlyStopping("val_loss", patience=3, verbose=True))
trainer = L.Trainer(max_epochs=args.epochs, accelerator="cpu", logger=CSVLogger("logs", name="mlp"), callbacks=callbacks, log_every_n_steps=5)
trainer.fit(LitMLP(), train, val)
print("best model score:", f"{trainer.checkpoint_callback.best_model_score:.4f}")
