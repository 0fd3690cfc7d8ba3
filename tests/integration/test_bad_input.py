"""What people get wrong, through the real command line: one line that says what, where and what to do; exit status 2 or
3; nothing started, nothing half-made, no file touched."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.cli.checks import run_checks
from auto_experiment.config import Environment
from auto_experiment.errors import AutoExperimentError
from auto_experiment.ledger.migrations import VERSION
from auto_experiment.project import Place
from auto_experiment.wiring import controller_of

PYTHON = shlex.quote(sys.executable)
GOAL = "# Goal\nReach a high accuracy\n\n"
CODE = "# Codebase\nTraining: train.py\n\n"
SPACE = "# Search Space\n- --lr: 0.001 .. 1 log\n"


def tree(root):
    """Every path below ``root``, with what it holds; without SQLite's own files, which a reader leaves behind."""
    found = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            if name.endswith(("-wal", "-shm")):
                continue
            found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    return found


def refused(work, *words, status=2, command="run"):
    """Run the command; it must be refused in one line, with nothing changed. Returns the line."""
    before = tree(work.root)
    done = work.cli(command, *words, status=status)
    (line,) = done.stderr.splitlines()
    assert line.startswith("auto-experiment: ")
    assert "Traceback" not in done.stdout + done.stderr
    assert tree(work.root) == before
    assert work.judged() == []
    return line


def refused_here(work):
    """The same of `run`, in this process: that main() makes one line and an exit status of the error is shown by the
    others, and tables of forty mistakes need no forty starts of Python."""
    before = tree(work.root)
    place = Place(str(work.root), env=Environment(work.env))
    with pytest.raises(AutoExperimentError) as refusal, controller_of(place, pytest.fail):
        pytest.fail("it was taken")
    assert refusal.value.exit_status == 2
    assert tree(work.root) == before
    (line,) = str(refusal.value).splitlines()
    return line


def missing(work):
    """What `check` finds missing, a text each. In this process: that the command exits with 3 is shown once, elsewhere."""
    before = tree(work.root)
    place = Place(str(work.root), env=Environment(work.env))
    found = [f"{check.name}: {check.said}; {check.todo}" for check in run_checks(place) if check.ok is False]
    assert tree(work.root) == before
    return found


def both(work, words, status=2, *, here=False):
    """`run` refuses it, and `check` finds the same without changing anything. ``here``: in this process."""
    line = refused_here(work) if here else refused(work, status=status)
    (found,) = missing(work)
    for word in words:
        assert word in line
        assert word in found


# --- the brief


BRIEFS = {
    "none": (None, ["PROJECT_BRIEF.md", "auto-experiment init"]),
    "empty": (b"", ["PROJECT_BRIEF.md", "write at least a `# Goal`"]),
    "blank": (b"\n \n\t\n", ["PROJECT_BRIEF.md", "write at least a `# Goal`"]),
    "comment": (b"<!-- later -->\n", ["PROJECT_BRIEF.md", "write at least a `# Goal`"]),
    "10 MB": (b"# Goal\nreach 90% accuracy\n" + b"x" * 10_000_000, ["PROJECT_BRIEF.md", "1 MB"]),
    "latin-1": ("# Goal\nRéduire la loss\n".encode("latin-1"), ["PROJECT_BRIEF.md", "UTF-8", "byte 8", "iconv"]),
    "utf-16": ("# Goal\nreach 90% accuracy\n".encode("utf-16"), ["PROJECT_BRIEF.md", "UTF-8", "UTF-16"]),
    "nul": (b"# Goal\n\0\n", ["PROJECT_BRIEF.md", "NUL"]),
    "no goal": (b"# Codebase\nTraining: train.py\n", ["# Goal"]),
    "empty goal": (b"# Goal\n\n# Codebase\nTraining: train.py\n", ["PROJECT_BRIEF.md, line 1", "Goal is empty"]),
    "no such range": ((GOAL + "# Search Space\n- --lr: fast\n").encode(), ["PROJECT_BRIEF.md, line 5", "--lr", "log"]),
    "range upside down": (
        (GOAL + "# Search Space\n- --lr: 1 .. 0\n").encode(),
        ["line 5", "--lr", "above the high end"],
    ),
    "log from zero": ((GOAL + "# Search Space\n- --lr: 0 .. 1 log\n").encode(), ["line 5", "--lr", "log"]),
    "prose in the space": ((GOAL + "# Search Space\nTry a few things.\n").encode(), ["line 5"]),
    "parameter twice": ((GOAL + SPACE + "- --lr: 1 .. 2\n").encode(), ["line 6", "--lr", "twice"]),
}


