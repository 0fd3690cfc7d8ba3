"""The end of a log: bounded, clean, never blocking."""

from __future__ import annotations

import os
import time

import pytest

from auto_experiment.watch.log_tail import Growing, clean, tail


def test_last_lines_without_blank_ones(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\n\n" % i for i in range(100)))
    assert tail(log, lines=3) == ["line 97", "line 98", "line 99"]


def test_an_unfinished_line_and_a_short_file(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo")
    assert tail(log) == ["one", "two"]
    log.write_text("")
    assert tail(log) == []
    assert tail(log, lines=0) == []


def test_what_comes_behind_a_given_end_is_for_others(tmp_path):
    (tmp_path / "log").write_text("one\ntwo\nthree\n")
    assert tail(tmp_path / "log", end=8) == ["one", "two"]
    assert tail(tmp_path / "log", end=99) == ["one", "two", "three"]


def test_redraws_and_sequences(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\r 1%\r 2%\r 3%\n\x1b[1;31mred\x1b[0m\x1b]0;title\x07\n\xff\xfe bytes\n")
    assert tail(log) == [" 3%", "red", "\ufffd\ufffd bytes"]


def test_a_huge_sparse_file_is_quick(tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(20 * 1024**3)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast line\n")
    started = time.perf_counter()
    assert tail(log)[-1] == "last line"
    assert time.perf_counter() - started < 0.05


def test_one_endless_line(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"x" * 3_000_000)
    (line,) = tail(log, chars=100)
    assert line == "x" * 99 + "…"


def test_never_blocks_and_never_opens_a_device(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.symlink("/dev/zero", tmp_path / "zero")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    for name in ("fifo", "zero", "loop", "missing", "."):
        assert tail(tmp_path / name) == []
    assert tail("bad\0name") == []


def test_a_link_to_a_log_is_a_log(tmp_path):
    (tmp_path / "real").write_text("hello\n")
    os.symlink(tmp_path / "real", tmp_path / "link")
    assert tail(tmp_path / "link") == ["hello"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("a\tb", "a\tb"),
        ("10%\r20%\r", "20%"),
        ("10%\b\b\b20%", "20%"),
        ("\x1b[2K\x1b[1Gdone", "done"),
        ("\x1b[38;5;196mx\x1b[m", "x"),
        ("\x9b31mx", "x"),
        ("a\x00b\x07c\x7f", "abc"),
        ("safe\u202eevil", "safeevil"),
        ("\x1b", ""),
        ("end \n", "end"),
    ],
)
def test_f02_clean(raw, shown):
    assert clean(raw) == shown


def test_clean_keeps_its_bound():
    assert clean("é" * 10, 4) == "ééé…"
    assert clean("abcd", 4) == "abcd"
    assert clean("\ud800x") == "x"


def test_f03_a_growing_log_is_followed_whatever_becomes_of_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\n")
    growing = Growing(str(log), 4)
    assert growing.read() == b""
    with log.open("a") as file:
        file.write("two\n")
    assert growing.read() == b"two\n"
    log.write_text("new\n")  # truncated
    assert growing.read() == b"new\n"
    log.rename(tmp_path / "log.1")
    assert growing.read() == b""
    log.write_text("a longer text than before\n")  # rotated
    assert growing.read() == b"a longer text than before\n"
    log.unlink()
    os.mkfifo(log)
    assert growing.read() == b""
