"""config.yaml: defaults, every mistake in one line, the environment, and the page that is made from the keys."""

import importlib.util
import os
import pathlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.config import (
    Config,
    Environment,
    access_of,
    all_keys,
    allowed,
    load_config,
    paths_of,
    read_environment,
    value_of,
)
from auto_experiment.errors import ConfigError, MissingKey
from auto_experiment.project import Place
from auto_experiment.records.brief import Parameter

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "my_project"
    folder.mkdir()
    return folder


def load(project, text, **overrides):
    (project / "config.yaml").write_text(text, encoding="utf-8")
    return load_config(str(project), overrides={key.replace("__", "."): value for key, value in overrides.items()})


def refusal(project, text, **overrides):
    with pytest.raises(ConfigError) as refused:
        load(project, text, **overrides)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    assert refused.value.exit_status == 2
    return message


# --- defaults


def test_the_defaults_are_the_contracts(project):
    config = load_config(str(project))
    assert {key: value_of(config, key) for key, _ in all_keys()} == {
        "project.name": "my_project",
        "project.brief": "PROJECT_BRIEF.md",
        "project.workspace": "workspace",
        "project.ledger": None,
        "objective.metric": None,
        "objective.direction": None,
        "objective.target": None,
        "objective.select": "best",
        "agent.provider": "anthropic",
        "agent.model": None,
        "agent.base_url": "",
        "agent.api_key_env": "",
        "agent.auth_token_env": "",
        "agent.fallback": None,
        "agent.prices": None,
        "agent.max_cycles": -1,
        "agent.max_steps_per_cycle": 3,
        "agent.cooldown_interval": 300,
        "agent.private": (),
        "memory.brief_max_chars": 3000,
        "memory.log_max_chars": 2000,
        "memory.milestone_max_chars": 1200,
        "memory.max_recent_entries": 15,
        "monitor.poll_interval": 900,
        "monitor.zero_llm": True,
        "monitor.log_tail_lines": 50,
        "monitor.hang_timeout": None,
        "experiment.mandatory_dry_run": True,
        "experiment.dry_run_timeout": 600,
        "experiment.command": None,
        "experiment.setup": "",
        "experiment.env": {},
        "experiment.max_hours": None,
        "experiment.max_parallel": 1,
        "experiment.reads_private": False,
        "experiment.frozen": (),
        "search_space": (),
        "execution.mode": "local",
        "execution.ssh_host": "",
        "execution.remote_workspace": "",
        "execution.remote_python": "python3",
        "execution.ssh_args": (),
        "budget.usd": None,
        "budget.gpu_hours": None,
        "budget.wall_hours": None,
        "budget.experiments": None,
        "obsidian.enabled": False,
        "obsidian.vault_path": "",
        "obsidian.project_subdir": "auto-experiment/{project_name}",
        "obsidian.auto_append_daily": True,
        "notify": (),
        "report.html": True,
    }


@pytest.mark.parametrize(
    "text",
    [
        "", "\n\n", "# only a comment\n", "---\n", "\ufeff", "agent:\n", "agent: {}\nmonitor:\n  # poll_interval: 5\n",
        "search_space:\n", "experiment: {env: , frozen: }\n", "project: {name: null}\n", "agent: {model: null, max_steps_per_cycle: 3}\r\n",
        "execution: {mode: local, ssh_args: []}\nbudget: {usd: null}\n", "monitor: {poll_interval: 900.0}",
    ],
)  # fmt: skip
def test_nothing_said_means_the_defaults(project, text):
    config = load(project, text)
    assert config == load_config(str(project), str(project / "config.yaml"))
    assert config.digest == load(project, "").digest


