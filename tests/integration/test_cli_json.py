"""The documents that programs read: one JSON document on stdout, with the contract's keys and types; and --help."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.cli.main import COMMANDS

PROGRAM = str(Path(sys.executable).with_name("auto-experiment"))
NUMBER = (int, float)
TEXT_OR_NULL = (str, type(None))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

STATUS = {
    "project": str,
    "goal": str,
    "objective": {"metric": str, "direction": ("max", "min"), "target": (*NUMBER, type(None)), "select": ("best", "final")},
    "controller": {
        "state": ("running", "paused", "parked", "stopped"),
        "until": TEXT_OR_NULL,
        "pid": (int, type(None)),
        "phase": ("think", "execute", "dry_run", "training", "reflect", "waiting", None),
        "reason": TEXT_OR_NULL,
    },
    "cycles": int,
    "experiments": int,
    "runs": int,
    "best": {"experiment": str, "run": str, "value": NUMBER, "status": ("lead", "confirmed"), "title": str},
    "current_runs": [
        {
            "experiment": str, "run": str, "attempt": int, "kind": ("dry", "full"), "pid": int, "command": str, "log": str,
            "elapsed_s": NUMBER, "progress": {"done": NUMBER, "total": (*NUMBER, type(None)), "unit": str}, "metrics": dict,
        }
    ],
    "decisions": [str],
    "memory": {"brief_chars": int, "log_chars": int},
    "pending_directive": TEXT_OR_NULL,
    "llm": {
        "calls": int, "input_tokens": int, "output_tokens": int, "cache_read_tokens": int, "cache_write_tokens": int,
        "usd": NUMBER, "calls_while_training": int,
    },
}  # fmt: skip
FAULTS = ("none", "nan", "oom", "cuda_oom", "exception", "killed", "timeout", "hang", "interrupted")
RUN = {
    "id": str, "attempt": int, "kind": ("dry", "full"),
    "state": ("queued", "running", "finished", "failed", "killed", "stopped", "lost"),
    "exit_code": (int, type(None)), "signal": (int, type(None)), "fault": FAULTS, "reason": TEXT_OR_NULL,
    "exception": TEXT_OR_NULL, "command": str, "params": dict, "started_at": TEXT_OR_NULL, "ended_at": TEXT_OR_NULL,
    "value": (*NUMBER, type(None)), "pid": (int, type(None)), "log": str,
}  # fmt: skip
EXPERIMENT = {
    "id": str, "cycle": int, "title": str, "hypothesis": str, "success_criteria": str, "base": TEXT_OR_NULL,
    "result": ("improved", "not_improved", "inconclusive", "failed", None), "value": (*NUMBER, type(None)),
    "finding": ("supported", "refuted", "inconclusive", None), "decision": TEXT_OR_NULL,
    "next": ("iterate", "pivot", "report", None), "usd": NUMBER, "runs": [RUN],
}  # fmt: skip
METRICS = {
    "metrics": dict,
    "objective": {
        "name": str,
        "final": (*NUMBER, str),
        "best": (*NUMBER, type(None)),
        "best_step": (*NUMBER, type(None)),
        "count": int,
    },
    "progress": {"done": NUMBER, "total": (*NUMBER, type(None)), "unit": str},
    "fault": FAULTS,
    "exception": TEXT_OR_NULL,
}

NAN = """
import judge
print("step 1/9 val_acc=0.5", flush=True)
print("step 2/9 val_acc=0.6", flush=True)
if not judge.DRY:
    print("step 3/9 val_acc=nan grad=inf loss=-inf", flush=True)
    judge.wait("never")
"""
GRADED = """
import judge
if judge.DRY:
    print("val_acc=0.1", flush=True)
else:
    print("step 1/3 val_acc=0.25", flush=True)
    print("step 2/3 val_acc=0.5 grad_norm=nan", flush=True)
    judge.note(note="up")
    judge.wait("go")
    print("step 3/3 val_acc=0.75", flush=True)
