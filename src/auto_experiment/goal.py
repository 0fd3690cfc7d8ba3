"""What a sentence such as "reach 78%+ top-1 accuracy" states: metric, direction, target; and what a current best is.

Words and numbers only: Markdown and files are ``brief.py``'s business. It never picks one of two meanings in silence:
what is not clear stays None, and a notice of one line says what was seen and how to state it in config.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

LONGEST = 20_000  # characters that are searched; a goal is a sentence or two
HOW_TO_STATE = "state it in config.yaml, `objective: {metric: ..., direction: max or min, target: ...}`"

# --- the families of metrics --------------------------------------------------------------------------------------
# A space stands for a space or a hyphen. Names in (?-i:...) count only in these letters: "map" and "per" are words too.

_TOP = r"top ?\d{1,2}(?!\s?%|\.?\d)"  # "top 1 acc": its number is no target; but that of "top 90% accuracy" is
_TOP_ONE = re.compile(r"(?i)\btop[ -]?1\b")

_LOWER_IS_BETTER = (
    "root mean squared? error", "mean (?:squared|absolute)(?: percentage)? error", "(?:edit|hamming|chamfer) distance",
    rf"(?:word|character|phone|equal|{_TOP}) error rate", rf"{_TOP} error", "error rate", "error",
    "(?:binary |categorical )?cross entropy(?: loss)?", "log ?loss", "loss", "perplexity", "ppl",
    "(?:hinge|huber|focal|contrastive|reconstruction|mse|l1|l2|nll|triplet|total|lm|mlm|policy|value|dice) loss",
    "fid", "kid", "fvd", "wer", "cer", "rmsle", "rmse", "mse", "mape", "smape", "mae", "nll", "negative log likelihood",
    "bits per (?:byte|character|char|dimension|dim)", "bpb", "bpc", "bpd", "eer", "lpips", "brier(?: score)?", "regret",
    "kl(?: divergence)?", "ece", "mpjpe", "epe", "(?-i:PER|TER|DER)",
)  # fmt: skip
_HIGHER_IS_BETTER = (
    r"(?:recall|precision|accuracy|acc|hits?|hit rate|ndcg|mrr|map|ap|pass|r|p)@(?:\d+(?:\.\d+)?|k)",
    rf"{_TOP} (?:accuracy|acc)", _TOP, "accuracy", "acc", "f ?1", "f score", "precision", "recall", "dice",
    "jaccard", "m?iou", r"(?-i:m?AP_?\d\d(?:-\d\d)?|mAP|MAP|AP|EM|MCC)", "exact match", "(?:roc|pr) auc",
    "auc (?:roc|pr)", "auroc", "auprc", "auc", r"(?:sacre)?bleu(?: \d)?", "rouge(?: ?[12l])?", "meteor", "cider",
    "spice", "chrf", "comet",
    "bertscore", "r2", r"r\^2", "r²", "pearson", "spearman", "kappa", "correlation", "psnr", "ssim", "sensitivity",
    "(?:inception|clip) score", "score", "reward", "return", "(?:win|success|solve|completion|pass) rate",
    "ndcg", "mrr",
    "specificity", "elbo", "log likelihood", "elo", "sharpe ratio",
)  # fmt: skip
# Words of every day as well: taken for a metric only beside a number or after a word such as "maximize".
_ALSO_WORDS = frozenset(
    [
        "return",
        "score",
        "precision",
        "recall",
        "error",
        "reward",
        "dice",
        "regret",
        "comet",
        "meteor",
        "spice",
        "correlation",
    ]
)
_SPLIT = "validation|valid|val|testing|test|training|train|evaluation|eval|dev|held-out|holdout"
_QUALIFIER = "|".join(
    [
        _SPLIT,
        "macro|micro|weighted|balanced",
        _TOP.replace(" ", "[ -]"),
        "(?:mean|average|episode|episodic)(?=[ -]re(?:ward|turn))",
    ]
)


def _alternatives(family: tuple[str, ...]) -> str:
    longest_first = sorted(family, key=len, reverse=True)
    return "|".join(longest_first).replace(" ", "[ -]")


_HEAD = rf"(?:(?P<min>{_alternatives(_LOWER_IS_BETTER)})|(?P<max>{_alternatives(_HIGHER_IS_BETTER)}))"
_FAMILY = re.compile(_HEAD, re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![\w/.@-])(?:`(?P<code>[A-Za-z][\w/@.-]{0,80})`"
    r"|(?P<identifier>[A-Za-z][A-Za-z0-9]*(?:[_/][A-Za-z0-9]+)+(?:@\d+)?)(?![\w/]|\.\w)"
    rf"|(?P<qualifiers>(?:(?:{_QUALIFIER})[ -]+){{0,4}}){_HEAD}(?:[ ](?:score|value|metric))?(?![\w@/]|-[A-Za-z]))",
    re.IGNORECASE,
)

# --- numbers and the words around them ----------------------------------------------------------------------------

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?"
_NUMBER = re.compile(
    rf"(?<![\w.@/^-])(?<!\d,)(?P<value>[-+]?{_DIGITS})(?:\s*(?:±|\+/?-)\s*{_DIGITS})?"
    r"\s*(?P<percent>%|percent\b|per cent\b)?(?P<plus>\+(?!\d))?(?![\w@/]|[.,]\d|-\w)",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"(?<![\w.@/-])(?:between\s+{_DIGITS}\s*%?\s+and\s+{_DIGITS}"
    rf"|{_DIGITS}\s*%?\s*[-\u2013—]\s*{_DIGITS})\s*%?(?![\w.-])",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s*-?\s*(?:more\s+)?(?:epochs?|steps?|iterations?|iters?|hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|ms|"
    r"days?|weeks?|gpus?|gb|gib|mb|mib|seeds?|runs?|trials?|experiments?|cycles?|layers?|class(?:es)?|samples?|images?|tokens?|"
    r"param(?:eter)?s?|million|billion|k|m|b|x|times|folds?|points?|pp|percentage points?|dollars?|usd|st|nd|rd|th)\b",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"(?:seed|epoch|step|iteration|layer|version|run|exp|experiment|section|fold|gpus?|batch size|lr|"
    r"learning rate|python|cuda|cycle|phase|stage|day|week|year|page|width|depth|ema|dropout|decay|"
    r"alpha|beta|gamma)\s*[:=#(]?\s*$",
    re.IGNORECASE,
)
_NOT_A_TARGET = re.compile(
    r"\b(?P<why>by|from|currently(?: at)?|now(?: at)?|was|started? at|starting at)\s+(?:about\s+|~\s*)?$", re.I
)
_FILLER = (
    r"(?:\s|[~≈:]|\b(?:a|an|the|about|approximately|around|roughly|current|our|baseline|best|of|at|value|score|"
    r"published|reported|mark)\b)*"
)
_ABOVE = (
    r">=|≥|=>|>|\b(?:at least|no less than|not less than|minimum|above|over|beyond|exceed(?:s|ing)?|"
    r"surpass(?:es|ing)?|(?:more|greater|higher|larger) than(?: or equal to)?)\b"
)
_BELOW = (
    r"<=|≤|=<|<|\b(?:at most|no more than|not more than|maximum|below|under|beneath|down to|within|"
    r"(?:less|lower|smaller|fewer) than(?: or equal to)?)\b"
)
_BEFORE = re.compile(rf"(?:(?P<max>{_ABOVE})|(?P<min>{_BELOW})){_FILLER}$", re.IGNORECASE)
_AFTER = re.compile(
    r"\s*(?:or|and)\s+(?:(?P<max>more|higher|above|greater|up|larger|over)|"
    r"(?P<min>less|lower|below|under|fewer|smaller)|better)\b",
    re.IGNORECASE,
)
_TO_NEXT_METRIC = re.compile(
    r"[\s(]*(?:(?:of|in|on|for|the|our|a|an|mean|average|overall|classification|[A-Za-z]+-?\d[\w-]*)\s+){0,3}",
    re.IGNORECASE,
)
_TO_NUMBER = re.compile(
    rf"[\s:=→|(~≈]*|.*(?:{_ABOVE}|{_BELOW}|[:=→|(]|->|"
    r"\b(?:of|to|at|is|reach\w*|hit\w*|get\w*|achiev\w*|beat\w*|near|be)\b).*",
    re.IGNORECASE | re.DOTALL,
)
_BREAKS_LINK = re.compile(r"\b(?:and|with|while|but|without|using|then|after|by adding|because)\b|[;]", re.IGNORECASE)
_OBJECT = r"(?:\s+(?!(?:and|or|to|by|while|with|for|so|but|then|in|at|without|than)\b)[\w'\u2019./-]+){0,3}\s+`?$"
_RAISES = re.compile(
    rf"\b(?:maximi[sz](?:e|ing)|increas(?:e|ing)|rais(?:e|ing)|boost(?:ing)?|highest|higher){_OBJECT}", re.IGNORECASE
)
_LOWERS = re.compile(
    rf"\b(?:minimi[sz](?:e|ing)|reduc(?:e|ing)|lower(?:ing)?|decreas(?:e|ing)|lowest|cut(?:ting)?|"
    rf"drive down|bring down){_OBJECT}",
    re.IGNORECASE,
)
_SEEKS = re.compile(
    rf"\b(?:improv(?:e|ing)|optimi[sz](?:e|ing)|best|better|beat|reach|achieve|get|good|great|push(?:ing)?){_OBJECT}",
    re.IGNORECASE,
)
_CONSTRAINT = re.compile(
    r"\b(?:(?:without|while|subject to|not|never|don[\u2019']t|instead of)\b[^,.;]{0,40}|"
    r"(?:keep|maintain)(?:ing)?(?:\s+the)?\s+)$",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:,|/|&|(?:,\s*)?\b(?:and|or)\b)\s*(?:the\s+)?", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n\s*\n|\n(?=\s*(?:[-*+•]|\d+[.)])\s)")
_NOTHING = re.compile(
    r"(?:none|n ?a|nothing|unknown|tbd|to be determined|null|no (?:result|baseline|run)s?)?(?: ?(?:so far|yet))?"
)


# --- what was found -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stated:
    """The objective that a Goal states. ``target`` is a fraction when it was written as a percentage."""

    metric: str | None = None
    direction: str | None = None
    target: float | None = None
    percent: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Best:
    """A current best. ``percent``: it was written as a percentage."""

    value: float | None = None
    percent: bool = False
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Mention:
    """A metric named in a sentence."""

    name: str
    start: int
    end: int
    family: str | None  # "max", "min"; None for a name in code letters that belongs to no known family
    way: str | None  # what a verb before it says: "max", "min", "seek"
    constraint: bool  # "while keeping the loss ...": a condition, not the objective

    @property
    def sure(self) -> bool:
        """A metric even when it stands alone."""
        return self.family is not None and self.name.lower() not in _ALSO_WORDS


@dataclass(frozen=True)
class _Number:
    text: str
    start: int
    end: int
    value: float
    percent: bool
    way: str | None  # what a comparison beside it says
    why_not: str  # "by", "from": a change or a starting point, not a target


@dataclass(frozen=True)
class _Pair:
    mention: _Mention
    number: _Number


def read_goal(text: str) -> Stated:
    """The objective in a Goal, as far as it is stated beyond doubt."""
    sentences = _sentences(text)
    ranges = [match[0] for sentence in sentences for match in _RANGE.finditer(sentence)]
    sentences = [_RANGE.sub(" ", sentence) for sentence in sentences]
    mentions = [mention for sentence in sentences for mention in _mentions(sentence)]
    pairs = [pair for sentence in sentences for pair in _pairs(sentence)]
    notices = tuple(f"Goal: the range {shown} is not taken for a target: {HOW_TO_STATE}" for shown in ranges)
    wanted = [pair for pair in pairs if not pair.mention.constraint and not pair.number.why_not]
    notices += tuple(_unused(pairs, wanted, sentences))
    stated = _from_pairs(wanted, text) if wanted else _from_mentions(mentions, text)
    said_already = notices and stated.notices == (_NOT_UNDERSTOOD,)
    return replace(stated, notices=notices if said_already else notices + stated.notices)


def read_current_best(text: str, goal: Stated) -> Best:
    """The number under "Current Best", of the goal's metric when one is known."""
    if _NOTHING.fullmatch(" ".join(re.findall(r"\w+", text[:LONGEST].lower()))):
        return Best()
    sentences = [sentence for line in text[:LONGEST].split("\n") for sentence in _sentences(line)]
    numbers = [number for sentence in sentences for number in _numbers(sentence)]
    pairs = [pair for sentence in sentences for pair in _pairs(sentence)]
    if goal.metric is not None:
        mine = [pair.number for pair in pairs if same_metric(pair.mention.name, goal.metric)]
        if pairs and not mine:
            others = _listed(pair.mention.name for pair in pairs)
            return _no_best(f"it gives {others}, the Goal is about {goal.metric}")
        numbers = mine or numbers
    return _one_best(numbers, goal)


