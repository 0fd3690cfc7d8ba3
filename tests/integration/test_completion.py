"""Completion, asked for by the real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from workbench import COMMAND, PATIENCE

HAS_BASH = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
ASK = """
eval "$(auto-experiment completion bash)"
COMP_WORDS=({words}); COMP_CWORD={last}
_auto_experiment_completion auto-experiment
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def environment(work):
    return {**work.env, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}", "HOME": str(work.desk), "TERM": "dumb"}


def in_bash(work, line, folder=None):
    """What bash would offer for the last word of a line."""
    words = line.split(" ")
    script = ASK.format(words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment(work), cwd=folder or work.root, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@HAS_BASH
class TestBash:
    def test_completes_commands_options_and_experiments(self, project):
        work = project()
        assert in_bash(work, "auto-experiment st") == ["status", "stop"]
        assert in_bash(work, "auto-experiment run --max") == ["--max-cycles"]
        assert in_bash(work, "auto-experiment show ex") == [], "nothing has run"
        work.cli("run", "--max-cycles", 2)
        assert in_bash(work, "auto-experiment show ex") == ["exp002", "exp001"]
        away = f"auto-experiment diff --project {work.root} exp002 exp001"
        assert in_bash(work, away, work.desk) == ["exp001"]

    @pytest.mark.parametrize("line", ["nonsense --pro", "show --project /no/such/folder ex", "--nonsense st"])
    def test_says_nothing_of_what_is_wrong(self, project, line):
        in_bash(project(), f"auto-experiment {line}")

    def test_a_damaged_ledger_is_not_spoken_of_while_somebody_types(self, project):
        work = project()
        os.makedirs(work.paths.workspace)
        with open(work.paths.ledger, "wb") as file:
            file.write(b"no database" * 1000)
        assert in_bash(work, "auto-experiment logs ex") == []

    def test_at_a_terminal(self, project):
        work = project()
        typed = f"auto-experiment sta\t--project {work.root.parent}/proj\t --js\t\n".encode()
        typed_into(["bash", "--norc", "-i"], 'eval "$(auto-experiment completion bash)"', typed, work, '"pending')


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_at_a_terminal(project):
    load = 'autoload -Uz compinit; compinit -u; eval "$(auto-experiment completion zsh)"'
    typed_into(["zsh", "-f", "-i"], load, b"auto-experiment chec\t--js\t\n", project(), '"checks"')


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(project):
    work = project()
    script = "auto-experiment completion fish | source; complete --do-complete 'auto-experiment st'"
    done = subprocess.run(["fish", "-c", script], env=environment(work), capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["status", "stop"]


def typed_into(shell, load, typed, work, until):
    """Type at a terminal, and wait until these words come."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(work), start_new_session=True, cwd=work.desk
    )
    os.close(theirs)
    shown = b""
    try:
        os.write(ours, f"PS1=; {load}; echo lo''aded\n".encode())
        end = time.monotonic() + PATIENCE
        sent = False
        while until.encode() not in shown:
            assert time.monotonic() < end, shown.decode(errors="replace")
            if select.select([ours], [], [], 0.2)[0]:
                shown += os.read(ours, 65536)
            if not sent and b"loaded" in shown:
                sent = True
                os.write(ours, typed)
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def without_project(work, *words):
    return subprocess.run([str(COMMAND), *words], env=work.env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_where_its_line_belongs(project, shell):
    said = without_project(project(), "completion", shell).stdout
    assert f"auto-experiment completion {shell}" in said.splitlines()[-1]


def test_another_shell_is_refused(project):
    done = without_project(project(), "completion", "tcsh")
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