"""


def fits(value, shape, where="", *, exact=True):
    """Complain when ``value`` does not have this shape. A tuple is types, or the words that are allowed."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), f"{where}: {value!r}"
        assert set(value) >= set(shape), f"{where}: missing {set(shape) - set(value)}"
        assert not exact or set(value) == set(shape), f"{where}: more than promised: {set(value) - set(shape)}"
        for key, inner in shape.items():
            fits(value[key], inner, f"{where}.{key}", exact=exact)
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{where}: {value!r}"
        for number, item in enumerate(value):
            fits(item, shape[0], f"{where}[{number}]", exact=exact)
    elif isinstance(shape, tuple) and not all(isinstance(part, type) for part in shape):
        assert value in shape, f"{where}: {value!r} is none of {shape}"
    else:
        assert isinstance(value, shape), f"{where}: {value!r}"
        assert not isinstance(value, bool), f"{where}: {value!r}"


def without(shape, *path):
    """The shape with null at a key."""
    key, *rest = path
    return {**shape, key: without(shape[key], *rest) if rest else (None,)}


def program(*words, status=0, **kw):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60, check=False, **kw)
    assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def one_document(text):
    """Exactly one JSON document, with no NaN or Infinity that is not a string."""
    document, end = json.JSONDecoder(parse_constant=pytest.fail).raw_decode(text)
    assert text[end:].strip() == ""
    assert text[0] in "[{"
    return document


# --- before anything ran


def test_status_and_list_before_any_run(project):
    work = project()
    status = one_document(work.cli("status", "--json").stdout)
    fits(status, without(STATUS, "best"))
    assert (status["project"], status["cycles"], status["experiments"], status["runs"]) == ("project", 0, 0, 0)
    assert (status["current_runs"], status["decisions"], status["pending_directive"]) == ([], [], None)
    assert status["controller"] == {"state": "stopped", "until": None, "pid": None, "phase": None, "reason": None}
    assert status["goal"] == "Reach a high validation accuracy on a tiny task."
    assert one_document(work.cli("list", "--json").stdout) == []
    assert "none yet" in work.cli("status").stdout
    assert "no experiments yet" in work.cli("list").stdout
    assert not (work.root / "workspace").exists()


@pytest.mark.parametrize(
    "words", [("show", "exp001"), ("show", "1", "--json"), ("logs",), ("logs", "exp001"), ("report",)]
)
def test_looking_at_what_is_not_there_yet(project, words):
    work = project()
    done = work.cli(*words, status=2)
    assert done.stdout == ""
    assert "nothing has run yet" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (work.root / "workspace").exists()


def test_the_objective_is_null_while_nobody_has_said_it(project):
    work = project(brief="# Goal\nMake it good.\n", config="agent: {provider: optuna}\n")
    fits(one_document(work.cli("status", "--json").stdout), without(without(STATUS, "best"), "objective"))


# --- after and during a campaign


