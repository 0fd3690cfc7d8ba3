"""config.yaml -> a frozen ``Config``; and the environment, which no other file reads.

Every default, every limit and every sentence about a key stands here once: docs/configuration.md is made from it.
It does not read the brief, does not decide between the two (``objective.*`` stays null here when the Goal says it),
and starts nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal, cast, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from auto_experiment.errors import ConfigError, MissingKey, UsageError
from auto_experiment.files import read_text
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.brief import Parameter
from auto_experiment.search_space import FORMS, parse_mapping
from auto_experiment.yaml_file import YamlFile, loose_mapping, plain, shown

CONFIG_NAME = "config.yaml"
COMMAND_LINE = "command line"
# These go to a command line or to an environment: `on` must not arrive there as "True", nor 1e-3 as "0.001".
_AS_WRITTEN = {"search_space": {"bool"}, "experiment.env": {"bool", "int", "float"}}
LONGEST_WAIT = 1_000_000  # seconds, 11 days: as milliseconds it still fits the 32 bits that poll() takes

PROVIDER_KEYS = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY"})
_DEFAULT_KEY = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_DEFAULT_MODEL = {"anthropic": "claude-sonnet-4-6"}
_VENDORS = frozenset(
    [
        "qwen",
        "gemini",
        "google",
        "ollama",
        "deepseek",
        "mistral",
        "groq",
        "together",
        "openrouter",
        "vllm",
        "lmstudio",
        "llama",
        "kimi",
        "moonshot",
        "glm",
        "zhipu",
        "grok",
        "xai",
        "azure",
        "bedrock",
        "cohere",
        "fireworks",
        "minimax",
        "doubao",
        "siliconflow",
        "huggingface",
        "litellm",
        "sglang",
    ]
)
_SYNONYMS = {
    "claude": "anthropic or claude_cli", "codex": "codex_cli", "gpt": "openai", "chatgpt": "openai",
    "none": "optuna", "no_llm": "optuna", "random": "optuna",
    "maximize": "max", "maximise": "max", "higher": "max", "up": "max",
    "minimize": "min", "minimise": "min", "lower": "min", "down": "min", "last": "final",
}  # fmt: skip
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The loader and Python load code from the places that these name; what stands between two of them.
_LOADS = {
    "LD_LIBRARY_PATH": ":;", "LD_PRELOAD": ": ", "LD_AUDIT": ":", "PYTHONPATH": ":", "PYTHONHOME": ":",
    "PYTHONUSERBASE": ":", "PYTHONPYCACHEPREFIX": ":",
}  # fmt: skip
_SYSTEM_VARIABLES = frozenset(
    {"PATH", "HOME", "USER", "SHELL", "PWD", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH"}
)


# --- what the values may be ---------------------------------------------------------------------------------------


def _variable_name(name: str) -> str:
    """The name of an environment variable. The value is never repeated: it may be the key itself."""
    looks_random = len(name) >= 30 and all(re.search(kind, name) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    if name and (not _VARIABLE.fullmatch(name) or looks_random or name.lower().startswith("sk_")):
        raise ValueError(
            "must be the NAME of an environment variable, not the key itself (what was given is not shown)"
        )
    if name in _SYSTEM_VARIABLES:
        raise ValueError(f"{name} is not a key's variable; it would be taken from every command")
    return name


def _address(url: str) -> str:
    if url and not (re.fullmatch(r"https?://[^\s/]+.*", url) and _has_host(url)):
        raise ValueError(f"given {shown(url)}; allowed: a URL that begins with http:// or https://")
    if added := re.search(r"/(?:chat/completions|v1/messages)/?$", url):
        raise ValueError(f"given {shown(url)}; allowed: the same without {added[0]}, which is added to it")
    return url


def _has_host(url: str) -> bool:
    try:
        split = urlsplit(url)
        return bool(split.hostname) and split.port != 0
    except ValueError:  # no number for a port, an open bracket
        return False


def _there_is_no_such_mode(zero_llm: bool) -> bool:
    if not zero_llm:
        raise ValueError("given false; there is no such mode: the model is never called while a training runs")
    return zero_llm


def _environment(variables: dict[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{shown(name)} is not the name of an environment variable")
        if name in PROVIDER_KEYS:
            raise ValueError(f"{name} is a provider's key: no command is given one")
        if name.startswith("AUTO_EXPERIMENT_"):
            raise ValueError(f"{name} is set by the harness itself")
        if "\0" in value:
            raise ValueError(f"{name} holds a NUL character")
    return variables


def _parameters(space: object) -> tuple[Parameter, ...]:
    if not isinstance(space, Mapping):
        reason = f"given {shown(space)}; allowed: names with values, such as {FORMS}"
        raise ValueError(reason)  # noqa: TRY004 -- the type of error that pydantic collects
    try:
        return parse_mapping(space)
    except UsageError as wrong:
        raise ValueError(f"{wrong}; allowed: {FORMS}") from wrong


def _subfolder(path: str) -> str:
    """A folder below another one, which nothing may lead out of."""
    named = path.replace("{project_name}", "name")
    if unknown := re.search(r"\{\s*\w*\s*\}", named):
        raise ValueError(f"given {shown(path)}; {unknown[0]} stands for nothing here: did you mean {{project_name}}?")
    parts = named.split("/")
    if path.startswith(("/", "~")) or ".." in parts or not any(part not in ("", ".") for part in parts):
        raise ValueError(f"given {shown(path)}; allowed: a folder below the vault, such as Experiments/cifar10")
    return path


def _addresses(value: object) -> object:
    """One address may stand without the list. Nothing is repeated of what is wrong: it may hold a password."""
    listed = () if value in (None, {}) else (value,) if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)):
        raise ValueError("allowed: a list of addresses (what was given is not shown: it may hold a secret)")  # noqa: TRY004
    for number, one in enumerate(listed, start=1):
        if not isinstance(one, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x20\x7f]+", one.strip()):
            raise ValueError(
                f"number {number} is not an address of Apprise; allowed: such as mailto://user:password@example.org "
                "(what was given is not shown: it may hold a secret)"
            )
    return tuple(one.strip() for one in listed)


def _list_as_tuple(value: object) -> object:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _none_as_empty(value: object) -> object:
    return {} if value is None else value


Line = Annotated[str, StringConstraints(strip_whitespace=True, pattern=_ONE_LINE)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, pattern=_ONE_LINE, min_length=1)]
VariableName = Annotated[str, AfterValidator(_variable_name)]
Globs = Annotated[tuple[Words, ...], BeforeValidator(_list_as_tuple)]
Variables = Annotated[dict[str, str], AfterValidator(_environment), BeforeValidator(_none_as_empty)]
Space = Annotated[tuple[Parameter, ...], PlainValidator(_parameters)]
Addresses = Annotated[tuple[str, ...], BeforeValidator(_addresses)]


def _key(default: Any, allowed: str, description: str, *, later: bool = False, **limits: float) -> Any:
    """A key of config.yaml. ``later``: accepted at its default only."""
    extra: dict[str, Any] = {"allowed": allowed, "later": later}
    return Field(default, description=description, json_schema_extra=extra, **cast("dict[str, Any]", limits))


_SECONDS = f"seconds, 1 to {LONGEST_WAIT:,}"
_HOURS = "hours, more than 0, or null"
_MOST_HOURS = 1_000_000


# --- the keys -----------------------------------------------------------------------------------------------------


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Project(Section):
    """What the project is called and where its files lie."""

    name: Words | None = _key(None, "text, or null", "Name in reports and `status`. null: the folder's name.")
    brief: Words = _key(
        "PROJECT_BRIEF.md", "a path", "The brief: goal, codebase, constraints. Relative to the project folder."
    )
    workspace: Words = _key(
        "workspace",
        "a path",
        "Folder for the controller's files: memory, logs, runs, reports. Relative to the project folder.",
    )
    ledger: Words | None = _key(
        None,
        "a path, or null",
        "The SQLite record of all that happened. null: `ledger.db` in the workspace. "
        "Name a path on a local disk when the project lies on a network disk, where SQLite's locks are not safe.",
    )


class ObjectiveKeys(Section):
    """What counts as better. Each key wins over what the brief's Goal says."""

    metric: Words | None = _key(
        None,
        "a metric's name, or null",
        "The metric as the training prints it, such as `val_loss`. "
        "null: read from the brief's Goal; else the first plan proposes it, and that is recorded.",
    )
    direction: Literal["max", "min"] | None = _key(
        None, "max, min or null", "Whether a higher or a lower value is better. null: read from the brief's Goal."
    )
    target: float | None = _key(
        None,
        "a number, or null",
        "Value at which the campaign is done. Of a share such as an accuracy or error rate, 78 and 0.78 mean the same: "
        "the first run that prints it settles the scale. Anything else: in the scale that the training prints. "
        "null: read from the brief's Goal; without one the campaign ends by its limits.",
    )
    select: Literal["best", "final"] = _key(
        "best", "best or final", "Which value of a run counts: the best it reported, or its last one."
    )


