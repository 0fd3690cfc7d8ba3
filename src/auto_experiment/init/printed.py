"""Metrics that a training's source says it will print or log: each literal name, and on which line it stands.

A line that is printed is written out with numbers in the places of its values and given to the log reader, so that a
name is found here as it will be read from the log later.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auto_experiment.init.modules import Code, nodes
from auto_experiment.script_options.option import called, constant, last_word
from auto_experiment.watch.metrics.reader import LogReader

_PRINTS = {"info", "write", "echo", "warning", "set_postfix_str", "set_description", "set_description_str", "logging"}
_DICTS = {"log", "log_dict", "log_metrics", "log_scalars", "report", "set_postfix", "logkv_mean", "write_scalars"}
_NAMED = {"log", "add_scalar", "log_metric", "scalar", "log_value", "logkv", "track"}
_METRIC = re.compile(r"[A-Za-z][\w/@. -]{0,60}")
_MOST_LINES = 400
_VALUE, _COUNT, _TIME = "0.5123", "3", "3.2"
_COUNTER = re.compile(r"(?i)(?:^|_)(?:epochs?|steps?|iters?|iterations?|i|it|idx|index|batch|round|seed|fold)(?:$|_)")
_AMOUNT = re.compile(r"(?i)(?:^|_)(?:len|total|num|n|max|count|size)(?:$|_)")
_DURATION = re.compile(r"(?i)time|elapsed|duration|seconds|\bdt\b|speed|throughput|memory")
_SPLIT = re.compile(r"(?i)split|stage|phase|mode|prefix")
_PERCENT = re.compile(r"%(?:\(\w+\))?[-+ #0]*\d*(?:\.\d+)?([a-zA-Z%])")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Told:
    """``how``: printed, or the call that logs it. ``watched``: a callback or the Trainer goes by it."""

    name: str
    place: str
    how: str = "printed"
    watched: bool = False


def told_by(code: Code) -> list[Told]:
    """Every name once, where it stands first; printed ones before those that are only logged."""
    found: dict[str, Told] = {}
    watched: set[str] = set()
    calls = [(path, call) for path, call in _calls(code)][: _MOST_LINES * 10]
    dictionaries = _dictionaries(code)
    lines = 0
    for path, call in calls:
        if (text := _line(call, dictionaries)) and lines < _MOST_LINES:
            lines += 1
            for name in _read(text):
                found.setdefault(name, Told(name, f"{path}:{call.lineno}"))
    for path, call in calls:
        for name in _logged(call, dictionaries):
            found.setdefault(name, Told(name, f"{path}:{call.lineno}", called(call)))
        watched |= set(_watched(call))
    for told in [*_keras(calls), *_trainer(code, calls)]:
        found.setdefault(told.name, told)
    return [Told(t.name, t.place, t.how, t.name in watched or f"eval_{t.name}" in watched) for t in found.values()]


def _calls(code: Code) -> Iterator[tuple[str, ast.Call]]:
    for path, piece in code.pieces:
        calls = [node for node in nodes(piece) if isinstance(node, ast.Call)]
        yield from ((path, call) for call in sorted(calls, key=lambda c: (c.lineno, c.col_offset)))


def _dictionaries(code: Code) -> dict[str, ast.Dict]:
    """What is given to a name: a dictionary that is written out."""
    found: dict[str, ast.Dict] = {}
    for _, piece in code.pieces:
        for node in nodes(piece):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and len(node.targets) == 1:
                target = node.targets[0]
                if isinstance(target, ast.Name):
                    found[target.id] = node.value
    return found


# -- lines that are printed ---------------------------------------------------------------------------------------


def _line(call: ast.Call, dictionaries: Mapping[str, ast.Dict]) -> str:
    name = called(call)
    if name == "set_postfix":
        pairs = [f"{k.arg}={_VALUE}" for k in call.keywords if k.arg and k.arg not in ("refresh", "ordered_dict")]
        return ", ".join(pairs)
    if not ("print" in name.lower() or name in _PRINTS) or name == "pprint":
        return ""
    first = _text(call.args[0], dictionaries) if call.args else ""
    if len(call.args) > 1 and name in _PRINTS and _PERCENT.search(first):  # logging's way
        return _PERCENT.sub(lambda m: "%" if m[1] == "%" else _number("", m[1]), first)[:2000]
    return " ".join(_text(argument, dictionaries) for argument in call.args)[:2000]


def _text(node: ast.expr, dictionaries: Mapping[str, ast.Dict], depth: int = 0) -> str:
    """What is printed for an expression, with a likely number for what is only known when it runs."""
    if depth > 20:
        return ""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value, dictionaries, depth + 1) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        spec = (
            "".join(str(constant(v)) for v in node.format_spec.values)
            if isinstance(node.format_spec, ast.JoinedStr)
            else ""
        )
        value = _number(_words(node.value), spec[-1:])
        return f"{value}%" if spec.endswith("%") else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return _PERCENT.sub(
            lambda m: "%" if m[1] == "%" else _number("", m[1]), _text(node.left, dictionaries, depth + 1)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, dictionaries, depth + 1) + _text(node.right, dictionaries, depth + 1)
    if isinstance(node, ast.Call):
        if called(node) == "format" and isinstance(node.func, ast.Attribute):
            return _formatted(node, dictionaries)
        if called(node) in ("dumps", "str", "dict", "join", "round", "item") and node.args:
            return _text(node.args[0], dictionaries, depth + 1)
    known = dictionaries.get(node.id) if isinstance(node, ast.Name) else node
    if isinstance(known, ast.Dict):
        return json.dumps({key: float(_number(key, "")) for key in _keys(known)})
    return _number(_words(node), "")


def _formatted(call: ast.Call, dictionaries: Mapping[str, ast.Dict]) -> str:
    """``"epoch {} loss {:.3f}".format(epoch, loss)``"""
    assert isinstance(call.func, ast.Attribute)  # noqa: S101  the caller has looked
    values = iter(call.args)

    def one(match: re.Match[str]) -> str:
        value = next(values, None)
        name, _, spec = match[1].partition(":")
        words = _words(value) if value is not None and not name.strip("0123456789") else name
        return _number(words, spec[-1:])

    return _BRACES.sub(one, _text(call.func.value, dictionaries))


def _words(node: ast.expr) -> str:
    """The names in an expression, joined: "losses_val" of ``losses["val"]``."""
    words = [
        getattr(n, "id", None) or getattr(n, "attr", None) or (n.value if isinstance(n, ast.Constant) else None)
        for n in ast.walk(node)
        if isinstance(n, (ast.Name, ast.Attribute, ast.Constant))
    ]
    return "_".join(str(word) for word in words if isinstance(word, str))


def _number(words: str, kind: str) -> str:
    if _SPLIT.search(words) and not kind:
        return "val"
    if _DURATION.search(words):
        return _TIME
    if kind == "d" or _COUNTER.search(words):
        return _COUNT
    if not kind and _AMOUNT.search(words):
        return "100"
    return "name" if kind == "s" else _VALUE


def _read(text: str) -> list[str]:
    reader = LogReader(tail_lines=0)
    reader.feed(text.encode("utf-8", "replace") + b"\n")
    reader.finish()
    return list(reader.series)


# -- names that are logged ----------------------------------------------------------------------------------------


def _logged(call: ast.Call, dictionaries: Mapping[str, ast.Dict]) -> Iterator[str]:
    name = called(call)
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return
    first = call.args[0]
    if name in _NAMED and len(call.args) + len(call.keywords) > 1 and (text := _name(first)):
        yield text
    if name in _DICTS:
        known = dictionaries.get(first.id) if isinstance(first, ast.Name) else first
        if isinstance(known, ast.Dict):
            yield from _keys(known)


def _keys(node: ast.Dict) -> list[str]:
    return [name for key in node.keys if key is not None and (name := _name(key))]


def _name(node: ast.expr) -> str:
    """A metric's name that is written out, at most with the split in a variable."""
    if isinstance(node, ast.JoinedStr):
        unknown = [v for v in node.values if isinstance(v, ast.FormattedValue) and not _SPLIT.search(_words(v.value))]
        text = "" if unknown else "".join(_text(value, {}) for value in node.values)
    else:
        value = constant(node)
        text = value if isinstance(value, str) else ""
    return text if _METRIC.fullmatch(text) else ""