@pytest.mark.parametrize(("data", "words"), BRIEFS.values(), ids=BRIEFS)
def test_brief(project, data, words):
    work = project()
    path = work.root / "PROJECT_BRIEF.md"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    both(work, words, here=True)


def test_a_brief_that_is_a_folder(project):
    work = project()
    (work.root / "PROJECT_BRIEF.md").unlink()
    (work.root / "PROJECT_BRIEF.md").mkdir()
    both(work, ["PROJECT_BRIEF.md", "folder"])


def test_a_brief_longer_than_reaches_a_model_is_said(project):
    work = project(brief=GOAL + SPACE + "\n# Constraints\n" + "Be careful. " * 400)
    assert "characters do not reach a model" in work.cli("check").stdout
    assert "do not reach a model" in work.cli("run", "--max-cycles", 0).stdout


# --- the config


CONFIGS = {
    "unknown key": ("agent: {provider: optuna, max_cycle: 3}\n", ["config.yaml, line 1", "agent.max_cycle", "did you mean agent.max_cycles?"]),
    "unknown group": ("agnet: {provider: optuna}\n", ["config.yaml, line 1", "agnet", "did you mean agent?"]),
    "wrong type": ("agent:\n  provider: optuna\n  max_cycles: many\n", ["config.yaml, line 3", "agent.max_cycles", '"many"', "whole number"]),
    "negative": ("agent: {provider: optuna}\nmonitor: {hang_timeout: -5}\n", ["line 2", "monitor.hang_timeout", "-5", "seconds"]),
    "not in the list": ("agent: {provider: optuna}\nobjective: {direction: up}\n", ["line 2", "objective.direction", '"up"', "max"]),
    "key twice": ("agent: {provider: optuna}\nagent: {max_cycles: 1}\n", ["config.yaml, line 2", '"agent"', "twice", "line 1"]),
    "inner key twice": ("agent:\n  provider: optuna\n  provider: anthropic\n", ["config.yaml, line 3", '"provider"', "twice"]),
    "a list": ("- agent\n- monitor\n", ["config.yaml", "a list", "keys and values"]),
    "a word": ("optuna\n", ["config.yaml", '"optuna"', "keys and values"]),
    "no YAML": ("agent: {provider: optuna\nmonitor: [\n", ["config.yaml, line", "not valid YAML"]),
    "a tab": ("agent:\n\tprovider: optuna\n", ["config.yaml, line 2", "tab"]),
    "not UTF-8": (b"agent: {provider: optuna} # caf\xe9\n", ["config.yaml", "UTF-8"]),
    "not built yet": ("agent: {provider: optuna}\nexperiment: {max_parallel: 2}\n", ["experiment.max_parallel", "not built yet"]),
    "another mode": ("agent: {provider: optuna}\nexecution: {mode: slurm}\n", ["line 2", "execution.mode", "not built yet"]),
    "zero_llm": ("agent: {provider: optuna}\nmonitor: {zero_llm: false}\n", ["line 2", "monitor.zero_llm", "no such mode"]),
    "a vendor": ("agent: {provider: qwen}\n", ["line 1", "agent.provider", "base_url"]),
    "space": ('agent: {provider: optuna}\nsearch_space: {"--lr": fast}\n', ["config.yaml, line 2", "--lr"]),
    "workspace is the project": ("agent: {provider: optuna}\nproject: {workspace: .}\n", ["line 2", "project.workspace"]),
    "two documents": ("agent: {provider: optuna}\n---\nagent: {}\n", ["config.yaml", "not valid YAML"]),
    "too large": ("# " + "x" * 200_000, ["config.yaml", "larger than"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), CONFIGS.values(), ids=CONFIGS)
def test_config(project, text, words):
    work = project()
    (work.root / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    both(work, words, here=True)


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "1.e-3", "0.001", "+1e-3", "1_0e-4"])
def test_every_way_to_write_a_number_is_a_number(project, number):
    text = (
        f"agent: {{provider: optuna}}\nobjective: {{metric: val_acc, direction: min, target: {number}}}\n"
        f'experiment: {{command: "{PYTHON} train.py"}}\nsearch_space: {{"--lr": "1e-4 .. 1e-1 log", "--x": [{number}, 2]}}\n'
    )
    work = project(config=text)
    assert work.json("status")["objective"]["target"] == 0.001
    assert "--x: [0.001, 2]" in work.cli("check").stdout


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "agent:\nmonitor:\n", "{}\n", "---\n"])
def test_an_empty_config_means_the_defaults(project, text):
    work = project(brief=GOAL + CODE + SPACE, config=text)
    work.cli("run", "--provider", "optuna", "--max-cycles", 0)
    assert work.json("status")["objective"]["metric"] == "accuracy"


