"""`auto-experiment init`: the templates are valid as they stand, and nothing is overwritten."""

import os
import re

import pytest
import yaml

from auto_experiment.brief import parse_brief
from auto_experiment.config import Environment, all_keys, later, load_config
from auto_experiment.errors import UsageError
from auto_experiment.init import FILES, make_project

ENV = Environment({"PATH": "/usr/bin:/bin"})
SECTIONS = ["Goal", "Codebase", "Constraints", "Current Best", "Search Space", "Frozen"]


def content(folder, name):
    return (folder / name).read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    make_project(str(tmp_path), ENV)
    return tmp_path


def test_a_new_folder_gets_both_files_and_is_told_so(tmp_path):
    folder = tmp_path / "new" / "project"
    lines = make_project(str(folder), ENV)
    assert sorted(os.listdir(folder)) == sorted(FILES)
    assert lines == [
        f"made        {folder}, which was not there",
        *(f"wrote       {folder / name}" for name in FILES),
        "edit        PROJECT_BRIEF.md, every heading that you need",
        f"next        auto-experiment check --project {folder}, then auto-experiment run --project {folder}",
    ]


def test_that_nothing_was_found_is_said(tmp_path):
    (tmp_path / "helper.py").write_text("print(1)")
    assert (
        make_project(str(tmp_path), ENV)[0]
        == "script      none found that trains something: write `- Training: your_script.py` under # Codebase"
    )


def test_what_is_there_is_left_alone_and_the_rest_is_written(tmp_path):
    (tmp_path / "PROJECT_BRIEF.md").write_text("mine")
    (tmp_path / "helper.py").write_text("print(1)")
    lines = make_project(str(tmp_path), ENV)
    assert content(tmp_path, "PROJECT_BRIEF.md") == "mine"
    assert content(tmp_path, "config.yaml").startswith("# Everything is optional")
    assert lines[0] == f"kept        {tmp_path}/PROJECT_BRIEF.md, which was there"
    assert lines[1] == f"wrote       {tmp_path}/config.yaml"
    before = {name: content(tmp_path, name) for name in os.listdir(tmp_path)}
    assert [line[:4] for line in make_project(str(tmp_path), ENV)] == ["kept", "kept", "next"]
    assert {name: content(tmp_path, name) for name in os.listdir(tmp_path)} == before


def test_a_dangling_link_is_not_written_through(tmp_path):
    os.symlink(tmp_path / "elsewhere", tmp_path / "config.yaml")
    assert f"kept        {tmp_path}/config.yaml, which was there" in make_project(str(tmp_path), ENV)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_way_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file: name the folder that it is in"):
        make_project(str(tmp_path / "file"), ENV)


def test_a_folder_that_had_to_be_made_is_said(tmp_path):
    """A name that was mistyped makes one."""
    folder = str(tmp_path / "my_projct")
    assert f"made        {folder}, which was not there" in make_project(folder, ENV)
    assert not [line for line in make_project(folder, ENV) if line.startswith("made")]


def test_the_brief_has_every_section_explained_with_an_example(project):
    text = content(project, "PROJECT_BRIEF.md")
    assert re.findall(r"^# (.+)$", text, re.MULTILINE) == SECTIONS
    comments = re.findall(r"^# [^\n]+\n<!--\n(.+?)\n-->$", text, re.MULTILINE | re.DOTALL)
    assert len(comments) == len(SECTIONS)
    assert all("For example:\n" in comment for comment in comments)
    assert len(re.findall(r"<!--", text)) == len(SECTIONS) + 1


def test_nothing_outside_the_comments_of_the_brief_but_headings(project):
    text = re.sub(r"<!--.*?-->", "", content(project, "PROJECT_BRIEF.md"), flags=re.DOTALL)
    assert [line for line in text.splitlines() if line.strip()] == [f"# {name}" for name in SECTIONS]


def test_an_untouched_brief_is_refused_or_has_no_goal(project):
    try:
        brief = parse_brief(content(project, "PROJECT_BRIEF.md"))
    except UsageError:
        return
    assert not brief.goal
    assert (brief.command, brief.search_space, brief.frozen, brief.current_best) == (None, (), (), None)


