"""Settings of a script that are not options of its parser: Hydra's files, Lightning's CLI, constants, YAML files."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice

from auto_experiment.init.looking import Look
from auto_experiment.init.modules import Code, nodes
from auto_experiment.script_options import ScriptOption
from auto_experiment.script_options.option import (
    arithmetic,
    called,
    constant,
    constants_of,
    last_word,
    text_of,
    written,
)
from auto_experiment.script_options.signatures import definitions_in, parameters_of
from auto_experiment.yaml_file import loose_mapping

_LARGEST = 32 * 1024
_MOST = 300
_DEEPEST = 5
_SETTING_FILE = (".yaml", ".yml")


def hydra(look: Look, code: Code) -> tuple[ScriptOption, ...] | None:
    """The keys of the primary config and of the groups that its defaults name; None when the script is not Hydra's."""
    main = next((d for d in _decorators(code.tree) if _is_hydra(d)), None)
    if main is None:
        return None
    given = {k.arg: constant(k.value) for k in main.keywords}
    values = [given.get("config_path"), given.get("config_name")]
    positional = [constant(argument) for argument in main.args]
    folder, name = (values[0] or (positional[0] if positional else None), values[1])
    if not isinstance(name, str):
        name = "config"
    here = code.path.rpartition("/")[0]
    top = os.path.normpath(os.path.join(here, folder)) if isinstance(folder, str) else here
    top = "" if top == "." else top
    found = dict(_composed(look, top, name.removesuffix(".yaml")))
    if not found:
        return _structured(code)
    return tuple(_setting(key, value, place) for key, (value, place) in list(found.items())[:_MOST])


def _decorators(tree: ast.Module) -> Iterator[ast.Call]:
    for node in nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from (d for d in node.decorator_list if isinstance(d, ast.Call))


def _is_hydra(call: ast.Call) -> bool:
    return called(call) in ("main", "hydra_main", "hydra_runner") and any(
        k.arg in ("config_path", "config_name", "version_base") for k in call.keywords
    )


def _composed(look: Look, top: str, name: str, depth: int = 0) -> Iterator[tuple[str, tuple[object, str]]]:
    """(dotted key, (value, file)), those of the defaults first: what comes later counts."""
    path = _yaml(look, top, name)
    document = loose_mapping(look.text(path, _LARGEST)) if path else {}
    for entry in document.get("defaults") or () if depth < _DEEPEST else ():
        if isinstance(entry, str) and entry != "_self_":
            yield from _composed(look, top, entry, depth + 1)
        elif isinstance(entry, dict):
            for group, choice in entry.items():
                if isinstance(choice, str) and isinstance(group, str):
                    plain = group.replace("override ", "").replace("optional ", "").partition("@")[0].strip("/")
                    if plain.startswith("hydra"):
                        continue
                    inner = _yaml(look, top, f"{plain}/{choice}")
                    own = look.text(inner, _LARGEST) if inner else ""
                    at_top = re.search(r"#\s*@package\s+_global_", own) is not None
                    prefix = "" if at_top else plain.replace("/", ".") + "."
                    yield from ((prefix + key, value) for key, value in _flat_of(loose_mapping(own), inner or ""))
    yield from _flat_of({k: v for k, v in document.items() if k not in ("defaults", "hydra")}, path or "")


def _yaml(look: Look, top: str, name: str) -> str | None:
    stem = f"{top}/{name}" if top else name
    return next((stem + ending for ending in ("", *_SETTING_FILE) if stem + ending in look.files), None)


def _flat_of(document: Mapping[str, object], place: str) -> Iterator[tuple[str, tuple[object, str]]]:
    yield from ((key, (value, place)) for key, value in islice(flat(document), _MOST))