def test_a_named_config_file_must_exist(project):
    work = project()
    assert "other.yaml: no such file" in refused(work, "--config", "other.yaml")


# --- the command


COMMANDS = {
    "no such program": ("no-such-program train.py", ["no-such-program", "is not on PATH"]),
    "no such file": ("./train.sh", ["./train.sh", "does not exist"]),
    "not executable": ("./train.py", ["./train.py", "not executable", "chmod +x"]),
    "a folder": ("./data", ["./data", "is a folder"]),
    "missing script": (f"{PYTHON} trian.py", ["trian.py", "Training:", "did you mean train.py?"]),
    "misspelt program": ("pyhton train.py", ["pyhton is not on PATH; did you mean python?"]),
    "missing script behind a flag": (f"A=1 {PYTHON} -u trian.py", ["trian.py", "Training:"]),
    "a pipe": (f"{PYTHON} train.py | tee log", ["shell syntax", "experiment.setup"]),
    "and": (f"cd . && {PYTHON} train.py", ["shell syntax", "&&"]),
    "open quote": (f"{PYTHON} train.py 'x", ["quot"]),
}


@pytest.mark.parametrize(("command", "words"), COMMANDS.values(), ids=COMMANDS)
def test_command(project, command, words):
    work = project(config={"experiment": {"command": command}})
    (work.root / "data").mkdir()
    both(work, words, here=True)


def test_a_missing_script_behind_setup(project):
    both(project(config={"experiment": {"command": "python trian.py", "setup": "true"}}), ["trian.py", "Training:"])


def test_a_script_in_the_folder_that_setup_goes_to(project):
    work = project(config={"experiment": {"command": f"{PYTHON} other.py", "setup": "cd src"}})
    work.write("src/other.py", "print('val_acc=0.5')\n")
    work.cli("run", "--max-cycles", 1)
    assert work.json("list")[0]["value"] == 0.5


def test_a_command_of_variables_alone(project):
    both(project(config={"experiment": {"command": "A=1"}}), ["only sets variables"])


def test_no_command(project):
    work = project(brief=GOAL + SPACE, config={"experiment": {"command": None}})
    both(work, ["no training command", "Training: train.py", "experiment.command"])


def test_two_commands_in_the_brief_are_not_guessed(project):
    work = project(
        brief=GOAL + "# Codebase\nTraining: a.py\nTraining: b.py\n\n" + SPACE, config={"experiment": {"command": None}}
    )
    refused(work)
    assert missing(work)[0].startswith("command: ")
    assert "a.py" in work.cli("check", status=3).stdout


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with neither python nor python3."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "bash", "env", "sleep", "cat"):
        os.symlink(shutil.which(name), folder / name)
    return folder


def test_no_python_on_path(project, bare_path):
    work = project(brief=GOAL + CODE + SPACE, config={"experiment": {"command": None}})
    work.env["PATH"] = str(bare_path)
    both(work, ["no python on PATH", "experiment.command"])


