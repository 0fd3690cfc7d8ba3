"""A YAML file of keys and values -> a dictionary, and the line of every key.

Stricter than PyYAML where it guesses: repeated keys are refused, ``1e-3`` is a number, ``010`` and ``1:30`` are text.
It knows no key of config.yaml: which keys there are, and what they may hold, is ``config.py``'s business.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Collection, Mapping
from typing import Any, cast

import yaml

from auto_experiment.errors import ConfigError
from auto_experiment.texts import visible

MAX_BYTES = 100_000  # no config is this long, and reading YAML takes about 10 s a megabyte


def shown(value: object) -> str:
    """A value as the file would write it, on one line, not too long."""
    if value is None:
        return "nothing"
    return plain(json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value))


def plain(text: str) -> str:
    """Text that may stand in a message: one line, no control characters, not too long."""
    printable = visible(text)
    return printable if len(printable) <= 80 else f"{printable[:77]}..."


class _Loader(yaml.SafeLoader):
    """``1e-3`` is a number; ``010``, ``1:30`` and ``2024-01-01`` are text: no octal, no minutes, no date."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own way


_FLOAT = r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
_TAG = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", list("yYnNtTfFoO")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.")),
    ("merge", "<<", ["<"]),
):  # fmt: skip
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"(?:{_pattern})$"), _first)


class YamlFile:
    """The values of a config file, and on which line each key stands."""

    def __init__(self, source: str, *, required: bool, as_written: Mapping[str, Collection[str]]) -> None:
        """``as_written``: scalars of these kinds below these keys stay text: ``on`` must not become True there."""
        self.source = source
        self.lines: dict[str, int] = {}
        self.values: dict[str, Any] = {}
        node, loader = self._compose(_read(source, required=required))
        if node is None or node.tag == f"{_TAG}null":
            return
        if not isinstance(node, yaml.MappingNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else f"just {shown(node.value)}"
            raise ConfigError(f"{source}: is {kind}; allowed: keys and values, such as `agent: {{provider: optuna}}`")
        self._prepare(node)
        self._note_lines(node)
        _keep_as_written(node, as_written)
        self.values = self._construct(loader, node)

    def where(self, key: str) -> str:
        """``config.yaml, line 3`` for a dotted key, or for the group that it is in."""
        line = self.line(key)
        return f"{self.source}, line {line}" if line else self.source

    def line(self, key: str) -> int:
        parts = key.split(".")
        known = (self.lines.get(".".join(parts[:length])) for length in range(len(parts), 0, -1))
        return next((line for line in known if line), 0)

    def _compose(self, text: str) -> tuple[yaml.Node | None, _Loader]:
        try:
            loader = _Loader(text)
            return loader.get_single_node(), loader
        except yaml.YAMLError as wrong:
            raise self._not_yaml(wrong) from wrong
        except RecursionError as wrong:
            raise ConfigError(f"{self.source}: nested too deeply") from wrong

    def _construct(self, loader: _Loader, node: yaml.Node) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", loader.construct_document(node))
        except yaml.YAMLError as wrong:
            raise self._not_yaml(wrong) from wrong
        except RecursionError as wrong:
            raise ConfigError(f"{self.source}: nested too deeply") from wrong
        except (ValueError, TypeError, AttributeError, KeyError, OverflowError) as wrong:  # !!int "x" and the like
            raise ConfigError(
                f"{self.source}: a value does not fit its tag (!!...), or is too long a number"
            ) from wrong

    def _not_yaml(self, wrong: yaml.YAMLError) -> ConfigError:
        mark = getattr(wrong, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "unreadable"
        if "'\\t'" in problem:
            problem = "a tab; YAML is indented with spaces"
        return ConfigError(f"{self.source}{line}: not valid YAML: {' '.join(str(problem).split())}")

    def _prepare(self, root: yaml.Node) -> None:
        """Refuses repeated keys; makes every key text, so that ``on: 1`` is the key "on"."""
        pending, seen = [root], set[int]()
        while pending:
            node = pending.pop()
            if id(node) in seen or isinstance(node, yaml.ScalarNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                self._prepare_keys(node)
                pending.extend(value for _, value in node.value)
            else:
                pending.extend(node.value)

    def _prepare_keys(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{self.source}, line {line}: a key must be a word, not a list or a group")
            if key.value in first:
                twice = f"{shown(key.value)} is given twice (first on line {first[key.value]}); keep one"
                raise ConfigError(f"{self.source}, line {line}: {twice}")
            first[key.value] = line
            if key.tag != f"{_TAG}merge":
                key.tag = f"{_TAG}str"

    def _note_lines(self, node: yaml.MappingNode, prefix: str = "") -> None:
        for key, value in node.value:
            self.lines[prefix + key.value] = key.start_mark.line + 1
            if isinstance(value, yaml.MappingNode) and prefix.count(".") < 2:
                self._note_lines(value, f"{prefix}{key.value}.")


def _keep_as_written(root: yaml.MappingNode, kinds: Mapping[str, Collection[str]], prefix: str = "") -> None:
    for key, value in root.value:
        dotted = prefix + key.value
        if dotted in kinds:
            _as_text(value, kinds[dotted])
        elif isinstance(value, yaml.MappingNode) and any(name.startswith(f"{dotted}.") for name in kinds):
            _keep_as_written(value, kinds, f"{dotted}.")


def _as_text(node: yaml.Node, kinds: Collection[str]) -> None:
    """The scalars directly in a mapping, or in a list in it."""
    values = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else []
    values += [item for value in values if isinstance(value, yaml.SequenceNode) for item in value.value]
    for value in values:
        if isinstance(value, yaml.ScalarNode) and value.tag.removeprefix(_TAG) in kinds:
            value.tag = f"{_TAG}str"


def _read(source: str, *, required: bool) -> str:
    try:
        mode = os.stat(source).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(
                f"{source}: is {'a folder' if stat.S_ISDIR(mode) else 'not a file'}; allowed: a YAML file"
            )
        with open(source, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if required or os.path.lexists(source):
            raise ConfigError(f"{source}: no such file; without a config file every key has its default") from None
        return ""
    except (OSError, ValueError) as wrong:  # ValueError: a NUL in the path
        raise ConfigError(f"{source}: cannot be read: {getattr(wrong, 'strerror', None) or wrong}") from wrong
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}: larger than {MAX_BYTES:,} bytes; allowed: the keys of docs/configuration.md")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise ConfigError(
            f"{source}: not UTF-8 at byte {wrong.start}; convert it, for example: iconv -f LATIN1 -t UTF-8"
        ) from wrong


def loose_mapping(text: str) -> dict[str, Any]:
    """The mapping of somebody else's YAML, numbers read as in our own; {} for what is none, or cannot be read."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return {str(key): value for key, value in document.items()} if isinstance(document, dict) else {}