class Prices(Section):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(None, ge=0)
    cache_write: float | None = Field(None, ge=0)


class Agent(Section):
    """Who plans, and how often."""

    provider: Literal["anthropic", "openai", "claude_cli", "codex_cli", "optuna"] = _key(
        "anthropic",
        "anthropic, openai, claude_cli, codex_cli or optuna",
        "Who plans the experiments, and changes the code for them. `optuna` needs no language model and no key: it "
        "searches the search space. `claude_cli` and `codex_cli` are refused by this version with a line that says so.",
    )
    model: Words | None = _key(
        None,
        "a model's name, or null",
        "Which model of the provider. null: `claude-sonnet-4-6` for anthropic; openai must be given one.",
    )
    base_url: Annotated[Line, AfterValidator(_address)] = _key(
        "",
        "a URL such as http://localhost:11434/v1",
        "Address of any endpoint compatible with the provider: Ollama, vLLM, DashScope and others. "
        "Empty: the provider's own.",
    )
    api_key_env: VariableName = _key(
        "",
        "the name of an environment variable",
        "Variable that holds the provider's key; the key itself is never written here. "
        "Empty: `ANTHROPIC_API_KEY` or `OPENAI_API_KEY`. It is removed from the environment of every command.",
    )
    auth_token_env: VariableName = _key(
        "",
        "the name of an environment variable",
        "Variable that holds a bearer token instead of a key; not both. Removed from the environment of every command.",
    )
    fallback: Literal["optuna"] | None = _key(
        None,
        "optuna or null",
        "Who plans while the model cannot be asked: `optuna` searches the search space until the model answers again. "
        "null: the controller waits, says why and until when, and carries on by itself.",
    )
    prices: Prices | None = _key(
        None,
        "USD per million tokens: {input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}, or null",
        "What the model costs. null: by a list of known prices; of a model that is not in it, and at any other "
        "address, the cost is unknown. cache_read and cache_write: the same as input when left out.",
    )
    max_cycles: int = _key(
        -1,
        "a whole number, 0 or more; -1: no limit",
        "How many cycles one call of `run` does, then it writes the report and ends. "
        "It counts this call, not the project's life.",
        ge=-1,
    )
    max_steps_per_cycle: int = _key(
        3,
        "a whole number, 1 to 20",
        "How often per cycle the code agent is sent out to change the code. When none of these dispatches led to a "
        "launch that passed its dry run, the experiment has failed.",
        ge=1,
        le=20,
    )
    cooldown_interval: float = _key(
        300.0,
        _SECONDS,
        "While a plan says wait: time between looks, without the model, at whether brief, config, "
        "directive or memory changed.",
        ge=1,
        le=LONGEST_WAIT,
    )
    private: Globs = _key(
        (),
        "a list of globs",
        "Files that none of the agent's tools can read, nor a run of its code (`experiment.reads_private`).",
    )

    @model_validator(mode="after")
    def _a_key_or_a_token(self) -> Agent:
        if self.api_key_env and self.auth_token_env:
            raise ValueError("auth_token_env: given beside api_key_env; allowed: one of the two")
        return self