def test_values_are_read(project):
    config = load(
        project,
        "project: {name: Prüfung, workspace: out/ws, ledger: ~/l.db}\n"
        "objective: {metric: val_loss, direction: min, target: 1, select: final}\n"
        "agent: {provider: optuna, api_key_env: MY_KEY, max_cycles: 5, cooldown_interval: 2}\n"
        "memory: {brief_max_chars: 500, log_max_chars: 800, milestone_max_chars: 400, max_recent_entries: 3}\n"
        "monitor: {poll_interval: 1e1, log_tail_lines: 5, hang_timeout: 60, zero_llm: true}\n"
        "experiment:\n"
        "  {mandatory_dry_run: false, dry_run_timeout: 5.5, command: python train.py, setup: module load cuda, max_hours: 0.5,\n"
        "  frozen: [data/**, eval.py]}\n"
        "budget: {gpu_hours: 2, wall_hours: 1.5, experiments: 4}\n",
    )
    assert (config.project.name, config.objective.target, config.objective.direction) == ("Prüfung", 1.0, "min")
    assert (config.agent.provider, config.agent.max_cycles, config.agent.cooldown_interval) == ("optuna", 5, 2.0)
    assert (config.monitor.poll_interval, config.monitor.hang_timeout) == (10.0, 60.0)
    assert (config.experiment.frozen, config.experiment.max_hours) == (("data/**", "eval.py"), 0.5)
    assert (config.budget.gpu_hours, config.budget.wall_hours, config.budget.experiments) == (2.0, 1.5, 4)
    paths = paths_of(config, str(project))
    assert paths.workspace == str(project / "out/ws")
    assert paths.brief == str(project / "PROJECT_BRIEF.md")
    assert paths.ledger == os.path.expanduser("~/l.db")


def test_the_ledger_lies_in_the_workspace(project):
    assert paths_of(load(project, ""), str(project)).ledger == str(project / "workspace/ledger.db")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1e5", 1e5), (".5e1", 5.0), ("1.5", 1.5), ("-2", -2.0), ("1_000", 1000.0), ("+1.e2", 100.0)],
)
def test_numbers_are_numbers(project, text, value):
    assert load(project, f"objective: {{target: {text}}}").objective.target == value


@pytest.mark.parametrize("text", ["010", "1:30", "2024-01-01", "0x10", "1,5", "78%"])
def test_what_yaml_would_guess_is_text(project, text):
    assert f'objective.target: given "{text}"' in refusal(project, f"objective:\n  target: {text}\n")


def test_choices_and_variables_are_kept_as_written(project):
    config = load(
        project,
        "search_space: {--amp: [on, off], --lr: [1e-3, 1], --s: ['1']}\nexperiment: {env: {A: on, B: 1e-3, C: 007, D: ''}}",
    )
    assert config.search_space == (
        Parameter("--amp", "choice", choices=("on", "off")),
        Parameter("--lr", "choice", choices=(1e-3, 1)),
        Parameter("--s", "choice", choices=("1",)),
    )
    assert config.parameters == config.search_space
    assert config.experiment.env == {"A": "on", "B": "1e-3", "C": "007", "D": ""}


def test_anchors_and_merges_work(project):
    config = load(project, "budget: &b {gpu_hours: 2}\nobjective: {target: 3}\n")
    assert config.budget.gpu_hours == 2.0
    assert "x: unknown key" in refusal(project, "x: &x {poll_interval: 5}\nmonitor: {<<: *x, log_tail_lines: 5}\n")


def test_a_smaller_log_makes_smaller_milestones(project):
    assert load(project, "memory: {log_max_chars: 500}").memory.milestone_max_chars == 500
    assert load(project, "memory: {log_max_chars: 5000}").memory.milestone_max_chars == 1200


def test_config_is_frozen(project):
    with pytest.raises(ValueError, match="frozen"):
        load(project, "").agent.max_cycles = 3


def test_the_digest_follows_the_values(project):
    digests = {
        load(project, text).digest
        for text in ("", "agent: {max_cycles: 2}", "search_space: {--a: [1]}", "experiment: {env: {A: b}}")
    }
    assert len(digests) == 4


