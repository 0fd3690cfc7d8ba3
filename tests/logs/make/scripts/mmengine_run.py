import sys

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(640, 10)
y = ((x[:, 0] + x[:, 1]) > 0).long()


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def forward(self, a, b, mode):
        out = self.fc(a)
        if mode == "loss":
            if "--fail" in sys.argv and a.shape[0] < 32:
                raise AssertionError(f"batch of {a.shape[0]} is smaller than 32")
            return {"loss": F.cross_entropy(out, b)}
        return out, b


class Acc(BaseMetric):
    def process(self, data_batch, data_samples):
        out, b = data_samples
        self.results.append({"n": len(b), "right": (out.argmax(1) == b).sum().item()})

    def compute_metrics(self, results):
        return {"accuracy": 100 * sum(r["right"] for r in results) / sum(r["n"] for r in results)}


n = 500 if "--fail" in sys.argv else 512
runner = Runner(model=Net(), work_dir="work_dirs", train_dataloader=DataLoader(TensorDataset(x[:n], y[:n]), 32, shuffle=False),
                val_dataloader=DataLoader(TensorDataset(x[512:], y[512:]), 32), optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
                train_cfg={"by_epoch": True, "max_epochs": 4, "val_interval": 1}, val_cfg={}, val_evaluator={"type": Acc},
                default_hooks={"logger": {"type": "LoggerHook", "interval": 5}, "checkpoint": {"type": "CheckpointHook", "save_best": "accuracy", "rule": "greater"}},
                experiment_name="net", launcher="none")
runner.train()
