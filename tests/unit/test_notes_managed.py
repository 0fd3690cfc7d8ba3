"""A human's note with a part of ours: only that part changes, byte for byte, or nothing does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.notes.managed import BEGIN, END, LeftAlone, updated

PART = f"{BEGIN}\n<!-- project: p -->\nnew\n{END}"


def put(old: bytes | None, part: str = "new", owner: str = "p", front: str = "") -> bytes:
    return updated(old, part, owner=owner, front=front)


def test_a_new_note_begins_with_the_front_matter():
    assert put(None, front="---\na: 1\n---\n\n") == f"---\na: 1\n---\n\n{PART}\n".encode()
    assert put(b"", front="---\n---\n") == f"---\n---\n{PART}\n".encode()


@pytest.mark.parametrize("ending", [b"\n", b"", b"\r\n"])
def test_a_note_of_a_humans_gets_the_part_behind_it(ending):
    old = b"# My day\n\nmilk" + ending
    new = put(old, front="not for a note that is there")
    assert new.startswith(old)
    assert new[len(old) :].strip() == PART.encode()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("before", ["", "---\ntags: [x]\n---\n# Mein Tag ü\n\n  two spaces  \n"])
@pytest.mark.parametrize("after", ["", "\n", "\n\nbelow, without an end"])
def test_what_stands_around_it_stays_byte_for_byte(newline, bom, before, after):
    before_, after_ = (bom + (before if before else "").replace("\n", newline).encode()), after.replace("\n", newline)
    part = f"{BEGIN}\n<!-- project: p -->\nold\nolder\n{END}".replace("\n", newline)
    new = put(before_ + part.encode() + after_.encode())
    assert new == before_ + PART.replace("\n", newline).encode() + after_.encode()
    assert put(new) == new


PIECES = ["a", "\n", "\r\n", " ", "ü", BEGIN[:9], f"\n{BEGIN}\n", f"\n{END}\n", f"x {BEGIN}", "- [ ] x\n"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_no_text_of_a_humans_is_ever_lost(text):
    old = text.encode()
    marks = [line.strip() for line in text.split("\n") if line.strip() in (BEGIN, END)]
    if marks not in ([], [BEGIN, END]):
        with pytest.raises(LeftAlone):
            put(old)
        return
    new = put(old)
    if marks:
        first, last = (next(k for k, line in enumerate(text.split("\n")) if line.strip() == m) for m in (BEGIN, END))
        assert new.decode().split("\n")[:first] == text.split("\n")[:first]
        behind = text.split("\n")[last + 1 :]
        assert not behind or new.decode().split("\n")[-len(behind) :] == behind
    else:
        assert new.startswith(old)
    assert put(new) == new


@pytest.mark.parametrize(
    "old",
    [f"mine\n{BEGIN}\nx\n", f"mine\n{END}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\na\n{END}\nmine\n{BEGIN}\nb\n{END}\n", f"{BEGIN}\n{BEGIN}\n{END}\n"],
    ids=["no end", "no begin", "wrong order", "two", "two begins"],
)  # fmt: skip
def test_damaged_markers_are_left_alone_and_it_is_said_what_to_do(old):
    with pytest.raises(LeftAlone, match=r"markers are damaged.*keep one pair"):
        put(old.encode())


def test_markers_that_a_human_writes_about_are_none():
    old = f"The part begins with `{BEGIN}` and ends with {END}.\n".encode()
    assert put(old).startswith(old)


@pytest.mark.parametrize("old", ["ü\n".encode("latin-1"), "text\n".encode("utf-16"), b"a\0b"])
def test_another_encoding_is_left_alone(old):
    with pytest.raises(LeftAlone, match="not UTF-8"):
        put(old)


def test_two_projects_do_not_fight_over_a_note():
    with pytest.raises(LeftAlone, match="belongs to the project p: give this one another"):
        put(put(None), owner="q")
    assert put(put(None, owner="a --> b"), owner="a --> b")