# --- mistakes


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        # unknown keys
        ("agent:\n  provder: optuna\n", ["line 2", "agent.provder", "unknown key", "did you mean agent.provider?"]),
        ("agnet: {}\n", ["line 1", "agnet", "did you mean agent?"]),
        ("poll_interval: 5\n", ["poll_interval", "did you mean monitor.poll_interval?"]),
        ("agent: {poll_intervall: 5}\n", ["agent.poll_intervall", "did you mean monitor.poll_interval?"]),
        ("zzz: 1\n", ["zzz", "allowed here: project, objective, agent"]),
        ("monitor: {zzz: 1}\n", ["monitor.zzz", "allowed here: poll_interval, zero_llm"]),
        ("on: 1\n", ["on: unknown key"]),
        ("3: 1\n", ["3: unknown key"]),
        ("? [a]\n: 1\n", ["line 1", "a key must be a word"]),
        ('"a\\nb": 1\n', ["unknown key"]),
        # repeated keys
        ("agent: {}\nagent: {}\n", ["line 2", '"agent"', "twice", "first on line 1"]),
        ("agent:\n  max_cycles: 1\n  max_cycles: 2\n", ["line 3", '"max_cycles"', "first on line 2"]),
        ("search_space:\n  --lr: [1]\n  --lr: [2]\n", ["line 3", '"--lr"', "twice"]),
        # types
        ("agent: {max_cycles: '1'}\n", ["agent.max_cycles", 'given "1"', "a whole number", "without quotes"]),
        ("agent: {max_cycles: 1.5}\n", ["given 1.5", "a whole number"]),
        ("agent: {max_cycles: 1.0}\n", ["given 1.0", "a whole number"]),
        ("agent: {max_cycles: true}\n", ["given true", "a whole number"]),
        ("agent: {max_cycles: }\n", ["given nothing", "a whole number"]),
        ("agent: {max_cycles: [1]}\n", ["given [1]", "a whole number"]),
        ("monitor: {poll_interval: true}\n", ["monitor.poll_interval", "given true", "seconds"]),
        ("monitor: {poll_interval: fast}\n", ['given "fast"', "seconds, 1 to 1,000,000"]),
        ("experiment: {mandatory_dry_run: 1}\n", ["experiment.mandatory_dry_run", "given 1", "true or false"]),
        ("experiment: {mandatory_dry_run: 'false'}\n", ['given "false"', "true or false", "without quotes"]),
        ("project: {name: on}\n", ["project.name", "given true", "put the word in quotes"]),
        ("project: {name: 3}\n", ["project.name", "given 3", "text"]),
        ("project: {name: ''}\n", ["project.name", 'given ""', "text"]),
        ('project: {workspace: "a\\0b"}\n', ["project.workspace", "a path"]),
        ("experiment: {frozen: data}\n", ["experiment.frozen", 'given "data"', "a list of globs"]),
        ("experiment: {frozen: [1]}\n", ["experiment.frozen", "given 1", "a list of globs"]),
        ("experiment: {env: [A]}\n", ["experiment.env", "names with values"]),
        ("experiment: {env: {A: }}\n", ["experiment.env.A", "given nothing"]),
        ("experiment: {env: {A B: c}}\n", ["experiment.env", '"A B"']),
        ("experiment: {env: {OPENAI_API_KEY: c}}\n", ["experiment.env", "OPENAI_API_KEY", "provider's key"]),
        ("experiment: {env: {AUTO_EXPERIMENT_RUN_DIR: c}}\n", ["AUTO_EXPERIMENT_RUN_DIR", "set by the harness"]),
        ('experiment: {env: {A: "x\\0"}}\n', ["A holds a NUL"]),
        ('experiment: {command: "a\\nb"}\n', ["experiment.command", "a command line"]),
        ("agent: 3\n", ["agent", "given 3", "a group of keys", "provider"]),
        ("agent: [provider]\n", ["agent", "given [", "a group of keys"]),
        ("search_space: [--lr]\n", ["search_space", "names with values"]),
        ("search_space: {--lr: 1 .. 0}\n", ["search_space", "--lr", "low end 1 is above", "`--lr: 1e-4 .. 1e-1 log`"]),
        ("search_space: {--lr: 3}\n", ["--lr: 3 is neither a range nor a list"]),
        ("search_space: {--o: []}\n", ["--o: the list is empty"]),
        # ranges
        ("agent: {max_cycles: -2}\n", ["given -2", "0 or more; -1: no limit"]),
        ("agent: {cooldown_interval: 0}\n", ["agent.cooldown_interval", "given 0"]),
        ("monitor: {poll_interval: -5}\n", ["given -5", "seconds, 1 to 1,000,000"]),
        ("monitor: {poll_interval: 0.5}\n", ["given 0.5", "seconds, 1 to 1,000,000"]),
        ("monitor: {poll_interval: 1e9}\n", ["given 1000000000.0", "seconds, 1 to 1,000,000"]),
        ("monitor: {poll_interval: .inf}\n", ["given inf"]),
        ("monitor: {hang_timeout: .nan}\n", ["given nan"]),
        ("monitor: {log_tail_lines: 0}\n", ["monitor.log_tail_lines", "given 0", "1 to 500"]),
        ("objective: {target: .nan}\n", ["objective.target", "given nan", "a number"]),
        ("objective: {target: 1" + "0" * 400 + "}\n", ["objective.target", "a number"]),
        ("memory: {log_max_chars: 100}\n", ["memory.log_max_chars", "given 100", "200 to"]),
        ("memory: {milestone_max_chars: 3000}\n", ["memory.milestone_max_chars", "given 3000", "at most log_max_chars, which is 2000"]),
        ("memory: {brief_max_chars: -1}\n", ["memory.brief_max_chars", "given -1"]),
        ("experiment: {max_hours: 0}\n", ["experiment.max_hours", "given 0", "more than 0"]),
        ("experiment: {max_hours: -1}\n", ["given -1"]),
        ("experiment: {dry_run_timeout: -1}\n", ["experiment.dry_run_timeout", "given -1"]),
        ("budget: {gpu_hours: -1}\n", ["budget.gpu_hours", "given -1", "more than 0"]),
        ("budget: {experiments: 0}\n", ["budget.experiments", "given 0", "1 or more"]),
        # words
        ("agent: {provider: qwen}\n", ["agent.provider", 'given "qwen"', "provider: openai", "base_url"]),
        ("agent: {provider: Gemini-Pro}\n", ["base_url"]),
        ("agent: {provider: ollama}\n", ["base_url"]),
        ("agent: {provider: deepseek}\n", ["base_url"]),
        ("agent: {provider: antropic}\n", ["did you mean anthropic?"]),
        ("agent: {provider: claude}\n", ["did you mean anthropic or claude_cli?"]),
        ("agent: {provider: codex}\n", ["did you mean codex_cli?"]),
        ("agent: {provider: }\n", ["agent.provider", "given nothing"]),
        ("agent: {provider: no}\n", ["agent.provider", "given false", "in quotes"]),
        ("objective: {direction: maximize}\n", ["objective.direction", "max, min or null", "did you mean max?"]),
        ("objective: {select: last}\n", ["did you mean final?"]),
        ("monitor: {zero_llm: false}\n", ["monitor.zero_llm", "given false", "there is no such mode"]),
        ("monitor: {zero_llm: maybe}\n", ["monitor.zero_llm", 'given "maybe"']),
        # the workspace
        ("project: {workspace: .}\n", ["project.workspace", "is or holds the project folder"]),
        ("project: {workspace: ..}\n", ["project.workspace", "is or holds the project folder"]),
        ("project: {workspace: /}\n", ["project.workspace", "is or holds the project folder"]),
        # several
        ("monitor:\n  log_tail_lines: x\n  poll_interval: -5\nagent: {max_cycles: z}\n", ["line 2", "monitor.log_tail_lines", "(and 2 more)"]),
        # no config at all
        ("- a\n", ["is a list", "keys and values"]),
        ("just text\n", ['just "just text"', "keys and values"]),
        ("42\n", ['just "42"']),
        ("a: [\n", ["line", "not valid YAML"]),
        ("a: b: c\n", ["line 1", "not valid YAML"]),
        ("agent:\n\tprovider: x\n", ["line 2", "not valid YAML", "a tab"]),
        ("a: \x01\n", ["not valid YAML"]),
        ("a: 1\n---\nb: 2\n", ["not valid YAML"]),
        ("agent: *x\n", ["not valid YAML"]),
        ("agent: !!python/object:os.system {}\n", ["not valid YAML"]),
        ("agent: {max_cycles: !!int x}\n", ["does not fit its tag"]),
        ("agent: {max_cycles: !!timestamp x}\n", ["does not fit its tag"]),
        ("agent: {max_cycles: " + "9" * 5000 + "}\n", ["too long a number"]),
        ("a: " + "[" * 5000 + "\n", ["nested too deeply"]),
        ("agent: &a\n  model: *a\n", ["agent.model"]),
        ("x: " + "y" * 100_001, ["larger than 100,000 bytes"]),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line(project, text, facts):
    message = refusal(project, text)
    assert "config.yaml" in message
    for fact in facts:
        assert fact in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("experiment: {max_parallel: 2}", "experiment.max_parallel"),
        ("execution: {mode: ssh}", "execution.mode"),
        ("execution: {ssh_host: h}", "execution.ssh_host"),
        ("execution: {remote_workspace: w}", "execution.remote_workspace"),
        ("execution: {remote_python: p}", "execution.remote_python"),
        ("execution: {ssh_args: [-v]}", "execution.ssh_args"),
    ],
)
def test_keys_of_later_steps_are_refused(project, text, key):
    message = refusal(project, text)
    assert "config.yaml, line 1" in message
    assert f"{key}: not built yet" in message


