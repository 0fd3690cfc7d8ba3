"""Options -> lines of a search space. From the names and defaults alone, by what people usually try; a proposal.

Left out, always: what says which data is read, how it is judged, how long it trains, where files lie, on what it runs.
A search over those would not find a better training, but an easier test.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auto_experiment.errors import UsageError
from auto_experiment.script_options import ScriptOption
from auto_experiment.search_space import parse_line

Rule = Callable[[float], str | None]

MOST = 8  # parameters of a proposal: more are not searched in a night
_MOST_CHOICES = 8
_LEFT_OUT = re.compile(
    r"(?:^|_)(?:seeds?|random_state|epochs?|steps?|iters?|iterations?|workers?|threads?|procs?|ports?|host|addr|url|backend|device"
    r"s?|gpus?|cuda|cpu|tpu|ranks?|local_rank|world|nodes?|nproc|dist|distributed|deepspeed|fsdp|ddp|path|dir|dirs|directory|root"
    r"|folder|file|files|filename|out|output|outputs|save|saving|load|log|logs|logging|logger|log_level|verbose|quiet|debug|print"
    r"|display|plot|wandb|tensorboard|mlflow|tags?|project|entity|name|exp|experiment|run|id|resume|checkpoints?|ckpt|restore|snapshot"
    r"|data|dataset|datasets|dataloader|split|splits|fold|folds|train_file|subset|subsample|limit|samples|fraction|val|valid|validation"
    r"|eval|evaluation|evaluate|test|testing|dev|infer|inference|predict|metric|metrics|monitor|topk|top_k|threshold|iou|nms|conf|beam"
    r"|beams|loss|criterion|objective|vocab|classes|num_labels|labels_path|tokenizer|max_len|max_length|seq_len|seqlen|seq_length"
    r"|block_size|context|context_length|img_size|image_size|imgsz|input_size|crop|resize|resolution|mean|std|normalize|interpolation"
    r"|in_channels|in_chans|num_channels|out_channels|in_dim|input_dim|out_dim|output_dim|amp|fp16|bf16|half|tf32|precision|dtype"
    r"|compile|cache|pin_memory|prefetch|config|cfg|mode|task|eps|epsilon|version|hub|token|license|every|freq|frequency|interval"
    r"|patience|format|profile|timeout|time|hours|minutes|language|lang|lines|shards?|streaming|env|env_id|game|image|video)(?:$|_)"
)
_SIZES = (
    r"hidden|width|units|n_embd|embed|embed_dim|embedding|emb|emb_dim|d_model|hidden_size|h"
    r"idden_dim|dim|channels|filters|ffn_dim|d_ff|mlp_dim|planes|n_hidden|nhid|emsize"
)

_CHOSEN = (  # name -> rank
    (r"(?:^|[-_.])(?:opt|optim|optimi[sz]er|solver|sched|scheduler|lr_?policy|lr_?schedule\w*)(?:$|[-_.])", 2),
    (
        r"(?:^|[-_.])(?:act|activation|nonlinearity|norm|norm_layer|init|initiali[sz]er|pool|pooling|penalty|augment\w*)$",
        9,
    ),
    (r"(?:^|[-_.])(?:kernel|model|arch|architecture|backbone|encoder|decoder|net|head|attention|cell|rnn)$", 11),
)


@dataclass(frozen=True)
class Proposal:
    """``line``: a line of a search space without its bullet. ``rank``: the lower, the sooner it is taken."""

    line: str
    option: ScriptOption
    rank: int


@dataclass(frozen=True)
class Space:
    """``others``: options that could be searched and did not fit. ``left_out``: those that must not be."""

    proposals: tuple[Proposal, ...] = ()
    others: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def propose(options: Sequence[ScriptOption]) -> Space:
    found, others, left_out = [], [], []
    for option in options:
        if not option.name or option.name in ("-h", "--help"):
            continue
        if is_left_out(option.name):
            left_out.append(option.name)
        elif (proposal := _proposal(option)) is not None:
            found.append(proposal)
        else:
            others.append(option.name)
    best = sorted(found, key=lambda one: one.rank)[:MOST]
    kept = [one for one in found if one in best]
    others += [one.option.name for one in found if one not in best]
    return Space(tuple(kept), tuple(others), tuple(left_out))


def is_left_out(name: str) -> bool:
    """A warm-up is a matter of training, though it is counted in steps; a batch of the evaluation is none."""
    plain = _plain(name)
    if re.search(r"(?:^|_)(?:per_device_train_|train_)?batch_?size$|^bs$|warm_?up|drop_?(?:path|out|connect)", plain):
        return bool(re.search(r"(?:^|_)(?:eval|val|valid|test|dev|inference)(?:$|_)", plain))
    if re.fullmatch(rf"(?:.*_)?(?:{_SIZES})", plain) and not re.search(
        r"(?:^|_)(?:in|out|input|output|image|img)(?:$|_)", plain
    ):
        return False
    return bool(_LEFT_OUT.search(plain))


def _plain(name: str) -> str:
    """ "--optim.weightDecay" -> "weight_decay"; of nested names the last part, and an upper one like "eval"."""
    parts = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part).lower() for part in name.lstrip("-").split(".")]
    upper = [
        p for p in parts[:-1] if p in ("data", "dataset", "datamodule", "eval", "val", "test", "trainer", "logger")
    ]
    last = parts[-1].replace("-", "_")
    if upper and upper[0] in ("data", "dataset", "datamodule") and re.search(r"batch_?size$|^bs$", last):
        return last
    return "_".join([*upper, last])


def _proposal(option: ScriptOption) -> Proposal | None:
    if option.flag or option.many:
        return None
    name = _plain(option.name)
    if option.choices:
        return _chosen(option)
    number = _number(option.default)
    for rank, (pattern, rule) in enumerate(_RULES):
        if re.fullmatch(pattern, name):
            text = rule(number) if number is not None else None
            return _checked(option, text, rank)
    return None


def _chosen(option: ScriptOption) -> Proposal | None:
    """Only where the name says that it is a matter of training: others may be anything, a protocol or a format."""
    full = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", option.name.lstrip("-")).lower()
    rank = next((rank for pattern, rank in _CHOSEN if re.search(pattern, full)), None)
    if rank is None or not 2 <= len(option.choices) <= _MOST_CHOICES:
        return None
    items = ", ".join(f'"{c}"' if re.search(r"[^\w.+-]", c) else c for c in option.choices)
    return _checked(option, f"[{items}]", rank)


def _checked(option: ScriptOption, values: str | None, rank: int) -> Proposal | None:
    if values is None:
        return None
    line = f"{option.name}: {values}"
    try:
        parse_line(line)
    except UsageError:
        return None
    return Proposal(line, option, rank)


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e12 else None


# -- what is usual ------------------------------------------------------------------------------------------------


def _decades(number: float) -> str | None:
    return f"{_short(number / 10)} .. {_short(number * 10)} log" if number > 0 else None


def _third(number: float) -> str | None:
    return f"{_short(number / 3)} .. {_short(number * 3)} log" if number > 0 else None


def _decay(number: float) -> str | None:
    """From nothing, the usual ones; else around the default."""
    return "[0.0, 1e-05, 0.0001, 0.001, 0.01]" if number == 0 else _decades(number)


def _share(high: float) -> Rule:
    def rule(number: float) -> str | None:
        return f"0.0 .. {_short(max(high, number))}" if 0 <= number < 1 else None

    return rule


def _between(low: float, high: float) -> Rule:
    def rule(number: float) -> str | None:
        return f"{_short(min(low, number))} .. {_short(max(high, number))}" if 0 <= number < 1 else None

    return rule


def _halved_and_doubled(number: float) -> str | None:
    if number < 1 or not number.is_integer():
        return None
    whole = int(number)
    values = sorted({max(whole // 2, 1), whole, whole * 2})
    return f"[{', '.join(map(str, values))}]"


def _count(number: float) -> str | None:
    if not number.is_integer() or not 1 <= number <= 1000:
        return None
    return f"{max(int(number) // 2, 1)} .. {int(number) * 2} int"


def _warm_up(number: float) -> str | None:
    if 0 < number < 1:
        return "0.0 .. 0.2"
    return f"0 .. {int(number) * 2} int" if number >= 1 and number.is_integer() else None


def _short(number: float) -> str:
    """Without the digits that arithmetic in floats adds."""
    return f"{number:.6g}"


_RULES: tuple[tuple[str, Rule], ...] = (
    (r"(?:base_|max_|init_|initial_|peak_)?(?:lr|learning_rate)(?:_init)?|lr0|eta|alpha_lr|step_size_lr", _decades),
    (r"(?:per_device_train_|train_|mini_?)?batch_?size|bs|batch", _halved_and_doubled),
    (r"opt(?:im(?:izer)?)?(?:_name)?", lambda _: None),  # choices only
    (r"weight_?decay|wd|l2(?:_reg|_lambda|_penalty)?|reg(?:ularization)?|adam_wd", _decay),
    (r"(?:\w+_)?drop(?:out|_rate|_prob|_path|_connect)?(?:_rate|_prob|_p|_path_rate)?|p_drop", _share(0.5)),
    (rf"(?:\w+_)?(?:{_SIZES})(?:_size|_dim|s)?", _halved_and_doubled),
    (r"(?:num_|n_)?(?:hidden_)?(?:layers?|depth|blocks?|encoder_layers|decoder_layers)|n_?layer|nlayers", _count),
    (r"(?:lr_)?warm_?up_(?:ratio|frac(?:tion)?|prop(?:ortion)?|pct)", _share(0.2)),
    (r"(?:num_|n_|lr_)?warm_?up(?:_(?!lr)\w+)?", _warm_up),
    (r"(?:sgd_)?momentum|(?:adam_)?beta_?1|b1", _between(0.8, 0.99)),
    (r"(?:label_)?smoothing(?:_factor)?|label_smooth", _share(0.2)),
    (
        r"(?:\w+_)?lr|lr_(?!scheduler|policy|type|decay_(?:epoch|iter|step))(?:\w+)",
        lambda n: _decades(n) if n < 1 else None,
    ),
    (r"(?:adam_)?beta_?2|b2", _between(0.95, 0.999)),
    (r"mixup(?:_alpha)?|cutmix(?:_alpha)?|mixup_prob", _share(0.8)),
    (
        r"(?:max_)?grad(?:ient)?_?(?:norm|clip)(?:ping)?(?:_norm|_val)?|(?:grad_)?clip(?:_grad|_norm|_value)?(?:_norm)?",
        _third,
    ),
    (r"temperature|tau|temp", _third),
    (r"lora_(?:r|alpha|rank)|rank|max_depth|num_leaves|n_neighbors|min_child_weight", _halved_and_doubled),
    (r"c|ent(?:ropy)?_coef(?:ficient)?|vf_coef|value_coef|kl_coef|beta_kl|margin|scale_lr", _decades),
)
