import torch
from datasets import Dataset
from tokenizers import Tokenizer, models as tm, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

torch.manual_seed(0)
words = "red blue green one two three four big small house car tree runs stands".split()
tok = Tokenizer(tm.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", "[EOS]"] + words)}, "[UNK]"))
tok.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]")
rows = [f"{a} {b} {c} {d} [EOS]" for a in words[3:7] for b in words[7:9] for c in words[9:12] for d in words[12:]]
ds = Dataset.from_dict({"text": rows * 4})
model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=16, n_embd=32, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=2))
args = SFTConfig("out", max_steps=40, per_device_train_batch_size=8, logging_steps=5, learning_rate=5e-3, report_to=[], use_cpu=True, bf16=False,
                 eval_strategy="steps", eval_steps=20, save_strategy="no", max_length=16, dataset_text_field="text", gradient_checkpointing=False)
SFTTrainer(model, args=args, train_dataset=ds, eval_dataset=ds.select(range(24)), processing_class=fast).train()
