"""What the controller says: one line, for the terminal and controller.log, whatever a model or a file name has in it."""

from __future__ import annotations

from auto_experiment.paths import ProjectPaths
from auto_experiment.redact import Redactor
from auto_experiment.wiring import _logged


def test_nothing_that_a_terminal_would_obey(tmp_path):
    (tmp_path / "workspace").mkdir()
    paths, said = ProjectPaths.of(str(tmp_path)), []
    say = _logged(paths, said.append, Redactor(["sk-0123456789"]))
    say("agent: rm \x1b]0;owned\x07\x1b[31mred \x9b2J one\ntwo \u202etxt.exe sk-\x1b[0m0123456789")
    (line,) = said
    assert line == "agent: rm red  one two txt.exe [secret]"
    (logged,) = (tmp_path / "workspace/controller.log").read_text().splitlines()
    assert logged.endswith(line)


def test_a_link_that_a_run_has_put_there_is_not_followed(tmp_path):
    (tmp_path / "workspace").mkdir()
    victim, log = tmp_path / "bashrc", tmp_path / "workspace/controller.log"
    victim.write_text("alias\n")
    said: list[str] = []
    say = _logged(ProjectPaths.of(str(tmp_path)), said.append, Redactor())
    log.symlink_to(victim)
    say("rm -rf /")
    assert victim.read_text() == "alias\n"
    log.unlink()
    say("more")
    assert [line.split(" ", 2)[2] for line in log.read_text().splitlines()] == ["rm -rf /", "more"]


def test_a_link_of_the_humans_is(tmp_path):
    (tmp_path / "workspace").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "workspace/controller.log").symlink_to("../elsewhere/log")
    _logged(ProjectPaths.of(str(tmp_path)), lambda _: None, Redactor())("up")
    assert (tmp_path / "elsewhere/log").read_text().endswith("up\n")
