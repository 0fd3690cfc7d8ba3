"""The skills as files: what both clients accept, what they cost, and that they hang together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import auto_experiment
from auto_experiment.brief import parse_brief
from auto_experiment.config import load_config
from auto_experiment.skills import SKILLS, skill_texts

ROOT = Path(__file__).parents[2]
HOME = ROOT / "src/auto_experiment/skills"
PORTABLE = {"name", "description", "license", "metadata", "allowed-tools"}  # what both validators accept
PAGES = sorted(HOME.glob("*/SKILL.md")) + sorted(HOME.glob("*/references/*.md"))


def parts(skill: str) -> tuple[dict[str, str], str]:
    _, head, body = (HOME / skill / "SKILL.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


@pytest.mark.parametrize("skill", SKILLS)
def test_the_front_matter_is_what_both_clients_take(skill):
    head, body = parts(skill)
    assert set(head) <= PORTABLE
    assert head["name"] == skill
    assert len(head["description"]) <= 1024
    assert not set("<>") & set(head["description"])
    assert body.count("\n") < 500
    assert "$ARGUMENTS" not in body, "Codex does not put the arguments there"
    assert "${" not in body


@pytest.mark.parametrize("skill", SKILLS)
def test_what_a_skill_costs(skill):
    """Name and description are in every prompt of every conversation; the body only when the skill is used."""
    head, _ = parts(skill)
    assert len(head["name"]) + len(head["description"]) <= 400
    assert len((HOME / skill / "SKILL.md").read_text(encoding="utf-8")) <= 5000


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(HOME).as_posix())
def test_links_lead_to_files_of_the_same_skill(page):
    """A skill is copied alone: what it refers to has to come with it."""
    skill = HOME / page.relative_to(HOME).parts[0]
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_relative_to(skill.resolve())
        assert place.exists(), f"{page.name}: {target}"
        assert not anchor or f"# {anchor}\n" in place.read_text(encoding="utf-8")


def test_every_reference_is_referred_to():
    for page in HOME.glob("*/references/*.md"):
        assert f"](references/{page.name}" in (page.parents[1] / "SKILL.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(HOME).as_posix())
def test_other_skills_are_named_as_they_are(page):
    named = re.findall(r"skill[s]? `([^`]+)`", page.read_text(encoding="utf-8").replace("\n", " "))
    assert set(named) <= set(SKILLS)


def test_the_brief_and_the_config_that_are_shown_are_understood(tmp_path):
    text = (HOME / "auto-experiment/references/brief.md").read_text(encoding="utf-8")
    brief = parse_brief(re.findall(r"^```markdown\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0])
    assert (brief.notices, brief.metric, brief.target, brief.gpus) == ((), "validation accuracy", 0.78, "0")
    assert len(brief.search_space) == 3
    (tmp_path / "config.yaml").write_text(re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0])
    assert load_config(str(tmp_path)).agent.provider == "optuna"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(HOME).as_posix())
def test_no_path_of_a_machine_and_no_registry(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:tmp|work|home|root|Users)/\S*|https?://|pypi", text)


# -- what lies around them --------------------------------------------------------------------------------------------


def test_the_clone_has_them_at_its_root():
    assert (ROOT / "skills").is_symlink()
    assert (ROOT / "skills").resolve() == HOME.resolve()


def test_all_of_them_are_installed_and_nothing_else_is():
    files = {
        path.relative_to(HOME).as_posix() for skill in SKILLS for path in (HOME / skill).rglob("*") if path.is_file()
    }
    assert set(skill_texts()) == files
    assert set(SKILLS) == {page.parent.name for page in HOME.glob("*/SKILL.md")}


def test_the_plugin_names_them_all_and_has_the_programs_version():
    plugin = json.loads((HOME / ".claude-plugin/plugin.json").read_text())
    assert plugin["version"] == auto_experiment.__version__
    assert sorted(plugin["skills"]) == [f"./{skill}" for skill in SKILLS]
    market = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    (entry,) = market["plugins"]
    assert (ROOT / entry["source"]).resolve() == HOME.resolve()
    assert entry["name"] == plugin["name"]


def test_the_validator_of_the_format_accepts_every_skill(tmp_path):
    agentskills = Path(sys.executable).with_name("agentskills")
    if not agentskills.exists():
        pytest.skip(
            "no agentskills beside this Python: `pip install -r requirements-dev.txt` brings it, from Python 3.11 on"
        )
    for skill in SKILLS:
        done = subprocess.run([agentskills, "validate", HOME / skill], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "gpu-monitor"
    shutil.copytree(HOME / "gpu-monitor", broken)
    text = (broken / "SKILL.md").read_text()
    (broken / "SKILL.md").write_text(text.replace("license:", "argument-hint:"))
    assert subprocess.run([agentskills, "validate", broken], capture_output=True, check=False).returncode
