"""The commands about an experiment's code: diff, restore. ``restore`` is the only one that writes into the project."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import click

from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.cli.common import project_option, refuse_to_a_run
from auto_experiment.cli.completion import experiments
from auto_experiment.cli.look import experiment_number, no_experiment, opened
from auto_experiment.errors import UsageError
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import CodeRow, experiment_name
from auto_experiment.project import Place
from auto_experiment.records.change import FileChange
from auto_experiment.views import code

_LONGEST_DIFF = 1_000_000  # characters
_TREE = re.compile(r"[0-9a-f]{12,40}")  # its first digits are enough


@click.command("diff", epilog="Example: auto-experiment diff exp003   or: auto-experiment diff exp002 exp005")
@click.argument("exp", shell_complete=experiments)
@click.argument("other", metavar="[EXP]", required=False, shell_complete=experiments)
@project_option
def diff_command(exp: str, other: str | None, project: str) -> None:
    """What an experiment changed in the code it started from; with two, in what the code that they ran differs.

    Two trees (the first 12 digits or more, as `restore` names them) can be compared in the same way.
    """
    from auto_experiment.wiring import snapshots_of

    commands: list[str] = []
    with opened(project) as (_, ledger):
        if other is None:
            old, new, what = _own(ledger, exp)
        else:
            old, new, what = _tree(ledger, exp), _tree(ledger, other), f"{_name(other)} against {_name(exp)}"
            commands = _commands(ledger, exp, other)
    snapshots = snapshots_of(Place.of(project))
    old, new = (snapshots.find(tree) for tree in (old, new))
    changes = snapshots.changes(old, new)
    if not changes:
        click.echo("\n".join([f"{what}: the same code", *commands]))
        return
    click.echo(f"{what}: {code.summary(changes)}")
    click.echo("\n".join(code.table(changes, most=len(changes))))
    click.echo("\n" + code.plain_diff(snapshots.diff(old, new, cap=_LONGEST_DIFF)).rstrip("\n"))


def _commands(ledger: Reader | None, *names: str) -> list[str]:
    """Where the code is the same it is the command in which two experiments differ; [] when they do not."""
    if ledger is None or any(_TREE.fullmatch(name) for name in names):
        return []
    ran = [(_name(name), ledger.attempts(experiment_number(name))[-1].command) for name in names]
    return [f"{name}  {command}" for name, command in ran] if len({command for _, command in ran}) > 1 else []


def _own(ledger: Reader | None, exp: str) -> tuple[str, str, str]:
    """What one experiment is compared with."""
    if _TREE.fullmatch(exp):
        raise UsageError(f"{exp} is a tree: give another one, or an experiment, to compare it with")
    row = _code(ledger, exp)
    if row.start is None:
        raise UsageError(
            f"{_name(exp)}: it is not recorded which code it started from; compare it with another experiment: "
            f"auto-experiment diff exp001 {_name(exp)}"
        )
    return row.start, str(row.tree), f"{_name(exp)} against the code that it started from"


def _tree(ledger: Reader | None, exp: str) -> str:
    return exp if _TREE.fullmatch(exp) else str(_code(ledger, exp).tree)


def _code(ledger: Reader | None, exp: str) -> CodeRow:
    """Raises UsageError when the experiment is not there, or ran no recorded code."""
    number = experiment_number(exp)
    if ledger is None or ledger.experiment(number) is None:
        raise no_experiment(exp, ledger.experiment_count() if ledger else 0)
    row = code.code_of(ledger, number)
    if row.tree is None:
        why = "it has started nothing" if not ledger.attempts(number) else "none was recorded when it ran"
        raise UsageError(f"{experiment_name(number)} has no recorded code: {why}")
    return row


def _name(exp: str) -> str:
    return exp[:12] if _TREE.fullmatch(exp) else experiment_name(experiment_number(exp))


@click.command("restore", epilog="Example: auto-experiment restore exp003")
@click.argument("exp", shell_complete=experiments)
@project_option
def restore_command(exp: str, project: str) -> None:
    """Put the code that an experiment ran back into the project folder.

    What is there is recorded first, and it is said how to get it back (`restore` takes the digits of a tree too). Only
    code is overwritten or deleted; other files that are missing are written again. The brief and the config stay. Not
    while a controller runs.
    """
    from auto_experiment.wiring import CONFIG_FILE, snapshots_of

    with opened(project) as (found, ledger):
        tree = _tree(ledger, exp)
        running = [attempt.run_name for attempt in ledger.open_attempts()] if ledger else []
        config = ledger.last_event(CONFIG_FILE) if ledger else None
    refuse_to_a_run("restore", found.paths)
    snapshots = snapshots_of(Place.of(project, config.body["file"] if config else None))
    if not os.path.isdir(found.paths.code):
        raise UsageError(f"{found.paths.code}: there is no recorded code (any more)")
    tree = snapshots.find(tree)
    lock = ProjectLock.take(found.paths.lock)
    try:
        _put_back(snapshots, exp, tree, running)
    finally:
        lock.release()


def _put_back(snapshots: Snapshots, exp: str, tree: str, running: Sequence[str]) -> None:
    there = snapshots.record(f"before restore of {_name(exp)}").tree
    if there != tree:
        click.echo(f"what is there now is recorded; to get it back: auto-experiment restore {there[:12]}")
    done = snapshots.put_back(tree, missing=True, say=lambda line: click.echo(code.plain(line)))
    click.echo(f"{_name(exp)}: " + _told(done))
    if done and running:
        click.echo(f"{running[0]} has not been seen to end: a training that still reads code sees the files of now")


def _told(done: Sequence[FileChange]) -> str:
    if not done:
        return "its code is in the folder already"
    return "\n".join([f"its code is back, {code.summary(done)}", *code.table(done)])
