"""A proposal -> the text of PROJECT_BRIEF.md, and the lines that `init` prints.

Comments are not read by the brief's parser; one that begins with EDIT is repeated by `check` until it is gone.
"""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Iterable, Sequence

from auto_experiment.init.modules import in_words
from auto_experiment.init.objectives import sample_of
from auto_experiment.init.proposal import Proposal
from auto_experiment.init.ranges import Proposal as Line
from auto_experiment.texts import visible

_MOST_NAMED = 12
_WIDE = 150
_LINE = 112
_CONVERTS = "`jupyter nbconvert --to script` makes"


def brief_of(proposal: Proposal) -> str:
    """About a page: what is longer does not reach a model."""
    parts = [_head(proposal), _goal(proposal), _codebase(proposal), _constraints(proposal), _best(proposal)]
    return "\n\n".join([*parts, _space(proposal), _frozen(proposal)]) + "\n"


def _head(proposal: Proposal) -> str:
    source = proposal.script or "what lies in the folder"
    return _comment(
        f"Proposed by `auto-experiment init` from {source}; nothing was run. Correct what is wrong, delete what you do "
        "not need. Comments are not read, but `auto-experiment check` names each EDIT until its comment is gone."
    )


def _goal(proposal: Proposal) -> str:
    best = proposal.objective
    if best is None:
        why = "none was found in the source" if proposal.script else "no training script was found"
        example = "Reach 78% validation accuracy. Or: Reduce val_loss below 0.35."
        wanted = f"EDIT: write the metric, its direction, a target ({why}). Such as: {example}"
        return f"# Goal\n{_comment(wanted)}"
    others = ", ".join(f"{c.name} ({c.direction})" for c in proposal.objectives[1:6])
    sample = sample_of(best.name, best.direction)
    said = f"EDIT: confirm the metric and add a target. Such as: {sample} ({best.name} is from {best.place}.)"
    if best.split == "train" or (best.split is None and best.direction == "min"):
        said += " It may be the training's own, which rewards memorising: better print one of held-out data."
    if others:
        said += f" Also seen: {others}."
    return f"# Goal\n{best.goal}\n{_comment(said)}"


def _codebase(proposal: Proposal) -> str:
    lines = ["# Codebase"]
    if not proposal.command:
        example = "- Training: train.py --epochs 20"
        why, how = "no training script was found", ""
        if proposal.notebooks:
            why, how = "only notebooks", f"{_CONVERTS} scripts of {in_words(proposal.notebooks)}. "
        return "\n".join([*lines, _comment(f"EDIT: write the command ({why}). {how}Such as: {example}")])
    lines.append(f"- Training: {proposal.command}")
    said = [f"as in {proposal.command_from}"] if proposal.command_from else []
    if len(proposal.scripts) > 1:
        said.append(f"other scripts that train: {in_words([s.path for s in proposal.scripts[1:]])}")
    if proposal.missing:
        said.insert(0, f"EDIT: write a value in the place of EDIT for {', '.join(proposal.missing)}")
    return "\n".join([*lines, *([_comment("; ".join(said) + ".")] if said else [])])


def _constraints(proposal: Proposal) -> str:
    lines = ["# Constraints"]
    if proposal.processes > 1:
        lines.append(f"- GPU 0-{proposal.processes - 1}")
    example = "- GPU 0; " if proposal.uses_gpu and proposal.processes == 1 else ""
    lines.append(
        _comment(
            f"What has to hold. Such as: {example}- At most 2 hours per run; - The data and its split stay as they are"
        )
    )
    return "\n".join(lines)


def _best(proposal: Proposal) -> str:
    best = proposal.objective
    known = f" {best.place} has {best.name} {best.best:.6g}." if best and best.best is not None else ""
    name = best.name if best else "Validation accuracy"
    return f"# Current Best\n{_comment(f'Nothing worse will be called a best. Such as: - {name} 0.7.{known}')}"


def _space(proposal: Proposal) -> str:
    options, space = proposal.options, proposal.space
    lines = [f"- {line.line}" for line in space.proposals]
    said = []
    if space.others:
        said.append(f"Not proposed: {_listed(space.others)}.")
    if space.left_out:
        said.append(f"Left out on purpose (length, data, evaluation, paths): {_listed(space.left_out)}.")
    if proposal.script and not options.settable:
        return f"# Search Space\n{_unsettable(proposal, lines)}"
    if not lines:
        wanted = "EDIT: write what may be varied. Such as: - --lr: 1e-4 .. 1e-1 log; - --optimizer: [sgd, adam]."
        return f"# Search Space\n{_comment(' '.join([wanted, *said]))}"
    shown = [f"{text} {_origin(proposal, one)}".rstrip() for text, one in zip(lines, space.proposals, strict=True)]
    wanted = "EDIT: correct these ranges (guessed from the defaults), then delete this comment."
    return "\n".join(["# Search Space", _comment(" ".join([wanted, *said])), *shown])