def test_documents_of_a_campaign(project):
    work = project()
    work.cli("run", "--max-cycles", 2)
    rows = one_document(work.cli("list", "--json").stdout)
    fits(rows, [EXPERIMENT])
    assert [row["id"] for row in rows] == ["exp001", "exp002"]
    assert [[run["id"] for run in row["runs"]] for row in rows] == [
        [f"{row['id']}/dry01", f"{row['id']}/run01"] for row in rows
    ]
    for run in (run for row in rows for run in row["runs"]):
        assert TIME.fullmatch(run["started_at"])
        assert TIME.fullmatch(run["ended_at"])
        assert run["started_at"] <= run["ended_at"]
        assert Path(run["log"]).is_file()
    assert (rows[0]["value"], rows[0]["result"], rows[0]["finding"], rows[0]["next"]) == (
        0.54,
        "improved",
        "supported",
        "iterate",
    )
    status = one_document(work.cli("status", "--json").stdout)
    fits(status, STATUS)
    assert (status["cycles"], status["experiments"], status["runs"]) == (2, 2, 2)
    assert status["controller"]["state"] == "stopped"
    assert "2 cycles done" in status["controller"]["reason"]
    assert status["memory"]["log_chars"] == len(Path(work.paths.memory_log).read_text(encoding="utf-8"))
    assert status["memory"]["brief_chars"] == len((work.root / "PROJECT_BRIEF.md").read_text())
    shown = one_document(work.cli("show", "exp002", "--json").stdout)
    fits(shown, {**EXPERIMENT, "runs": list}, exact=False)
    fits(shown["runs"], [RUN], exact=False)
    assert {key: shown[key] for key in EXPERIMENT if key != "runs"} == {
        key: rows[1][key] for key in EXPERIMENT if key != "runs"
    }
    for text in ("2", "EXP002", "exp2"):
        assert one_document(work.cli("show", text, "--json").stdout)["id"] == "exp002"
    for words in (("show", "exp003"), ("show", "what")):
        assert len(work.cli(*words, status=2).stderr.splitlines()) == 1


def test_state_json_is_the_document_of_status(project):
    work = project(GRADED)
    run = work.start("run", "--max-cycles", 1)
    work.training(note="up")
    state = Path(work.paths.state)
    work.until(lambda: state.exists() and json.loads(state.read_text())["current_runs"])
    during = one_document(state.read_text())
    fits(during, {**without(without(STATUS, "best"), "objective", "target"), "current_runs": list})
    assert during["controller"]["state"] == "running"
    assert during["controller"]["pid"] == run.pid
    assert during["current_runs"][0]["kind"] == "full"
    work.open("go")
    assert run.wait() == 0
    fits(one_document(state.read_text()), STATUS)
    assert one_document(state.read_text()) == one_document(work.cli("status", "--json").stdout)


def test_a_run_that_goes_on_is_shown_with_its_progress(project):
    work = project(GRADED, config={"monitor": {"poll_interval": 1}})
    run = work.start("run", "--max-cycles", 1)
    work.training(note="up")
    work.until(lambda: (work.json("status")["current_runs"] or [{}])[0].get("progress"))
    status = one_document(work.cli("status", "--json").stdout)
    fits(status, without(without(STATUS, "best"), "objective", "target"))
    (current,) = status["current_runs"]
    assert status["controller"]["phase"] == "training"
    assert (current["experiment"], current["run"], current["attempt"], current["kind"]) == (
        "exp001",
        "exp001/run01",
        1,
        "full",
    )
    assert current["pid"] == work.judged(note="up")[0]["pid"]
    assert current["progress"] == {"done": 2.0, "total": 3.0, "unit": "step"}
    assert current["metrics"] == {"val_acc": 0.5, "grad_norm": "nan"}
    (row,) = one_document(work.cli("list", "--json").stdout)
    fits(row, EXPERIMENT)
    assert (row["result"], row["value"], row["runs"][-1]["state"]) == (None, None, "running")
    shown = work.cli("status").stdout
    assert re.search(r"now +training exp001/run01, \S+, pid \d+ .*\n +\S+ step 2/3, about \S+ left\n", shown), shown
    assert "val_acc 0.5, grad_norm nan" in shown
    work.open("go")
    assert run.wait() == 0


def test_values_that_are_no_numbers_are_strings_everywhere(project):
    work = project(NAN)
    work.cli("run", "--max-cycles", 1)
    for words in (("status", "--json"), ("list", "--json"), ("show", "exp001", "--json")):
        one_document(work.cli(*words).stdout)
    one_document(Path(work.paths.state).read_text())
    run = work.json("show", "exp001")["runs"][-1]
    assert (run["fault"], run["state"]) == ("nan", "stopped")
    assert run["metrics"]["val_acc"]["final"] == "nan"
    assert run["metrics"]["loss"]["final"] == "-inf"
    assert run["metrics"]["grad"]["final"] == "inf"
    assert "nan" in work.cli("show", "exp001").stdout


