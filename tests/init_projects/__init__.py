"""Small project folders as people have them, one text per file: what `init` is tried on. None of them is ever run."""

from __future__ import annotations

from pathlib import Path

LOOP = """
    for epoch in range(args.epochs):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
"""

ARGPARSE = {
    "train.py": f"""
import argparse
import torch
from data import loaders
from model import Net

def parse_args():
    parser = argparse.ArgumentParser(description="CIFAR-10")
    parser.add_argument("--data-dir", default="data", help="where the images are")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--eval-batch-size", type=int, default=512)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--no-augment", action="store_true")
    return parser.parse_args()

def main():
    args = parse_args()
    train_loader, val_loader = loaders(args.data_dir, args.batch_size)
    model = Net().to(args.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
{LOOP}
        train_loss, val_acc = 0.0, 0.0
        print(f"epoch {{epoch}} train_loss={{train_loss:.4f}} val_acc={{val_acc:.4f}} lr={{args.lr:.5f}} time={{1.0:.1f}}s")

if __name__ == "__main__":
    main()
""",
    "model.py": "import torch\nclass Net(torch.nn.Module):\n    pass\n",
    "data.py": "def loaders(folder, batch):\n    return [], []\n",
    "evaluate.py": "import torch\nif __name__ == '__main__':\n    print('acc', 0.5)\n",
    "tests/test_train.py": "def test_train():\n    pass\n",
    "data/images.bin": "0123",
    "README.md": "# CIFAR\n\n```\npython evaluate.py --ckpt best.pt\n```\n",
}

CLICK = {
    "fit.py": """
import click
import numpy as np

@click.command()
@click.option("--learning-rate", default=0.01, help="step size")
@click.option("--hidden", default=64, type=int)
@click.option("--kernel", type=click.Choice(["rbf", "linear"]), default="rbf")
@click.option("--shuffle/--no-shuffle", default=True)
@click.option("--n-epochs", default=10)
def main(learning_rate, hidden, kernel, shuffle, n_epochs):
    for epoch in range(n_epochs):
        train_one_epoch()
        click.echo("Epoch %d: train loss %.4f, val loss %.4f" % (epoch, 0.1, 0.2))

if __name__ == "__main__":
    main()
""",
}

HYDRA = {
    "src/train.py": """
import hydra
import torch
from omegaconf import DictConfig
import logging
log = logging.getLogger(__name__)

@hydra.main(version_base=None, config_path="../conf", config_name="config")
def main(cfg: DictConfig):
    optimizer = torch.optim.Adam([], lr=cfg.optim.lr)
    for epoch in range(cfg.epochs):
        log.info(f"epoch {epoch} val/acc={0.5:.3f} val/loss={0.1:.3f}")

if __name__ == "__main__":
    main()
""",
    "conf/config.yaml": "defaults:\n  - optim: adam\n  - _self_\nepochs: 10\nseed: 1\nmodel:\n  dropout: 0.1\n  hidden_dim: 128\ndata:\n"
    "  root: data/\n  batch_size: 32\n",
    "conf/optim/adam.yaml": "lr: 1e-3\nweight_decay: 0.01\n",
    "conf/optim/sgd.yaml": "lr: 0.1\n",
}

HF_TRAINER = {
    "run_glue.py": """
from dataclasses import dataclass, field
from typing import Optional
import evaluate
from transformers import HfArgumentParser, Trainer, TrainingArguments

@dataclass
class ModelArguments:
    model_name_or_path: str = field(metadata={"help": "the model"})
    classifier_dropout: float = field(default=0.1)
    use_fast_tokenizer: bool = field(default=True)

@dataclass
class DataArguments:
    task_name: Optional[str] = field(default=None)
    max_seq_length: int = field(default=128)

def main():
    parser = HfArgumentParser((ModelArguments, DataArguments, TrainingArguments))
    model_args, data_args, training_args = parser.parse_args_into_dataclasses()
    metric = evaluate.load("accuracy")

    def compute_metrics(p):
        return metric.compute(predictions=p.predictions, references=p.label_ids)

    trainer = Trainer(model=None, args=training_args, train_dataset=None, eval_dataset=None, compute_metrics=compute_metrics)
    trainer.train()

if __name__ == "__main__":
    main()
""",
    "run.sh": """#!/bin/bash
export CUDA_VISIBLE_DEVICES=0
MODEL=bert-base-cased
TASK=${1:-mrpc}
LR=2e-5
python run_glue.py \\
  --model_name_or_path $MODEL \\
  --task_name mrpc \\
  --do_train --do_eval \\
  --learning_rate ${LR} \\
  --output_dir outputs "$@" 2>&1 | tee log.txt
""",
}