def flat(document: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Dotted keys with scalars."""
    for key, value in list(document.items())[:_MOST]:
        full = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from flat(value, f"{full}.", depth + 1)
        elif isinstance(value, (int, float, str, bool)) and not str(key).startswith("_"):
            yield full, value


def _setting(key: str, value: object, place: str = "") -> ScriptOption:
    kind = type(value).__name__
    text = str(value)
    return ScriptOption(key, text if len(text) <= 40 else "", kind=kind, flag=kind == "bool", help=place)


def _structured(code: Code) -> tuple[ScriptOption, ...]:
    """``cs.store(name="config", node=Config)``"""
    definitions = definitions_in(list(code.trees.values()))
    known = constants_of(list(code.trees.values()))
    for _, piece in code.pieces:
        for node in nodes(piece):
            if isinstance(node, ast.Call) and called(node) == "store":
                given = {k.arg: k.value for k in node.keywords}
                config = definitions.get(last_word(given.get("node")))
                if config is not None and "group" not in given:
                    return tuple(
                        ScriptOption(
                            o.name[2:], o.default, o.choices, o.help, o.kind, o.flag, o.required, o.many, o.line
                        )
                        for o in parameters_of(config, definitions, known, "")
                    )
    return ()


def lightning_cli(code: Code) -> tuple[ScriptOption, ...] | None:
    """``LightningCLI(Model, Data)``: --model.NAME and --data.NAME; None when the script has none."""
    call = next(
        (
            n
            for _, piece in code.pieces
            for n in nodes(piece)
            if isinstance(n, ast.Call) and called(n) == "LightningCLI"
        ),
        None,
    )
    if call is None:
        return None
    given = {k.arg: k.value for k in call.keywords}
    parts = {"model": given.get("model_class"), "data": given.get("datamodule_class")}
    for name, value in zip(parts, call.args, strict=False):
        parts[name] = parts[name] or value
    trees = list(code.trees.values())
    definitions, known = definitions_in(trees), constants_of(trees)
    found: list[ScriptOption] = []
    for name, part in parts.items():
        definition = definitions.get(last_word(part))
        if definition is not None:
            found += parameters_of(definition, definitions, known, f"{name}.")
    return tuple(found)


def is_configurator(code: Code) -> bool:
    """nanoGPT's way: globals are replaced by ``--name=value`` and by files of assignments."""
    return any(
        isinstance(node, ast.Call)
        and called(node) == "exec"
        and any(isinstance(inner, ast.Call) and called(inner) == "open" for inner in ast.walk(node))
        for node in nodes(code.tree)
    )


def constants(tree: ast.Module, prefix: str = "") -> tuple[ScriptOption, ...]:
    """Numbers that are given to a name at the top of a script, before anything else may have used it."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.If):  # the main guard, or code that has begun
            break
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
            number = arithmetic(value)
            if number is not None or isinstance(constant(value), str):
                name = targets[0].id
                kind = type(number).__name__ if number is not None else "str"
                found[name] = ScriptOption(prefix + name, written(value), kind=kind, line=node.lineno)
    return tuple(found.values())


def takes_words(code: Code) -> bool:
    """``OmegaConf.from_cli()`` and the like: name=value on the command line."""
    return any(
        isinstance(node, ast.Call)
        and called(node) in ("from_cli", "from_dotlist", "merge_with_dotlist", "merge_with_cli")
        for _, piece in code.pieces
        for node in nodes(piece)
    )


def config_file(look: Look, options: tuple[ScriptOption, ...], command: str) -> str | None:
    """The YAML file that a ``--config`` option names, by its default or in the command."""
    for option in options:
        if re.search(
            r"(?:^|[-_.])(?:config|cfg|conf|config_file|hparams|params|opt)$", option.name.lstrip("-").lower()
        ):
            match = re.search(rf"{re.escape(option.name)}[= ](\S+)", command)
            path = (match[1] if match else option.default).removeprefix("./")
            if path.endswith(_SETTING_FILE) and path in look.files:
                return path
    return None


def settings_of(look: Look, path: str) -> tuple[ScriptOption, ...]:
    found = flat(loose_mapping(look.text(path, _LARGEST)))
    return tuple(_setting(key, value, path) for key, value in islice(found, _MOST))


def opened_config(look: Look, code: Code) -> str | None:
    """A YAML file that stands in the source: ``open("config.yaml")``."""
    for node in nodes(code.tree):
        if isinstance(node, ast.Constant) and (text := text_of(node)).endswith(_SETTING_FILE):
            path = os.path.normpath(text)
            if path in look.files:
                return path
    return None
