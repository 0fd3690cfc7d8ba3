"""What the documents show is true: commands parse, links lead somewhere, briefs and configs are understood, outputs look as
the program prints them, and the picture of the house is the house."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import auto_experiment
from auto_experiment.brief import parse_brief
from auto_experiment.cli.main import COMMANDS, cli
from auto_experiment.config import load_config
from auto_experiment.init import looking
from auto_experiment.init.ranges import propose
from auto_experiment.ledger import migrations
from auto_experiment.ledger.rows import Phase
from auto_experiment.planners import directives
from auto_experiment.records.lesson import Finding, Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import RunState
from auto_experiment.script_options import ScriptOption
from auto_experiment.watch.metrics.reader import LogReader

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("auto-experiment")
SOURCE = Path(auto_experiment.__file__).parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/README.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"(?:^|.*[\s/])auto-experiment (?P<words>.+)")


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(text(page)) if name == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return BLOCK.sub("", text(page))


def section(page: Path, heading: str) -> str:
    """From a heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", prose(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)


def shown_commands() -> Iterator[tuple[str, str]]:
    """(page, what stands after "auto-experiment") in shell blocks, crontab lines and inline code."""
    for page in PAGES:
        lines = [line for kind in ("sh", "bash") for body in blocks(page, kind) for line in body.splitlines()]
        lines += [line for body in blocks(page, "text") for line in body.splitlines() if line.startswith("@reboot")]
        lines += re.findall(r"`((?:\.venv/bin/)?auto-experiment [^`]+)`", prose(page))
        for line in lines:
            for part in re.split(r"\s(?:\||&&)\s", line.partition("  #")[0]):
                found = PROGRAM.fullmatch(part.strip())
                if found and not part.strip().startswith(("pip ", "mkdir ", "ln ", "cp ")):
                    yield page.relative_to(ROOT).as_posix(), found["words"]