class Memory(Section):
    """How much text is carried from cycle to cycle. The caps keep it the same size after a day and after a month."""

    brief_max_chars: int = _key(
        3000,
        "characters, 200 to 100,000",
        "How much of the brief reaches the planner. A longer brief is cut there, and `check` and the log say so.",
        ge=200,
        le=100_000,
    )
    log_max_chars: int = _key(
        2000,
        "characters, 200 to 100,000",
        "Cap of `MEMORY_LOG.md`. The oldest entries go first; the best result so far never goes.",
        ge=200,
        le=100_000,
    )
    milestone_max_chars: int = _key(
        1200,
        "characters, 100 up to log_max_chars",
        "Cap of the Key Results part of `MEMORY_LOG.md`. Not given, and `log_max_chars` smaller: the same as that.",
        ge=100,
        le=100_000,
    )
    max_recent_entries: int = _key(
        15, "a whole number, 1 to 1,000", "Lines kept under Recent Decisions in `MEMORY_LOG.md`.", ge=1, le=1000
    )

    @model_validator(mode="before")
    @classmethod
    def _a_smaller_log_has_smaller_milestones(cls, given: Any) -> Any:
        """Nobody should have to set two keys to make one smaller."""
        log = given.get("log_max_chars") if isinstance(given, dict) else None
        if isinstance(log, int) and "milestone_max_chars" not in given:
            return {**given, "milestone_max_chars": max(100, min(1200, log))}
        return given

    @model_validator(mode="after")
    def _milestones_fit_into_the_log(self) -> Memory:
        if self.milestone_max_chars > self.log_max_chars:
            raise ValueError(
                f"milestone_max_chars: given {self.milestone_max_chars}; "
                f"allowed: at most log_max_chars, which is {self.log_max_chars}"
            )
        return self


