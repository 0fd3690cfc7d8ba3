"""transformers Trainer on a tiny BERT made from a config. --crash: compute_metrics fails at the second evaluation."""
import sys

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

set_seed(0)


class Rows(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.ids = torch.randint(5, 60, (n, 12), generator=g)
        self.labels = (self.ids[:, :6].sum(1) > self.ids[:, 6:].sum(1)).long()

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return {"input_ids": self.ids[i], "attention_mask": torch.ones(12, dtype=torch.long), "labels": self.labels[i]}


calls = 0


def metrics(pred):
    global calls
    calls += 1
    if "--crash" in sys.argv and calls == 2:
        return {"accuracy": float((pred.predictions.argmax(-1) == pred.label_ids[:-1]).mean())}
    p = pred.predictions.argmax(-1)
    tp = ((p == 1) & (pred.label_ids == 1)).sum()
    return {"accuracy": float((p == pred.label_ids).mean()), "f1": float(2 * tp / max(1, (p == 1).sum() + (pred.label_ids == 1).sum()))}


model = BertForSequenceClassification(BertConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                                                 intermediate_size=64, max_position_embeddings=16))
args = TrainingArguments("out", num_train_epochs=4, per_device_train_batch_size=16, per_device_eval_batch_size=64, learning_rate=3e-3,
                         logging_steps=20, eval_strategy="epoch", save_strategy="epoch", report_to=[], use_cpu=True, seed=0,
                         load_best_model_at_end=True, metric_for_best_model="accuracy")
trainer = Trainer(model, args, train_dataset=Rows(480, 1), eval_dataset=Rows(200, 2), compute_metrics=metrics)
result = trainer.train()
trainer.log_metrics("train", result.metrics)
trainer.log_metrics("eval", trainer.evaluate())
trainer.save_state()
