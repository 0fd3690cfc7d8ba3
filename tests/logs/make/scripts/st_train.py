import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments, losses
from sentence_transformers import models
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
from tokenizers import Tokenizer, models as tm, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
import random

random.seed(0)
torch.manual_seed(0)
words = [f"w{i}" for i in range(50)]
tok = Tokenizer(tm.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + words)}, "[UNK]"))
tok.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=16)
BertModel(BertConfig(vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                     max_position_embeddings=32)).save_pretrained("tiny")
fast.save_pretrained("tiny")
t = models.Transformer("tiny")
model = SentenceTransformer(modules=[t, models.Pooling(32)], device="cpu")


def pairs(n):
    rows = {"sentence1": [], "sentence2": [], "score": []}
    for _ in range(n):
        a = random.sample(words, 6)
        k = random.randint(0, 6)
        b = a[:k] + random.sample(words, 6 - k)
        rows["sentence1"].append(" ".join(a))
        rows["sentence2"].append(" ".join(b))
        rows["score"].append(k / 6)
    return Dataset.from_dict(rows)


train, dev = pairs(320), pairs(80)
ev = EmbeddingSimilarityEvaluator(dev["sentence1"], dev["sentence2"], dev["score"], name="sts-dev")
args = SentenceTransformerTrainingArguments("out", num_train_epochs=3, per_device_train_batch_size=16, learning_rate=2e-3, logging_steps=10,
                                            eval_strategy="steps", eval_steps=20, report_to=[], use_cpu=True, save_strategy="no")
SentenceTransformerTrainer(model=model, args=args, train_dataset=train, eval_dataset=dev, loss=losses.CosineSimilarityLoss(model), evaluator=ev).train()