class Monitor(Section):
    """How a training is watched. No model is asked meanwhile."""

    poll_interval: float = _key(
        900.0,
        _SECONDS,
        "Heartbeat while a training runs: one GPU sample, one progress line. "
        "The end of a run wakes the controller at once, whatever this says.",
        ge=1,
        le=LONGEST_WAIT,
    )
    zero_llm: Annotated[bool, AfterValidator(_there_is_no_such_mode)] = _key(
        True, "true", "The model is never called while a training runs. There is no other mode: false is refused."
    )
    log_tail_lines: int = _key(
        50,
        "a whole number, 1 to 500",
        "Lines at the end of a training log that are shown with its outcome.",
        ge=1,
        le=500,
    )
    hang_timeout: float | None = _key(
        None,
        f"{_SECONDS}, or null",
        "Silence after which a run counts as hanging and is stopped. "
        "null: learned from the run's own pace. Never before its first output.",
        ge=1,
        le=LONGEST_WAIT,
    )


class Experiment(Section):
    """How a training is started."""

    mandatory_dry_run: bool = _key(
        True,
        "true or false",
        "Try every command for a few steps before the real training. "
        "false: launches go without, and every report says so.",
    )
    dry_run_timeout: float = _key(600.0, _SECONDS, "Longest time that a dry run may take.", ge=1, le=LONGEST_WAIT)
    command: Words | None = _key(
        None,
        "a command line, or null",
        "The training command. null: from the brief's Codebase (`Training: train.py`), else from the plan.",
    )
    setup: Line = _key(
        "",
        "one shell line",
        "Runs before every command, in the same bash: `source .venv/bin/activate`, "
        "`conda activate x`, `module load cuda`.",
    )
    env: Variables = _key(
        {}, "names with values", "Variables added to the environment of every command. Values are taken as written."
    )
    max_hours: float | None = _key(None, _HOURS, "Longest time of one run; it is stopped then.", gt=0, le=_MOST_HOURS)
    max_parallel: int = _key(1, "a whole number, 1 to 64", "Runs at the same time.", later=True, ge=1, le=64)
    reads_private: bool = _key(
        False,
        "true or false",
        "Runs of the agent's code may read the files of `agent.private`. What they print is shown to the model.",
    )
    frozen: Globs = _key(
        (),
        "a list of globs",
        "Files that may be read and never changed by the agent. The list under `# Frozen` in the brief is added.",
    )


class Execution(Section):
    """Where the training runs."""

    mode: Literal["local", "ssh", "slurm"] = _key(
        "local", "local, ssh or slurm", "This machine, another one, or a cluster.", later=True
    )
    ssh_host: Line = _key("", "a host's name", "Host to run on.", later=True)
    remote_workspace: Line = _key("", "a path", "The project folder on that host.", later=True)
    remote_python: Words = _key("python3", "a program", "Python on that host.", later=True)
    ssh_args: Globs = _key((), "a list of texts", "Arguments added to `ssh`.", later=True)


