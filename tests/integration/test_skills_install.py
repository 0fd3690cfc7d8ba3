"""`skills install` and `skills uninstall`: where they put what, what they leave alone, and that nothing stays behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from auto_experiment import skills
from auto_experiment.cli.project import check_command
from auto_experiment.cli.skills import skills_command
from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.skills import RECORD, SKILLS, Shelf, install, uninstall
from workbench import KEYS

COMMAND = Path(sys.executable).with_name("auto-experiment")
SOURCE = Path(skills.__file__).parent


def picture(folder: Path) -> dict[str, object]:
    """Everything below a folder, byte for byte."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        found[path.relative_to(folder).as_posix()] = (what, path.lstat().st_mode)
    return found


@pytest.fixture
def home(tmp_path):
    """A home in which somebody has skills already."""
    (tmp_path / "home/.claude/skills/mine/empty").mkdir(parents=True)
    (tmp_path / "home/.claude/skills/mine/SKILL.md").write_text("---\nname: mine\n---\nmine")
    (tmp_path / "home/.claude/settings.json").write_text("{}")
    (tmp_path / "home/.codex").mkdir()
    return tmp_path / "home"


def run(home, *words, status=0, **variables):
    """What is said. In this process, as far as the command's own error."""
    empty = dict.fromkeys(("CLAUDE_CONFIG_DIR", "CODEX_HOME"), "")
    given = {name: str(value) for name, value in {**empty, "HOME": home, **variables}.items()}
    done = CliRunner(env=given).invoke(skills_command, [str(word) for word in words])
    if isinstance(done.exception, EnvironmentNotReady):
        assert done.exception.exit_status == status
        assert "\n" not in str(done.exception)
        assert not done.output
        return str(done.exception)
    assert done.exit_code == status, done.output
    return done.output


def really(home, *words):
    """The installed command."""
    env = {k: v for k, v in os.environ.items() if k not in ("CLAUDE_CONFIG_DIR", "CODEX_HOME")}
    done = subprocess.run([COMMAND, "skills", *words], env={**env, "HOME": str(home)}, cwd=home, capture_output=True,
                          text=True, check=True, stdin=subprocess.DEVNULL)  # fmt: skip
    return done.stdout


def same(folder: Path) -> None:
    """All skills are there as they are shipped."""
    for name, content in skills.skill_texts().items():
        assert (folder / name).read_bytes() == content


def shelf(folder: Path) -> Shelf:
    return Shelf("Claude Code", str(folder), "/")


# -- in and out -------------------------------------------------------------------------------------------------------


def test_install_then_uninstall_leaves_the_home_as_it_was(home):
    before = picture(home)
    said = really(home, "install")
    assert f"/auto-experiment, /experiment-status, /gpu-monitor, /progress-report in {home}/.claude/skills" in said
    assert f"$auto-experiment, $experiment-status, $gpu-monitor, $progress-report in {home}/.codex/skills" in said
    same(home / ".claude/skills")
    same(home / ".codex/skills")
    after = picture(home)
    really(home, "install")
    assert picture(home) == after
    assert {name: what for name, what in after.items() if name in before} == before
    really(home, "uninstall")
    assert picture(home) == before
    assert "nothing was installed" in really(home, "uninstall")
    assert picture(home) == before


def test_an_empty_home_is_empty_again(tmp_path):
    (tmp_path / "home").mkdir()
    run(tmp_path / "home", "install")
    run(tmp_path / "home", "uninstall")
    assert picture(tmp_path / "home") == {}


def test_a_folder_that_was_made_and_is_used_since_stays(tmp_path):
    run(tmp_path, "install", "--codex")
    (tmp_path / ".codex/config.toml").write_text("")
    run(tmp_path, "uninstall", "--codex")
    assert list(picture(tmp_path)) == [".codex", ".codex/config.toml"]


@pytest.mark.parametrize(("flag", "folder"), [("--claude", ".claude"), ("--codex", ".codex")])
def test_one_client_alone(tmp_path, flag, folder):
    run(tmp_path, "install", flag)
    assert os.listdir(tmp_path) == [folder]


def test_other_homes_and_a_project(home, tmp_path):
    before = picture(home)
    run(home, "install", CLAUDE_CONFIG_DIR=tmp_path / "a/b", CODEX_HOME=tmp_path / "c")
    same(tmp_path / "a/b/skills")
    same(tmp_path / "c/skills")
    run(home, "uninstall", CLAUDE_CONFIG_DIR=tmp_path / "a/b", CODEX_HOME=tmp_path / "c")
    assert os.listdir(tmp_path) == ["home"]
    (tmp_path / "project").mkdir()
    run(home, "install", "--project-level", "--project", tmp_path / "project")
    same(tmp_path / "project/.claude/skills")
    same(tmp_path / "project/.agents/skills")
    run(home, "uninstall", "--project-level", "--project", tmp_path / "project")
    assert picture(tmp_path / "project") == {}
    assert "no such folder" in run(home, "install", "--project-level", "--project", tmp_path / "none", status=2)
    assert picture(home) == before