def test_python3_where_there_is_no_python(project, bare_path):
    os.symlink(sys.executable, bare_path / "python3")
    work = project(brief=GOAL + CODE + SPACE, config={"experiment": {"command": None}})
    work.env["PATH"] = str(bare_path)
    done = work.cli("run", "--max-cycles", 1)
    assert "no `python` on PATH" in done.stdout
    assert len(work.judged(dry=False)) == 1
    work.configure({"experiment": {"command": "python train.py"}})
    assert "python3" in work.cli("run", status=2).stderr


def test_the_projects_own_venv_comes_first(project):
    work = project(brief=GOAL + CODE + SPACE, config={"experiment": {"command": None}})
    (work.root / ".venv/bin").mkdir(parents=True)
    own = work.write(".venv/bin/python", f'#!/bin/sh\nOWN=yes exec {PYTHON} "$@"\n')
    own.chmod(0o755)
    work.write("train.py", "import os, judge\njudge.note(own=os.environ.get('OWN'))\nprint('val_acc=0.1')\n")
    work.cli("run", "--max-cycles", 1)
    assert [judged["own"] for judged in work.judged()] == ["yes", "yes"]
    assert work.json("show", 1)["runs"][-1]["argv"][0] == str(own)


# --- objective and search space


def test_no_objective(project):
    work = project(brief="# Goal\nMake it good.\n\n" + SPACE, config={"objective": {"metric": None, "direction": None}})
    assert "no objective" in refused(work)
    assert "objective.metric" in missing(work)[0]


def test_an_objective_without_direction(project):
    work = project(config={"objective": {"metric": "wobble", "direction": None}})
    assert "objective.direction" in refused(work)
    assert "wobble" in missing(work)[0]


def test_everything_that_is_wrong_in_a_config_is_said_at_once_a_line_each(project):
    work = project()
    work.configure("agent:\n  provder: optuna\nexperiment:\n  max_hour: 2\nbudget: {usd: -1}\n")
    wrong = [
        "line 2: agent.provder: unknown key; did you mean agent.provider?",
        "line 4: experiment.max_hour: unknown key; did you mean experiment.max_hours?",
        "line 5: budget.usd: given -1; allowed: US dollars, more than 0, or null",
    ]
    said = work.cli("run", status=2).stderr.splitlines()
    assert [line.partition("config.yaml, ")[2] for line in said] == wrong
    assert [line.partition("config.yaml, ")[2].rstrip("; ") for line in missing(work)] == wrong


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is not here: no read-only mount can be made")
def test_check_names_the_folder_that_is_read_only_and_not_a_probe_in_it(project):
    work = project()
    check = shlex.join(work.words("check"))
    tried = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f"mount --bind {work.root} {work.root} && mount -o remount,bind,ro {work.root} && {check}",
    ]
    done = subprocess.run(tried, capture_output=True, text=True, env=work.env, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("MISSING")]
    said = f"{work.root}: Read-only file system; make it writable again (mount -o remount,rw)"
    assert lines == [f"MISSING workspace   {said}", f"MISSING ledger      {said}"]


def test_check_says_a_missing_objective_once(project):
    assert len(missing(project(config={"objective": {"metric": "wobble", "direction": None}}))) == 1


def test_a_script_that_is_no_python_is_said_by_check_and_ends_in_exit_status_2(project):
    work = project(config={"agent": {"provider": "optuna"}})
    work.write("train.py", "import judge\nprint('step 1 val_acc=0.5'\n")
    assert "note    command     train.py cannot be read as Python" in work.cli("check").stdout
    said = work.cli("run", "--max-cycles", 2).stdout.splitlines()  # two experiments failed, as asked for
    at = said.index("ended: 2 cycles done (max_cycles)")
    assert said[at + 1].startswith("no dry run has ever passed, the last one for this: SyntaxError: ")
    assert said[at + 1].endswith("; mend the command or its script")
    assert "no dry run" not in work.cli("run", "--max-cycles", 0).stdout, "nothing was tried"
    given_up = work.cli("run", status=2).stdout
    assert "ended: 8 experiments in a row gave no value that counts: look at one\nno dry run has ever" in given_up
    work.write("train.py", "\ufeffimport judge\nfor n in range(3): print(f'step {n} val_acc=0.5', flush=True)\n")
    assert "cannot be read" not in work.cli("check").stdout
    assert "no dry run has ever" not in work.cli("run", "--max-cycles", 1).stdout


