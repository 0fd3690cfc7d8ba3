"""Lightning: the CSV logger (a row per logging call, most cells empty) and the TensorBoard logger, in one training."""

import lightning
import torch
from common import Record, keep_only
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

record = Record("lightning")
torch.manual_seed(0)


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def training_step(self, batch, index):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.layer(x), y)
        self.log("train_loss", loss)
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            record.note("train_loss", self.global_step, loss.item())
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        hit = (self.layer(x).argmax(1) == y).float().mean()
        self.log("val_acc", hit)
        if not self.trainer.sanity_checking:
            record.note("val_acc", self.global_step - 1, hit.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


x = torch.randn(70, 4)
data = torch.utils.data.TensorDataset(x, (x[:, 0] + 0.3 * x[:, 1] > 0.2).long())
trainer = lightning.Trainer(
    max_epochs=6, accelerator="cpu", log_every_n_steps=2, enable_progress_bar=False, enable_model_summary=False,
    enable_checkpointing=False, default_root_dir=record.folder,
    logger=[CSVLogger(record.folder, name="lightning_logs"), TensorBoardLogger(record.folder, name="tb")],
)  # fmt: skip
loader = torch.utils.data.DataLoader(data, batch_size=10)
trainer.fit(Net(), loader, torch.utils.data.DataLoader(data, batch_size=70))
keep_only(record.folder, "metrics.csv", "tfevents")
record.done(float32=True)
