import torch
from avalanche.benchmarks import tensors_benchmark
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.logging import InteractiveLogger, TextLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from torch import nn

torch.manual_seed(0)


def task(seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(200, 8, generator=g) + seed
    return x, (x[:, 0] > seed).long()


bench = tensors_benchmark([task(0), task(2)], [task(10), task(12)] and [task(0), task(2)], task_labels=[0, 0])
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
plugin = EvaluationPlugin(accuracy_metrics(epoch=True, experience=True, stream=True), loss_metrics(epoch=True, stream=True), loggers=[InteractiveLogger()])
s = Naive(model=model, optimizer=torch.optim.SGD(model.parameters(), 0.1), criterion=nn.CrossEntropyLoss(), train_mb_size=20, train_epochs=2, eval_mb_size=50, evaluator=plugin)
for exp in bench.train_stream:
    s.train(exp)
    s.eval(bench.test_stream)
