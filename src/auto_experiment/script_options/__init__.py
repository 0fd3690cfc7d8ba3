"""Which options a training script takes, read from its source: argparse, click, typer, absl, and the classes and
functions of which HfArgumentParser, tyro, simple-parsing, fire and their like make options.

Nothing is imported or run. What is put together at run time (names in a loop, Hydra's files) is not seen.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping, Sequence

from auto_experiment.script_options.calls import calls_in, options_of_calls, set_defaults
from auto_experiment.script_options.option import ScriptOption, constants_of, parsed
from auto_experiment.script_options.signatures import Signatures

__all__ = ["ScriptOption", "options_in", "parsed", "script_options"]


def script_options(source: str) -> tuple[ScriptOption, ...]:
    """In the order of the source; () when it cannot be read. Positional arguments are not among them."""
    tree = parsed(source)
    return tuple(option for option in options_in([tree]) if option.name.startswith("-")) if tree else ()


def options_in(trees: Sequence[ast.Module], parts: Sequence[ast.AST] | None = None) -> tuple[ScriptOption, ...]:
    """Options and positional arguments. ``trees``: the script and the local modules that it imports. ``parts``: the
    pieces of them that make the script's options; None: the first tree. An option that comes twice counts once: as it
    is written last in the first piece that has it."""
    pieces = list(trees[:1] if parts is None else parts)
    known, signatures = constants_of(trees), Signatures(trees)
    by_name: dict[str, ScriptOption] = {}
    defaults: dict[str, str] = {}
    for piece in pieces:
        calls = calls_in(piece)
        found = [*options_of_calls(calls, known), *signatures.options(piece, calls)]
        by_name |= {option.name: option for option in found if option.name not in by_name}
        defaults |= set_defaults(calls)
    return tuple(_with_default(option, defaults) for option in by_name.values())


def _with_default(option: ScriptOption, defaults: Mapping[str, str]) -> ScriptOption:
    """``parser.set_defaults(lr=0.1)`` outranks the default of the option."""
    given = defaults.get(option.name.lstrip("-").replace("-", "_"))
    return option if given is None else dataclasses.replace(option, default=given)
