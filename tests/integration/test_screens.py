"""`status`, `list` and `show` on a real terminal and into a pipe: width, colours, characters."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from auto_experiment.views.terminal import cells

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
WORDS = (("status",), ("list",), ("show", "exp001"))


@pytest.fixture(scope="module")
def shoot():
    """What a command of a project prints on a terminal of this size."""

    def one(work, *words, columns=80, rows=24, **variables):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**{k: v for k, v in work.env.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}, "TERM": "xterm"}
        child = subprocess.Popen(work.words(*words), stdin=theirs, stdout=theirs, stderr=theirs, env={**env, **variables},
                                 cwd=work.root)  # fmt: skip
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 1 << 16):
                text += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(ours)
        assert child.wait() == 0, text
        return text.decode().replace("\r\n", "\n")

    return one


def test_what_a_terminal_gets(project, shoot):
    work = project(
        brief="# Goal\nReach a high validation accuracy"
        + " on a tiny task" * 30
        + ".\n\n# Search Space\n- --lr: 0.001 .. 1 log\n"
    )
    work.cli("run", "--max-cycles", 2)
    for words in WORDS:
        text = shoot(work, *words)
        assert ESCAPES.search(text), f"{words}: no colour on a terminal"
        bare = ESCAPES.sub("", text)
        assert "\x1b" not in bare
        wide = [
            line for line in bare.splitlines() if cells(line) > 80 and "train.py" not in line
        ]  # a command is never cut
        assert not wide or words[0] == "show", wide
    assert "\x1b" not in shoot(work, "list", NO_COLOR="1")
    assert "\x1b" not in shoot(work, "list", TERM="dumb")
    assert "…" not in shoot(work, "status", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    status = ESCAPES.sub("", shoot(work, "status"))
    assert len(status.splitlines()) < 24
    assert "…" in status.splitlines()[0]
    assert cells(ESCAPES.sub("", shoot(work, "status", columns=200)).splitlines()[0]) > 100, "a wide one is used"
    assert max(map(cells, work.cli("status").stdout.splitlines())) <= 80, "into a pipe it is one of 80x24"
    listed = work.cli("list").stdout.splitlines()
    assert [line[:8] for line in listed[1:3]] in (["+ exp001", "* exp002"], ["* exp001", "  exp002"])
    assert [row["id"] for row in work.json("list", "--last", 1, "--sort", "value")] == ["exp002"]
    assert "none of 2 experiments" in work.cli("list", "--failed").stdout
    shown = work.cli("show", 2).stdout
    assert "the best before: --lr 0.1 -> " in shown
    assert "val_acc, from 0.5" in shown
    assert f"log       {work.paths.train_log('exp002/run01/a1')}" in shown