@pytest.mark.parametrize(("page", "words"), sorted(set(shown_commands())))
def test_a_command_parses(page, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("train.log", "results.csv"):  # `metrics` wants what exists
        Path(file).touch()
    for folder in ("runs", "workspace/runs/exp001/run01/a1"):
        Path(folder).mkdir(parents=True)
    name, *rest = shlex.split(re.sub(r"\bN\b", "1", words))  # N stands for a number
    assert name in COMMANDS or name in ("--help", "--version"), f"{page}: there is no command {name}"
    if name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_context(name, rest)  # raises UsageError when an option or an argument is not there


def test_every_command_is_shown_to_a_user():
    readme_and_quickstart = {words.split()[0] for page, words in shown_commands() if "CHANGELOG" not in page}
    assert set(COMMANDS) <= readme_and_quickstart | {"demo"}, "a command that no page mentions"


def test_make_targets_are_there():
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    for page in PAGES:
        shown = re.findall(r"`make ([a-z]+)`", prose(page))
        shown += [
            w[1] for kind in ("sh", "bash") for b in blocks(page, kind) for w in re.finditer(r"^make ([a-z]+)", b, re.M)
        ]
        assert set(shown) <= targets, f"{page.name}: {set(shown) - targets}"


# -- links and paths --------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}, there is {anchors(place)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_named_files_are_there(page):
    for path in re.findall(r"`((?:tests|docs|src|examples|benchmarks)/[\w./-]+)`", prose(page)):
        assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_all_pages_are_in_the_index():
    linked = {
        (ROOT / "docs" / path).resolve() for path in re.findall(r"\]\(([^)#\s]+)\)", text(ROOT / "docs/index.md"))
    }
    assert set(PAGES) - {ROOT / "docs/index.md"} <= linked


# -- briefs and configs -----------------------------------------------------------------------------------------------


def briefs() -> list[tuple[str, str]]:
    return [(p.name, body) for p in PAGES for body in blocks(p, "markdown") if body.startswith("# Goal")]


@pytest.mark.parametrize(("page", "brief"), briefs())
def test_a_brief_is_understood(page, brief):
    found = parse_brief(brief)
    assert found.notices == ()
    assert found.command
    assert found.command.startswith("train.py")
    assert (found.metric, found.direction, found.gpus) == ("validation accuracy", "max", "0")
    assert found.target is not None
    assert found.current_best is not None
    assert found.current_best < found.target, "both in the same scale"
    assert {"--lr", "--weight-decay", "--optimizer"} <= {p.name for p in found.search_space}


def test_the_readme_shows_a_brief():
    assert ("README.md" in dict(briefs())) and ("quickstart.md" in dict(briefs()))


@pytest.mark.parametrize(("page", "config"), [(p.name, body) for p in PAGES for body in blocks(p, "yaml")])
def test_a_config_is_accepted(page, config, tmp_path):
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    load_config(str(tmp_path))


# -- the house --------------------------------------------------------------------------------------------------------


def drawn_tree() -> set[str]:
    """The files of the tree in architecture.md, read from its indents."""
    tree = next(b for b in blocks(ROOT / "docs/architecture.md", "text") if b.startswith("src/auto_experiment/\n"))
    found, folders = set(), []
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        level = (len(line) - len(line.lstrip())) // 2 - 1
        folders = folders[:level]
        if name.endswith("/"):
            folders.append(name)
        else:
            found.add("".join(folders) + name)
    return found


def test_the_drawn_tree_is_the_tree():
    files = {p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py")}
    told_by_their_folder = {
        f for f in files if f.endswith("/__init__.py") and not (SOURCE / f).read_text().count("\n") > 5
    }
    assert drawn_tree() - files == set(), "drawn, and not there"
    assert files - told_by_their_folder - drawn_tree() == set(), "there, and not drawn"


def test_the_drawn_layers_are_the_tested_ones():
    spec = importlib.util.spec_from_file_location("the_rules", ROOT / "tests/architecture/test_imports.py")
    assert spec is not None
    assert spec.loader is not None
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    there = {p.name.removesuffix(".py") for p in SOURCE.iterdir()} - {"__init__"}
    drawn = next(b for b in blocks(ROOT / "docs/architecture.md", "text") if "__main__\n" in b and "src/" not in b)
    layers = {int(line.split()[0]): set(line.split()[1:]) for line in drawn.splitlines()}
    assert layers == {level: rooms & there for level, rooms in enumerate(rules.LAYERS, start=1)}


def test_the_drawn_ledger_is_the_schema():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(db, 0)
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    schema = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    triggers = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    db.close()
    body = next(b for b in blocks(ROOT / "docs/architecture.md", "text") if b.startswith("session "))
    rows = re.sub(r"\n {12}(?=\S)", " ", body).splitlines()
    drawn = {}
    for row in rows:
        table, _, columns = re.sub(
            r"\s{2,}[a-z]+:? [^,]*(?:\([^)]*\))?$|\s{2,}milestone, .*$", "", row.rstrip()
        ).partition(" ")
        drawn[table] = [c.strip() for c in columns.split(",")]
    assert drawn == schema
    assert all(f"`{name}`" in text(ROOT / "docs/architecture.md") for name in triggers)


def test_the_phases_are_the_phases():
    rows = re.findall(
        r"^\| ([a-z_]+) \|", section(ROOT / "docs/architecture.md", "Phases, and what a kill leaves"), re.M
    )
    assert set(rows[1:]) == {phase.value for phase in Phase}


@pytest.mark.parametrize("words", [RunState, Result])
def test_the_words_are_those_of_the_program(words):
    told = first_cells(section(ROOT / "docs/concepts.md", "State, result, finding: three different questions"))
    assert {word.value for word in words} <= set(told)
    assert set(told) == {word.value for word in (*RunState, *Result)}


@pytest.mark.parametrize("word", [*Fault, *Finding])
def test_every_fault_and_finding_is_named(word):
    assert f"`{word.value}`" in section(ROOT / "docs/concepts.md", "State, result, finding: three different questions")


# -- outputs ----------------------------------------------------------------------------------------------------------

TRAIN = """
import argparse
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--width", type=int)
args = parser.parse_args()
for step in (1, 2):
    print(f"epoch {step}/3 val_accuracy=0.{step}{70 - args.width}", flush=True)
if judge.DRY:
    judge.wait("never")  # the harness ends it
else:
    judge.note(note="up")
    judge.wait("go")
    print(f"epoch 3/3 val_accuracy=0.9{70 - args.width}", flush=True)
"""  # whatever the search draws: the baseline is a new best, and nothing after it is
BRIEF = """
# Goal
Reach 99.99% validation accuracy.

# Codebase
- Training: train.py

# Search Space
- --lr: 1e-4 .. 1e-1 log
- --width: 10 .. 60 int
"""


def shape(line: str) -> str:
    """A line of output without what differs from campaign to campaign."""
    line = re.sub(r"(?:~|(?<=\s))/\S+", "PATH", line)
    line = re.sub(r"ran to its end|two steps seen", "HOW", line)  # which one comes first is a matter of speed
    line = re.sub(r"^(cycle \d+: exp\d+) (?!baseline)(?:[\w-]+=\S+(?:, )?)+$", r"\1 SETTING", line)
    return re.sub(r"\d+(?:\.\d+)?(?:e-?\d+)?", "#", line)


def row_of(line: str) -> list[str]:
    """A row of `list` without what differs; what was just now is some minutes ago on the page."""
    return re.sub(r"just now|# (?:s|min) ago", "AGO", shape(line).replace("*", "+")).split()


def outputs_of(page: Path, first: str) -> list[str]:
    """The lines of the output block that begins so, without what was left out."""
    body = next(b for b in blocks(page, "text") if b.startswith(first))
    return [line for line in body.splitlines() if line.strip() not in ("", "...")]


def banners() -> list[re.Pattern[str]]:
    """What examples/digits/killed_midway.py says, with anything in the places of its values."""
    calls = [n for n in ast.walk(ast.parse(text(ROOT / "examples/digits/killed_midway.py"))) if isinstance(n, ast.Call)]
    said = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id in ("banner", "print") and c.args]
    return [re.compile(pattern(n)) for n in said if isinstance(n, (ast.JoinedStr, ast.Constant))]


def pattern(node: ast.expr) -> str:
    """A text as a regular expression: its words as they stand, its choices as choices, any other value as anything."""
    if isinstance(node, ast.JoinedStr):
        return "".join(pattern(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return pattern(node.value)
    if isinstance(node, ast.IfExp):
        return f"(?:{pattern(node.body)}|{pattern(node.orelse)})"
    return re.escape(str(node.value)) if isinstance(node, ast.Constant) else ".+"


def test_the_shown_demo_looks_like_a_real_one(project):
    """The real demo is run elsewhere; this small campaign is killed once and carried on in the same way."""
    command = f"{shlex.quote(sys.executable)} train.py --lr 0.1 --width 10"
    work = project(
        TRAIN,
        brief=BRIEF,
        config=f"""
agent: {{provider: optuna}}
budget: {{experiments: 3}}
experiment: {{command: {json.dumps(command)}}}
""",
    )
    first = work.start("run")
    work.training(note="up")
    first.said("  training: pid")
    first.kill()
    work.open("go")
    second = work.cli("run")
    real = {shape(line) for line in (first.text + second.stdout).splitlines()}

    shown = outputs_of(ROOT / "README.md", "cycle 1: ")
    said = [line for line in shown if line.startswith(("========", "best "))]
    for line in shown:
        if line not in said:
            assert shape(line) in real, f"README.md shows {line!r}; a real campaign says\n" + "\n".join(sorted(real))
    for line in said:
        words = re.sub(r"^=+ | =+$", "", line)
        assert any(p.fullmatch(words) for p in banners()), f"README.md shows {line!r}, which the demo never says"
    assert len(said) >= 4

    adopted = outputs_of(ROOT / "docs/quickstart.md", "carrying on")
    allowed = {shape("ended: 2 cycles done (max_cycles)"), shape("carrying on with cycle 6 at training")}
    for line in adopted:
        assert shape(line).replace("val_acc`", "val_accuracy`") in real | allowed, f"quickstart.md shows {line!r}"

    listing = outputs_of(ROOT / "docs/quickstart.md", "  id  ")
    rows = work.cli("list").stdout.splitlines()
    assert listing[0].split() == rows[0].split()
    assert row_of(listing[1]) == row_of(rows[1])

    labels = re.compile(r"^[a-z]+ ", re.MULTILINE)
    status = outputs_of(ROOT / "docs/quickstart.md", "spirals: ")[1:]
    assert {*labels.findall("\n".join(status))} - {"now "} <= {*labels.findall(work.cli("status").stdout)}

    checks = work.cli("check").stdout.splitlines()
    names = [line.split()[1] for line in outputs_of(ROOT / "docs/quickstart.md", "ok      config")]
    assert names == [line.split()[1] for line in checks]

    report = (work.root / "workspace/REPORT.md").read_text(encoding="utf-8")
    for line in outputs_of(ROOT / "docs/quickstart.md", "**The target was not reached.**"):
        head = line.split(" = ")[0].split(" PATH")[0]
        if not line.startswith(("cd ", "export CUDA_VISIBLE_DEVICES", "~/spirals/.venv")):  # of another machine
            assert head.replace("val_acc`", "val_accuracy`") in report, f"quickstart.md shows {line!r}"


def a_newcomers_project(tmp_path: Path) -> Path:
    """The project that the README and the quickstart begin with, with an environment of its own."""
    root = tmp_path / "my_project"
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to(sys.executable)
    shutil.copy(ROOT / "examples/newcomer/train.py", root)
    return root


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md"])
def test_the_shown_init_says_so(page, tmp_path):
    root = a_newcomers_project(tmp_path)
    shown = [
        line for body in blocks(ROOT / page, "sh") for line in body.splitlines() if line.endswith(" init my_project")
    ]
    assert len(shown) == 1
    done = subprocess.run(
        [COMMAND, *shlex.split(shown[0])[1:]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == outputs_of(ROOT / page, "script ")
    assert (root / "PROJECT_BRIEF.md").exists()


def test_the_second_command_of_the_readme_is_init():
    commands = [line for body in blocks(ROOT / "README.md", "sh") for line in body.splitlines()]
    assert commands[:2] == ["make demo", ".venv/bin/auto-experiment init my_project"]


def test_the_two_edits_of_the_quickstart_are_all_that_it_takes(tmp_path):
    root = a_newcomers_project(tmp_path)
    subprocess.run([COMMAND, "init"], cwd=root, capture_output=True, check=True)
    brief = text(root / "PROJECT_BRIEF.md")
    assert len(parse_brief(brief).notices) == 2
    for part in blocks(ROOT / "docs/quickstart.md", "diff")[0].split("...\n"):
        before = "".join(line[1:] + "\n" for line in part.splitlines() if line[:1] != "+")
        after = "".join(line[1:] + "\n" for line in part.splitlines() if line[:1] != "-")
        assert brief.count(before) == 1, f"the brief has not\n{before}"
        brief = brief.replace(before, after)
    found = parse_brief(brief)
    assert (found.notices, found.metric, found.target, found.command) == ((), "val_acc", 0.98, "train.py")
    assert len(found.search_space) == 5


def test_the_quickstarts_first_experiment_looks_like_a_real_one(tmp_path):
    pytest.importorskip("sklearn")
    root = a_newcomers_project(tmp_path)
    subprocess.run([COMMAND, "init"], cwd=root, capture_output=True, check=True)
    brief = text(root / "PROJECT_BRIEF.md").replace("Maximise val_acc.", "Reach 98% val_acc.")
    (root / "PROJECT_BRIEF.md").write_text(re.sub(r"<!--.*?-->", "", brief, flags=re.DOTALL), encoding="utf-8")
    words = [COMMAND, "run", "--project", "my_project", "--max-cycles", "1"]
    (root / ".venv/bin/python").unlink()  # a link to it is no environment: its libraries would not be found
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    shown = outputs_of(ROOT / "docs/quickstart.md", "objective: val_acc")
    assert [shape(line) for line in shown] == [shape(line) for line in done.stdout.splitlines()]


def test_the_ranges_in_the_page_about_init_are_proposed():
    rows = re.findall(
        r"^\| ([^|]+) \| ([\d., or]*) \| (.+) \|$", section(ROOT / "docs/init.md", "Ranges"), re.MULTILINE
    )
    options = {
        "learning rates": ["--lr"], "weight decay, L2": ["--weight-decay", "--l2"], "dropout, drop path": ["--dropout", "--drop-path"],
        "batch size, widths": ["--batch-size", "--hidden"], "layers": ["--n-layers"], "momentum, beta 1": ["--momentum", "--beta1"],
        "label smoothing, warm-up ratio": ["--label-smoothing", "--warmup-ratio"], "warm-up steps": ["--warmup-steps"],
    }  # fmt: skip
    told = {name: (defaults, re.findall(r"`([^`]+)`", ranges)) for name, defaults, ranges in rows}
    assert set(options) <= set(told)
    for name, names in options.items():
        defaults, ranges = told[name]
        for option in names:
            for default, line in zip(re.findall(r"[\d.]+", defaults), ranges, strict=True):
                [proposal] = propose([ScriptOption(option, default)]).proposals
                assert proposal.line == f"{option}: {line}"


def test_the_bounds_in_the_page_about_init_are_the_bounds():
    told = section(ROOT / "docs/init.md", "Bounds")
    for figure in (
        f"{looking.MOST_ENTRIES:,} entries", f"{looking.MOST_IN_A_FOLDER:,} entries of a folder",
        f"{looking.LARGEST // 1024} KB of a script", "two seconds", "six folders deep",
    ):  # fmt: skip
        assert figure in told
    assert (looking.SECONDS, looking.DEEPEST) == (2.0, 6)


def test_a_shown_directive_is_answered_like_that():
    quickstart = ROOT / "docs/quickstart.md"
    told = [
        shlex.split(words)[-1]
        for page, words in shown_commands()
        if page.endswith("quickstart.md") and words.startswith("direct ")
    ]
    told = list(dict.fromkeys(told))
    assert len(told) == 3
    shown = outputs_of(quickstart, "directive: ")[0]
    assert shown == f"directive: {directives.apply(chr(10).join(told), ()).answer()}"


def test_shown_metrics_are_read_like_that():
    body = next(b for b in blocks(ROOT / "docs/quickstart.md", "text") if b.startswith("epoch 3/120"))
    for line in body.splitlines():
        reader = LogReader()
        reader.feed(line.encode() + b"\n")
        assert {name: s.final for name, s in reader.series.items()} == {"train_loss": 0.2214, "val_acc": 0.9021}
        assert reader.progress is not None
        assert reader.progress.done == 3
    reader = LogReader()
    reader.feed(b"epoch 1 seed=1 epoch_time=3.2 val_acc=0.5 wait=3.2s\n")
    assert set(reader.series) == {"val_acc"}


# -- what a document must not hold ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_path_of_a_machine_and_no_registry(page):
    found = re.findall(
        r"/(?:tmp|work|home|root|Users)/\S*|pypi\.org|pythonhosted|test\.pypi|conda\.anaconda", text(page)
    )
    allowed = {"/tmp/demo", "/tmp/demo`"}
    assert not set(found) - allowed, found