def _watched(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        value = constant(keyword.value)
        if keyword.arg in ("monitor", "metric_for_best_model") and isinstance(value, str):
            yield value
            if keyword.arg == "metric_for_best_model" and not value.startswith("eval_"):
                yield f"eval_{value}"


# -- frameworks that print by themselves --------------------------------------------------------------------------


def _keras(calls: list[tuple[str, ast.Call]]) -> Iterator[Told]:
    compiled = [(path, call) for path, call in calls if called(call) == "compile" and call.keywords]
    fits = [call for _, call in calls if called(call) == "fit"]
    validated = any(k.arg in ("validation_data", "validation_split") for call in fits for k in call.keywords)
    for path, call in compiled:
        given = {k.arg: k.value for k in call.keywords}
        if not fits or not given.keys() & {"loss", "metrics"}:
            continue
        listed = given.get("metrics")
        items = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []
        names = [str(constant(i)) if isinstance(i, ast.Constant) else _keras_name(i) for i in items]
        for name in [*filter(None, names), "loss"]:
            for full in ([f"val_{name}"] if validated else []) + [name]:
                yield Told(full, f"{path}:{call.lineno}", "compile")


def _keras_name(node: ast.expr) -> str:
    word = called(node) if isinstance(node, ast.Call) else last_word(node)
    given = [k.value for k in node.keywords if k.arg == "name"] if isinstance(node, ast.Call) else []
    if given and isinstance(text := constant(given[0]), str):
        return text
    return "accuracy" if word.endswith("Accuracy") and "TopK" not in word else word.lower()


def _trainer(code: Code, calls: list[tuple[str, ast.Call]]) -> Iterator[Told]:
    """The Hugging Face Trainer logs eval_loss, and eval_... of what compute_metrics answers."""
    trainers = [
        (path, call) for path, call in calls if called(call).endswith("Trainer") and called(call) != "Trainer()"
    ]
    words = {k.arg for _, call in trainers for k in call.keywords}
    if not trainers or not words & {"train_dataset", "eval_dataset", "args", "compute_metrics"}:
        return
    path, first = trainers[0]
    loads = {
        str(constant(c.args[0]))
        for _, c in calls
        if called(c) in ("load", "load_metric") and c.args and isinstance(constant(c.args[0]), str)
    }
    for place, piece in code.pieces:
        for node in nodes(piece):
            if isinstance(node, ast.FunctionDef) and "metric" in node.name:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        names = _keys(inner.value) if isinstance(inner.value, ast.Dict) else []
                        computed = isinstance(inner.value, ast.Call) and called(inner.value) == "compute"
                        for name in names or (sorted(loads) if computed else []):
                            yield Told(f"eval_{name}", f"{place}:{inner.lineno}", "compute_metrics")
    if "eval_dataset" in words:
        yield Told("eval_loss", f"{path}:{first.lineno}", "Trainer")