@pytest.mark.parametrize("key", ["api_key_env", "auth_token_env"])
@pytest.mark.parametrize(
    "value",
    ["sk-ant-secret", "sk_secret", "AIzaSyA1234567890abcdefghijklmnopqr", "my key", "a" * 20 + "/B1=", "1abc", "$KEY"],
)
def test_a_key_in_place_of_its_variable_is_not_repeated(project, key, value):
    message = refusal(project, f"agent: {{{key}: '{value}'}}")
    assert f"agent.{key}" in message
    assert "NAME of an environment variable" in message
    assert value not in message


def test_a_key_of_another_type_is_not_repeated(project):
    assert "424242" not in refusal(project, "agent: {api_key_env: 424242}")
    assert "PATH" in refusal(project, "agent: {api_key_env: PATH}")


@pytest.mark.parametrize(
    "text",
    ["'slack:/hunter2hunter2'", "['ntfy://fine', 'hunter2hunter2']", "{urls: ['json://u:hunter2hunter2@h/']}", "[[hunter2hunter2]]",
     "[{hunter2hunter2: 1}]", "hunter2hunter2", "['json://u:hunter2hunter2@h/ b']", "[424242]", "424242", "true"],
)  # fmt: skip
def test_what_stands_in_place_of_an_address_is_not_repeated(project, text):
    message = refusal(project, f"notify: {text}\n")
    assert "notify" in message
    assert "not shown" in message
    assert not re.search("hunter|424242", message)


