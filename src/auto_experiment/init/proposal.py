"""What is proposed for a project: script, command, objective, search space, frozen files. Runs nothing."""

from __future__ import annotations

import ast
import os
import re
import shlex
from dataclasses import dataclass, field, replace

from auto_experiment import command
from auto_experiment.config import Environment
from auto_experiment.init import settings
from auto_experiment.init.commands import Written, commands_of
from auto_experiment.init.looking import Look
from auto_experiment.init.modules import Code, Sources, nodes
from auto_experiment.init.objectives import Candidate, candidates
from auto_experiment.init.place import (
    Git,
    Python,
    data_folders,
    frozen_of,
    git_of,
    python_of,
    to_be_ignored,
)
from auto_experiment.init.printed import told_by
from auto_experiment.init.ranges import Space, propose
from auto_experiment.init.scripts import Script, training_scripts
from auto_experiment.script_options import ScriptOption, options_in
from auto_experiment.script_options.option import called, constant

_DATA_OPTION = re.compile(r"(?:^|_)(?:data|dataset|root|input|images?)(?:_?(?:dir|path|root|folder|file|set))?$")
_OUTPUT_OPTION = re.compile(r"(?:^|_)(?:output|out|save|log|checkpoint|work)_?(?:dir|path|folder)?$")
_GPU_OPTION = re.compile(r"(?:^|_)(?:gpus?|devices?|num_gpus|n_gpus|gpu_ids?)$")
_KINDS = {"add_argument": "argparse", "option": "click", "DEFINE_float": "absl flags", "DEFINE_integer": "absl flags"}


@dataclass(frozen=True)
class Options:
    """What a script takes. ``how``: the library, in a word. ``settable``: on the command line, as it is now; where it
    is not, ``lines`` of code would make it so. ``places``: option -> file and line."""

    how: str = ""
    all: tuple[ScriptOption, ...] = ()
    settable: bool = True
    lines: tuple[str, ...] = ()
    where: str = ""  # below what the lines go
    joined: bool = False  # only --name=value is understood
    places: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    root: str
    scripts: tuple[Script, ...] = ()
    options: Options = field(default_factory=Options)
    command: str = ""
    command_from: str = ""
    missing: tuple[str, ...] = ()  # options that are required and whose value is not known
    processes: int = 1
    uses_gpu: bool = False
    objectives: tuple[Candidate, ...] = ()
    space: Space = field(default_factory=Space)
    frozen: tuple[str, ...] = ()
    python: Python = field(default_factory=lambda: Python("", ""))
    git: Git = field(default_factory=Git)
    to_ignore: tuple[str, ...] = ()
    notebooks: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        return self.scripts[0].path if self.scripts else ""

    @property
    def objective(self) -> Candidate | None:
        return self.objectives[0] if self.objectives else None


def propose_for(look: Look, env: Environment) -> Proposal:
    git = git_of(look.root, env)
    python = python_of(look, env)
    sources = Sources(look)
    written = commands_of(look)
    weights = {one.script: one.weight for one in reversed(written)}
    scripts = training_scripts(look, sources, weights, git.ignored)
    folders = data_folders(look)
    bare = Proposal(
        look.root, python=python, git=git, to_ignore=tuple(to_be_ignored(look, git, folders)),
        notebooks=tuple(sorted(f.path for f in look.named(".ipynb"))),
    )  # fmt: skip
    code = sources.code(scripts[0].path) if scripts else None
    if code is None:
        return replace(
            bare, broken=tuple(sources.broken), notes=tuple(look.notes), objectives=tuple(candidates(look, ()))
        )
    return _of_script(replace(bare, scripts=tuple(scripts)), look, code, written, folders, sources)


def _of_script(
    bare: Proposal, look: Look, code: Code, written: list[Written], folders: list[str], sources: Sources
) -> Proposal:
    own = next((one for one in written if one.script == code.path), None)
    options = options_of(look, code, own.command if own else "")
    text, missing = _command(look, code, options, own, bare.python, folders)
    options = replace(options, all=_as_given(options.all, text))
    space = propose(options.all)
    if options.joined:
        text = _spelled_out(text, space)
    return replace(
        bare,
        options=options,
        command=text,
        command_from=own.place if own else "",
        missing=tuple(missing),
        processes=own.processes if own else 1,
        uses_gpu=_uses_gpu(look, code),
        objectives=tuple(candidates(look, told_by(code))),
        space=space,
        frozen=tuple(frozen_of(look, code.path, folders, list(code.trees))),
        broken=tuple(sources.broken),
        notes=tuple(look.notes),
    )


def _as_given(options: tuple[ScriptOption, ...], text: str) -> tuple[ScriptOption, ...]:
    """What the command sets is what a range goes around."""
    given = command.values_in(shlex.split(text), [option.name for option in options])
    return tuple(replace(o, default=given[o.name]) if o.name in given else o for o in options)


# -- options ------------------------------------------------------------------------------------------------------