def same_metric(a: str, b: str) -> bool:
    """Do two names mean one metric? "val acc" is "validation accuracy"; "accuracy" alone is any split's."""
    first, second = _canonical(a), _canonical(b)
    splits = frozenset({"validation", "test", "train"})
    if first == second:
        return True
    return first - splits == second - splits and not (first & splits and second & splits)


def _canonical(name: str) -> frozenset[str]:
    spelled = {
        "acc": "accuracy", "val": "validation", "valid": "validation", "dev": "validation", "eval": "validation",
        "evaluation": "validation", "testing": "test", "training": "train", "ppl": "perplexity",
    }  # fmt: skip
    words = re.findall(r"[a-z0-9²@^]+", _TOP_ONE.sub("", name.lower()))
    return frozenset(spelled.get(word, word) for word in words)


def _from_pairs(pairs: list[_Pair], text: str) -> Stated:
    metrics = {_canonical(pair.mention.name): pair.mention.name for pair in pairs}
    if len(metrics) > 1:
        targets = _listed(f"{pair.mention.name} {pair.number.text}" for pair in pairs)
        return Stated(notices=(f"Goal: several targets ({targets}), none is taken: {HOW_TO_STATE}",))
    pair = pairs[0]
    direction, notices = _direction(pair, text)
    values = {_scaled(each.number) for each in pairs}
    if len(values) > 1:
        targets = _listed(each.number.text for each in pairs)
        notices += (f"Goal: several targets for {pair.mention.name} ({targets}), none is taken: {HOW_TO_STATE}",)
        return Stated(pair.mention.name, direction, notices=notices)
    return Stated(pair.mention.name, direction, _scaled(pair.number), pair.number.percent, notices)