def test_addresses(project):
    assert load(project, "notify: json://h/").notify == ("json://h/",)
    assert load(project, "notify: ['json://h/', ' ntfy://x']").notify == ("json://h/", "ntfy://x")
    assert load(project, "notify:\n").notify == ()
    assert "hunter2" not in repr(load(project, "notify: json://u:hunter2hunter2@h/"))


@pytest.mark.parametrize("folder", ["..", "a/../../b", "/etc", "~/x", ".", "", "a/.."])
def test_notes_stay_in_the_vault(project, folder):
    assert "a folder below the vault" in refusal(project, f"obsidian: {{project_subdir: '{folder}'}}")


@pytest.mark.parametrize("word", ["{project}", "{Project_Name}", "{}"])
def test_a_placeholder_that_nobody_fills_in_is_named(project, word):
    message = refusal(project, f"obsidian: {{project_subdir: 'notes/{word}'}}")
    assert f"{word} stands for nothing here: did you mean {{project_name}}?" in message


@pytest.mark.parametrize(
    ("text", "workspace", "variable"),
    [
        (
            "project: {workspace: elsewhere}\nagent: {api_key_env: MY_KEY}\nmonitor: {pol_interval: 5}",
            "elsewhere",
            "MY_KEY",
        ),
        ("project: {workspace: elsewhere, x: 1}\nagent: {api_key_env: MY_KEY}", "workspace", "MY_KEY"),
        ("project: [", "workspace", ""),
        ("- a list", "workspace", ""),
        ("1: 2\nproject: 7", "workspace", ""),
    ],
)
def test_of_a_broken_config_the_sections_that_can_be_read_count(project, text, workspace, variable):
    refusal(project, text)
    found = Place.of(str(project)).loose_config()
    assert (found.project.workspace, found.agent.api_key_env) == (workspace, variable)