def options_of(look: Look, code: Code, text: str) -> Options:
    """``text``: the command as the project writes it."""
    if (keys := settings.hydra(look, code)) is not None:
        return Options("Hydra", keys, places={o.name: o.help or f"{code.path}:{o.line}" for o in keys})
    if (keys := settings.lightning_cli(code)) is not None:
        return Options("Lightning CLI", keys, places=_places(code, keys))
    if settings.is_configurator(code):
        return _configurator(look, code, text)
    found = options_in(list(code.trees.values()), [piece for _, piece in code.pieces])
    found += _hugging_face(code, {option.name for option in found})
    options = Options(_library(code), found, places=_places(code, found))
    path = settings.config_file(look, found, text) or settings.opened_config(look, code)
    if path and (keys := settings.settings_of(look, path)) and not propose(found).proposals:
        if settings.takes_words(code):
            return Options(f"{path} and name=value", keys, places={o.name: path for o in keys})
        return Options(f"settings in {path}", keys, settable=False, lines=_for_a_file(keys, code), where=path)
    if not found:
        return _constants(code)
    return options


def _places(code: Code, options: tuple[ScriptOption, ...]) -> dict[str, str]:
    """The file of each option: the first piece in which something stands on its line and has its name."""
    found: dict[str, str] = {}
    wanted = {
        (option.line, option.name.lstrip("-").rpartition(".")[2].replace("-", "_")): option.name for option in options
    }
    for path, piece in code.pieces:
        for node in nodes(piece):
            word = constant(node) if isinstance(node, ast.Constant) else getattr(node, "arg", getattr(node, "id", None))
            if isinstance(word, str):
                key = (getattr(node, "lineno", 0), word.lstrip("-").partition("/")[0].replace("-", "_"))
                if key in wanted:
                    found.setdefault(wanted[key], f"{path}:{key[0]}")
    return found


def _library(code: Code) -> str:
    imported = {
        (alias.name if isinstance(n, ast.Import) else n.module or "").partition(".")[0]
        for tree in code.trees.values()
        for n in nodes(tree)
        if isinstance(n, (ast.Import, ast.ImportFrom))
        for alias in n.names
    }
    calls = {called(n) for _, piece in code.pieces for n in nodes(piece) if isinstance(n, ast.Call)}
    if "HfArgumentParser" in calls:
        return "HfArgumentParser"
    for library in ("click", "typer", "tyro", "fire", "simple_parsing", "pyrallis", "draccus", "jsonargparse", "absl"):
        if library in imported:
            return library
    return next((word for call, word in _KINDS.items() if call in calls), "")


def _hugging_face(code: Code, there: set[str]) -> tuple[ScriptOption, ...]:
    """TrainingArguments are in transformers' own source; these are the ones that people vary, with its defaults."""
    named = {n.id for _, piece in code.pieces for n in nodes(piece) if isinstance(n, ast.Name)}
    calls = {called(n) for _, piece in code.pieces for n in nodes(piece) if isinstance(n, ast.Call)}
    if "HfArgumentParser" not in calls or not named & {"TrainingArguments", "Seq2SeqTrainingArguments", "SFTConfig"}:
        return ()
    usual = {
        "--learning_rate": "5e-05", "--weight_decay": "0.0", "--warmup_ratio": "0.0", "--label_smoothing_factor": "0.0",
        "--per_device_train_batch_size": "8",
    }  # fmt: skip
    return tuple(ScriptOption(name, default, kind="float") for name, default in usual.items() if name not in there)


def _configurator(look: Look, code: Code, text: str) -> Options:
    """A config file on the command line has the last word on the defaults."""
    defaults = {option.name: option for option in settings.constants(code.tree, "--")}
    places = {name: f"{code.path}:{option.line}" for name, option in defaults.items()}
    sources = Sources(look)
    for word in text.split():
        if word.endswith(".py") and word.removeprefix("./") != code.path and (tree := sources.tree(word)) is not None:
            for option in settings.constants(tree, "--"):
                defaults[option.name] = option
                places[option.name] = f"{word}:{option.line}"
    return Options("--name=value", tuple(defaults.values()), joined=True, places=places)


def _constants(code: Code) -> Options:
    found = tuple(o for o in settings.constants(code.tree) if o.kind != "str")
    if not propose(found).proposals:
        return Options("no options", (), settable=False, lines=_PARSER, where="its imports")
    return Options(
        "constants", found, settable=False, lines=_FOR_CONSTANTS, where="its constants", places=_places(code, found)
    )


_FOR_CONSTANTS = (
    "import sys",
    'for name, value in (word.split("=") for word in sys.argv[1:]):',
    "    globals()[name] = type(globals()[name])(value)",
)
_PARSER = (
    "import argparse",
    'parser = argparse.ArgumentParser(); parser.add_argument("--lr", type=float, default=1e-3)',
    "args = parser.parse_args()  # then args.lr in the place of the number",
)


