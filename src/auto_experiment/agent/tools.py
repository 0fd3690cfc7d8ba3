"""The code agent's five tools: what a model is told of them, what it may send, and how a call is carried out.

A call is read strictly; what does not fit becomes an error for the model, one sentence that says what was given, what
was expected and what to do. Files and shell are ports: what may be touched is decided there. Starts no training: a
launch is only asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from auto_experiment import command as commands
from auto_experiment.agent.arguments import CONTENT_MAX, Edits, Text, Whole
from auto_experiment.agent.base import Act, Files, Launch, Shell, ToolRefused
from auto_experiment.agent.edits import Edit, edited
from auto_experiment.agent.seen import Seen
from auto_experiment.agent.showing import shown_file, shown_list, shown_shell, text_of
from auto_experiment.agent.waiting import waits
from auto_experiment.errors import CommandError
from auto_experiment.models.base import Tool, ToolCall, ToolResult
from auto_experiment.records.change import LaunchRequest
from auto_experiment.watch.log_tail import clean

SHELL_TIMEOUT = 120  # seconds, when the model gives none
SHELL_MOST = 600
NOTE_MAX = 600  # characters
NAME_MAX = 80
ERROR_MAX = 500  # characters of a sentence for the model
FILE_MAX = 2 << 20  # bytes that are read of a file to show, and that a file to edit may have


@dataclass(frozen=True)
class Caps:
    """How much of a result is shown. A whole ordinary file fits one read."""

    read_chars: int = 12_000
    shell_chars: int = 6_000
    entries: int = 200


# -- the five ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    name: str
    about: str
    arguments: tuple[Text | Whole | Edits, ...]

    def tool(self) -> Tool:
        properties = {argument.name: argument.schema() for argument in self.arguments}
        required = [argument.name for argument in self.arguments if argument.required]
        return Tool(self.name, self.about, {"type": "object", "properties": properties, "required": required,
                                            "additionalProperties": False})  # fmt: skip

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as keyword arguments. null is as good as absent."""
        known = [argument.name for argument in self.arguments]
        for name in given:
            if name not in known:
                raise ToolRefused(f"{self.name} has no argument {name!r:.60}; it takes {', '.join(known)}")
        there = [argument for argument in self.arguments if given.get(argument.name) is not None]
        for argument in self.arguments:
            if argument.required and argument not in there:
                raise ToolRefused(f"{self.name} needs {argument.name}")
        return {argument.name: argument.read(given[argument.name]) for argument in there}


def _path(about: str = "", *, required: bool = True) -> Text:
    return Text("path", 1_000, about, required=required, blank=False)


SPECS = (
    Spec("run_shell", "Run a shell command in the project folder. No GPU. All it starts ends with it.", (
        Text("command", 20_000, required=True, blank=False),
        Whole("timeout", 1, SHELL_MOST, f"seconds, at most {SHELL_MOST}; default {SHELL_TIMEOUT}"))),
    Spec("launch_experiment", "Have the harness dry-run and start the training. Ends your work, so call it last.", (
        Text("command", 8_000, "program and arguments, no shell syntax", required=True, blank=False),
        Text("dry_run_command", 8_000, "only if the dry run needs other arguments; same program and script"),
        Text("name", 1_000),
        Text("note", 20_000, f"code facts for the next experiment: files, flags, run time; <= {NOTE_MAX} chars"))),
    Spec("write_file", "Write a whole file (content) or change parts of one (edits). Give exactly one of the two.", (
        _path(),
        Text("content", CONTENT_MAX),
        Edits("edits", 100, "old: exact text that is in the file once. All are made, or none"))),
    Spec("read_file", "Read a text file.", (
        _path(),
        Whole("offset", 1, 10**9, "first line; default 1"),
        Whole("limit", 1, 10**9, "lines; default all that fit"))),
    Spec("list_files", "List a folder.", (_path("default .", required=False),)),
)  # fmt: skip
TOOLS = tuple(spec.tool() for spec in SPECS)
_SPECS = {spec.name: spec for spec in SPECS}
LAUNCH = "launch_experiment"

Answer = tuple[str, bool]  # the text of a result, and whether it is an error