def _direction(pair: _Pair, text: str) -> tuple[str | None, tuple[str, ...]]:
    mention = pair.mention
    said = pair.number.way or (mention.way if mention.way != "seek" else None) or _said_in_words(text)
    if said is None and mention.family is None:
        return None, (f"Goal: whether a higher or a lower {mention.name} is better is not said: {HOW_TO_STATE}",)
    if said and mention.family and said != mention.family:
        usual = "higher" if mention.family == "max" else "lower"
        return said, (
            f"Goal: a {usual} {mention.name} is usually better, the Goal asks for the contrary: taken as written",
        )
    return said or mention.family, ()


def _said_in_words(text: str) -> str | None:
    """ "(lower is better)" """
    said = {
        word.lower() for word in re.findall(r"\b(higher|lower|larger|smaller) is better", text[:LONGEST], re.IGNORECASE)
    }
    if len(said) != 1:
        return None
    return "max" if said <= {"higher", "larger"} else "min"


def _from_mentions(mentions: list[_Mention], text: str) -> Stated:
    """No target is tied to a metric: is there one metric that a verb names, or only one at all?"""
    free = [mention for mention in mentions if not mention.constraint]
    said = _said_in_words(text)
    governed = [mention for mention in free if mention.way and (mention.family or said or mention.way != "seek")]
    sure = [mention for mention in free if mention.sure]
    candidates = governed or sure
    names = {_canonical(mention.name): mention for mention in candidates}
    if len(names) > 1:
        listed = _listed(mention.name for mention in names.values())
        return Stated(notices=(f"Goal: several metrics ({listed}), none is taken: {HOW_TO_STATE}",))
    if not candidates:
        return Stated(notices=(_NOT_UNDERSTOOD,))
    number = _Number("", 0, 0, 0.0, percent=False, way=None, why_not="")
    direction, notices = _direction(_Pair(candidates[0], number), text)
    if not governed:
        notices = (
            f"Goal: it names {candidates[0].name} only: taken as the metric ({direction}), without a target",
            *notices,
        )
    return Stated(candidates[0].name, direction, notices=notices)