def test_who_is_told_is_no_matter_of_the_experiments(project):
    before = load(project, "").digest
    assert load(project, "notify: [json://h/]\nobsidian: {enabled: true, vault_path: v}").digest == before


# --- files


def test_a_named_file_must_exist(project):
    with pytest.raises(ConfigError, match=r"other\.yaml: no such file"):
        load_config(str(project), str(project / "other.yaml"))


def test_another_file_is_used(project):
    (project / "config.yaml").write_text("agent: {max_cycles: 1}")
    (project / "other.yaml").write_text("agent: {max_cycles: 2}")
    assert load_config(str(project), str(project / "other.yaml")).agent.max_cycles == 2


def test_files_that_are_none(project):
    path = project / "config.yaml"
    path.mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(str(project))
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is not a file"):
        load_config(str(project))
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(str(project))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(project), "a\0b")


def test_not_utf8(project):
    (project / "config.yaml").write_bytes(b"project: {name: caf\xe9}\n")
    with pytest.raises(ConfigError, match=r"not UTF-8 at byte 19.*iconv"):
        load_config(str(project))


def test_a_file_that_may_not_be_read(project):
    (project / "config.yaml").write_text("")
    (project / "config.yaml").chmod(0)
    if os.access(project / "config.yaml", os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load_config(str(project))


# --- the command line


def test_the_command_line_wins(project):
    config = load(project, "agent: {provider: qwen, max_cycles: 5}\n", agent__provider="optuna", agent__max_cycles=None)
    assert (config.agent.provider, config.agent.max_cycles) == ("optuna", 5)
    assert load(project, "agent:\n", agent__max_cycles=3).agent.max_cycles == 3


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        ({"agent__provider": "qwen"}, ["agent.provider", "base_url"]),
        ({"agent__max_cycles": -3}, ["agent.max_cycles", "given -3"]),
        ({"agent__model": ""}, ["agent.model"]),
    ],
)
def test_a_mistake_on_the_command_line_names_it(project, overrides, facts):
    message = refusal(project, "agent: {}\n", **overrides)
    assert message.startswith("command line: ")
    assert all(fact in message for fact in facts)


def test_a_broken_section_is_refused_despite_an_override(project):
    assert "given 3" in refusal(project, "agent: 3\n", agent__max_cycles=1)


# --- the environment


def environment(**variables):
    return Environment(variables)