def test_text_views_of_a_campaign(project):
    work = project()
    work.cli("run", "--max-cycles", 1)
    assert "exp001" in work.cli("list").stdout
    assert "0.54" in work.cli("list").stdout
    shown = work.cli("show", "1").stdout
    assert all(words in shown for words in ("hypothesis", "dry run", "training", "val_acc"))
    assert "val_acc=0.54" in work.cli("logs", "exp001").stdout
    assert work.cli("logs", "-n", 1).stdout.count("\n") == 1
    assert work.cli("report", "--format", "md").stdout.strip() == work.paths.report


# --- check


def test_check_of_a_project_that_is_ready(project):
    work = project()
    document = one_document(work.cli("check", "--json").stdout)
    assert document["ok"] is True
    for check in document["checks"]:
        fits({**check, "ok": None}, {"name": str, "ok": (None,), "said": str, "todo": str})
        assert check["ok"] in (True, None)
    names = {check["name"] for check in document["checks"]}
    assert names >= {
        "config",
        "brief",
        "objective",
        "command",
        "provider",
        "host",
        "gpu",
        "disk",
        "git",
        "ledger",
        "fence",
    }
    text = work.cli("check").stdout.splitlines()
    assert len(text) == len(document["checks"])
    assert not (work.root / "workspace").exists()


def test_check_names_a_private_file_that_git_has(project):
    """The agent's shell may ask git for it."""
    work = project(config={"agent": {"provider": "anthropic", "private": ["held_out/**"]}})
    work.env["ANTHROPIC_API_KEY"] = "x" * 20
    work.write("held_out/test.csv", "1,2\n")
    assert "private" not in work.cli("check").stdout.split(), "no repository"
    subprocess.run(["git", "init", "-q", work.root], check=True)
    assert "private" not in work.cli("check").stdout.split(), "not tracked"
    subprocess.run(["git", "-C", work.root, "add", "-f", "held_out"], check=True)
    assert "git has held_out/test.csv, and the agent's shell can ask it" in work.cli("check").stdout


@pytest.mark.parametrize(
    ("break_it", "name", "words"),
    [
        (lambda w: w.configure({"experiment": {"command": "no-such-program x"}}), "command", "no-such-program"),
        (lambda w: w.configure({"agent": {"provider": "anthropic"}}), "provider", "ANTHROPIC_API_KEY"),
        (lambda w: w.configure("agent: {provider: optuna, nonsense: 1}"), "config", "nonsense"),
        (lambda w: w.write("PROJECT_BRIEF.md", ""), "brief", "write at least a `# Goal`"),
        (lambda w: w.write("PROJECT_BRIEF.md", "# Goal\nMake it good.\n"), "space", "search space"),
    ],
)
def test_check_says_what_is_missing_and_exits_with_3(project, break_it, name, words):
    work = project()
    break_it(work)
    done = work.cli("check", "--json", status=3)
    document = one_document(done.stdout)
    assert document["ok"] is False
    missing = [check for check in document["checks"] if check["ok"] is False]
    assert [check["name"] for check in missing] == [name]
    assert words in missing[0]["said"] + missing[0]["todo"]
    assert done.stderr == ""
    assert "MISSING" in work.cli("check", status=3).stdout


# --- metrics


def test_metrics_of_a_log(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "epoch 1/3 val_acc=61.5% loss=0.9\nepoch 2/3 val_acc=70.25% loss=nan\nepoch 3/3 val_acc=66.0% loss=inf\n"
    )
    document = one_document(program("metrics", log, "--objective", "accuracy", "--direction", "max", "--json").stdout)
    fits(document, METRICS, exact=False)
    assert document["metrics"]["val_acc"] == {"final": 66.0, "count": 3}
    assert document["metrics"]["loss"] == {"final": "inf", "count": 3}
    assert (document["objective"]["name"], document["objective"]["best"], document["objective"]["count"]) == (
        "val_acc",
        70.25,
        3,
    )
    assert document["progress"] == {"done": 3.0, "total": 3.0, "unit": "epoch"}
    assert "val_acc" in program("metrics", log).stdout


