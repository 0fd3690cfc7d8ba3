"""A tiny GPT-2 under the Trainer. --nan: the loss is nan from step 24 on; --fail: a token out of range."""
import sys

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

set_seed(0)
vocab = 40


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 160

    def __getitem__(self, i):
        ids = (torch.arange(12) + i) % vocab
        if "--fail" in sys.argv and i == 77:
            ids = ids + vocab
        return {"input_ids": ids, "labels": ids}


class Scaled(Trainer):
    def compute_loss(self, model, inputs, **kw):
        loss = super().compute_loss(model, inputs, **kw)
        return loss * float("nan") if "--nan" in sys.argv and self.state.global_step >= 24 else loss


model = GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_positions=16, n_embd=32, n_layer=1, n_head=2))
args = TrainingArguments("out", max_steps=60, per_device_train_batch_size=8, learning_rate=3e-3, logging_steps=6, report_to=[], use_cpu=True,
                         save_strategy="no", logging_nan_inf_filter=False, disable_tqdm="--quiet" in sys.argv)
Scaled(model, args, train_dataset=Rows()).train()
