"""Which options a training script takes, read from its source: argparse, click, typer, absl, and the classes and
functions of which HfArgumentParser, tyro, simple-parsing, fire and their like make options.

Nothing is imported or run. What is put together at run time (names in a loop, Hydra's files) is not seen.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence

from auto_experiment.script_options.calls import options_of_calls
from auto_experiment.script_options.option import ScriptOption, parsed
from auto_experiment.script_options.signatures import options_of_signatures

__all__ = ["ScriptOption", "options_in", "parsed", "script_options"]


def script_options(source: str) -> tuple[ScriptOption, ...]:
    """In the order of the source; () when it cannot be read. Positional arguments are not among them."""
    tree = parsed(source)
    return tuple(option for option in options_in([tree]) if option.name.startswith("-")) if tree else ()


def options_in(trees: Sequence[ast.Module], parts: Sequence[ast.AST] | None = None) -> tuple[ScriptOption, ...]:
    """Options and positional arguments. ``trees``: the script and the local modules that it imports. ``parts``: the
    pieces of them that make the script's options; None: the first tree. An option that comes twice counts once, as it
    is written last."""
    pieces = list(trees[:1] if parts is None else parts)
    found = [*options_of_calls(trees, pieces), *options_of_signatures(trees, pieces)]
    by_name: dict[str, ScriptOption] = {}
    for option in found:
        by_name[option.name] = option
    return tuple(_with_set_defaults(option, pieces) for option in by_name.values())


def _with_set_defaults(option: ScriptOption, pieces: Sequence[ast.AST]) -> ScriptOption:
    """``parser.set_defaults(lr=0.1)`` outranks the default of the option."""
    name = option.name.lstrip("-").replace("-", "_")
    for piece in pieces:
        for node in ast.walk(piece):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "set_defaults":
                for keyword in node.keywords:
                    if keyword.arg == name and isinstance(keyword.value, ast.Constant):
                        return dataclasses.replace(option, default=str(keyword.value.value))
    return option