_NOT_UNDERSTOOD = (
    'Goal: no metric was understood (looked for words such as "reach 78% accuracy", "FID below 15", "minimise WER"): '
    + HOW_TO_STATE
)


def _unused(pairs: list[_Pair], wanted: list[_Pair], sentences: list[str]) -> list[str]:
    """Numbers that look like targets and are not used are said, so that nobody waits for them."""
    conditions = [pair for pair in pairs if pair.mention.constraint and not pair.number.why_not]
    notices = [
        f"Goal: the condition on {pair.mention.name} ({pair.number.text}) is not enforced by the harness"
        for pair in conditions
    ]
    changes = [n for sentence in sentences for n in _numbers(sentence, units=True) if n.why_not == "by" and n.percent]
    if changes and not wanted:
        notices.append(f'Goal: a change "by {changes[0].text}" is not a target: {HOW_TO_STATE}')
    tied = {pair.number.text for pair in pairs}
    loose = [n for sentence in sentences for n in _numbers(sentence) if (n.percent or n.way) and not n.why_not]
    if not wanted and loose and not tied:
        notices.append(f"Goal: {loose[0].text} is not tied to a metric: {HOW_TO_STATE}")
    return notices


def _one_best(numbers: list[_Number], goal: Stated) -> Best:
    if not numbers:
        return _no_best("no number in it was understood")
    values = {_best_value(number, goal): number for number in numbers}
    notices: tuple[str, ...] = ()
    chosen = next(iter(values))
    if len(values) > 1:
        listed = _listed(number.text for number in numbers)
        if goal.direction is None:
            return _no_best(f"several numbers ({listed})")
        chosen = max(values) if goal.direction == "max" else min(values)
        notices = (f"Current Best: several numbers ({listed}): the best of them, {values[chosen].text}, is the bar",)
    number = values[chosen]
    if goal.percent and not number.percent and chosen != number.value:
        notices += (f"Current Best: {number.text} is read as a percentage, as the Goal's target is one",)
    return Best(chosen, number.percent or chosen != number.value, notices)