LIGHTNING_CLI = {
    "main.py": """
from lightning.pytorch.cli import LightningCLI
from models import Classifier
from datamodule import Images

def cli_main():
    LightningCLI(Classifier, Images)

if __name__ == "__main__":
    cli_main()
""",
    "models.py": """
import lightning as L
class Classifier(L.LightningModule):
    def __init__(self, lr: float = 1e-3, hidden_dim: int = 256, dropout: float = 0.2, num_classes: int = 10):
        super().__init__()

    def validation_step(self, batch, idx):
        self.log("val_loss", 0.1)
        self.log("val_acc", 0.5, prog_bar=True)
""",
    "datamodule.py": """
import lightning as L
class Images(L.LightningDataModule):
    def __init__(self, data_dir: str = "data", batch_size: int = 64, num_workers: int = 4):
        super().__init__()
""",
}

KERAS = {
    "train_mnist.py": """
import argparse
import keras

p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=1e-3)
p.add_argument("--units", type=int, default=128)
p.add_argument("--l2", type=float, default=1e-4)
args = p.parse_args()
model = keras.Sequential([])
model.compile(optimizer=keras.optimizers.Adam(args.lr), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit([], [], validation_split=0.1, epochs=5)
""",
}

CONFIG_FILE = {
    "train.py": """
import argparse
import yaml
import torch

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", default="configs/base.yaml")
    args = parser.parse_args()
    cfg = yaml.safe_load(open(args.config))
    optimizer = torch.optim.SGD([], lr=cfg["lr"])
    for epoch in range(cfg["epochs"]):
        print("Epoch {}/{} - loss: {:.4f} - val_f1: {:.4f}".format(epoch, cfg["epochs"], 0.1, 0.2))

if __name__ == "__main__":
    main()
""",
    "configs/base.yaml": "lr: 0.05\nepochs: 20\nbatch_size: 16\ndropout: 0.3\nseed: 1\n",
}

CONSTANTS = {
    "train.py": """
import random

LR = 1e-2
EPOCHS = 20
HIDDEN = 32
DROPOUT = 0.1
DATA = "data.csv"

for epoch in range(EPOCHS):
    optimizer_step = None
    train(LR)
    print("epoch", epoch, "val_loss", 0.3)
""",
}

SRC_LAYOUT = {
    "pyproject.toml": "[project]\nname = 'thing'\n",
    "src/thing/__init__.py": "",
    "src/thing/train.py": """
from .options import get_args
from .engine import run

def main():
    args = get_args()
    run(args)

if __name__ == "__main__":
    main()
""",
    "src/thing/options.py": """
import argparse

def add_model_args(parser):
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--n-layers", type=int, default=4)

def get_args():
    parser = argparse.ArgumentParser()
    add_model_args(parser)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--optim", choices=["adamw", "lion"], default="adamw")
    args, _ = parser.parse_known_args()
    return args

if __name__ == "__main__":
    other = argparse.ArgumentParser()
    other.add_argument("--momentum", type=float, default=0.9)
""",
    "src/thing/engine.py": """
def run(args):
    for epoch in range(3):
        print(f"Epoch {epoch}: train_loss={0.1:.3f} valid_auc={0.8:.3f}")
""",
}

NOTEBOOKS = {"analysis.ipynb": '{"cells": []}', "train.ipynb": '{"cells": []}'}

TORCHRUN = {
    "tools/train.py": """
import argparse
import torch
import torch.distributed as dist

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="path to the images")
    parser.add_argument("--lr", "--learning-rate", default=0.1, type=float, dest="lr")
    parser.add_argument("--wd", default=1e-4, type=float)
    parser.add_argument("-b", "--batch-size", default=256, type=int)
    parser.add_argument("--dist-backend", default="nccl")
    args = parser.parse_args()
    torch.cuda.set_device(0)
    for epoch in range(90):
        optimizer.zero_grad()
        loss.backward()
        print(' * Acc@1 {top1:.3f} Acc@5 {top5:.3f}'.format(top1=0.5, top5=0.5))

if __name__ == "__main__":
    main()
""",
    "scripts/train.sh": "#!/usr/bin/env bash\nset -e\nDATA=/data/imagenet\nexport OMP_NUM_THREADS=4\n"
    "torchrun --nproc_per_node=4 tools/train.py $DATA --lr 0.4 \\\n    --batch-size 128 > train.log 2>&1 &\n",
    "scripts/eval.sh": "torchrun --nproc_per_node=4 tools/train.py /data/imagenet --evaluate\n",
}