class Budget(Section):
    """Limits over the project's life. Used up: no new run is started; a living run may end."""

    usd: float | None = _key(
        None,
        "US dollars, more than 0, or null",
        "Cost of the model. Reserved before each call: at most the last one goes over it.",
        gt=0,
    )
    gpu_hours: float | None = _key(None, _HOURS, "Hours of training, times the GPUs used.", gt=0, le=_MOST_HOURS)
    wall_hours: float | None = _key(
        None, _HOURS, "Hours that the controller has worked on the project.", gt=0, le=_MOST_HOURS
    )
    experiments: int | None = _key(None, "a whole number, 1 or more, or null", "Number of experiments.", ge=1)


class Obsidian(Section):
    """Progress notes in Markdown, for [Obsidian](notes.md) or any other reader."""

    enabled: bool = _key(False, "true or false", "Keep a dashboard and daily notes up to date.")
    vault_path: Line = _key(
        "",
        "a path, or nothing",
        "The vault, a folder that exists; relative to the project folder, `~` is your home. "
        "Empty: the notes lie in `workspace/progress_tracking/`.",
    )
    project_subdir: Annotated[Line, AfterValidator(_subfolder)] = _key(
        "auto-experiment/{project_name}",
        "a folder below the vault",
        "Where in the vault the notes lie; it is made when it is missing. `{project_name}` is the project's name, "
        "without the characters that a note's name must not have. Used with `vault_path` only.",
    )
    auto_append_daily: bool = _key(
        True, "true or false", "Beside the dashboard, a note for each day with a line for each thing that ended."
    )


class Report(Section):
    """What `run` leaves behind when it ends."""

    html: bool = _key(
        True,
        "true or false",
        "Write `report.html` beside `REPORT.md`. false: only `auto-experiment report` writes it.",
    )


class Config(Section):
    """All of config.yaml, every key filled in."""

    project: Project = Project()
    objective: ObjectiveKeys = ObjectiveKeys()
    agent: Agent = Agent()
    memory: Memory = Memory()
    monitor: Monitor = Monitor()
    experiment: Experiment = Experiment()
    search_space: Space = _key(
        (),
        "names with a range or a list",
        "What may be varied, as under `# Search Space` in the brief: a range as text "
        "(`--lr: 1e-4 .. 1e-1 log`) or a list (`--optimizer: [sgd, adam]`). "
        "When given, it is used instead of the brief's.",
    )
    execution: Execution = Execution()
    budget: Budget = Budget()
    obsidian: Obsidian = Obsidian()
    notify: Addresses = _key(
        (),
        "a list of addresses as [Apprise](notifications.md) reads them",
        "Who is told of a new best, a reached target, a failed experiment, a wait and the end: "
        "`mailto://...`, `slack://...`, `ntfy://...` and a hundred more. At most one message a minute. "
        "The addresses are secrets, and are shown nowhere.",
        repr=False,
    )
    report: Report = Report()

    @model_validator(mode="before")
    @classmethod
    def _nothing_under_a_section(cls, given: Any) -> Any:
        return (
            {key: {} if value is None else value for key, value in given.items()} if isinstance(given, dict) else given
        )

    _written: Config | None = PrivateAttr(None)  # without what the command line says; None: the same

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """``search_space``, under the name of what it holds once it is read."""
        return self.search_space

    @property
    def digest(self) -> str:
        """Of what the human wrote, options of one call left aside. A key left out and the same key at its default give
        the same digest. Who is told of it, and where, is no matter of the experiments."""
        if self._written is not None:
            return self._written.digest
        told = {"search_space", "obsidian", "notify"}
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in told}
        document: dict[str, Any] = {name: section.model_dump(mode="json") for name, section in values.items()}
        document["search_space"] = [dataclasses.asdict(parameter) for parameter in self.search_space]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def paths_of(config: Config, project_dir: str) -> ProjectPaths:
    """Where the project's files lie."""
    project = config.project
    return ProjectPaths.of(project_dir, brief=project.brief, workspace=project.workspace, ledger=project.ledger)


# --- reading ------------------------------------------------------------------------------------------------------