def test_children_get_everything_but_keys(project):
    config = load(project, "agent: {api_key_env: MY_KEY}")
    keys = {"ANTHROPIC_API_KEY": "a", "ANTHROPIC_AUTH_TOKEN": "b", "OPENAI_API_KEY": "c", "MY_KEY": "d"}
    assert environment(**keys, PATH="/bin", WANDB_API_KEY="w", HF_TOKEN="h").child(config) == {
        "PATH": "/bin",
        "WANDB_API_KEY": "w",
        "HF_TOKEN": "h",
    }


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("PATH", "/a:/b")
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    read = read_environment()
    assert (read.path, read.home, read.cuda_visible_devices) == ("/a:/b", "/home/x", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert read.cuda_visible_devices == ""
    assert read_environment().cuda_visible_devices is None
    assert environment().path
    assert environment().home


def test_the_environment_shows_no_values():
    assert "secret" not in repr(environment(OPENAI_API_KEY="secret"))


def test_optuna_needs_no_key(project):
    access_of(load(project, "agent: {provider: optuna}"), environment())


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("", "ANTHROPIC_API_KEY"),
        ("agent: {provider: anthropic}", "ANTHROPIC_API_KEY"),
        ("agent: {provider: openai}", "OPENAI_API_KEY"),
        ("agent: {provider: openai, api_key_env: MY_KEY}", "MY_KEY"),
    ],
)
def test_a_missing_key_is_named(project, text, variable):
    config = load(project, text)
    for empty in ({}, {variable: ""}, {variable: " "}):
        with pytest.raises(MissingKey) as missing:
            access_of(config, environment(**empty))
        assert missing.value.exit_status == 3
        assert variable in str(missing.value)
        assert "`--provider optuna`" in str(missing.value)
        assert len(str(missing.value).splitlines()) == 1
    given = load(project, text, agent__model="some-model")
    access = access_of(given, environment(**{variable: " k "}))
    assert (access.api_key, access.variable) == ("k", variable)


@pytest.mark.parametrize("key", ["sk-abc\ndef", "“sk-abc”", "sk abc"])
def test_a_key_that_cannot_be_one(project, key):
    with pytest.raises(MissingKey, match="the key in ANTHROPIC_API_KEY has characters that no key has") as wrong:
        access_of(load(project, ""), environment(ANTHROPIC_API_KEY=key))
    assert "abc" not in str(wrong.value)


