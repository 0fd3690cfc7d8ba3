"""The command line's entry point: which command lives where, and how errors become one line and an exit status.

Imports click and nothing heavier: ``--help`` is instant because the commands are loaded one by one.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from auto_experiment import __version__
from auto_experiment.cli.common import to_nowhere
from auto_experiment.errors import AutoExperimentError, ConfigError, disk_fault

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> (module, one line for --help), in the order of a day's work
COMMANDS = {
    "demo": ("campaign", "Make a small real project and run it to a report: no key, no GPU, no network."),
    "init": ("project", "Look at a project, and write a brief that fits it."),
    "check": ("project", "Say what is ready and what is missing, a line each."),
    "run": ("campaign", "Run the loop until the target, a budget or you end it."),
    "status": ("look", "Goal, best so far, what runs now, recent decisions."),
    "watch": ("watching", "The live view of a loop that runs elsewhere; q leaves it."),
    "list": ("look", "All experiments, a line each."),
    "show": ("look", "One experiment in full."),
    "logs": ("look", "A training's log."),
    "diff": ("code", "What an experiment changed in the code, or in what two differ."),
    "restore": ("code", "Put an experiment's code back into the folder."),
    "direct": ("steer", "Leave a directive for the next THINK."),
    "pause": ("steer", "Start nothing new after what runs now."),
    "resume": ("steer", "Go on after a pause, at once."),
    "stop": ("steer", "End the controller; with --run the training too."),
    "report": ("look", "Write the report from the ledger."),
    "gpus": ("gpus", "The GPUs of this machine: who uses them, which are free."),
    "metrics": ("look", "What the log reader sees in any training log."),
    "skills": ("skills", "Put the skills for Claude Code and Codex in their place, or take them away."),
    "completion": ("completion", "Completion of commands and experiments in bash, zsh and fish."),
}
PROGRAM, VARIABLE = "auto-experiment", "_AUTO_EXPERIMENT_COMPLETE"  # click's own name: how a shell asks
# promised, and refused with a clear word until they are built
LATER = ("mcp", "clean")


class LazyGroup(click.Group):
    """Lists the commands without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"auto_experiment.cli.{COMMANDS[name][0]}")
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)  # noqa: S101  the table above names commands
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ctx.resilient_parsing:  # somebody is typing, and wants no advice
            return super().resolve_command(ctx, args)
        if args and args[0] in LATER:
            raise click.UsageError(f"{args[0]}: not built yet; the commands are {', '.join(COMMANDS)}", ctx)
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean `{close[0]}`?" if close else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="auto-experiment %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Runs your deep-learning experiments while you sleep, and can be believed in the morning.

    \b
    auto-experiment demo            # see it work, in two minutes
    auto-experiment init            # then: your own project
    auto-experiment run --gpu 0
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Exit status: 0 done, 1 a failure of our own, 2 usage, config or brief wrong, 3 the environment is not ready,
    130 interrupted. Every expected error is one line on stderr; what is wrong in a config is a line each."""
    sys.exit(_run())


def _run() -> int:
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  closed by whoever started us
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # a path or a log line may hold what the terminal's encoding cannot say
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli._main_shell_completion({}, PROGRAM, VARIABLE)  # noqa: SLF001  what click's own main does first
        with cli.make_context(PROGRAM, sys.argv[1:]) as context:
            status = cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        print(f"auto-experiment: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except ConfigError as error:
        for line in error.every:
            print(f"auto-experiment: {line}", file=sys.stderr)
        return error.exit_status
    except AutoExperimentError as error:
        print(f"auto-experiment: {error}", file=sys.stderr)
        return error.exit_status
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # `auto-experiment list | head`
        to_nowhere(sys.stdout)
        return 0
    except OSError as error:
        if fault := disk_fault(error):
            print(f"auto-experiment: {fault}", file=sys.stderr)
            return fault.exit_status
        print(f"auto-experiment: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None and error.ctx.command_path != "auto-experiment":
        return f"{text} (`{error.ctx.command_path} --help` shows how)"
    return text