def load_config(project_dir: str, path: str | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """The project's config. ``path``: another file, which then must exist.

    ``overrides`` come from the command line, ``{"agent.provider": "optuna"}``; a value of None was not given.
    """
    source = path or os.path.join(project_dir, CONFIG_NAME)
    document = YamlFile(source, required=path is not None, as_written=_AS_WRITTEN)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    values = _overridden(document.values, given)
    try:
        config = Config.model_validate(values)
    except ValidationError as wrong:
        raise _explained(wrong, document, given) from None  # the chain would show the values again
    _refuse_unbuilt(config, document, given)
    _refuse_workspace(config, project_dir, document)
    if given:
        with contextlib.suppress(ValidationError):  # a wrong key that the command line has replaced
            config._written = _named(Config.model_validate(document.values), project_dir)  # noqa: SLF001  its own factory
    return _named(config, project_dir)


def readable_config(project_dir: str, path: str | None = None) -> Config:
    """What can be read, section by section, of a config that is refused as a whole: where the files lie, and which
    variable holds a key, is no other because a key elsewhere is misspelt. Never fails."""
    kept: dict[str, Any] = {}
    for name, value in loose_mapping(read_text(path or os.path.join(project_dir, CONFIG_NAME)) or "").items():
        with contextlib.suppress(ValidationError, UsageError):
            Config.model_validate({name: value})
            kept[name] = value
    with contextlib.suppress(ValidationError, UsageError):
        return _named(Config.model_validate(kept), project_dir)
    return Config()


def _overridden(values: dict[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        held = values.get(section)
        if held is None or isinstance(held, dict):  # anything else is refused as it is
            values = {**values, section: {**(held or {}), name: value}}
    return values


def _named(config: Config, project_dir: str) -> Config:
    if config.project.name is not None:
        return config
    folder = os.path.basename(os.path.realpath(project_dir)) or "project"
    return config.model_copy(update={"project": config.project.model_copy(update={"name": folder})})


def _refuse_unbuilt(config: Config, document: YamlFile, overrides: Mapping[str, object]) -> None:
    for key, field in all_keys():
        if later(field) and value_of(config, key) != field.default:
            default = json.dumps(field.default)
            raise ConfigError(
                f"{_where(key, document, overrides)}: {key}: not built yet; leave it out (default: {default})"
            )


def _refuse_workspace(config: Config, project_dir: str, document: YamlFile) -> None:
    """The workspace gets a .gitignore of everything, and nothing but the controller may write it."""
    project, workspace = os.path.realpath(project_dir), os.path.realpath(paths_of(config, project_dir).workspace)
    if os.path.commonpath([project, workspace]) == workspace:
        raise ConfigError(
            f"{document.where('project.workspace')}: project.workspace: given {shown(config.project.workspace)}, "
            "which is or holds the project folder; allowed: a folder in it, or elsewhere"
        )


# --- saying what is wrong -----------------------------------------------------------------------------------------


def all_keys() -> list[tuple[str, FieldInfo]]:
    """Every key, dotted, with its field, in the order of the file."""
    found: list[tuple[str, FieldInfo]] = []
    for name, field in Config.model_fields.items():
        section = section_class(name)
        if section is None:
            found.append((name, field))
        else:
            found += [(f"{name}.{key}", inner) for key, inner in section.model_fields.items()]
    return found


def section_class(name: str) -> type[Section] | None:
    field = Config.model_fields.get(name)
    kind = field.annotation if field else None
    if get_origin(kind) is not None or not isinstance(kind, type):  # Python 3.10 calls tuple[...] a type as well
        return None
    return kind if issubclass(kind, Section) else None


def allowed(field: FieldInfo) -> str:
    return str(cast("dict[str, Any]", field.json_schema_extra)["allowed"])


def later(field: FieldInfo) -> bool:
    return bool(cast("dict[str, Any]", field.json_schema_extra)["later"])


def value_of(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _explained(wrong: ValidationError, document: YamlFile, overrides: Mapping[str, object]) -> ConfigError:
    """In the order of the file. In one line: the first problem, and how many more there are."""
    problems = wrong.errors(include_url=False, include_context=True)
    problems.sort(key=lambda error: document.line(_dotted(error)))
    every = tuple(f"{_where(_dotted(error), document, overrides)}: {_problem(error)}" for error in problems)
    more = f" (and {len(every) - 1} more)" if len(every) > 1 else ""
    return ConfigError(every[0] + more, every)


def _where(key: str, document: YamlFile, overrides: Mapping[str, object]) -> str:
    return COMMAND_LINE if key in overrides else document.where(key)


def _dotted(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"])


def _problem(error: ErrorDetails) -> str:
    key, kind = _dotted(error), error["type"]
    if kind == "extra_forbidden":
        return _unknown(key)
    field = _field(key)
    if kind == "value_error":
        reason = str(error.get("ctx", {}).get("error", error["msg"]))
        return f"{key}.{reason}" if field is None else f"{key}: {reason}"
    if field is None:
        return f"{key}: given {shown(error['input'])}; allowed: {_section_keys(key)}"
    if key.endswith("_env"):
        return f"{key}: allowed: {allowed(field)} (what was given is not shown: it may be a key)"
    return f"{key}: given {shown(error['input'])}; allowed: {allowed(field)}{_hint(key, error)}"


def _field(key: str) -> FieldInfo | None:
    """The field of a dotted key, or of the list or group that it is in."""
    return next((field for name, field in all_keys() if key == name or key.startswith(f"{name}.")), None)


def _section_keys(key: str) -> str:
    section = section_class(key)
    names: Sequence[str] = list((section or Config).model_fields)
    return f"a group of keys ({', '.join(names)})"


def _unknown(key: str) -> str:
    parent, _, name = key.rpartition(".")
    section = section_class(parent) if parent else Config
    names = list(section.model_fields) if section else []
    dotted = [known for known, _ in all_keys() if known.endswith(f".{name}")]
    very_close = get_close_matches(name, names, n=1, cutoff=0.8) or dotted[:1] or _close_leaf(name)
    close = very_close or get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        meant = close[0] if "." in close[0] or not parent else f"{parent}.{close[0]}"
        return f"{plain(key)}: unknown key; did you mean {meant}?"
    return f"{plain(key)}: unknown key; allowed here: {', '.join(names)}"


def _close_leaf(name: str) -> list[str]:
    leaves = {key.rpartition(".")[2]: key for key, _ in all_keys()}
    return [leaves[close] for close in get_close_matches(name, list(leaves), n=1, cutoff=0.8)]


def _hint(key: str, error: ErrorDetails) -> str:
    given = error["input"]
    if isinstance(given, bool) and error["type"] in {"string_type", "literal_error"}:
        return " (YAML reads on, off, yes and no as true and false: put the word in quotes)"
    if not isinstance(given, str):
        return ""
    word = given.strip().lower()
    if key == "agent.provider" and any(vendor in word for vendor in _VENDORS):
        return "; a vendor is not a provider: write provider: openai and its address as base_url"
    if error["type"] == "literal_error":
        return _close_word(word, str(error.get("ctx", {}).get("expected", "")))
    if error["type"] in {"int_type", "float_type", "bool_type"} and re.fullmatch(
        r"[-+]?[\d.]+(e[-+]?\d+)?|true|false", word
    ):
        return " (without quotes)"
    return ""


def _close_word(word: str, expected: str) -> str:
    words = re.findall(r"'([^']*)'", expected)
    close = _SYNONYMS.get(word) or next(iter(get_close_matches(word, words, n=1)), "")
    return f"; did you mean {close}?" if close and close.split()[0] in words else ""


# --- the environment ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Environment:
    """The environment as it was when ``read_environment`` was called."""

    variables: Mapping[str, str] = dataclasses.field(repr=False)  # it holds keys: never in a traceback
    named: set[str] = dataclasses.field(default_factory=set, repr=False, compare=False)  # by any config so far

    @property
    def path(self) -> str:
        return self.variables.get("PATH", os.defpath)

    @property
    def home(self) -> str:
        return self.variables.get("HOME") or os.path.expanduser("~")

    @property
    def claude_home(self) -> str:
        return os.path.abspath(self.variables.get("CLAUDE_CONFIG_DIR") or os.path.join(self.home, ".claude"))

    @property
    def codex_home(self) -> str:
        return os.path.abspath(self.variables.get("CODEX_HOME") or os.path.join(self.home, ".codex"))

    @property
    def cuda_visible_devices(self) -> str | None:
        return self.variables.get("CUDA_VISIBLE_DEVICES")

    def child(self, config: Config) -> dict[str, str]:
        """What a command may have: everything but the providers' keys."""
        keys = self.key_names(config)
        return {name: value for name, value in self.variables.items() if name not in keys}

    def helper(self, config: Config, root: str) -> dict[str, str]:
        """For programs that we run ourselves (git, nvidia-smi, Python for a report), outside of every fence: nothing
        that makes them load what lies in the project, where the model may have written it."""
        child = self.child(config)
        loads = {name: ":".join(_beyond(root, child[name], marks)) for name, marks in _LOADS.items() if name in child}
        kept = {name: value for name, value in child.items() if loads.get(name) != ""}
        return {**kept, **{name: value for name, value in loads.items() if value}, "PATH": self.helper_path(root)}

    def helper_path(self, root: str) -> str:
        """Without the folders of the project, its .venv among them."""
        return ":".join(_beyond(root, self.path, ":")) or os.defpath

    def key_names(self, config: Config) -> frozenset[str]:
        """The variables that hold a provider's key: for us alone. One that a config has named stays one when people
        change the config."""
        self.named.update(filter(None, (config.agent.api_key_env, config.agent.auth_token_env)))
        return PROVIDER_KEYS | self.named


def _beyond(root: str, places: str, marks: str) -> list[str]:
    """Of a list of folders or files those outside the project. What is not absolute, or empty, depends on the folder
    that a program is started in. Where we lie ourselves, we need."""
    project, ours = os.path.realpath(root), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = [(place, os.path.realpath(place)) for place in re.split(f"[{marks}]", places) if os.path.isabs(place)]
    return [place for place, real in found if real == ours or os.path.commonpath([project, real]) != project]


def read_environment() -> Environment:
    return Environment(dict(os.environ))


@dataclasses.dataclass(frozen=True)
class Access:
    """How a provider is reached. One of ``api_key`` and ``auth_token`` is "", or both for a server that needs none.
    ``variable``: the name of the one that it was, or would be, read from."""

    provider: str
    model: str
    base_url: str
    api_key: str = dataclasses.field(default="", repr=False)
    auth_token: str = dataclasses.field(default="", repr=False)
    variable: str = ""


def access_of(config: Config, environment: Environment) -> Access | None:
    """None for a provider without a model. ``MissingKey`` names the variable; ``ConfigError`` what else is missing."""
    agent = config.agent
    if agent.provider == "optuna":
        return None
    if agent.provider not in _DEFAULT_KEY:
        raise ConfigError(
            f"agent.provider: provider {agent.provider}: not built yet; use anthropic or openai, or "
            "`--provider optuna`, which needs no key"
        )
    key, token = _secrets(config, environment)
    model = agent.model or _DEFAULT_MODEL.get(agent.provider)
    if model is None:
        raise ConfigError(
            f"agent.model: provider {agent.provider} needs the name of a model: --model NAME, or agent.model"
        )
    return Access(agent.provider, model, agent.base_url, key, token, _variable(agent))


def _secrets(config: Config, environment: Environment) -> tuple[str, str]:
    """(key, token). A local server that compatible providers are often run as may need neither."""
    agent = config.agent
    variable = _variable(agent)
    secret = environment.variables.get(variable, "").strip()
    named = bool(agent.auth_token_env or agent.api_key_env)
    if not secret and (named or not _is_local(agent.base_url)):
        raise MissingKey(
            f"provider {agent.provider} needs a key, and the variable {variable} is not set: set it "
            f"(export {variable}=...), or use `--provider optuna`, which needs none"
        )
    if secret and not re.fullmatch(r"[\x21-\x7e]+", secret):
        raise MissingKey(
            f"the key in {variable} has characters that no key has (a blank, a line break, a quotation mark of a word "
            f"processor): set it again (export {variable}=...)"
        )
    return ("", secret) if agent.auth_token_env else (secret, "")


def _variable(agent: Agent) -> str:
    """The name of the one that the key is read from."""
    return agent.auth_token_env or agent.api_key_env or _DEFAULT_KEY[agent.provider]


def _is_local(url: str) -> bool:
    return bool(re.match(r"https?://(localhost|127\.|\[::1\]|0\.0\.0\.0|10\.|192\.168\.)", url))
