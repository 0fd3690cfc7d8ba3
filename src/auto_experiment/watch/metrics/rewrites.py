"""Ways of printing that say the same as ``name=value`` in an order or with marks of their own; made plain first."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from auto_experiment.watch.metrics import shapes
from auto_experiment.watch.metrics.numbers import NUMBER
from auto_experiment.watch.metrics.splits import WORDS as SPLITS
from auto_experiment.watch.metrics.splits import split_of

_Rewrite = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_ESPNET = re.compile(r"(?<![\w.])(\d{1,6}(?:/\d{1,6})?) ?epoch(?=[: ](?:results|started|train|valid))")

_TENSORS = (
    ("Tensor(", rf"\b(?:tf\.)?(?:Eager)?Tensor\(({NUMBER})(?:, (?:[^()]|\(\))*)?\)"),
    ("Array(", rf"\b(?:\w+\.)?(?:Device)?Array\(({NUMBER})(?:, [^()]*)?\)"),
    ("numpy=", rf"<tf\.Tensor: shape=\(\), dtype=\w+, numpy=({NUMBER})>"),
    ("shape=[", rf"\bTensor\(shape=\[1?\](?:[^()\[]|\(\w*\)){{0,90}}[\[ ]({NUMBER})\]?\)"),
)
_VALUE_FIRST = rf"({NUMBER}(?:\s?%)?) ((?:[A-Za-z][\w.-]{{0,20}} )?(?i:loss|acc|accuracy|error|perplexity|f1|reward))"
_VALUES_FIRST = re.compile(rf"(?<![\w.=]){_VALUE_FIRST}, {_VALUE_FIRST}(?![\w:=]|\s?[:=])")

_SPLIT_STOP = re.compile(r"\b([Tt]rain|[Vv]al(?:id)?|[Tt]est)\. (?=[A-Z][\w ]{0,24}:)")

# name,value,name,value and a tuple of them: ('loss', 0.5, 'acc', 0.7)
_NAME_AND_VALUE = re.compile(rf"[(\"' ]{{0,4}}([A-Za-z_][\w@./ -]{{0,40}}?)\s?[\"']?,\s?({NUMBER})[,)]?")
_NAMES_AND_VALUES = re.compile(
    rf"\s{{0,9}}(?:[(\"' ]{{0,4}}[A-Za-z_][\w@./ -]{{0,40}}?\s?[\"']?,\s?{NUMBER}(?:,|\)?\s{{0,9}}$)){{2,50}}"
)

# "val loss improved to 0.5", "Validation loss decreased (0.6 --> 0.5)", "val_acc increased from 0.6 -> 0.7"
_BETTER = re.compile(
    r"(?i)(?:\bepoch 0\d{4}: )?(?:best\b\W{0,3})?\b((?:[a-z][\w@.-]{0,30} ){0,2}[a-z][\w@./-]{0,40}?) (?:has |is )?"
    r"(?:improved|decreased|increased|dropped|reduced|went (?:up|down))\b:?"
    rf"(?: from)?\s{{0,3}}\(?\s?(?:{NUMBER}\s?%?)?\s?(?:to|-{{1,3}}>|=>|\u2192)\s{{0,3}}({NUMBER}\s?%?)"
    r"(?!.{0,300}\w\s?[:=]\s?[-.\d])"
)
_BETTER_MARKS = tuple(
    f"{verb}ed{after}" for verb in ("mprov", "creas") for after in (" to ", " from ", " (", " \u2192", " ->")
)

_NUMBERED = re.compile(r"(?i)\b(iteration|epoch|step|trial|round|episode|generation) (?:no\b\.?|number):? (?=\d)")
_WINDOW = re.compile(
    r"(?i) ?[(\[]?\b(?:(?:over|of|for|in) )?(?:the )?(?:last|past) \d{1,6}(?: [a-z]{2,12}){0,2}?[)\]]?"
    r"(?=\s?[:=]|\s{1,3}[-\d.]|\s(?:average|mean|avg)\b)"
)
_AP_FROM_TO = re.compile(r"(AP[@_ ]\[?0?\.50?):(?=0?\.95\]?\s{0,3}[:=])")
_TUPLE = re.compile(rf"\('([\w/@. -]{{1,40}})', (?:OrderedDict\(\[|({NUMBER})\))")


def _of_tuples(match: re.Match[str]) -> str:
    """The pairs of an OrderedDict as it is printed; those of one in it with its name in front."""
    group, pairs = "", []
    for name, value in _TUPLE.findall(match[0]):
        group = group if value else f"{name}/"
        pairs.append(f"{group}{name}={value}" if value else "")
    return ", ".join(filter(None, pairs))


# (what must be in the line, without a digit; the pattern; what it says)
_REWRITES: tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # darknet's "12: 340.92, 618.07 avg, 0.001 rate"
    (" rate", re.compile(rf"^(\s*\d+: )({NUMBER}), ({NUMBER}) avg( loss)?, "), r"\1loss=\2, avg\4=\3, "),
    # FastReID's "epoch/iter: 1/600"
    ("poch/it", re.compile(r"\b([Ee]poch)/(iter\w{0,6}): (\d+)/(\d+)\b"), r"\1 \3, \2 \4, "),
    # Mugs's "0-epoch (99/44660): total loss 11.2"
    ("-epoch ", re.compile(r"(?<![\w.])(\d{1,6})-epoch (?=[\[(]\d)"), r"epoch \1 "),
    # "[eval @ 120,000] reward=5"
    (" @ ", re.compile(r"\[\s?(train|test|val|valid|eval)\s?@\s?(\d[\d,]*)\s?\]"), r"\1 | step \2 | "),
    ("[it ", re.compile(r"\[it (?=\d)"), "[iter "),
    # Kaldi's "%WER 9.87 [ 1984 / 20138, ... ]"
    ("%W", re.compile(rf"(?<![\w%])%(W[A-Z]{{1,4}} {NUMBER})"), r"\1"),
    # icefall's "loss[loss=6.5, ...], tot_loss[loss=6.9, ...]"
    ("[loss=", re.compile(r"\b(\w*loss)\[loss="), r"\1="),
    # ESPnet's "3epoch results:" and "3/50epoch started"
    *((mark, _ESPNET, r"epoch \1 ") for mark in ("epoch re", "epoch st", "epoch:tr", "epoch:va")),
    # TensorFlow's estimators: the numbers of an evaluation
    ("Saving dict for", re.compile(r"\bSaving dict for (?=global step)"), "eval | "),
    # clu's and T5X's "collection=eval accuracy=..."
    ("collection=", re.compile(r"\bcollection=[\w/]{0,30}eval[\w/]{0,30}"), "eval | "),
    ("collection=", re.compile(r"\bcollection=train\w{0,10}"), "train | "),
    # AutoGluon's "0.8868  = Validation score   (accuracy)"
    (
        " score ",
        re.compile(rf"^\s{{0,9}}({NUMBER})\s{{1,9}}= (Validation score)\s{{1,9}}\((\w{{1,30}})\)"),
        r"\2 (\3): \1",
    ),
    # Lightning's checkpoints: "'val_loss' reached 6.49 (best 6.49), saving"
    (" reached ", re.compile(rf"'([\w/@.-]{{1,60}})' reached ({NUMBER}) \(best .*"), r"\1=\2"),
    # ... and its early stopping's "Metric val_loss improved by 0.004 >= min_delta = 0.0. New best score: 0.028"
    (
        "ew best score",
        re.compile(rf"Metric ([\w/@.-]{{1,60}}) improved.{{0,60}}New best score: ({NUMBER})"),
        r"best \1: \2",
    ),
    # Kaldi's "objective function for 'output' is -0.51 + -0.007 = -0.52 over 512000 frames"
    (
        "ve function for '",
        re.compile(rf"\bobjective function for '([\w-]+)' is ({NUMBER})(?: \+ {NUMBER} = {NUMBER})? over \S+ frames"),
        r"| objective function for \1: \2",
    ),
    # "Train. loss: 0.5, AUC: 0.7"
    *((mark, _SPLIT_STOP, r"\1: ") for mark in ("rain. ", "al. ", "lid. ", "est. ")),
    # NGCF's "recall=[0.12, 0.23], ..., ndcg=[0.08, 0.11]": for the first number of items, and for the last
    ("ndcg=[", re.compile(rf"\b(recall|precision|hit|ndcg)=\[({NUMBER})(?:, ?{NUMBER}){{0,9}}\]"), r"\1=\2"),
    # PaddleOCR's "cur metric, acc: 0.4"
    (" metric, ", re.compile(r"\b(cur|best) metric, (?=\w+:)"), r"\1 metric "),
    # what prints a tensor of one number: tf.Tensor(0.5, shape=(), dtype=float64), Array(0.5, dtype=float32),
    # <tf.Tensor: shape=(), dtype=float32, numpy=0.5>, Tensor(shape=[1], dtype=float32, [0.5])
    *((mark, re.compile(pattern), r"\1") for mark, pattern in _TENSORS),
    # "0.98 C.E. loss, 94 % accuracy"
    *((mark, _VALUES_FIRST, r"\2: \1, \4: \3") for mark in ("oss, ", "uracy, ")),
    # Windows' NaN and infinity
    ("#", re.compile(r"-?1\.#(?:QNAN|SNAN|IND)\d*"), "nan"),
    ("#INF", re.compile(r"1\.#INF\d*"), "inf"),
    # a syslog's tab, as SageMaker shows it
    ("#", re.compile("#011"), "\t"),
    ("poche ", re.compile(r"\b[Ee]poche (?=\d)"), "epoch "),
    ("poca ", re.compile(r"\b[Ee]poca (?=\d)"), "epoch "),
    *((mark, _NUMBERED, r" \1 ") for mark in (" No", " number", " Number")),
    ("Total T: ", re.compile(r"\bTotal T: (\d+) Episode Num: \d+ Episode T: \d+"), r"timesteps: \1"),  # TD3
    ("Num: ", re.compile(r"\b(Episode|Epoch|Step) Num: (?=\d)"), r"\1 "),
    *((mark, _BETTER, r"best \1: \2") for mark in _BETTER_MARKS),
    # one name, "mAP@0.5:0.95", and no value
    *((mark, _AP_FROM_TO, r"\1-") for mark in ("AP@", "AP_", "AP ")),
    # "average reward over the last 100 episodes: 12.3": how many does not tell it from another
    *((mark, _WINDOW, "") for mark in ("last ", "Last ", "past ")),
    # "OrderedDict([('bbox', OrderedDict([('AP', 0.38), ...]))])"
    ("OrderedDict([", re.compile(r"\bOrderedDict\(\[\('.{0,4000}\]\)"), _of_tuples),
    ("ime steps: ", re.compile("[Tt]ime steps: "), "timesteps: "),
    # a warning behind a report that did not end its line
    (
        "Warning: ",
        re.compile(r"(?:(?<=[\]|])\s{0,9}|(?<=\S)\s{1,9})(?:[A-Z]:)?[^\s:\]|]{1,200}\.py:\d{1,6}: \w{0,60}Warning: .*"),
        "",
    ),
    # a value in brackets behind its name: acc (81.23% +- 2.0)
    ("%", re.compile(rf" \((?:(?<=[A-Za-z] \()|(?<=[A-Za-z@]\d \()|(?<=@\d\d \())({NUMBER}) ?%"), r": \1% ("),
    # Stable-Baselines3's evaluations
    ("num_timesteps", re.compile(r"\bnum_timesteps="), "timesteps="),
)


_WIDE = str.maketrans({"\uff1a": ": ", "\uff0c": ", ", "\uff1d": "=", "\uff05": "%", "\uff08": " (", "\uff09": ") "})
_EPOCH = re.compile(
    r"(?i)(?:\u8bad\u7ec3)?\u8f6e\u6b21|\b(?:\u00e9poque|\u00e9poca|epoka|\u044d\u043f\u043e\u0445\u0430)\b|\u30a8\u30dd\u30c3\u30af"
)
_ROUND = re.compile(r"\u7b2c\s?(\d+)((?:\s?/\s?\d+)?)\s?(?:\u8f6e|\u4e2a?epoch|\u56de|epoch)")


# "Train/Val loss: 0.5/0.6", "loss/acc = 0.5 / 81%", "mIoU/mAcc 0.7/0.8": as many values as names, of which one at least
# is no count
_SLASHED = re.compile(
    r"((?:[A-Za-z][\w@.-]{0,20} )?[A-Za-z][\w@.-]{0,20}(?:\s?/\s?\w[\w@.-]{0,20}){1,5}(?: [A-Za-z][\w@.-]{0,20})?)"
    r"(?:\s?[:=]\s{0,3}|\s{1,3}(?=-?\d{1,9}\.\d{1,9}/-?\d{1,9}\.\d))"
    rf"({NUMBER}(?:\s?%)?(?:\s?/\s?{NUMBER}(?:\s?%)?){{1,5}})(?![\w/(]|\s?[/(])"
)
_KINDS = {*SPLITS, "mean", "median", "min", "max", "avg", "average", "std", "best"}  # "mean/median reward 12.5/13.0"
# "GNN (Train/Val Acc): 0.6/0.8"
_SLASHED_IN_BRACKETS = re.compile(
    r"(?<=\w) \(([A-Za-z][\w@.-]{0,20}(?:/\w[\w@.-]{0,20}){1,5}(?: [A-Za-z][\w@.-]{0,20})?)\)"
    r"(?<!/s\))(?=\s?[:=]\s{0,3}-?\d{1,9}(?:\.\d{1,20}%?|%)\s?/)"
)
_BEFORE_SLASH = re.compile(r"\d%? ?/ ?\d+[.%]")
_SLASH = re.compile(r"\s?/\s?")


def plain(text: str, shape: bytes) -> str:
    """``shape``: that of ``text``."""
    if not text.isascii():  # wide marks of Chinese and Japanese, and other languages' words for an epoch
        text = _EPOCH.sub("epoch", text.translate(_WIDE))
        text = _ROUND.sub(r"epoch \1\2 ", text)
        shape = shapes.of(text)
    fitting = _by_shape(shape) if len(text) <= shapes.LONGEST else _fitting(shapes.text_of(shape))
    for pattern, said in fitting:
        text = pattern.sub(said, text)
    return text


def is_plain(text: str) -> bool:
    """Does a line of the shape of ``text`` say nothing in a way of its own?"""
    return text.isascii() and not _fitting(text)


@lru_cache(maxsize=shapes.MOST)
def _by_shape(shape: bytes) -> tuple[_Rewrite, ...]:
    return _fitting(shapes.text_of(shape))


def _fitting(text: str) -> tuple[_Rewrite, ...]:
    """What may have to be rewritten in a line of the shape of ``text``."""
    if "," in text and _NAMES_AND_VALUES.fullmatch(text) is not None:
        return ((_NAME_AND_VALUE, r"\1=\2, "),)
    found: list[_Rewrite] = [(pattern, said) for mark, pattern, said in _REWRITES if mark in text]
    if "/" in text and _BEFORE_SLASH.search(text) is not None:
        found += [(_SLASHED_IN_BRACKETS, r" \1"), (_SLASHED, _without_slashes)]
    return tuple(dict.fromkeys(found))


def _without_slashes(match: re.Match[str]) -> str:
    """Each of the values with its name; what stands before the first name or behind the last belongs to all of them."""
    values = _SLASH.split(match[2])
    first, *names = _SLASH.split(match[1])
    if len(values) != len(names) + 1:
        return match[0]
    before, _, first = first.rpartition(" ")
    last, _, behind = names[-1].partition(" ")
    full = [f"{name} {before} {behind}" for name in (first, *names[:-1], last)]
    if not all(name.split()[0].lower() in _KINDS for name in full):  # "train loss/acc", "Train acc/test acc", "Acc@1/5"
        of_all = f"{before} " if before.lower() in SPLITS and not any(map(split_of, names)) else ""
        named = (re.sub(r"\d+$", name, first) if name.isdigit() else name for name in names)
        full = [f"{before} {first}", *(of_all + name for name in named)]
    each = zip(full, values, strict=True)
    return ", ".join(f"{' '.join(name.split())}: {value}" for name, value in each)