def _origin(proposal: Proposal, line: Line) -> str:
    place = proposal.options.places.get(line.option.name, "")
    default = f"now {line.option.default}" if line.option.default else ""
    text = ", ".join(filter(None, (default, place)))
    return f"<!-- {_harmless(text)} -->" if text else ""


def _unsettable(proposal: Proposal, lines: Sequence[str]) -> str:
    """What nobody can set from outside is no search space yet: the lines wait in the comment."""
    options = proposal.options
    where = f"where it reads {options.where}" if options.where.endswith((".yaml", ".yml")) else f"below {options.where}"
    wanted = f"EDIT: add these lines to {proposal.script}, {where}: so far it takes nothing on its command line"
    after = ["then take these lines out of the comment:", *lines] if lines else []
    return "\n".join(["<!--", wanted, *(f"    {line}" for line in options.lines), *after, "-->"])


def _frozen(proposal: Proposal) -> str:
    lines = [f"- {path}" for path in proposal.frozen]
    example = "" if lines else " Such as: - evaluate.py; - data/**"
    return "\n".join(
        ["# Frozen", _comment(f"Files that may be read and never changed, by no run either.{example}"), *lines]
    )


def _comment(text: str) -> str:
    return textwrap.fill(f"<!-- {_harmless(text)} -->", _LINE, break_long_words=False, break_on_hyphens=False)


def _harmless(text: str) -> str:
    """Names come from files: nothing in them may end a comment or start a line."""
    return " ".join(text.split()).replace("-->", "-- >").replace("<!--", "< !--")


def _listed(names: Sequence[str]) -> str:
    """As many as fit."""
    shown = list(names[:_MOST_NAMED])
    while shown and len(", ".join(shown)) > _WIDE:
        shown.pop()
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


# -- what is printed ----------------------------------------------------------------------------------------------


def told(proposal: Proposal) -> list[str]:
    """What was found, a line each."""
    return [f"{name:12}{visible(text)}" for name, text in _told(proposal) if text]


def _told(proposal: Proposal) -> Iterable[tuple[str, str]]:
    yield "script", _script(proposal)
    if proposal.command:
        yield "command", proposal.command + (f" (as in {proposal.command_from})" if proposal.command_from else "")
    if proposal.script:
        file = os.path.relpath(proposal.python.file, proposal.root) if _inside(proposal) else proposal.python.file
        yield "python", "; ".join(filter(None, (file, proposal.python.said)))
    for index, one in enumerate(proposal.objectives[:3]):
        yield "objective" if index == 0 else "  or", one.in_words
    if proposal.script and not proposal.objectives:
        yield (
            "objective",
            'no metric was found: let the script print one, such as print(f"epoch {epoch} val_acc={acc:.4f}")',
        )
    if proposal.script:
        yield "space", _space_in_words(proposal)
    if proposal.space.left_out and proposal.options.settable:
        yield "left out", _listed(proposal.space.left_out)
    yield "frozen", ", ".join(proposal.frozen)
    yield "gpus", f"{proposal.processes} processes, so GPU 0-{proposal.processes - 1}" if proposal.processes > 1 else ""
    if proposal.git.changed:
        yield "git", f"{proposal.git.changed} files with uncommitted changes"
    for folder in proposal.to_ignore:
        yield "data", f"{folder}/ is not in .gitignore: name it there, or its smaller files are recorded as code"
    if proposal.broken:
        yield "unread", f"{in_words(proposal.broken)}: cannot be read as Python 3"
    for note in proposal.notes:
        yield "note", note


def _script(proposal: Proposal) -> str:
    if not proposal.script:
        if proposal.notebooks:
            return f"only notebooks ({in_words(proposal.notebooks)}): {_CONVERTS} a script of one"
        return "none found that trains something: write `- Training: your_script.py` under # Codebase"
    count = len(proposal.options.all)
    many = f"{count} option{'s' * (count != 1)}" if proposal.options.settable else ""
    how = ", ".join(filter(None, (many, proposal.options.how)))
    others = [script.path for script in proposal.scripts[1:]]
    return f"{proposal.script} ({how})" + (f"; also {in_words(others)}" if others else "")


def _space_in_words(proposal: Proposal) -> str:
    lines = [line.line for line in proposal.space.proposals]
    if not proposal.options.settable:
        return (
            f"nothing can be set on the command line yet: {len(proposal.options.lines)} lines for that are in the brief"
        )
    return "; ".join(lines) or "no option that is usually searched"


def _inside(proposal: Proposal) -> bool:
    return proposal.python.file.startswith(proposal.root + os.sep)


def what_next(folder: str, brief: str, edits: Sequence[str]) -> list[str]:
    """``edits``: what is still to edit in the brief, as `check` says it. ``folder``: as it was named."""
    where = "" if os.path.abspath(folder) == os.getcwd() else f" --project {shlex.quote(folder)}"
    lines = [f"{'edit':12}{brief}, {edit.replace('still to edit: ', '')}" for edit in edits]
    return [*lines, f"{'next':12}auto-experiment check{where}, then auto-experiment run{where}"]