EXAMPLES = {
    "Goal": ["Reach 78% validation accuracy on CIFAR-100."],
    "Codebase": ["- Training: train.py"],
    "Constraints": ["- GPU 0-1"],
    "Current Best": ["- Validation accuracy 75.2%, ResNet-18, lr 0.1, 200 epochs"],
    "Search Space": [
        "- --lr: 1e-4 .. 1e-1 log",
        "- --layers: 2 .. 8 int",
        "- --dropout: 0.0 .. 0.5",
        "- --optimizer: [sgd, adam]",
    ],
    "Frozen": ["- evaluate.py", "- data/**"],
}


def filled(template):
    """The template with its own examples written below its comments."""

    def fill(match):
        lines = EXAMPLES[match[1]]
        assert all(f"\n{line}\n" in match[0] for line in lines), "no longer an example of the template"
        return "\n".join([match[0], *lines])

    return re.sub(r"^# ([^\n]+)\n<!--\n.+?\n-->$", fill, template, flags=re.MULTILINE | re.DOTALL)


def test_a_brief_filled_in_with_its_own_examples_is_understood(project):
    brief = parse_brief(filled(content(project, "PROJECT_BRIEF.md")))
    assert (brief.direction, brief.target, brief.target_is_percent) == ("max", 0.78, True)
    assert "accuracy" in brief.metric
    assert (brief.command, brief.gpus) == ("train.py", "0,1")
    assert [str(p) for p in brief.search_space] == [
        "--lr: 0.0001 .. 0.1 log",
        "--layers: 2 .. 8 int",
        "--dropout: 0 .. 0.5",
        "--optimizer: [sgd, adam]",
    ]
    assert brief.frozen == ("evaluate.py", "data/**")
    assert brief.notices == ()


def in_force(text):
    """The config with every key that stands in it as a comment put in force, as its first line says."""
    return re.sub(r"^( *)# (?=[a-z_]+: )", r"\1", text, flags=re.MULTILINE)


def at_defaults(text: str) -> str:
    return in_force(text).replace("provider: optuna ", "provider: anthropic ")


def test_the_config_sets_only_the_provider_that_works_without_a_key(project):
    document = yaml.safe_load(content(project, "config.yaml"))
    assert document.pop("agent") == {"provider": "optuna"}
    assert set(document.values()) == {None}


def test_every_key_of_the_config_stands_there_at_its_default(project):
    (project / "config.yaml").write_text(at_defaults(content(project, "config.yaml")))
    written = load_config(str(project))
    os.unlink(project / "config.yaml")
    assert load_config(str(project)) == written


def test_every_key_that_is_built_is_in_the_config_and_no_other(project):
    document = yaml.safe_load(in_force(content(project, "config.yaml")))
    assert document.pop("search_space") == {}
    assert document.pop("notify") == []
    given = {f"{section}.{key}" for section, keys in document.items() for key in keys} | {"search_space", "notify"}
    assert given == {key for key, field in all_keys() if not later(field)}


def test_the_search_space_in_the_comment_is_one(project):
    text = content(project, "config.yaml")
    example = re.search(r"^# search_space: .*such as (\{.*\})$", text, re.MULTILINE)[1]
    (project / "config.yaml").write_text(f"search_space: {example}\n")
    assert [str(p) for p in load_config(str(project)).parameters] == [
        "--lr: 0.0001 .. 0.1 log",
        "--optimizer: [sgd, adam]",
    ]


def test_each_goal_in_the_comment_is_understood(project):
    text = content(project, "PROJECT_BRIEF.md")
    examples = re.search(r"# Goal\n<!--.*?For example:\n(.*?)\n-->", text, re.DOTALL)[1].splitlines()
    briefs = [parse_brief(f"# Goal\n{line}\n") for line in examples]
    assert [brief.notices for brief in briefs] == [(), ()]
    assert [(brief.metric, brief.direction, brief.target) for brief in briefs] == [
        ("validation accuracy", "max", 0.78),
        ("val_loss", "min", 0.35),
    ]


def test_each_training_line_in_the_comment_is_understood(project):
    lines = re.findall(r"^- (Training: (.+))$", content(project, "PROJECT_BRIEF.md"), re.MULTILINE)
    assert [parse_brief(f"# Goal\nx\n# Codebase\n- {line}\n").command for line, _ in lines] == [c for _, c in lines]
    assert len(lines) == 2