@dataclass(frozen=True)
class Toolbox:
    """Reads calls and carries them out on ``files`` and ``shell``."""

    files: Files
    shell: Shell
    caps: Caps = Caps()
    seen: Seen = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", Seen(self.files, FILE_MAX))

    def prepare(self, call: ToolCall) -> Act | Launch | ToolResult:
        """What is to be done for a call; an error result when it is not valid. Does nothing yet."""
        try:
            return self._prepared(call)
        except ToolRefused as no:
            return refusal(call, str(no))

    def _prepared(self, call: ToolCall) -> Act | Launch:
        if call.error:
            raise ToolRefused(f"not carried out: {call.error}; send one JSON object that fits the tool")
        spec = _SPECS.get(call.name)
        if spec is None:
            raise ToolRefused(f"there is no tool {call.name!r:.60}; there are {', '.join(_SPECS)}")
        arguments = spec.read(call.arguments)
        if call.name == LAUNCH:
            return Launch(call, launch_request(**arguments))
        work: Callable[[], Answer] = getattr(self, f"_{call.name}")(**arguments)
        return Act(call, partial(_performed, call, work), self.shell.abort if call.name == "run_shell" else _nothing)

    # Each reads its arguments further and returns the work.

    def _run_shell(self, command: str, timeout: int = SHELL_TIMEOUT) -> Callable[[], Answer]:
        if found := waits(command):
            raise ToolRefused(f"not run: it {found}; watching is automatic: launch_experiment starts the training and "
                              "the harness waits for its end, you do not")  # fmt: skip
        return partial(self._do_run_shell, command, timeout)

    def _do_run_shell(self, command: str, timeout: int) -> Answer:
        with self.seen.around_a_command():
            result = self.shell.run(command, timeout)
        return shown_shell(result, timeout, self.caps.shell_chars), result.timed_out or result.code != 0

    def _write_file(
        self, path: str, content: str | None = None, edits: tuple[Edit, ...] | None = None
    ) -> Callable[[], Answer]:
        if (content is None) == (edits is None):
            raise ToolRefused("write_file takes either content (the whole file) or edits, not both and not none")
        return partial(self._do_edit, path, edits or ()) if content is None else partial(self._do_write, path, content)

    def _do_write(self, path: str, content: str) -> Answer:
        self.seen.require(path)
        self._written(path, content)
        lines = content.count("\n") + bool(content and not content.endswith("\n"))
        return f"{clean(path)} written: {lines:,} lines, {len(content):,} characters", False

    def _do_edit(self, path: str, edits: Sequence[Edit]) -> Answer:
        data, size = self.files.read(path, 0, FILE_MAX)
        if size > FILE_MAX:
            raise ToolRefused(f"{path} has {size:,} bytes, too many to edit here; use run_shell (sed, python)")
        try:
            text = text_of(data)
        except ToolRefused as no:
            raise ToolRefused(f"{path} is {no}; nothing was changed; use run_shell if it has to be") from no
        result = edited(text, edits)
        self._written(path, result.text)
        count = f"{len(edits)} edit{'s' if len(edits) > 1 else ''}"
        return f"{clean(path)}: {count} made, line {', '.join(map(str, result.lines[:20]))}", False

    def _written(self, path: str, text: str) -> None:
        data = text.encode("utf-8")
        self.files.write(path, data)
        self.seen.note(path, data)

    def _read_file(self, path: str, offset: int = 1, limit: int | None = None) -> Callable[[], Answer]:
        return partial(self._do_read, path, offset, limit)

    def _do_read(self, path: str, offset: int, limit: int | None) -> Answer:
        data, size = self.files.read(path, 0, FILE_MAX)
        whole = len(data) >= size
        if whole:
            self.seen.note(path, data)
        else:  # its last line is not whole, nor is perhaps its last character
            data = data[: data.rfind(b"\n") + 1]
        try:
            text = text_of(data)
        except ToolRefused as no:
            return f"{clean(path)}: {no}, {size:,} bytes, not shown", False
        return shown_file(path, text, whole, size, offset, limit, self.caps.read_chars), False

    def _list_files(self, path: str = ".") -> Callable[[], Answer]:
        return lambda: (shown_list(path, self.files.list(path), self.caps.entries), False)


def refusal(call: ToolCall, sentence: str) -> ToolResult:
    return ToolResult(call.id, clean(sentence.replace("\n", " "), ERROR_MAX), is_error=True)


def _performed(call: ToolCall, work: Callable[[], Answer]) -> ToolResult:
    try:
        text, bad = work()
    except ToolRefused as no:
        return refusal(call, str(no))
    return ToolResult(call.id, text, bad)


def _nothing() -> None:
    """What cannot be broken off is over at once."""


def launch_request(command: str, dry_run_command: str = "", name: str = "", note: str = "") -> LaunchRequest:
    """A launch that the gate can try. A note that is too long loses its end: the launch is worth more than it."""
    command, dry_run_command = command.strip(), dry_run_command.strip()
    entry = _entry("command", command)
    if dry_run_command and (dry := _entry("dry_run_command", dry_run_command)) != entry:
        ours, theirs = commands.join(entry), commands.join(dry)
        raise ToolRefused(f"not launched: dry_run_command runs {theirs!r:.100}, command {ours!r:.100}; give it the "
                          "same program and script, or leave it out")  # fmt: skip
    return LaunchRequest(command, dry_run_command, clean(" ".join(name.split()), NAME_MAX),
                         clean(" ".join(note.split()), NOTE_MAX))  # fmt: skip


def _entry(name: str, text: str) -> tuple[str, ...]:
    """What a command runs. Raises ToolRefused when it is no command."""
    try:
        return commands.entry(commands.split(text))
    except CommandError as error:
        found = commands.shell_syntax(text)
        why = f"has shell syntax ({found})" if found else "has open quotes or names no program"
        raise ToolRefused(f"not launched: {name} {text!r:.120} {why}; give one program and its arguments, and put what "
                          "needs a shell into a script") from error  # fmt: skip