def _for_a_file(keys: tuple[ScriptOption, ...], code: Code) -> tuple[str, ...]:
    """Lines that stand on their own: what they need is imported, and a parser is named only where there is one."""
    nested = any("." in option.name for option in keys)
    parser = _parser_of(code)
    words = f"_, words = {parser}.parse_known_args()" if parser else 'words = [w for w in sys.argv[1:] if "=" in w]'
    needed = ", ".join(["functools"] * nested + ["sys"] * (not parser))
    first = (*((f"import {needed}",) if needed else ()), words)
    if not nested:
        return (
            *first,
            'for name, value in (word.split("=") for word in words):  # cfg: what was read from the file',
            "    cfg[name] = type(cfg[name])(value)",
        )
    return (
        *first,
        'for path, value in (word.split("=") for word in words):  # cfg: what was read from the file',
        '    part = functools.reduce(dict.get, path.split(".")[:-1], cfg)',
        '    part[path.split(".")[-1]] = type(part[path.split(".")[-1]])(value)',
    )


def _parser_of(code: Code) -> str:
    """What the script calls its parser of argparse; "" when it has none."""
    for node in ast.walk(code.tree):
        made = node.value if isinstance(node, ast.Assign) else None
        if isinstance(made, ast.Call) and ast.unparse(made.func).endswith("ArgumentParser"):
            return ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
    return ""


# -- the command --------------------------------------------------------------------------------------------------


def _command(
    look: Look, code: Code, options: Options, own: Written | None, python: Python, folders: list[str]
) -> tuple[str, list[str]]:
    """(the command, the options in it whose value only the user knows)"""
    if own is not None:
        return _with_python(look, own.command, python), []
    words = [*_start(code)]
    if options.how == "Lightning CLI":
        words.append("fit")
    if not options.settable and options.where in look.files and _first_word_is_a_file(code):
        words.append(options.where)  # else the first name=value would be taken for it
    missing = []
    for option in options.all if options.settable else ():
        if not option.required or option.default:
            continue
        name = option.name.lstrip("-").replace("-", "_").lower().rpartition(".")[2]
        value = _guess(name, option, folders)
        if value == "EDIT":
            missing.append(option.name)
        if not option.name.startswith("-"):
            words.append(value if value != "EDIT" else f"EDIT_{option.name}")
        else:
            words += [option.name, value]
    return _with_python(look, command.join(words), python), missing


def _first_word_is_a_file(code: Code) -> bool:
    """``open(sys.argv[1])``, also behind a default."""
    return not _parser_of(code) and any(
        isinstance(node, ast.Call) and "sys.argv[1]" in ast.unparse(node) and ast.unparse(node.func).endswith("open")
        for node in ast.walk(code.tree)
    )


def _guess(name: str, option: ScriptOption, folders: list[str]) -> str:
    if option.choices:
        return option.choices[0]
    if _DATA_OPTION.search(name) and folders:
        return folders[0]
    return "outputs" if _OUTPUT_OPTION.search(name) else "EDIT"


def _start(code: Code) -> list[str]:
    """A script as it is; a module of a package that imports from itself with dots by ``-m``."""
    relative = any(isinstance(n, ast.ImportFrom) and n.level for n in nodes(code.tree))
    folder, _, name = code.path.rpartition("/")
    if not folder or not (relative or name == "__main__.py"):
        return [code.path]
    under_src = folder == "src" or folder.startswith("src/")
    module = (
        code.path.removesuffix(".py")
        .removesuffix("/__main__")
        .removeprefix("src/" if under_src else "")
        .replace("/", ".")
    )
    return [*(["PYTHONPATH=src"] if under_src else []), "python", "-m", module]


def _with_python(look: Look, text: str, python: Python) -> str:
    """``python`` by the name that a run finds it by. A bare script needs none, unless the environment has another name
    than .venv, or a variable stands in front of it."""
    words = text.split(" ")
    first = next((i for i, word in enumerate(words) if not re.match(r"[A-Za-z_]\w*=", word)), 0)
    if words[first].endswith(".py"):
        if not (python.program or first):
            return text
        words.insert(first, "python")
    beside = os.path.join(os.path.dirname(python.program), words[first])
    if words[first] in ("python", "python3"):
        only3 = words[first] == "python" and os.path.basename(python.file) == "python3"
        words[first] = python.program or ("python3" if only3 else words[first])
    elif python.program and os.path.isfile(os.path.join(look.root, beside)):
        words[first] = beside  # its torchrun
    return " ".join(words)


def _spelled_out(text: str, space: Space) -> str:
    """Where only --name=value is understood, the command says each default, so that a value takes its place there."""
    given = [f"{p.option.name}={p.option.default}" for p in space.proposals if f"{p.option.name}=" not in text]
    return " ".join([text, *given])


def _uses_gpu(look: Look, code: Code) -> bool:
    return any(
        re.search(r"\.cuda\(|torch\.cuda|[\"']cuda|jax\b.*gpu|accelerator=", look.text(path)) for path in code.trees
    )