def test_a_finite_space_of_which_nothing_could_run_ends_in_exit_status_2(project):
    work = project("import sys; sys.exit(3)\n", brief=GOAL + "\n# Search Space\n- --x: [1, 2]\n")
    said = work.cli("run", status=2).stdout
    assert "ended: the search space is used up" in said
    assert "no dry run has ever passed, the last one for this: exit status 3; mend" in said


def test_check_says_a_name_in_the_search_space_that_the_script_does_not_take(project):
    """Such a name fails every dry run but the baseline's, and would do so all night."""
    script = (
        'import argparse\np = argparse.ArgumentParser()\np.add_argument("--momentum", type=float)\np.parse_args()\n'
    )
    brief = GOAL + "\n# Codebase\n- Training: trains.py\n\n# Search Space\n- {}: 0.8 .. 0.9\n"
    work = project()
    work.write("trains.py", script)
    work.configure("agent: {provider: optuna}\n")

    def space(name: str) -> list[str]:
        work.write("PROJECT_BRIEF.md", brief.format(name))
        return [line for line in work.cli("check").stdout.splitlines() if line.startswith("note    space")]

    assert space("--momentun") == [
        "note    space       trains.py takes no --momentun that can be seen; did you mean --momentum?"
    ]
    assert space("--momentum") == space("--moment") == space("--width") == space("momentun") == []
    assert space("momentum") == [
        "note    space       trains.py takes no momentum that can be seen; did you mean --momentum?"
    ]
    read, *notes = work.cli(
        "direct", "- --momentun: [0.9]\n- --lr: 2 .. 1\ntry dropout\ndrop --lr\nstop"
    ).stdout.splitlines()
    assert "read at the next THINK" in read
    assert notes == [
        "note: trains.py takes no --momentun that can be seen; did you mean --momentum?",
        "note: Optuna cannot use - --lr: 2 .. 1: --lr: the low end 2 is above the high end 1",
        (
            "note: Optuna cannot act on free text, it is kept for the report: try dropout "
            "(a search-space line, `drop --lr`, `stop` and `report` can be read)"
        ),
    ]


def test_no_search_space(project):
    work = project(brief=GOAL)
    done = work.cli("run", status=2)
    (line,) = done.stderr.splitlines()
    assert "# Search Space" in line
    assert "--lr: 1e-4 .. 1e-1 log" in line
    assert missing(work)[0].startswith("space: ")
    assert work.judged() == []


def test_no_search_space_leaves_nothing_behind(project):
    refused(project(brief=GOAL))


# --- provider


@pytest.mark.parametrize(
    ("agent", "variable"),
    [
        ({"provider": "anthropic"}, "ANTHROPIC_API_KEY"),
        ({"provider": "openai"}, "OPENAI_API_KEY"),
        ({"provider": "anthropic", "api_key_env": "MY_KEY"}, "MY_KEY"),
    ],
)
def test_a_missing_key_names_its_variable(project, agent, variable):
    work = project(config={"agent": agent})
    both(work, [variable, "--provider optuna"], status=3)
    assert variable in refused(work, "--detach", status=3)
    work.env[variable] = "  "
    assert variable in refused(work, status=3)


def test_a_provider_that_is_not_built_yet(project):
    work = project()
    work.env["ANTHROPIC_API_KEY"] = "k-secret"
    line = refused(work, "--provider", "claude_cli")
    assert "not built yet" in line
    assert "k-secret" not in line


def test_a_model_that_nobody_has_named(project):
    work = project()
    work.env["OPENAI_API_KEY"] = "k-secret"
    line = refused(work, "--provider", "openai")
    assert "--model" in line
    assert "k-secret" not in line


