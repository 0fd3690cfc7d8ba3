"""The skills in the real Claude Code and Codex: they are found, they reach the model, and what they say can be done."""

from __future__ import annotations

import os
import re
import shutil
import sys

import pytest
import yaml
from programs import COMMAND, NAMES, ROOT, Client, document, everything, results, types

from auto_experiment.ledger.lock import holder
from auto_experiment.skills import SKILLS, skill_texts

BODIES = {name: skill_texts()[f"{name}/SKILL.md"].decode().split("---\n", 2)[2].strip() for name in SKILLS}


def description(skill: str) -> str:
    return str(yaml.safe_load(skill_texts()[f"{skill}/SKILL.md"].decode().split("---\n", 2)[1])["description"])


def install(client: Client, *more: object) -> None:
    client.run(COMMAND, "skills", "install", f"--{client.name}", *more)


def test_all_skills_are_listed_and_none_is_after_uninstall(client):
    install(client)
    client.ask("hello")
    listed = client.first()
    for skill in SKILLS:
        assert re.search(rf"^- {skill}: {re.escape(description(skill))}", listed, re.MULTILINE), listed[-5000:]
        assert BODIES[skill] not in listed
    client.run(COMMAND, "skills", "uninstall")
    client.server.requests.clear()
    client.ask("hello")
    assert "experiment-status" not in client.first()


@pytest.mark.parametrize("level", ["user", "project"])
def test_the_body_and_the_arguments_reach_the_model(client, tmp_path, level):
    (tmp_path / "project").mkdir()
    install(client, *(["--project-level", "--project", tmp_path / "project"] if level == "project" else []))
    client.ask(f"{client.call}auto-experiment --max-cycles 1", tmp_path / "project")
    asked = client.first()
    assert BODIES["auto-experiment"] in asked
    assert "--max-cycles 1" in asked.replace(BODIES["auto-experiment"], "")
    assert not [skill for skill in SKILLS if skill != "auto-experiment" and BODIES[skill] in asked]


@pytest.mark.parametrize("skill", [skill for skill in SKILLS if skill != "auto-experiment"])
def test_the_other_skills_can_be_called(client, skill):
    install(client)
    client.ask(f"{client.call}{skill}")
    assert BODIES[skill] in client.first()


def test_a_copy_from_the_clone_works_alone(client):
    folder = client.home / {"claude": ".claude", "codex": ".codex"}[client.name] / "skills"
    folder.mkdir(parents=True)
    client.run("cp", "-r", ROOT / "skills/auto-experiment", folder)
    client.ask(f"{client.call}auto-experiment --max-cycles 1")
    assert BODIES["auto-experiment"] in client.first()


def test_the_loop_starts_from_a_conversation_and_outlives_it(client, project):
    """What the skill says, typed by a model without wits. No permission is given but the skill's own to Claude Code; Codex
    runs it outside of its sandbox, as the skill asks for."""
    work = project("import judge\njudge.note(note='up')\nprint('step 1/2 val_acc=0.5', flush=True)\n"
                   "judge.DRY or judge.wait('go')\nprint('step 2/2 val_acc=0.6', flush=True)\n")  # fmt: skip
    install(client)
    client.server.script = types(
        client.name,
        [
            f"auto-experiment check --json --project {work.root}",
            f"auto-experiment run --detach --project {work.root} --max-cycles 1",
            f"auto-experiment status --json --project {work.root}",
        ],
    )
    options = ["-s", "danger-full-access"] if client.name == "codex" else []
    client.ask(f"{client.call}auto-experiment --project {work.root} --max-cycles 1", work.root, *options)
    check, start, status = results(client.heard())
    assert document(check)["ok"] is True
    pid = int(re.search(r"runs in the background, pid (\d+)", start)[1])
    assert document(status)["controller"]["state"] == "running"
    assert holder(work.paths.lock) == pid, "it has ended with the conversation"
    work.training(note="up", dry=False)
    work.open("go")
    work.until(lambda: holder(work.paths.lock) is None)
    assert work.json("list")[0]["value"] == 0.6


@pytest.mark.parametrize("skill", ["experiment-status", "progress-report", "gpu-monitor"])
def test_claude_code_lets_a_skill_run_its_commands_and_no_others(claude, project, skill):
    work = project()
    work.cli("run", "--max-cycles", 1)
    install(claude)
    own = {"experiment-status": "status --json", "progress-report": "report", "gpu-monitor": "status --json"}[skill]
    claude.server.script = types(
        "claude", [f"auto-experiment {own}", "auto-experiment direct 'try all'", "touch stray"]
    )
    claude.ask(f"/{skill}", work.root)
    first, *others = results(claude.heard())
    assert "val_acc" in first or "REPORT.md" in first
    assert "requires approval" in others[0]
    assert not os.path.exists(work.paths.directive)
    assert not (work.root / "stray").exists()


def test_the_plugin_is_valid_and_two_commands_install_it(claude):
    for folder in (ROOT, ROOT / "skills"):
        claude.run(claude.program, "plugin", "validate", "--strict", folder)
    claude.run(claude.program, "plugin", "marketplace", "add", ROOT)
    claude.run(claude.program, "plugin", "install", "auto-experiment@auto-experiment")
    claude.ask("/auto-experiment --max-cycles 1")
    asked = claude.first()
    assert BODIES["auto-experiment"] in asked
    assert all(f"- auto-experiment:{skill}: {description(skill)}" in asked for skill in SKILLS)


def test_codex_own_validator_accepts_every_skill(codex):
    codex.ask("hello")  # it unpacks its own skills then
    (validator,) = codex.home.glob(".codex/skills/.system/*/scripts/quick_validate.py")
    for skill in SKILLS:
        assert "valid" in codex.run(sys.executable, validator, ROOT / "skills" / skill)
    broken = codex.home / "broken"
    shutil.copytree(ROOT / "skills/gpu-monitor", broken)
    (broken / "SKILL.md").write_text("---\nname: gpu-monitor\n---\n")
    with pytest.raises(AssertionError, match="description"):
        codex.run(sys.executable, validator, broken)


def test_the_texts_of_a_request_are_all_found():
    assert everything({"a": [{"b": "one"}, "two"], "c": 3}) == "one\ntwo\n"
    assert set(NAMES) == {"claude", "codex"}