def test_programs_of_ours_are_not_looked_for_in_the_project(tmp_path):
    (tmp_path / "project/.venv/bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("project/.venv/bin")
    path = f"{tmp_path}/project/.venv/bin:.:{tmp_path}/link::bin:/opt/bin:{tmp_path}/project-tools:/usr/bin"
    env = environment(PATH=path, ANTHROPIC_API_KEY="k")
    root = str(tmp_path / "project")
    assert env.helper_path(root) == f"/opt/bin:{tmp_path}/project-tools:/usr/bin"
    helper = env.helper(load(tmp_path / "project", ""), root)
    assert helper == {"PATH": env.helper_path(root)}


def test_programs_of_ours_load_nothing_from_the_project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    env = environment(
        PATH="/usr/bin",
        LD_LIBRARY_PATH=f":/opt/cuda/lib;{root}/lib:lib",  # an empty one is the folder that a program is started in
        LD_PRELOAD=f"/usr/lib/libfault.so {root}/evil.so",
        PYTHONPATH=f"{root}:.:/opt/site:{root}/src",
        PYTHONUSERBASE=f"{root}/.local",
        PYTHONPYCACHEPREFIX=str(root),
        WANDB_API_KEY="w",
    )
    assert env.helper(load(root, ""), str(root)) == {
        "PATH": "/usr/bin",
        "LD_LIBRARY_PATH": "/opt/cuda/lib",
        "LD_PRELOAD": "/usr/lib/libfault.so",
        "PYTHONPATH": "/opt/site",
        "WANDB_API_KEY": "w",
    }
    assert env.child(load(root, ""))["PYTHONPATH"] == f"{root}:.:/opt/site:{root}/src", "a command has what it had"


def test_a_model_must_be_named_where_there_is_no_default(project):
    assert access_of(load(project, ""), environment(ANTHROPIC_API_KEY="k")).model == "claude-sonnet-4-6"
    with pytest.raises(ConfigError, match=r"agent.model: provider openai needs the name of a model"):
        access_of(load(project, "agent: {provider: openai}"), environment(OPENAI_API_KEY="k"))


def test_a_bearer_token_instead_of_a_key(project):
    config = load(project, "agent: {auth_token_env: MY_TOKEN}")
    with pytest.raises(MissingKey, match="MY_TOKEN"):
        access_of(config, environment(ANTHROPIC_API_KEY="k"))
    access = access_of(config, environment(MY_TOKEN="t", ANTHROPIC_API_KEY="k"))
    assert (access.api_key, access.auth_token) == ("", "t")
    assert "t" not in repr(access).replace("anthropic", "").replace("claude-sonnet-4-6", "").split("base_url")[1]


def test_a_local_server_needs_no_key(project):
    text = "agent: {provider: openai, model: llama3, base_url: 'http://localhost:11434/v1'}"
    assert access_of(load(project, text), environment()).api_key == ""
    with pytest.raises(MissingKey):
        access_of(load(project, text.replace("localhost", "example.org")), environment())


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("agent: {base_url: localhost}", ["agent.base_url", "http://"]),
        ("agent: {base_url: 'http://[::1'}", ["agent.base_url", "http://"]),
        ("agent: {base_url: 'http://host:port/v1'}", ["agent.base_url", "http://"]),
        ("agent: {base_url: 'http://h:1/v1/chat/completions'}", ["agent.base_url", "without /chat/completions"]),
        ("agent: {base_url: 'http://h/v1/messages/'}", ["agent.base_url", "without /v1/messages"]),
        ("agent: {api_key_env: A, auth_token_env: B}", ["agent.auth_token_env", "one of the two"]),
        ("agent: {prices: {input: 3}}", ["agent.prices"]),
        ("agent: {prices: {input: -3, output: 1}}", ["agent.prices"]),
        ("agent: {max_steps_per_cycle: 0}", ["agent.max_steps_per_cycle", "1 to 20"]),
        ("budget: {usd: 0}", ["budget.usd", "more than 0"]),
    ],
)
def test_what_a_model_needs_is_checked(project, text, facts):
    message = refusal(project, text)
    assert all(fact in message for fact in facts), message


@pytest.mark.parametrize("provider", ["claude_cli", "codex_cli"])
def test_the_command_line_clients_are_not_built_yet(project, provider):
    with pytest.raises(ConfigError, match=f"provider {provider}: not built yet"):
        access_of(load(project, f"agent: {{provider: {provider}}}"), environment())


# --- any text


yaml_like = st.text(alphabet="abe:-[]{}&*!|>'\"#%@`, \n\t0123.?<~yno_=", max_size=60)


@settings(deadline=None)  # a busy machine is no failure
@given(
    st.text()
    | yaml_like
    | yaml_like.map(lambda text: f"agent: {{max_cycles: {text}}}")
    | yaml_like.map(lambda text: f"search_space:\n  --a: {text}")
)
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_bytes(text.encode("utf-8"))
    try:
        load_config(str(folder))
    except ConfigError as refused:
        assert len(str(refused).splitlines()) == 1


# --- the page


def test_every_key_is_described():
    for key, field in all_keys():
        assert field.description, key
        assert field.description.endswith("."), key
        assert allowed(field), key
    assert all(section.annotation.__doc__ for name, section in Config.model_fields.items() if name != "search_space")


def test_the_page_is_up_to_date():
    script = ROOT / "docs" / "make_configuration.py"
    spec = importlib.util.spec_from_file_location("make_configuration", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == module.page(), f"run: python {script}"
    for key, _ in all_keys():
        assert key in module.page()


def test_the_digest_leaves_the_command_line_aside(project):
    written = load(project, "agent: {max_cycles: 3}\n").digest
    overrides = {"agent.max_cycles": 1, "agent.provider": "optuna"}
    config = load_config(str(project), overrides=overrides)
    assert (config.agent.max_cycles, config.digest) == (1, written)
    assert load(project, "agent: {max_cycles: 4}\n").digest != written
