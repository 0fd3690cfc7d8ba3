"""The metric that a human named, among the names that a log prints. Never guesses: one candidate, or none chosen.

1. The very name always wins; then the only one of that name in a group (``eval/mean_reward``).
   Of names under the same word for a split, the one that is spelled as asked for wins over its synonyms.
2. The same words, written differently: case, punctuation, order, words for the same thing (validation = valid = val =
   eval = dev, accuracy = acc, "mean average precision" = mAP, top-1 accuracy = acc@1, recall at 1 = R@1) and words that
   say nothing (mean, total, score); then the same letters, parted differently ("log-prob AUC" = LOGPROB AUC).
3. A name with more words ("f1" for ``klue_re_micro_f1``, "reward" for ``rollout/ep_rew_mean``), when it is the only one
   with so few more; never one of a spread, a bound, a goal or another rank (std, max, target, top-5).
4. A name with fewer words, when what is left says where and not what ("coco AP", "train loss" for ``loss``).
5. What the log calls best or final at its end, when it prints nothing else of that name; "correct" for an accuracy.

A name without a split ("accuracy") means, at each of these steps in this order: the metric of the validation split, the
one without a split, that of the test split, that of the training split. A test value is never chosen where a validation
value exists, and a name with a split never means another split; it means the metric without one when no other split of
that metric is printed. Two candidates where the first is found: ambiguous.

Where a name of the validation split fits nothing, a metric without a split is the validation's that the log only ever
prints after a validation's value, on a line that reports the training beside it (fastai's table).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from auto_experiment.watch.metrics.splits import WORDS as SPLITS


@dataclass(frozen=True)
class Match:
    name: str
    how: str


@dataclass(frozen=True)
class Ambiguous:
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return "several metrics of the log fit: " + ", ".join(self.candidates)


@dataclass(frozen=True)
class Missing:
    seen: tuple[str, ...]
    near: tuple[str, ...] = ()  # those that share a word with what was asked for

    def __str__(self) -> str:
        if not self.seen:
            return "the log reports no metric"
        if self.near:
            return f"not among the log's metrics; the nearest are: {_listed(self.near)}"
        return f"not among the log's metrics: {_listed(self.seen)}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


# What people write out, and the one spelling it gets; in this order, on lower case.
_PHRASES = [
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        (r"mean[\s_-]*average[\s_-]*precision|mean[\s_-]*ap\b", "map"),
        (r"average[\s_-]*preciss?ion", "ap"),
        (r"mean[\s_-]*(?:iou|iu\b|intersection[\s_-]*over[\s_-]*union)", "miou"),
        (r"intersection[\s_-]*over[\s_-]*union", "iou"),
        (r"mask[\s_/-]*(?=m?ap\b)", "segm "),
        (r"(?<!b)box[\s_/-]*(?=m?ap\b)", "bbox "),
        (r"hit[\s_-]*(?:rate|ratio)", "hr"),
        (r"word[\s_-]*error[\s_-]*rate", "wer"),
        (r"character[\s_-]*error[\s_-]*rate", "cer"),
        (r"fr[e\u00e9]chet[\s_-]*inception[\s_-]*distance", "fid"),
        (r"inception[\s_-]*score", "is"),
        (r"peak[\s_-]*signal[\s_-]*(?:to[\s_-]*)?noise(?:[\s_-]*ratio)?", "psnr"),
        (r"structural[\s_-]*similarity(?:[\s_-]*index)?(?:[\s_-]*measure)?", "ssim"),
        (r"root[\s_-]*mean[\s_-]*squared?[\s_-]*error", "rmse"),
        (r"mean[\s_-]*squared?[\s_-]*error", "mse"),
        (r"mean[\s_-]*absolute[\s_-]*error", "mae"),
        (r"end[\s_-]*point[\s_-]*error", "epe"),
        (
            r"\b(?:(?:over|of|for|in) )?(?:the )?(?:last|past) \d+\b(?: (?:eval\w* )?(?:episodes|games|runs|steps)\b)?",
            " ",
        ),
        (r"symmetric[\s_-]*mean[\s_-]*absolute[\s_-]*percentage[\s_-]*error", "smape"),
        (r"mean[\s_-]*absolute[\s_-]*percentage[\s_-]*error", "mape"),
        (r"mean[\s_-]*absolute[\s_-]*scaled[\s_-]*error", "mase"),
        (r"average[\s_-]*displacement[\s_-]*error", "ade"),
        (r"final[\s_-]*displacement[\s_-]*error", "fde"),
        (r"mean[\s_-]*per[\s_-]*joint[\s_-]*position[\s_-]*error", "mpjpe"),
        (r"normali[sz]ed[\s_-]*mean[\s_-]*error", "nme"),
        (r"diari[sz]ation[\s_-]*error[\s_-]*rate", "der"),
        (r"success[\s_-]*rate", "sr"),
        (r"success[\s_-]*weighted[\s_-]*by[\s_-]*path[\s_-]*length", "spl"),
        (r"learned[\s_-]*perceptual[\s_-]*image[\s_-]*patch[\s_-]*similarity", "lpips"),
        (r"kernel[\s_-]*inception[\s_-]*distance", "kid"),
        (r"concordance[\s_-]*corr\w*(?:[\s_-]*coef\w*)?", "ccc"),
        (r"panoptic[\s_-]*quality", "pq"),
        (r"multiple[\s_-]*object[\s_-]*tracking[\s_-]*accuracy", "mota"),
        (r"(?<![a-z])si[\s_-]*sdr|scale[\s_-]*invariant[\s_-]*signal[\s_-]*to[\s_-]*distortion[\s_-]*ratio", "sisdr"),
        (r"signal[\s_-]*to[\s_-]*distortion[\s_-]*ratio", "sdr"),
        (r"log[\s_-]*prob(?:abilit(?:y|ies)|s)?(?![a-z])", "logprob"),
        (r"(?<![a-z])fb1(?![a-z\d])", "f1"),  # conlleval's
        (r"(?<![a-z])l[\s_](?=(?:tot|total|all|sum|adv|con|rec|recon|cls|reg|enc|gan|g|d|kl|kld)(?![a-z]))", "loss_"),
        (r"negative[\s_-]*log[\s_-]*likelihood", "nll"),
        (r"(?:marginal[\s_-]*log|log[\s_-]*marginal)[\s_-]*likelihood", "mll"),
        (r"log[\s_-]*likelihood", "ll"),
        (r"(?<![a-z])(?:m|multi[\s_-]*class[\s_-]*)?log[\s_-]*loss(?![a-z])", "logloss"),
        (r"(?<![a-z])f[\s_-]?(?:score|measure)(?![a-z])|(?<![a-z])f$", "f1"),
        (r"(?<![a-z])bits[\s_-]*(?:/|per)[\s_-]*dim\w*", "bpd"),
        (r"(?<![a-z])hits?@(?=\d)", "hr "),
        (r"quadratic[\s_-]*weighted[\s_-]*kappa", "qwk"),
        (r"cohen'?s?[\s_-]*kappa", "kappa"),
        (r"(?<![a-z])p(?:l?cc)(?![a-z])", "pearson"),
        (r"(?<![a-z])sro?cc?(?![a-z])", "spearman"),
        (r"pearson(?:'?s?[\s_-]*r)?\b(?:[\s_-]*corr\w*)?(?:[\s_-]*coef\w*)?", "pearson"),
        (r"spearman(?:'?s?[\s_-]*r)?\b(?:[\s_-]*corr\w*)?(?:[\s_-]*coef\w*)?", "spearman"),
        (r"pix(?:el)?[\s_-]*acc(?:uracy)?\b", "pixacc"),
        (r"chamfer[\s_-]*dist(?:ance)?", "cd"),
        (r"evidence[\s_-]*lower[\s_-]*bound", "elbo"),
        (r"equal[\s_-]*error[\s_-]*rate", "eer"),
        (r"(?:phoneme|phone)[\s_-]*error[\s_-]*rate", "per"),
        (r"normali[sz]ed[\s_-]*mutual[\s_-]*info\w*", "nmi"),
        (r"adjusted[\s_-]*rand(?:[\s_-]*index)?", "ari"),
        (r"normali[sz]ed[\s_-]*discounted[\s_-]*cumulative[\s_-]*gain", "ndcg"),
        (r"unlabell?ed[\s_-]*attachment(?:[\s_-]*score)?", "uas"),
        (r"labell?ed[\s_-]*attachment(?:[\s_-]*score)?", "las"),
        (r"coefficient[\s_-]*of[\s_-]*determination|\br[\s_-]?(?:squared?|\^2)", "r2"),
        (r"kullback[\s_-]*leibler(?:[\s_-]*div\w*)?|(?<![a-z])kl[\s_-]*div(?:ergence)?(?![a-z])", "kl"),
        (r"\blanguage[\s_-]*model(?:l?ing)?\b", "lm"),
        (r"bits[\s_-]*per[\s_-]*(?:character|char)", "bpc"),
        (r"bits[\s_-]*per[\s_-]*byte", "bpb"),
        (r"mean[\s_-]*reciprocal[\s_-]*rank", "mrr"),
        (r"matthews[\s_-]*corr\w*(?:[\s_-]*coef\w*)?", "mcc"),
        (r"(?:area[\s_-]*under[\s_-]*the[\s_-]*(?:roc[\s_-]*)?curve|roc[\s_-]*auc|auc[\s_-]*roc|auroc)", "auc"),
        (r"(?:area[\s_-]*under[\s_-]*the[\s_-]*)?(?:precision[\s_-]*recall|(?<![a-z])pr)[\s_-]*(?:auc|curve)", "auprc"),
        (r"auc[\s_-]*pr(?![a-z])|aupr(?![a-z])", "auprc"),
        (r"exact[\s_-]*match", "em"),
        (r"mean[\s_-]*per[\s_-]*joint[\s_-]*position[\s_-]*error", "mpjpe"),
        (r"(average|final)[\s_-]*displacement[\s_-]*error", lambda m: m[1][0] + "de"),
        (r"(?<![a-z])dsc(?![a-z])|dice[\s_-]*(?:sim\w*[\s_-]*)?coef\w*", "dice"),
        (r"jaccard(?:[\s_-]*(?:index|score))?", "iou"),
        (r"(?:95%?[\s_-]*)?hausdorff(?:[\s_-]*dist\w*)?(?:[\s_-]*\(?95%?\)?)?", "hd95"),
        (r"sacre[\s_-]?bleu", "bleu"),
        (r"(?<![a-z])bal(?:[\s_-]+|(?=acc))", "balanced "),
        # what is trained, tested and measured in Chinese, Japanese and Korean
        (r"\u8bad\u7ec3|\u8a13\u7df4|\u5b66\u7fd2|\ud559\uc2b5|\ud6c8\ub828", " train "),
        (r"\u9a8c\u8bc1|\u9a57\u8b49|\u691c\u8a3c|\uac80\uc99d", " val "),
        (r"\u6d4b\u8bd5|\u6e2c\u8a66|\u30c6\u30b9\u30c8|\ud14c\uc2a4\ud2b8", " test "),
        (r"\u635f\u5931|\u640d\u5931|\uc190\uc2e4", " loss "),
        (
            r"\u51c6\u786e\u7387|\u6b63\u786e\u7387|\u6e96\u78ba\u7387|\u7cbe\u5ea6|\u6b63\u89e3\u7387|\u6b63\u7b54\u7387|\uc815\ud655\ub3c4",
            " acc ",
        ),
        (r"\u53ec\u56de\u7387|\u518d\u73fe\u7387|\uc7ac\ud604\uc728", " recall "),
        (r"\u7cbe\u786e\u7387|\u9069\u5408\u7387|\uc815\ubc00\ub3c4", " precision "),
        (r"\u5e73\u5747|\ud3c9\uade0", " mean "),
        (r"learning[\s_-]*rate", "lr"),
        (r"cross[\s_-]*entropy", "ce"),
        (r"f[\s_-]1\b|f1[\s_-]*score", "f1"),
        (r"\bnet[\s_]*output\b[\s_#]*\d*:?", " "),  # Caffe's "Test net output #0: loss"
        (r"\((?:b|m|p)\)", " "),  # mAP50(B): Ultralytics' boxes, masks, poses
        (r"coco_eval_(bbox|segm)\b", r"\1 ap "),  # DETR's list of COCO's twelve, of which AP is the first
        (r"\brouge[\s_-]?(l(?:sum)?|\d)\b", r"rouge \1"),
        (r"\br@(?=\d)", "recall "),
        (r"\bp@(?=\d)", "precision "),
        (r"(?<=[\s@-])0?\.(\d{2})(?!\d)", r"\1"),  # mAP@0.50 = mAP50
        (r"(?<=[\s@:-])0?\.(\d)(?!\d)", r"\g<1>0"),  # mAP@.5 = mAP50
        (r":0?\.(\d{2})(?!\d)", r" \1"),
        (r"\btrl\b", "train loss"),  # llm.c's
        (r"\btel\b", "test loss"),
    )
]
_SAME = {
    "accuracy": "acc", "accuracies": "acc", "perplexity": "ppl", "losses": "loss", "err": "error", "errors": "error",
    "reward": "rew", "rewards": "rew", "returns": "return", "ret": "return", "episodic": "ep", "undiscounted": "ep",
    "length": "len", "episode": "ep", "prec": "precision", "rec": "recall", "meanap": "map",
    "generator": "g", "discriminator": "d", "gen": "g", "disc": "d", "coefficient": "coef", "coeff": "coef",
    "correlation": "corr", "reconstruction": "recon", "recons": "recon", "sens": "sensitivity", "spec": "specificity",
}  # fmt: skip
_SILENT = {
    "score", "metric", "metrics", "value", "the", "of", "on", "set", "average", "avg", "mean", "total", "overall", "at",
    "ep", "rollout", "rate", "macro", "coef", "averaged", "ave",
}  # fmt: skip
_TASKS = frozenset({"bbox", "segm", "keypoints"})
_ELSE = {
    "std", "stderr", "var", "min", "max", "median", "goal", "target", "initial", "previous", "best", "threshold", "thr",
    "scale", "weight", "weights", "grad", "norm", "unscaled", "delta", "count", "lr", "time", "ema",
    "loss", "bound", "final", "iteration",
}  # fmt: skip
_LOSSES = {"ppl", "ce", "bce", "nll", "mse", "mae", "kl", "l1", "l2", "huber", "focal", "dice", "hinge", "triplet"}
_ALWAYS_LOSSES = _LOSSES - {"dice"}
_WHERE = _SILENT | {
    "coco", "bbox", "box", "token", "batch", "epoch", "step", "model", "net", "network", "output", "metrics", "loss",
    "eval", "clustering", "classification", "detection", "recognition",
    "segmentation", "percent", "entity", "best", "trial", "final", "last",
}  # fmt: skip
_OF_A_LOSS = {"step", "batch", "token", "final", "last", "best", "trial"}
_WORD = re.compile(r"top\d+|[a-z]+\d+[a-z]+|[a-z]+|\d+(?:\.\d+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_TOP = re.compile(r"(?i)(?<![a-z])(?:top|rank)[\s_@-]*(\d+)")
_ACC_AT = re.compile(r"(?i)(?<![a-z])(acc|accuracy|err|error|prec)[@_]?(\d)(?!\d)")
_PLAIN = {"acc", "error", "loss"}
BESIDE = "printed beside the validation's other metrics"
_ORDER = ("val", "", "test", "train")
_LABEL = {"val": "validation", "test": "test", "train": "training"}


class _Name(NamedTuple):
    split: str  # "" for none
    own: str  # the word that says the split
    words: frozenset[str]  # those that say something, in one spelling
    all: frozenset[str]
    letters: frozenset[str]  # the words in their order, without what parts them; those that say something, and all


def match_objective(
    metric: str, names: Iterable[str], *, loosely: bool = True, beside_validation: Collection[str] = ()
) -> Match | Ambiguous | Missing:
    """The name of ``names`` that ``metric`` means. The answer does not depend on the order of ``names``.

    ``loosely`` False: only the same words, and of the same split when it names one; to compare a name, not a wish.
    ``beside_validation``: those without a split that the log prints with the validation's.
    """
    seen = sorted(set(names))
    if metric in seen:
        return Match(metric, "exact")
    within = [name for name in seen if name.rsplit("/", 1)[-1] == metric]
    if len(within) == 1:
        return Match(within[0], "same name")
    asked = _parts(metric)
    parts = {name: _parts(name) for name in seen}
    if not loosely:
        for split in (asked.split,) if asked.split else _ORDER:
            same = [name for name, part in parts.items() if (part.split, part.words) == (split, asked.words)]
            if answer := _one(same, "same name", asked, parts):
                return answer
        return Missing(tuple(seen))
    if asked.words:
        others = beside_validation if asked.split in {"train", "test"} else ()
        fit = {name: part for name, part in parts.items() if name not in others}
        held_out = {name: part for name, part in fit.items() if asked.split or part.split != "train"}
        for some in (held_out, fit):  # the training's own value only where there is nothing else
            if answer := _first(metric, asked, some):
                return _as_asked(metric, answer, parts)
        if asked.split == "val":
            beside = {name: parts[name]._replace(split="val") for name in seen if name in beside_validation}
            if answer := _first(metric, asked, beside):
                return Match(answer.name, BESIDE) if isinstance(answer, Match) else answer
    elif asked.split and (bare := [n for n, p in parts.items() if p.split == asked.split and not p.words]):
        return _one(bare, "same name", asked) or Missing(tuple(seen))
    near = tuple(n for n, p in parts.items() if p.words & asked.words)
    return Missing(tuple(seen), near)


def _first(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    tiers = (_same_words, _same_letters, _more_words, _fewer_words, _at_the_end, _correct)
    return next((answer for tier in tiers if (answer := tier(metric, asked, parts))), None)


def _as_asked(metric: str, answer: Match | Ambiguous, parts: dict[str, _Name]) -> Match | Ambiguous:
    """Of candidates under the same word for a split, the only one that spells the rest as it was asked for."""
    if isinstance(answer, Match) or len({parts[name].own for name in answer.candidates}) > 1:
        return answer
    ends = [name for name in answer.candidates if name.endswith(metric)]
    spelled = [name for name in ends if name.removesuffix(metric).rstrip("_ ").lower() == parts[name].own]
    return Match(spelled[0], "same name") if len(spelled) == 1 else answer


def _by_split(
    metric: str, asked: _Name, parts: dict[str, _Name], fits: Callable[[_Name], bool], how: str
) -> Match | Ambiguous | None:
    """The candidates of the first split that has one."""
    found = {name: part for name, part in parts.items() if fits(part)}
    for split in (asked.split,) if asked.split else _ORDER:
        here = [name for name, part in found.items() if part.split == split]
        said = f"{_LABEL[split]} split of {metric}" if split and not asked.split else how
        if answer := _one(here, said, asked, parts):
            return answer
    if asked.split:
        others = {part.split for part in found.values()} - {""}
        plain = [name for name, part in found.items() if not part.split]
        is_named = any(part.split == asked.split for part in parts.values())  # that split, of any metric
        if plain and ("train" not in others if asked.split == "train" else not others and not is_named):
            return _one(plain, f"the log names no {_LABEL[asked.split]} split of it", asked, parts)
    return None


def _same_words(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    spellings = [asked.words, *(other for other in (_other_top1(asked.words), _other_map(asked.words)) if other)]
    if asked.split:
        tries = [(asked.split, spelling) for spelling in spellings]
    else:
        tries = [(split, spelling) for split in _ORDER for spelling in spellings]
    for split, spelling in tries:
        how = f"{_LABEL[split]} split of {metric}" if split and not asked.split else "same name"
        here = [name for name, part in parts.items() if (part.split, part.words) == (split, spelling)]
        if answer := _one(here, how, asked, parts):
            return answer
    if asked.split and (answer := _by_split(metric, asked, parts, lambda part: part.words in spellings, "same name")):
        return answer
    if not asked.words <= _PLAIN or any(asked.words <= part.all for part in parts.values()):
        return None
    for split in (asked.split,) if asked.split else ("val", "test"):
        for closing in (frozenset[str](), frozenset({"final", "last"})):
            bare = [name for name, part in parts.items() if part.split == split and part.words <= closing]
            if answer := _one(bare, "the only value of that split", asked):
                return answer
    return None


def _same_letters(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    return _by_split(metric, asked, parts, lambda part: bool(part.letters & asked.letters), "same name")


def _more_words(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    known = _TASKS if asked.words & {"ap", "map", "ar"} else frozenset()
    others = [_other_map(asked.words), asked.words - {"loss"} if asked.words & _ALWAYS_LOSSES else None]
    wanted = [asked.words, *filter(None, others)]  # AP is mAP, and a KL a loss
    extras = {
        name: part.words - asked.all - words - known
        for words in wanted
        for name, part in parts.items()
        if words <= part.all and part.words != words and not _is_something_else(part.all - asked.all - words, asked)
    }

    def is_nearest(name: str) -> bool:
        """No other of its split has some of its further words only."""
        return not any(
            more < extras[name] and parts[other].split == parts[name].split for other, more in extras.items()
        )

    nearest = list(filter(is_nearest, extras))
    how = f"the nearest name with {metric} in it"
    return _by_split(metric, asked, {name: parts[name] for name in nearest}, bool, how)


def _is_something_else(extra: frozenset[str], asked: _Name) -> bool:
    if extra & {"loss"} and asked.words & _LOSSES:
        extra = extra - {"loss"}
    if "macro" in asked.all and extra & {"micro", "weighted"}:
        return True
    ranked = bool(asked.words & {"acc", "error"})  # with another number it is another rank's
    return bool(extra & _ELSE) or any(
        (word.startswith("top") and word != "top1") or (ranked and word.isdigit()) for word in extra
    )


def _fewer_words(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    def fits(part: _Name) -> bool:
        words = (part.words or part.all) - _TASKS
        both = asked.all | (_other_map(asked.words) or asked.all)
        left = asked.words - words - {"ap", "map"}
        return bool(words) and words < both and left <= (_WHERE if words != {"loss"} else _OF_A_LOSS)

    most = max((len(part.words or part.all) for part in parts.values() if fits(part)), default=0)
    return _by_split(
        metric, asked, parts, lambda part: fits(part) and len(part.words or part.all) == most, "same but for where"
    )


def _at_the_end(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    def fits(part: _Name) -> bool:
        closing = part.words - {"best", "final", "last"}
        return closing == asked.words or closing == _other_map(asked.words)

    return _by_split(metric, asked, parts, fits, "what the log says at its end")


def _correct(metric: str, asked: _Name, parts: dict[str, _Name]) -> Match | Ambiguous | None:
    """What is correct is the accuracy, and what is called r the reward, where nothing else of that name is printed."""
    if asked.words == {"acc"}:
        return _by_split(metric, asked, parts, lambda part: part.words == {"correct"}, "the nearest to an accuracy")
    if asked.words <= {"rew", "return"}:
        short = asked._replace(all=asked.all - asked.words | {"r"})
        return _by_split(metric, short, parts, lambda part: part.words == {"r"}, "the nearest to a reward")
    return None


def _other_top1(words: frozenset[str]) -> frozenset[str] | None:
    """The top-1 accuracy of a plain one, and the plain one of a top-1 accuracy: one thing under two names."""
    if words in ({"acc"}, {"error"}):
        return words | {"top1"}
    return words - {"top1"} if words in ({"top1", "acc"}, {"top1", "error"}) else None


def _other_map(words: frozenset[str]) -> frozenset[str] | None:
    """COCO's AP is a mean over the classes already: AP and mAP are one thing. An episode's return is its reward."""
    for one, other in (("map", "ap"), ("ap", "map"), ("rew", "return"), ("return", "rew")):
        if one in words:
            return words - {one} | {other}
    return None


def _one(found: list[str], how: str, asked: _Name, parts: dict[str, _Name] | None = None) -> Match | Ambiguous | None:
    if not found:
        return None
    if len(found) > 1 and parts:
        found = [name for name in found if parts[name].all == asked.all] or found
    if len(found) > 1 and asked.own and parts:  # "dev loss" beside "validation loss": each by its own word
        own = [name for name in found if parts[name].own == asked.own]
        found = own or found
    return Match(found[0], how) if len(found) == 1 else Ambiguous(tuple(found))


@lru_cache(maxsize=4096)
def _parts(name: str) -> _Name:
    """The split that a name says, and its words, spelled one way."""
    if not name.isascii():  # an accent or none is the same
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
        name = unicodedata.normalize("NFC", name)  # Korean syllables are whole again
    text = re.sub(r"(?i)m?IoU", lambda m: m[0].lower(), name)
    text = _CAMEL.sub(" ", text).lower()
    text = re.sub(r"rouge ?(l(?:sum)?)\b", r"rouge \1", text)
    for pattern, spelling in _PHRASES:
        text = pattern.sub(spelling, text)
    text = _TOP.sub(r" top\1 ", text)
    text = _ACC_AT.sub(r" \1 top\2 ", text)
    words = re.findall(r"top\d+|f\d(?!\d)|r2|l\d|[^\W\d_]+|\d+(?:\.\d+)?", text)
    own = next((word for word in words if word in SPLITS), "")
    rest = []
    for word in words:
        if word == own or (own and SPLITS.get(word) == SPLITS[own]):
            continue
        rest.append(_SAME.get(word, word))
    if rest and all(word.startswith("top") and word != "top" for word in rest):
        rest.append("acc")  # "top1" is the top-1 accuracy
    if "top1" in rest and not {"acc", "error", "precision"} & set(rest):
        rest.append("acc")
    if "precision" in rest and "top1" in rest:  # prec@1 of the ImageNet example
        rest = ["acc" if word == "precision" else word for word in rest]
    loud = [word for word in rest if word not in _SILENT] or rest
    return _Name(SPLITS.get(own, ""), own, frozenset(loud), frozenset(rest), frozenset({"".join(loud), "".join(rest)}))
