"""HUMAN_DIRECTIVE.md: read, added to, and moved to the archive without losing a byte, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from auto_experiment.cycle import inputs
from auto_experiment.cycle.inputs import add_directive, archive_directive, read_directive
from auto_experiment.paths import ProjectPaths

NAME = "directive_20260101_000000.md"
CONTENTS = {
    "plain": b"use dropout\n",
    "no newline": b"use dropout",
    "spaces": b"\n  use dropout \n\n\n",
    "latin-1": "größer\n".encode("latin-1"),
    "windows": b"\xef\xbb\xbfuse\r\ndropout\r\n",
    "zero bytes": b"a\0b\n",
    "large": b"0123456789abcde\n" * 200_000,
}


@pytest.fixture
def paths(tmp_path):
    found = ProjectPaths.of(str(tmp_path))
    Path(found.workspace).mkdir()
    return found


def consume(paths, content):
    Path(paths.directive).write_bytes(content)
    consumed = read_directive(paths)
    assert consumed is not None
    return consumed


def kept(paths):
    return Path(paths.directive_archive, NAME).read_bytes()


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_archive_holds_the_very_bytes(paths, content):
    consumed = consume(paths, content)
    for _ in range(2):  # a repeat after a kill does no harm
        archive_directive(paths, consumed, NAME)
        assert kept(paths) == content
        assert read_directive(paths) is None


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_is_added_meanwhile_stays_pending(paths, content):
    consumed = consume(paths, content)
    add_directive(paths, "and more")
    for _ in range(2):
        archive_directive(paths, consumed, NAME)
        assert kept(paths).strip() == content.strip()
        assert Path(paths.directive).read_bytes() == b"and more\n"


def test_the_same_words_again_are_another_directive(paths):
    consumed = consume(paths, b"again\n")
    add_directive(paths, "again")
    for _ in range(2):
        archive_directive(paths, consumed, NAME)
        assert (kept(paths), Path(paths.directive).read_bytes()) == (b"again\n", b"again\n")


@pytest.mark.parametrize("step", ["rename", "truncate", "atomic_write"])
def test_a_kill_in_between_loses_nothing(paths, step, monkeypatch):
    consumed = consume(paths, b"first\n")
    add_directive(paths, "second")
    with monkeypatch.context() as patch:
        patch.setattr(inputs if step == "atomic_write" else inputs.os, step, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            archive_directive(paths, consumed, NAME)
    archive_directive(paths, consumed, NAME)
    assert (kept(paths), Path(paths.directive).read_bytes()) == (b"first\n", b"second\n")


def test_a_file_that_was_replaced_meanwhile_stays_pending(paths):
    consumed = consume(paths, b"first\n")
    Path(paths.directive).write_bytes(b"something else\n")
    archive_directive(paths, consumed, NAME)
    assert (kept(paths), Path(paths.directive).read_bytes()) == (b"first\n", b"something else\n")


def test_adding_leaves_what_is_pending_as_it_is(paths):
    Path(paths.directive).write_bytes(CONTENTS["latin-1"] * 300_000)
    add_directive(paths, "more")
    assert Path(paths.directive).read_bytes() == CONTENTS["latin-1"] * 300_000 + b"more\n"


def test_how_much_is_cut_is_said_of_a_huge_one_too(paths):
    assert consume(paths, b"x" * 3_000_000).cut == 3_000_000 - 2000
    assert consume(paths, b"x" * 2001).cut == 1