NANOGPT = {
    "train.py": """
import os
import torch
from model import GPT
out_dir = 'out'
eval_interval = 2000
eval_iters = 200
dataset = 'openwebtext'
batch_size = 12
block_size = 1024
n_layer = 12
n_head = 12
n_embd = 768
dropout = 0.0
learning_rate = 6e-4
max_iters = 600000
weight_decay = 1e-1
warmup_iters = 2000
device = 'cuda'
config_keys = [k for k, v in globals().items() if not k.startswith('_')]
exec(open('configurator.py').read())
iter_num = 0
while True:
    losses = {'train': 1.0, 'val': 1.0}
    print(f"step {iter_num}: train loss {losses['train']:.4f}, val loss {losses['val']:.4f}")
    loss = GPT()
    loss.backward()
    print(f"iter {iter_num}: loss {lossf:.4f}, time {dt*1000:.2f}ms")
""",
    "model.py": "class GPT:\n    pass\n",
    "sample.py": "import torch\nfrom model import GPT\nprint(GPT())\n",
    "bench.py": "import torch\nfor k in range(3):\n    loss.backward()\n",
    "configurator.py": "import sys\nfor arg in sys.argv[1:]:\n    pass\n",
    "config/train_shakespeare_char.py": "out_dir = 'out-shakespeare-char'\nbatch_size = 64\nblock_size = 256\nn_layer = 6\n"
    "n_embd = 384\ndropout = 0.2\nlearning_rate = 1e-3\nmax_iters = 5000\nwarmup_iters = 100\n",
    "README.md": "# nano\n\n```sh\npython data/shakespeare_char/prepare.py\npython train.py config/train_shakespeare_char.py\n```\n",
    "data/shakespeare_char/prepare.py": "print(1)\n",
}

_MANY = "".join(
    f'    group.add_argument("--{name}", type={kind}, default={default}, help="{name}")\n'
    for name, kind, default in [
        ("model", "str", '"resnet50"'), ("img-size", "int", "224"), ("crop-pct", "float", "0.9"), ("b", "int", "1"),
        ("batch-size", "int", "128"), ("validation-batch-size", "int", "None"), ("opt", "str", '"sgd"'),
        ("opt-eps", "float", "None"), ("momentum", "float", "0.9"), ("weight-decay", "float", "2e-5"),
        ("clip-grad", "float", "None"), ("lr", "float", "0.05"), ("lr-noise-pct", "float", "0.67"),
        ("warmup-lr", "float", "1e-5"), ("min-lr", "float", "0.0"), ("epochs", "int", "300"), ("decay-epochs", "float", "90"),
        ("warmup-epochs", "int", "5"), ("reprob", "float", "0.0"), ("mixup", "float", "0.0"), ("cutmix", "float", "0.0"),
        ("smoothing", "float", "0.1"), ("drop", "float", "0.0"), ("drop-path", "float", "0.1"), ("bn-eps", "float", "None"),
        ("model-ema-decay", "float", "0.9998"), ("seed", "int", "42"), ("log-interval", "int", "50"), ("workers", "int", "4"),
        ("eval-metric", "str", '"top1"'), ("output", "str", '""'), ("tta", "int", "0"), ("local-rank", "int", "0"),
    ]
    + [(f"aug-{i}", "float", "0.5") for i in range(70)]
)  # fmt: skip
TIMM = {
    "train.py": f"""
import argparse
import logging
import torch
_logger = logging.getLogger("train")
parser = argparse.ArgumentParser(description="PyTorch ImageNet Training")
group = parser.add_argument_group("all")
parser.add_argument("data", nargs="?", metavar="DIR", const=None, help="path to dataset")
if True:
{_MANY}

def main():
    args = parser.parse_args()
    for epoch in range(args.epochs):
        train_one_epoch(epoch)
        _logger.info("Test: [%4d/%d]  Loss: %6.3f  Acc@1: %7.3f  Acc@5: %7.3f", 1, 2, 3.0, 4.0, 5.0)

def train_one_epoch(epoch):
    optimizer.zero_grad()
    loss.backward()

if __name__ == "__main__":
    main()
""",
    "validate.py": "import argparse, torch\nif __name__ == '__main__':\n    print(1)\n",
}