def test_keys_are_kept_from_trainings_and_other_variables_are_not(project):
    work = project("import os, judge\njudge.note(seen=sorted(k for k in os.environ if k in ('ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'MY_KEY', 'WANDB_API_KEY', 'MINE')))\nprint('val_acc=0.1')\n",
                   config={"agent": {"api_key_env": "MY_KEY"}, "experiment": {"env": {"MINE": "1e-3"}}})  # fmt: skip
    work.env |= {"ANTHROPIC_API_KEY": "s3cret", "OPENAI_API_KEY": "s3cret", "MY_KEY": "s3cret", "WANDB_API_KEY": "w"}
    work.cli("run", "--max-cycles", 1)
    assert [judged["seen"] for judged in work.judged()] == [["MINE", "WANDB_API_KEY"]] * 2
    holds = [path for path in work.root.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert holds == []


# --- options


OPTIONS = {
    "gpu": (["--gpu", "0;1"], ["--gpu", "0,1"]),
    "gpu that is no id": (["--gpu", "x"], ["--gpu 'x'", "0,1"]),
    "gpu words": (["--gpu", "all of them"], ["--gpu"]),
    "empty gpu": (["--gpu", ""], ["--gpu"]),
    "max-cycles": (["--max-cycles", "-2"], ["--max-cycles", "-2"]),
    "max-cycles word": (["--max-cycles", "many"], ["--max-cycles", "many"]),
    "provider": (["--provider", "optune"], ["agent.provider", "optuna"]),
    "directive": (["--directive", "  "], ["--directive", "empty"]),
    "unknown option": (["--max-cycle", "1"], ["--max-cycle", "--max-cycles"]),
    "extra word": (["now"], ["now"]),
}


@pytest.mark.parametrize(("words", "said"), OPTIONS.values(), ids=OPTIONS)
def test_options(project, words, said):
    line = refused(project(), *words)
    assert all(word in line for word in said)


def program(*words, cwd):
    done = subprocess.run(
        [str(Path(sys.executable).with_name("auto-experiment")), *words], cwd=cwd, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "did you mean `run`?"),
        (["frobnicate"], "the commands are"),
        (["--verbose"], "--verbose"),
        (["run", "--project", "nowhere"], "there is no such folder"),
        (["status", "--project", "nowhere"], "there is no such folder"),
        (["check", "--project", "file"], "there is no such folder"),
        (["show"], "EXP"),
        (["direct", " "], "empty"),
        (["logs", "-n", "0"], "0"),
        (["run"], "PROJECT_BRIEF.md"),
        (["status"], "PROJECT_BRIEF.md"),
        (["stop"], None),
        (["mcp"], "not built yet"),
    ],
)
def test_on_the_command_line(tmp_path, words, said):
    (tmp_path / "file").touch()
    done = program(*words, cwd=tmp_path)
    if said is None:
        assert done.returncode == 0
        assert "no controller" in done.stdout
    else:
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert said in line
        assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_command_at_all_shows_the_help(tmp_path):
    done = program(cwd=tmp_path)
    assert len((done.stdout + done.stderr).splitlines()) > 10


# --- workspace and ledger


def test_a_workspace_that_is_a_file(project):
    work = project()
    (work.root / "workspace").write_text("mine")
    line = refused(work, status=3)
    assert "workspace" in line
    assert "project.workspace" in line


def test_a_workspace_below_a_file(project):
    work = project(config={"project": {"workspace": "train.py/workspace"}})
    assert "project.workspace" in refused(work, status=3)


def test_a_ledger_that_is_a_folder(project):
    work = project()
    (work.root / "workspace/ledger.db").mkdir(parents=True)
    done = work.cli("run", status=3)
    (line,) = done.stderr.splitlines()
    assert "ledger.db" in line
    assert work.judged() == []


def _random(path):
    path.write_bytes(random.Random(3).randbytes(50_000))