def test_it_is_said_when_the_skills_would_not_find_the_program(home, tmp_path):
    bare, full = tmp_path / "bare", tmp_path / "full"
    for folder in (bare, full):
        folder.mkdir()
    (full / "auto-experiment").symlink_to(COMMAND)
    assert "not on your PATH" in run(home, "install", PATH=bare)
    assert "not on your PATH" not in run(home, "install", PATH=full)


# -- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["somebody else's", None])
def test_a_skill_of_the_same_name_stops_it_before_anything_is_written(home, content):
    """Also one that was copied there by hand: nobody told us that it may be removed one day."""
    foreign = home / ".codex/skills/gpu-monitor/SKILL.md"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(content.encode() if content else skills.skill_texts()["gpu-monitor/SKILL.md"])
    before = picture(home)
    assert str(foreign.parent) in run(home, "install", status=3)
    assert picture(home) == before
    run(home, "uninstall")
    assert picture(home) == before


@pytest.mark.parametrize("place", [".codex", ".codex/skills", ".codex/skills/auto-experiment"])
@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_what_is_in_the_way_is_named_and_nothing_is_written(tmp_path, place, kind):
    """A link to a folder is in the way only where the skill itself would be: people keep their homes elsewhere."""
    path, elsewhere = tmp_path / "home" / place, tmp_path / "elsewhere"
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("in the way")
    else:
        path.symlink_to(elsewhere)
    if kind == "link":
        elsewhere.mkdir()
    before = picture(tmp_path)
    if kind == "link" and not place.endswith("auto-experiment"):
        run(tmp_path / "home", "install")
        assert path.is_symlink()
        assert RECORD in os.listdir(elsewhere) + os.listdir(elsewhere / "skills" if place == ".codex" else elsewhere)
        run(tmp_path / "home", "uninstall")
    else:
        said = run(tmp_path / "home", "install", status=3)
        assert said.startswith((f"{path} is in the way", f"{path} is a link"))
    assert picture(tmp_path) == before


def test_one_folder_for_both_clients(tmp_path):
    (tmp_path / ".claude/skills").mkdir(parents=True)
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/skills").symlink_to(tmp_path / ".claude/skills")
    before = picture(tmp_path)
    run(tmp_path, "install")
    same(tmp_path / ".codex/skills")
    assert "nothing was installed" not in run(tmp_path, "uninstall")
    assert picture(tmp_path) == before


@pytest.fixture
def older(tmp_path, monkeypatch):
    """A shelf with what an older version has installed: other texts, and a file that there is no longer."""
    texts = skills.skill_texts()
    old = {**{name: b"old " + text for name, text in texts.items()}, "auto-experiment/references/old/gone.md": b"gone"}
    with monkeypatch.context() as patch:
        patch.setattr(skills, "skill_texts", lambda: old)
        install([shelf(tmp_path / "skills")])
    assert (tmp_path / "skills/auto-experiment/references/old/gone.md").exists()
    return tmp_path / "skills"


def test_an_upgrade_replaces_what_is_unedited(older):
    install([shelf(older)])
    same(older)
    assert not (older / "auto-experiment/references/old").exists()
    uninstall([shelf(older)])
    assert not older.exists()


def test_edited_files_stay_and_are_named(older):
    """Through an upgrade, and through uninstall; also one of which the program has no newer version."""
    edited = {"gpu-monitor/SKILL.md": "mine", "auto-experiment/references/old/gone.md": "mine, too"}
    for name, text in edited.items():
        (older / name).write_text(text)
    (older / "auto-experiment/notes.md").write_text("a file of mine")
    said = install([shelf(older)])
    assert said[1:] == [f"{older}/{name}: edited, left as it is" for name in sorted(edited)]
    assert {name: (older / name).read_text() for name in edited} == edited
    assert (older / "progress-report/SKILL.md").read_bytes() == skills.skill_texts()["progress-report/SKILL.md"]
    said = uninstall([shelf(older)])
    mine = sorted([*edited, "auto-experiment/notes.md"])
    assert said[1:] == [f"{older}/{name}: edited or added, left as it is" for name in mine]
    assert sorted(path.relative_to(older).as_posix() for path in older.rglob("*") if path.is_file()) == mine


def test_an_edit_that_is_taken_back_is_none(older):
    path = older / "gpu-monitor/SKILL.md"
    old = path.read_bytes()
    path.write_text("mine")
    install([shelf(older)])
    path.write_bytes(old)
    assert len(install([shelf(older)])) == 1
    same(older)


def test_a_file_that_became_a_link_is_the_users(older, tmp_path):
    (tmp_path / "dotfiles.md").write_bytes((older / "gpu-monitor/SKILL.md").read_bytes())
    (older / "gpu-monitor/SKILL.md").unlink()
    (older / "gpu-monitor/SKILL.md").symlink_to(tmp_path / "dotfiles.md")
    before = (tmp_path / "dotfiles.md").read_bytes()
    assert "edited" in str(install([shelf(older)]))
    assert "edited" in str(uninstall([shelf(older)]))
    assert (tmp_path / "dotfiles.md").read_bytes() == before
    assert (older / "gpu-monitor/SKILL.md").is_symlink()


