"""The commands that look: status, list, show, logs, report, metrics. None of them changes anything but the
reports."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from auto_experiment.cli.common import existing_folder, has_braille, json_option, print_json, project_option, show
from auto_experiment.cli.completion import experiments
from auto_experiment.errors import AutoExperimentError, UsageError
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import experiment_name
from auto_experiment.project import Place, Project
from auto_experiment.records.change import FileChange
from auto_experiment.views import code, experiment_text, listing, listing_text, status, status_text
from auto_experiment.views.standing import best_attempt, standing


@contextlib.contextmanager
def opened(folder: str, config_file: str | None = None) -> Iterator[tuple[Project, Reader | None]]:
    """The project and its ledger, None when nothing has run yet. Works for a project whose command is not set yet."""
    project = Place.of(existing_folder(folder), config_file).look()
    ledger = Reader.open_if_any(project.paths.ledger)
    try:
        yield project, ledger
    finally:
        if ledger:
            ledger.close()


@click.command("status", epilog="Example: auto-experiment status --project ~/cifar --json")
@project_option
@json_option
def status_command(project: str, as_json: bool) -> None:
    """Goal, best so far, what runs now with its progress, recent decisions, a pending directive, what it has cost."""
    with opened(project) as (found, ledger):
        document, cut_off = status.status(found, ledger), status.unsettled(found, ledger)
        known = None if as_json else status_text.beside(found, ledger)
    if as_json:
        print_json(document)
    else:
        show(lambda screen: status_text.as_text(document, cut_off, known, screen), one_screen=True)


@click.command("list", epilog="Example: auto-experiment list --sort value --last 50")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the newest N.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option(
    "--sort", type=click.Choice(["id", "value"]), default="id", help="By age (default), or the best one first."
)
@project_option
@json_option
def list_command(last: int | None, failed: bool, sort: str, project: str, as_json: bool) -> None:
    """All experiments, a line each, the newest one last: what became of it, its value, how far that lies from the best
    one before it, when it ended. With --json every attempt of each.
    """
    with opened(project) as (found, ledger):
        now = standing(ledger, found.objective)
        rows, unfinished = listing.listing(found, ledger, now), listing.unfinished(found, ledger)
        best = best_attempt(ledger, now) if ledger else None
    some = listing_text.chosen(rows, now, last=last, by_value=sort == "value", failed=failed)
    if as_json:
        print_json(some)
        return
    leads = experiment_name(best.experiment) if best else None
    show(lambda screen: listing_text.as_text(some, now, unfinished, of_all=rows, best=leads, screen=screen))


@click.command("show", epilog="Example: auto-experiment show exp003")
@click.argument("exp", shell_complete=experiments)
@project_option
@json_option
def show_command(exp: str, project: str, as_json: bool) -> None:
    """One experiment in full: plan, runs, metrics, outcome, lesson."""
    number = experiment_number(exp)
    with opened(project) as (found, ledger):
        now = standing(ledger, found.objective)
        document = listing.one(found, ledger, number, now) if ledger else None
        known = experiment_text.beside(ledger, number, now) if ledger and not as_json else None
        if ledger and document is not None:
            document["code"] = _code(project, ledger, number)
        count = ledger.experiment_count() if ledger else 0
        unfinished = listing.unfinished(found, ledger) if number == count else ""
    if document is None:
        raise no_experiment(exp, count)
    if as_json:
        print_json(document)
    else:
        shown = document
        show(lambda screen: experiment_text.as_text(shown, unfinished, known, screen))


def _code(folder: str, ledger: Reader, number: int) -> dict[str, Any] | None:
    """What the experiment changed in the code; None when none was recorded."""
    row = code.code_of(ledger, number)
    if row.tree is None and row.start is None:
        return None
    if row.tree is None or row.start is None:
        return code.section(row, None)
    from auto_experiment.wiring import snapshots_of

    try:
        return code.section(row, snapshots_of(Place.of(folder)).changes(row.start, row.tree))
    except AutoExperimentError as error:  # no git here, or the store is gone: all else can still be shown
        return code.section(row, None, str(error))


def experiment_number(text: str) -> int:
    """Of "exp003", "3", or one of its runs, "exp003/run01", as `status` and the report name it."""
    match = re.fullmatch(r"(?:exp)?0*(\d{1,9})(?:/(?:run|dry)\d+(?:/a\d+)?)?", text.strip().lower())
    if not match:
        raise click.UsageError(f"{text!r} is no experiment; give one such as exp003, `auto-experiment list` shows them")
    return int(match[1])


def no_experiment(exp: str, count: int) -> UsageError:
    known = f"the experiments are exp001 to {experiment_name(count)}" if count > 1 else "there is only exp001"
    known = known if count else "nothing has run yet"
    return UsageError(f"there is no experiment {exp}: {known}")


@click.command("logs", epilog="Example: auto-experiment logs exp003 -f")
@click.argument("exp", required=False, shell_complete=experiments)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until the training ends or Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many lines.")
@project_option
def logs_command(exp: str | None, follow: bool, lines: int, project: str) -> None:
    """The training log of an experiment (default: the newest one that has one)."""
    from auto_experiment.watch.log_tail import tail

    with opened(project) as (found, ledger):
        path = _log_path(found, ledger, exp)
        if not os.path.exists(path):
            raise UsageError(f"{path}: has not been written yet")
        size = os.path.getsize(path)
        for line in tail(path, lines=lines, chars=2000, end=size):
            click.echo(line)
        if follow and ledger:
            _follow(path, size, ledger)


def _log_path(found: Project, ledger: Reader | None, exp: str | None) -> str:
    newest = ledger.newest_attempt() if ledger else None
    if ledger is None or newest is None:
        raise UsageError("nothing has run yet; `auto-experiment run` starts")
    if not exp:
        return found.paths.train_log(newest.name)
    number = experiment_number(exp)
    if ledger.experiment(number) is None:
        raise no_experiment(exp, ledger.experiment_count())
    attempts = ledger.attempts(number)
    if not attempts:
        raise UsageError(f"{experiment_name(number)} has started nothing, so it has no log")
    return found.paths.train_log(attempts[-1].name)


def _follow(path: str, offset: int, ledger: Reader) -> None:
    from auto_experiment.watch.log_tail import Growing, printable

    log, decoder = Growing(path, offset), codecs.getincrementaldecoder("utf-8")("replace")
    name = path.rsplit(f"{os.sep}runs{os.sep}", maxsplit=1)[-1]
    while True:
        ended = os.path.exists(os.path.join(os.path.dirname(path), "exit.json"))  # also when no controller stores it
        alive = not ended and any(name.startswith(f"{a.name}{os.sep}") for a in ledger.open_attempts())
        if data := log.read():
            sys.stdout.write(printable(decoder.decode(data).replace("\r", "\n")))
            sys.stdout.flush()
        elif not alive:
            return
        else:
            time.sleep(0.3)


@click.command("report", epilog="Example: auto-experiment report --format html && xdg-open workspace/report.html")
@click.option("--format", "formats", default="md,html", show_default=True, metavar="md,html", help="Which ones.")
@click.option("--config", "config_file", hidden=True, help="As `run` was given.")
@click.option("--tethered", is_flag=True, hidden=True, help="End with standard input, and answer in JSON.")
@project_option
def report_command(formats: str, config_file: str | None, tethered: bool, project: str) -> int:
    """Write REPORT.md and report.html from the ledger, also while the loop runs.

    report.html is one file that can be sent to a colleague: figures, every experiment, time, failures, provenance.
    """
    wanted = [word.strip() for word in formats.split(",")]
    if unknown := [word for word in wanted if word not in ("md", "html")]:
        raise click.UsageError(f"--format {unknown[0]!r}: there is md, and html; give one, or both with a comma")
    if tethered:
        return _tethered(project, config_file)
    with opened(project, config_file) as (found, ledger):
        if ledger is None:
            raise UsageError("nothing has run yet, so there is nothing to report; `auto-experiment run` starts")
        if "md" in wanted:
            from auto_experiment.report.markdown import write_report

            click.echo(write_report(found, ledger))
        if "html" in wanted:
            path, without = _html(project, config_file, found, ledger)
            click.echo(path)
            if without:
                click.echo(f"auto-experiment: report.html has no figures: {without}", err=True)
    return 0


def _html(folder: str, config_file: str | None, found: Project, ledger: Reader) -> tuple[str, str]:
    from auto_experiment.report.html import write_html
    from auto_experiment.wiring import redactor_of, snapshots_of

    place = Place.of(folder, config_file)
    snapshots = snapshots_of(place) if os.path.isdir(found.paths.code) else None

    def diff(old: str, new: str) -> tuple[Sequence[FileChange], str]:
        if snapshots is None:
            raise UsageError("there is no recorded code (any more)")
        return snapshots.changes(old, new), snapshots.diff(old, new, cap=_LONGEST_DIFF)

    config = place.loose_config()
    env = place.env.helper(config, place.root)
    return write_html(found, ledger, diff=diff, hide=redactor_of(config, place.env), env=env)


def _tethered(folder: str, config_file: str | None) -> int:
    """For a controller: whatever happens is an answer, and when it has gone, so have we, with whoever draws for us."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        with opened(folder, config_file) as (found, ledger):
            if ledger is None:
                raise UsageError("there is no ledger")
            path, without = _html(folder, config_file, found, ledger)
        said = {"path": path} | ({"failed": f"no figures: {without}"} if without else {})
    except (OSError, AutoExperimentError, ValueError) as error:
        said = {"failed": str(error)}
    print_json(said)
    return 0