def test_metrics_of_a_log_that_is_called_like_a_file_of_metrics(tmp_path):
    log = tmp_path / "run.json"
    log.write_text("epoch 1 loss=0.5\nepoch 2 loss=0.25\n")
    said = program("metrics", log, "--objective", "loss").stdout
    assert "objective   loss: best 0.25 at 2, final 0.25 (2 values)" in said
    assert "epoch 2" in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_metrics_of_standard_input(encoding):
    """Through a pipe whose writer takes its time, and stops in the middle of a character."""
    data = "".join(f"epoch {e}/3 größe=1 val_acc=0.{e}\r\n" for e in (1, 2, 3)).encode(encoding)
    words = [PROGRAM, "metrics", "-", "--objective", "val_acc", "--json"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False) as started:
        for start in range(0, len(data), 37):
            started.stdin.write(data[start : start + 37])
            started.stdin.flush()
        said, _ = started.communicate(timeout=60)
    assert started.returncode == 0
    document = one_document(said.decode())
    assert document["metrics"]["val_acc"] == {"final": 0.3, "count": 3}
    assert document["progress"] == {"done": 3.0, "total": 3.0, "unit": "epoch"}
    assert "val_acc" in program("metrics", "-", input="val_acc=0.5\n").stdout


def test_metrics_of_an_input_that_is_empty_or_closed():
    assert one_document(program("metrics", "-", "--json", input="").stdout)["metrics"] == {}
    closed = subprocess.run(
        ["sh", "-c", f"'{PROGRAM}' metrics - <&-"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (closed.returncode, "standard input is closed" in closed.stderr) == (2, True)


@pytest.mark.parametrize("objective", ["", "  ", "x" * 201])
def test_an_objective_that_is_no_name_is_refused(tmp_path, objective):
    (tmp_path / "a.log").write_text("loss=0.5\n")
    done = program("metrics", tmp_path / "a.log", "--objective", objective, status=2)
    assert "--objective: give a metric's name" in done.stderr


def test_metrics_of_what_would_block_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    done = program("metrics", tmp_path / "fifo", status=2)
    assert f"{tmp_path / 'fifo'}: cannot be read" in done.stderr


def test_metrics_without_an_objective_and_of_an_empty_log(tmp_path):
    log = tmp_path / "empty.log"
    log.touch()
    for words in ((), ("--objective", "accuracy")):
        document = one_document(program("metrics", log, *words, "--json").stdout)
        fits(document, {**METRICS, "objective": (None,), "progress": (None,)}, exact=False)
        assert document["metrics"] == {}


@pytest.mark.parametrize("name", ["nothing.log", "."])
def test_metrics_of_what_is_no_log(tmp_path, name):
    done = program("metrics", tmp_path / name, "--json", status=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


# --- help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_has_an_example(name):
    text = program(name, "--help").stdout
    assert f"Example: auto-experiment {name}" in " ".join(text.split())
    assert "Usage: auto-experiment" in text


@pytest.mark.parametrize("words", [("--help",), ("-h",)])
def test_help_lists_every_command(words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    assert all(re.search(rf"^  {name} +\S", text, re.MULTILINE) for name in COMMANDS)


def test_version():
    assert re.fullmatch(r"auto-experiment \d+\.\d+\.\d+\S*\n", program("--version").stdout)


def test_a_closed_pipe_is_no_error(project):
    work = project()
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" "$@" | true', PROGRAM, "check", "--json", "--project", str(work.root)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
