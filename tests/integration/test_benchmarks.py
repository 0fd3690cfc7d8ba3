"""Each benchmark runs, in its quick form, and prints a result that can be parsed. No figure is judged here."""

import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCHMARKS = os.path.join(ROOT, "benchmarks")
# Not model_cycles, which takes a minute: `make bench` runs it, and test_model_loop.py what it measures.
FIGURES = {
    "reaction": {"reaction"},
    "overhead": {"cycle_10", "cycle_1000"},
    "idle": {"idle_silent", "idle_lines", "idle_rss", "shim_rss"},
    "start_up": {"help", "status"},
    "live_view": {"view_cpu", "watch_first", "status_calls"},
    "adopt": {"adopt_running", "adopt_ended", "adopt_intended"},
    "agent_cost": {"reads_uncached", "write_cents", "edit_cents"},
    "leader_cost": {"fixed", "think_tokens", "short_tokens", "answer_tokens", "cycle_short", "cycle_full"},
    "report": {"html_12", "html_mb_12"},
    "demo_seeds": {"demo_better", "demo_honest", "demo_wall"},
    "newcomer": {"clone", "init", "edits", "check", "run", "all"},
}


def script(name, *words, check=True):
    command = [sys.executable, os.path.join(BENCHMARKS, f"{name}.py"), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def look(*words):
    command = [os.path.join(os.path.dirname(sys.executable), "auto-experiment"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", FIGURES)
def test_a_benchmark_prints_its_figures(name):
    if name in ("demo_seeds", "newcomer"):
        pytest.importorskip("sklearn")
    document = json.loads(script(name, "--quick", "--json").stdout)
    assert document["benchmark"] == name
    assert document["quick"] is True
    assert {"cpu", "cores", "kernel", "python", "commit"} <= set(document["machine"])
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert FIGURES[name] <= set(figures)
    for figure in figures.values():
        assert figure["trials"] >= 1
        assert isinstance(figure["median"], float)
        assert figure["met"] in (True, False, None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "project"
    script("make_ledger", str(folder), "60", "--points", "3")
    return str(folder)


def test_a_made_project_can_be_looked_at(made):
    status = json.loads(look("status", "--json", "--project", made))
    rows = json.loads(look("list", "--json", "--project", made))
    assert status["experiments"] == len(rows) == 60
    values = [r["value"] for r in rows if r["result"] in ("improved", "not_improved")]
    assert status["best"]["value"] == max(values)
    states = {run["state"] for row in rows for run in row["runs"]}
    assert {"finished", "stopped", "failed"} <= states
    one = json.loads(look("show", "exp001", "--json", "--project", made))
    assert one["runs"][1]["metrics"]["val_accuracy"]["count"] == 30


def test_a_made_project_goes_on(made):
    best = json.loads(look("status", "--json", "--project", made))["best"]["value"]
    said = look("run", "--max-cycles", "2", "--project", made)
    assert "changed" not in said
    status = json.loads(look("status", "--json", "--project", made))
    assert status["experiments"] == 62
    assert status["best"]["value"] >= best


def test_an_open_training_is_started_by_run(tmp_path):
    script("make_ledger", str(tmp_path / "p"), "20", "--open")
    look("run", "--max-cycles", "1", "--project", str(tmp_path / "p"))
    rows = json.loads(look("list", "--json", "--project", str(tmp_path / "p")))
    assert len(rows) == 20
    assert rows[-1]["runs"][-1]["state"] == "finished"


def test_a_ledger_that_is_there_is_not_touched(made):
    done = script("make_ledger", made, "5", check=False)
    assert done.returncode == 1
    assert "is there already" in done.stderr


def test_the_page_has_the_table_of_the_stored_results():
    sys.path.insert(0, BENCHMARKS)
    try:
        from all import BEGIN, PAGE, load_results, table
    finally:
        sys.path.remove(BENCHMARKS)
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    assert table(load_results()) in text.partition(BEGIN)[2]
