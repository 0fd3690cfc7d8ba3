"""The Trainer of transformers: trainer_state.json in each checkpoint and at the end, all_results.json, event files."""

import torch
from common import Record, keep_only
from transformers import Trainer, TrainerCallback, TrainingArguments

record = Record("hf_trainer")
torch.manual_seed(0)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Note(TrainerCallback):
    def on_log(self, args, state, control, logs=None, **kwargs):
        for name, value in logs.items():
            if name != "epoch" and not name.endswith(("_runtime", "_per_second")):
                record.note(name, state.global_step, value)


def data():
    x = torch.randn(80, 4)
    return [{"x": a, "labels": torch.tensor(int(a[0] + 0.5 * a[1] > 0.3))} for a in x]


def measure(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


trainer = Trainer(
    Net(),
    TrainingArguments(
        record.folder,
        num_train_epochs=4,
        per_device_train_batch_size=8,
        logging_steps=5,
        eval_strategy="epoch",
        save_strategy="epoch",
        learning_rate=0.05,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    ),
    train_dataset=data(),
    eval_dataset=data(),
    compute_metrics=measure,
    callbacks=[Note()],
)
result = trainer.train()
final = trainer.evaluate()
trainer.save_metrics("eval", final)
trainer.save_state()
keep_only(record.folder, "trainer_state.json", "_results.json")
record.done()