def _best_value(number: _Number, goal: Stated) -> float:
    """In the target's convention: a fraction beside "78%", a percentage beside a bare 78."""
    bare_target = goal.target is not None and not goal.percent and abs(goal.target) > 1
    if number.percent:
        return number.value if bare_target else _scaled(number)
    if goal.percent and number.value > 1:
        return _fraction(number.value)
    return number.value


def _no_best(why: str) -> Best:
    return Best(notices=(f"Current Best: {why}: no bar is set; write one number, such as `72.3% accuracy`, or `none`",))


# --- finding ------------------------------------------------------------------------------------------------------


def _sentences(text: str) -> list[str]:
    """Sentences and list items, each on one line, without Markdown emphasis and links."""
    plain = re.sub(r"\[([^\[\]\n]*)\]\([^()\n]*\)", r"\1", text[:LONGEST]).replace("*", "")
    plain = re.sub(r"(?<!\w)_+|_+(?!\w)", "", plain)
    return [" ".join(sentence.split()) for sentence in _SENTENCE.split(plain) if sentence.strip()]


def _mentions(sentence: str) -> list[_Mention]:
    found = []
    for match in _MENTION.finditer(sentence):
        name, family = _named(match)
        before = sentence[max(0, match.start() - 80) : match.start()]
        if not name or re.search(r"\b(?:mixed|half|full|single|double|numerical)[ -]$", before, re.IGNORECASE):
            continue
        constraint = bool(_CONSTRAINT.search(before))
        found.append(_Mention(name, match.start(), match.end(), family, _way(before), constraint))
    return found


def _named(match: re.Match[str]) -> tuple[str, str | None]:
    """The metric's name as the training is likely to print it, and its family; "" when it is no metric."""
    written = match["code"] or match["identifier"]
    if written is None:
        return _plain_name(match), "min" if match["min"] else "max"
    family = _family_of(written)
    is_file = re.search(r"\.[A-Za-z]{1,4}$", written)
    is_path = "/" in written and not family
    return ("", None) if is_file or is_path else (written, family)


def _family_of(identifier: str) -> str | None:
    for part in reversed(re.split(r"[_/]", identifier)):
        if match := _FAMILY.fullmatch(part):
            return "min" if match["min"] else "max"
    return None