def test_a_folder_that_became_a_link_is_not_followed(older, tmp_path):
    shutil.move(older / "auto-experiment", tmp_path / "kept")
    (older / "auto-experiment").symlink_to(tmp_path / "kept")
    before = picture(tmp_path / "kept")
    with pytest.raises(EnvironmentNotReady, match="is a link"):
        install([shelf(older)])
    uninstall([shelf(older)])
    assert picture(tmp_path / "kept") == before


@pytest.mark.parametrize("name", ["../outside.md", "auto-experiment/../../outside.md", "/outside.md", "other/SKILL.md"])
def test_a_record_cannot_have_a_foreign_file_removed(older, tmp_path, name):
    """A record comes with a project that was cloned, too."""
    outside = tmp_path / "outside.md"
    outside.write_text("precious")
    digest = skills._digest(b"precious")
    (older / RECORD).write_text(json.dumps({"made": 9, "files": {name: [digest]}}))
    for act in (install, uninstall):
        with pytest.raises(EnvironmentNotReady, match="not a record of this program"):
            act([shelf(older)])
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"made": "x", "files": {}}', '{"made": 1, "files": {"a": 3}}'])
def test_a_broken_record_is_named(older, text):
    (older / RECORD).write_text(text)
    with pytest.raises(EnvironmentNotReady, match=RECORD):
        install([shelf(older)])


# -- what fails under way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [install, uninstall])
def test_whatever_step_fails_nothing_is_half_done(older, tmp_path, monkeypatch, act):
    """Each step once: an upgrade, a first install and their ends, with a disk that is full from there on."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # two thousand files are written here
    shelves = [shelf(older), shelf(tmp_path / "new/skills")]
    if act is uninstall:
        install(shelves)
    before = picture(tmp_path)
    steps = 0
    while True:
        left = steps

        def full(name):
            real = getattr(skills._Undo, name)

            def step(self, path, *rest):
                nonlocal left
                if left == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
                left -= 1
                return real(self, path, *rest)

            return step

        with monkeypatch.context() as patch:
            for name in ("make_folders", "write", "remove", "remove_folder"):
                patch.setattr(skills._Undo, name, full(name))
            try:
                act(shelves)
                break
            except EnvironmentNotReady as error:
                assert "No space left on device; nothing was" in str(error)
        assert picture(tmp_path) == before, f"after {steps} steps"
        steps += 1
    assert steps > 20


def test_a_read_only_home_is_one_line(home):
    """Read-only for everybody: a mount of its own, gone with the command."""
    before = picture(home)
    tried = [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount --bind "$HOME" "$HOME" && mount -o remount,ro,bind "$HOME" && exec "$@"',
        "sh",
    ]
    try:
        subprocess.run([*tried, "true"], env={**os.environ, "HOME": str(home)}, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no read-only mount can be made here: {error}")
    done = subprocess.run([*tried, COMMAND, "skills", "install"], env={**os.environ, "HOME": str(home)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stderr.endswith("Read-only file system; nothing was installed\n")
    assert done.stderr.count("\n") == 1
    assert picture(home) == before


def test_a_killed_install_is_finished_by_the_next(tmp_path, monkeypatch):
    """What is ours is on record before it is there."""

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    real = skills._Undo.write
    with monkeypatch.context() as patch:
        patch.setattr(
            skills._Undo, "write", lambda self, path, text: real(self, path, text) if "gpu" not in path else die()
        )
        patch.setattr(skills._Undo, "__exit__", lambda *_: None)  # a killed process undoes nothing
        with pytest.raises(Killed):
            install([shelf(tmp_path / "skills")])
    assert (tmp_path / "skills/auto-experiment/SKILL.md").exists()
    install([shelf(tmp_path / "skills")])
    same(tmp_path / "skills")
    uninstall([shelf(tmp_path / "skills")])
    assert picture(tmp_path) == {}


def test_the_skills_are_named_completely():
    assert set(SKILLS) == {path.parent.name for path in SOURCE.glob("*/SKILL.md")}


# -- what the skills rely on ------------------------------------------------------------------------------------------


def test_check_takes_the_provider_model_and_config_that_run_would_get(project, monkeypatch):
    work = project(config={"agent": {"provider": "anthropic"}})
    work.write("other.yaml", "agent: {provider: openai}\nexperiment: {command: python train.py}\n")
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)

    def provider(*options: str) -> tuple[bool, str]:
        done = CliRunner().invoke(check_command, ["--json", "--project", str(work.root), *options])
        (entry,) = (one for one in json.loads(done.stdout)["checks"] if one["name"] == "provider")
        return entry["ok"], entry["said"]

    assert (provider()[0], "ANTHROPIC_API_KEY" in provider()[1]) == (False, True)
    assert provider("--provider", "optuna") == (True, "optuna: no model, no key")
    assert "OPENAI_API_KEY is not set" in provider("--config", str(work.root / "other.yaml"))[1]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert provider("--provider", "openai", "--model", "m") == (True, "openai: m, key from OPENAI_API_KEY")