ABSL = {
    "main.py": """
from absl import app, flags
import jax
import optax
FLAGS = flags.FLAGS
flags.DEFINE_float("learning_rate", 3e-4, "Adam's")
flags.DEFINE_integer("num_layers", 3, "")
flags.DEFINE_enum("activation", "relu", ["relu", "gelu"], "")
flags.DEFINE_bool("resume", False, "")
flags.DEFINE_string("workdir", None, "", required=True)

def train_epoch():
    pass

def main(_):
    for step in range(10):
        train_epoch()
        print({"step": step, "eval_loss": 0.3, "eval_accuracy": 0.8})

if __name__ == "__main__":
    app.run(main)
""",
}

TYRO = {
    "train.py": """
from dataclasses import dataclass, field
from typing import Literal
import tyro
import torch

@dataclass
class Optim:
    lr: float = 1e-3
    weight_decay: float = 0.01
    kind: Literal["adamw", "sgd"] = "adamw"

@dataclass
class Config:
    optim: Optim = field(default_factory=Optim)
    dropout: float = 0.1
    num_epochs: int = 10
    amp: bool = False

def main(cfg: Config):
    for epoch in range(cfg.num_epochs):
        loss.backward()
        tqdm.write(f"[{epoch}] val_miou: {miou:.3f}")

if __name__ == "__main__":
    main(tyro.cli(Config))
""",
}

REQUIRED = {
    "train.py": """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--data-path", required=True)
parser.add_argument("--teacher", required=True)
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()
for epoch in range(3):
    train_epoch()
    print(f"epoch {epoch} loss={loss}")
""",
    "datasets/a.txt": "x",
    "venv/pyvenv.cfg": "home = /usr\n",
    "venv/lib/python3/site-packages/torch/train.py": "raise SystemExit\n",
}

WITH_LOG = {
    **CLICK,
    ".venv/lib/train.py": "raise SystemExit\n",
    "logs/old.log": "Epoch 1: val_f1 0.1\n",
    "logs/new.log": "".join(
        f"Epoch {n}: train loss {1 / n:.4f}, val loss {1.2 / n if n < 4 else 0.5:.4f}, val acc {0.2 * n:.4f}\n"
        for n in range(1, 6)
    ),
}

GAN_OPTIONS = {
    "train.py": """
import time
from options.train_options import TrainOptions

if __name__ == "__main__":
    opt = TrainOptions().parse()
    for epoch in range(opt.n_epochs):
        model.optimize_parameters()
        print("End of epoch %d / %d \\t FID: %.3f" % (epoch, opt.n_epochs, 30.0))
""",
    "options/__init__.py": "",
    "options/base_options.py": """
import argparse

class BaseOptions:
    def initialize(self, parser):
        parser.add_argument("--dataroot", required=True, help="path to images")
        parser.add_argument("--ngf", type=int, default=64)
        parser.add_argument("--batch_size", type=int, default=1)
        return parser

    def parse(self):
        parser = argparse.ArgumentParser()
        return self.initialize(parser).parse_args()
""",
    "options/train_options.py": """
from .base_options import BaseOptions

class TrainOptions(BaseOptions):
    def initialize(self, parser):
        parser = BaseOptions.initialize(self, parser)
        parser.add_argument("--beta1", type=float, default=0.5)
        parser.add_argument("--lr", type=float, default=0.0002)
        parser.add_argument("--gan_mode", type=str, default="lsgan")
        return parser
""",
    "options/test_options.py": "class TestOptions:\n    def initialize(self, parser):\n        parser.add_argument('--num_test', type=int, default=50)\n",
    "Makefile": "EPOCHS = 5\n\ntrain:\n\tpython train.py --dataroot ./images --batch_size 4\n",
    "images/1.txt": "",
}

PROJECTS = {
    name.lower(): files for name, files in list(globals().items()) if name.isupper() and isinstance(files, dict)
}


def lay_out(name: str, root: Path) -> Path:
    """The files of a project in a folder."""
    for path, text in PROJECTS[name].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root