def _plain_name(match: re.Match[str]) -> str:
    """Ordinary words in lower case, acronyms as written; "top-1" says nothing that "accuracy" does not."""
    qualifiers = _TOP_ONE.sub("", match["qualifiers"].lower()).split()
    head = _TOP_ONE.sub("", match["min"] or match["max"]).strip(" -") or "accuracy"
    if re.fullmatch(r"top[ -]?\d+", head, re.IGNORECASE):
        head = f"{head} accuracy"
    words = [word.lower() if word.istitle() and len(word) > 3 else word for word in head.split()]
    return " ".join([*(word.strip("-") for word in qualifiers), *words])


def _way(before: str) -> str | None:
    if _RAISES.search(before):
        return "max"
    if _LOWERS.search(before):
        return "min"
    return "seek" if _SEEKS.search(before) else None


def _numbers(sentence: str, *, units: bool = False) -> list[_Number]:
    """Numbers that could be values of a metric: not "4 GPUs", "seed 0", "ResNet-18"."""
    found = []
    for match in _NUMBER.finditer(sentence):
        before, after = sentence[max(0, match.start() - 60) : match.start()], sentence[match.end() : match.end() + 40]
        counted = _UNIT.match(after) or _COUNTED.search(before) or re.search(r"[$€£]$", before)
        value = float(match["value"].replace(",", ""))
        if (counted and not units) or abs(value) == float("inf"):
            continue
        why_not = _NOT_A_TARGET.search(before)
        way = _compared(before, after) or ("max" if match["plus"] else None)
        found.append(
            _Number(
                match[0].strip(),
                match.start(),
                match.end(),
                value,
                bool(match["percent"]),
                way,
                why_not["why"].lower() if why_not else "",
            )
        )
    return found


def _compared(before: str, after: str) -> str | None:
    match = _BEFORE.search(before) or _AFTER.match(after)
    return match.lastgroup if match else None


def _pairs(sentence: str) -> list[_Pair]:
    """Numbers with the metric that they belong to."""
    mentions, numbers = _mentions(sentence), _numbers(sentence)
    found = [_pair(sentence, mentions, numbers, number) for number in numbers]
    pairs = [pair for pair in found if pair is not None]
    return [each for pair in pairs for each in (*_shared(sentence, mentions, pair), pair)]


def _shared(sentence: str, mentions: list[_Mention], pair: _Pair) -> list[_Pair]:
    """ "accuracy and F1 above 0.9": the number is the first one's as well."""
    index = mentions.index(pair.mention)
    if not index or pair.number.end <= pair.mention.start:
        return []
    other = mentions[index - 1]
    return [_Pair(other, pair.number)] if _JOINED.fullmatch(sentence[other.end : pair.mention.start]) else []


def _pair(sentence: str, mentions: list[_Mention], numbers: list[_Number], number: _Number) -> _Pair | None:
    """ "78% accuracy" before "accuracy of 78%": the name right behind a number is its own."""
    following = next((mention for mention in mentions if mention.start >= number.end), None)
    if following is not None and not re.match(r"\s*[:=]", sentence[following.end : following.end + 3]):
        gap = sentence[number.end : following.start]
        qualifier = _AFTER.match(gap)
        if _TO_NEXT_METRIC.fullmatch(gap[qualifier.end() :] if qualifier else gap):
            return _Pair(following, number)
    preceding = next((mention for mention in reversed(mentions) if mention.end <= number.start), None)
    if preceding is None or _taken_before(numbers, preceding, number):
        return None
    gap = sentence[preceding.end : number.start]
    linked = len(gap) <= 100 and _TO_NUMBER.fullmatch(gap) and not _BREAKS_LINK.search(gap)
    return _Pair(preceding, number) if linked else None


def _taken_before(numbers: list[_Number], mention: _Mention, number: _Number) -> bool:
    """Is there a value between the two that the metric would rather belong to?"""
    return any(mention.end <= n.start < number.start and (n.percent or n.way) and not n.why_not for n in numbers)


def _scaled(number: _Number) -> float:
    return _fraction(number.value) if number.percent else number.value


def _fraction(percentage: float) -> float:
    return round(percentage / 100, 12)


def _listed(items: Iterable[str]) -> str:
    unique = list(dict.fromkeys(items))
    return ", ".join(unique[:4]) + (", ..." if len(unique) > 4 else "")