def _end_with_input() -> None:
    while os.read(0, 1024):
        pass
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)


@click.command("metrics", epilog="Example: auto-experiment metrics train.log --objective 'val accuracy' --json")
@click.argument("log", metavar="PATH", type=click.Path(exists=True, allow_dash=True))
@click.option("--objective", metavar="NAME", help="The metric that the run is judged by, as you would call it.")
@click.option("--direction", type=click.Choice(["max", "min"]), help="Whether more or less of it is better.")
@json_option
def metrics_command(log: str, objective: str | None, direction: str | None, as_json: bool) -> None:
    """What is read of any training log: metrics, objective, progress, fault. PATH may also be a file of metrics (CSV,
    JSON lines, TensorBoard events, trainer_state.json, W&B's .wandb), the folder of a run, or any folder of such files.
    With - for PATH a log is read from standard input.
    """
    from auto_experiment.views import reading
    from auto_experiment.watch.metrics import summary
    from auto_experiment.watch.sources import summary as structured

    if objective is not None and not 0 < len(objective.strip()) <= _LONGEST_OBJECTIVE:
        raise UsageError(f"--objective: give a metric's name, of at most {_LONGEST_OBJECTIVE} characters")
    curves: dict[str, list[float]] = {}
    try:
        document = None
        if log == "-":
            document = summary.summarise(_standard_input(), objective, direction, curves)
        elif structured.is_structured(log):
            document = structured.summarise(log, objective, direction, curves)
        if document is None or not (
            document["metrics"] or log == "-" or os.path.isdir(log)
        ):  # a log by the name of x.json
            document = summary.summarise(log, objective, direction, curves)
    except OSError as error:
        raise UsageError(
            f"{log}: cannot be read: {error.strerror or error}; give a log, or a file of metrics"
        ) from error
    if as_json:
        print_json(document)
    else:
        click.echo(reading.as_text(document, curves, ascii_only=not has_braille(sys.stdout)))


_LONGEST_OBJECTIVE = 200
_LONGEST_DIFF = 40_000  # characters, of one experiment in the report
_CHUNK = 1 << 20


def _standard_input() -> Iterator[bytes]:
    if sys.stdin is None:
        raise UsageError("-: standard input is closed; give a log: `auto-experiment metrics - < train.log`")
    while chunk := os.read(sys.stdin.fileno(), _CHUNK):
        yield chunk
