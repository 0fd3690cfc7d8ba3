"""Which of a project's Python files train something, the likeliest first. By name, place, and what stands in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from auto_experiment.init.looking import LARGEST, File, Look
from auto_experiment.init.modules import Sources, nodes
from auto_experiment.script_options.option import called, last_word

_MOST = 300  # files that are looked into
_NEVER = re.compile(
    r"(?i)(?:^|[_-])tests?(?:[_-]|$)|^(?:setup|conftest|noxfile|fabfile|tasks|__init__|hubconf|versioneer|conf|utils?|helpers?"
    r"|constants?|types|configurator)$"
)
_TEST_FOLDER = re.compile(r"(?i)(?:^|/)(?:tests?|testing|docs?|examples?_tests?|benchmarks?|migrations)(?:/|$)")
_TRAINS = re.compile(
    r"(?i)(?:^|[_ -])(?:train(?:er|ing)?|fit|pre_?train(?:ing)?|fine_?tun(?:e|ing)|learn)(?:[_ -]|\d|$)"
)
_STARTS = re.compile(r"(?i)^(?:main|run|experiment|launch|start|app|cli)$|^run_|^main_|_main$")
_OTHER = re.compile(
    r"(?i)(?:^|[_-])(?:eval\w*|valid\w*|infer\w*|predict\w*|demo|sample\w*|generate\w*|export\w*|convert\w*|prepare\w*|preprocess\w*"
    r"|download\w*|plot\w*|visuali\w*|analy\w*|bench\w*|serve\w*|deploy|sweep|tune|search|launch\w*|submit\w*|score|metrics?|models?"
    r"|networks?|modules?|data\w*|layers?|loss\w*|optim\w*|options?|config\w*|args|engine)(?:[_-]|$)"
)
_STEPS = {"backward", "zero_grad", "train_on_batch", "apply_gradients", "apply_updates", "train_epoch", "partial_fit"}
_FITS = {"fit", "Trainer", "LightningCLI", "Seq2SeqTrainer", "SFTTrainer", "fit_generator", "fit_one_cycle", "learn"}
_LIBRARIES = {
    "torch", "tensorflow", "keras", "jax", "flax", "optax", "pytorch_lightning", "lightning", "transformers", "sklearn",
    "xgboost", "lightgbm", "catboost", "mxnet", "paddle", "fastai", "timm", "accelerate", "stable_baselines3", "numpy",
    "tinygrad", "mlx", "datasets", "trl",
}  # fmt: skip
_PARSERS = {
    "ArgumentParser", "parse_args", "parse_known_args", "HfArgumentParser", "option", "DEFINE_float", "DEFINE_integer",
    "cli", "Fire", "main", "CLI",
}  # fmt: skip
_STARTED = re.compile(r"__name__|^(?:for|while) |^@|^[A-Za-z_][\w.]*\(", re.MULTILINE)  # else nothing happens in it
_LOOP = re.compile(r"(?i)epoch|step|iter")
_NAMES_A_TRAINING = 40
_LEAST = 30


@dataclass(frozen=True)
class Script:
    path: str
    score: int


def training_scripts(look: Look, sources: Sources, named: Mapping[str, int], ignored: frozenset[str]) -> list[Script]:
    """``named``: scripts that a command of the project runs -> how much that says. ``ignored``: by git."""
    files = [f for f in look.named(".py") if _may_be(f, ignored)]
    files.sort(key=lambda f: (-_by_name(f), f.path.count("/"), f.path))
    found = []
    for file in files[:_MOST]:
        if look.over:
            look.note(f"not all of {len(files):,} Python files were looked into")
            break
        if file.size > LARGEST:
            look.note(f"{file.path} is larger than {LARGEST // 1024} KB and was not looked into")
        if not 0 < file.size <= LARGEST:
            continue
        if not _STARTED.search(look.text(file.path)):
            continue
        tree = sources.tree(file.path)
        inside = _by_content(tree, file.stem) if tree else 0
        if tree is None or not inside:
            continue
        score = _by_name(file) + inside + min(named.get(file.path, 0), 40)
        if score >= _LEAST:
            found.append(Script(file.path, score))
    if len(files) > _MOST:
        look.note(f"{_MOST} of {len(files):,} Python files were looked into")
    return sorted(found, key=lambda one: (-one.score, one.path.count("/"), one.path))


def _may_be(file: File, ignored: frozenset[str]) -> bool:
    if _NEVER.search(file.stem) or _TEST_FOLDER.search(file.folder):
        return False
    parts = file.path.split("/")
    return not any("/".join(parts[: n + 1]) in ignored for n in range(len(parts)))


def _by_name(file: File) -> int:
    stem = "train" if file.stem == "__main__" else file.stem
    score = -8 * file.path.count("/")
    if _TRAINS.search(stem):
        score += _NAMES_A_TRAINING + (10 if stem.lower() == "train" else 0)
    elif _STARTS.search(stem):
        score += 20
    if _OTHER.search(stem):
        score -= 35
    return score


def _by_content(tree: ast.Module, stem: str) -> int:
    """0 for what trains nothing or is not started."""
    calls = {called(node) for node in nodes(tree) if isinstance(node, ast.Call)}
    imported = _imported(tree)
    started = any(_is_main_guard(node) for node in tree.body)
    at_top = any(isinstance(node, (ast.For, ast.While)) for node in tree.body)
    at_top = at_top or any(isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) for n in tree.body)
    decorated = any(
        last_word(d.func if isinstance(d, ast.Call) else d) in ("main", "command")
        for n in tree.body
        if isinstance(n, ast.FunctionDef)
        for d in n.decorator_list
    )
    if not (started or at_top or decorated):
        return 0
    score = 10 * bool(calls & _STEPS) + 15 * bool(calls & _FITS) + 5 * bool(imported & _LIBRARIES)
    score += 10 * any("optim" in name.lower() or name in ("SGD", "Adam", "AdamW") for name in calls)
    score += 10 * any(_is_epoch_loop(node) for node in nodes(tree))
    score += 10 * any(_TRAINS.search(name) is not None for name in calls)
    score += _TRAINS.search(stem) is not None  # it may leave all of the work to its modules
    if not score:
        return 0
    return score + 10 * started + 10 * bool(calls & _PARSERS) + 5 * decorated


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test))


def _is_epoch_loop(node: ast.AST) -> bool:
    if isinstance(node, ast.For):
        names = [n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)]
        return any(_LOOP.search(name) for name in names)
    return (
        isinstance(node, ast.While)
        and any(isinstance(n, ast.Name) and _LOOP.search(n.id) for n in ast.walk(node))
        and isinstance(node.test, (ast.Constant, ast.Compare))
    )