def _truncated(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _bitten(path):
    data = bytearray(path.read_bytes())
    data[4096:12288] = random.Random(4).randbytes(8192)
    path.write_bytes(data)


def _foreign(path):
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (x)")
    db.close()


def _newer(path):
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()


DAMAGES = {
    "random bytes": (_random, "not a ledger or is damaged"),
    "truncated": (_truncated, "damaged"),
    "bitten": (_bitten, "damaged"),
    "foreign": (_foreign, "not a ledger of auto-experiment"),
    "newer": (_newer, "newer auto-experiment"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a20_a_ledger_that_cannot_be_trusted(project, damage, words):
    work = project()
    work.cli("run", "--max-cycles", 0)
    path = Path(work.paths.ledger)
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    damage(path)
    before = path.read_bytes()
    done = work.cli("run", status=3)
    (line,) = done.stderr.splitlines()
    assert words in line
    assert str(path) in line
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.glob("ledger.db*")] == ["ledger.db"]
    looked = work.cli("status", status=None)
    assert "Traceback" not in looked.stderr
    assert looked.returncode in (0, 1, 3)
    assert path.read_bytes() == before
    assert work.judged() == []


def test_check_finds_a_ledger_that_cannot_be_trusted(project):
    work = project()
    work.cli("run", "--max-cycles", 0)
    path = Path(work.paths.ledger)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    _random(path)
    before = tree(work.root)
    assert missing(work)[0].startswith("ledger: ")
    assert tree(work.root) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where it may not")
def test_a_project_that_cannot_be_written(project):
    work = project()
    work.root.chmod(0o555)
    try:
        line = refused(work, status=3)
        assert "workspace" in line
        assert "permission" in line.lower()
        assert missing(work)[0].startswith("workspace: ")
    finally:
        work.root.chmod(0o755)


def test_a_ledger_that_may_not_be_read_is_not_called_damaged(project):
    """Who believed that would move a sound one away."""
    work = project()
    work.cli("run", "--max-cycles", 1)
    Path(work.paths.ledger).chmod(0)
    if os.access(work.paths.ledger, os.R_OK):
        pytest.skip("root reads what it may not")
    (line,) = work.cli("status", status=3).stderr.splitlines()
    assert line.endswith("ledger.db: cannot be read: Permission denied; give the permissions back")


def test_another_controller_holds_the_project(project):
    work = project(
        "import judge\nprint('val_acc=0.1', flush=True)\nif not judge.DRY:\n  judge.note(note='up')\n  judge.wait('go')\n"
    )
    run = work.start("run", "--max-cycles", 1)
    work.training(note="up")
    done = work.cli("run", status=3)
    (line,) = done.stderr.splitlines()
    assert f"pid {run.pid}" in line
    assert "auto-experiment stop" in line
    assert f"pid {run.pid}" in work.cli("check").stdout
    work.open("go")
    assert run.wait() == 0


# --- what looks odd and works


@pytest.mark.parametrize("name", ['it\'s a "quoted" ünï-実験-🧪', "-100%41#?&;$HOME`x`\n~"])
def test_any_project_path_works(project, name):
    work = project(name=name, brief=GOAL + CODE + SPACE, config={"experiment": {"command": None}})
    work.env["PATH"] = f"{Path(sys.executable).parent}:{work.env['PATH']}"
    assert missing(work) == []
    work.cli("run", "--max-cycles", 2)
    assert work.json("status")["experiments"] == 2
    assert [row["runs"][-1]["state"] for row in work.json("list")] == ["finished", "finished"]
    assert Path(work.json("show", 2)["runs"][-1]["log"]).is_file()
    work.cli("direct", "hello")
    assert os.path.exists(work.paths.report)


def test_a_path_that_is_no_text_works_or_is_refused(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(folder)
    for name, text in (
        ("PROJECT_BRIEF.md", GOAL + SPACE),
        ("config.yaml", 'agent: {provider: optuna}\nexperiment: {command: "true"}\n'),
    ):
        Path(os.fsdecode(folder), name).write_text(text)
    done = program("run", "--max-cycles", "0", cwd=folder)
    assert done.returncode in (0, 2, 3)


def test_a_training_that_dies_of_a_signal_before_it_says_a_word(project):
    work = project(f"import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})\n")
    done = work.cli("run", "--max-cycles", 1)
    assert "dry run failed: killed by signal 11" in done.stdout
    assert work.json("list")[0]["result"] == "failed"
    assert work.judged() == []


def test_a_setup_line_that_fails_is_said(project):
    work = project(config={"experiment": {"setup": "source /no/such/venv/bin/activate"}})
    done = work.cli("run", "--max-cycles", 1)
    assert re.search(r"dry run failed: .*/no/such/venv/bin/activate: No such file", done.stdout)
    assert work.judged() == []
