"""The lines that `watch` shows above its view: controller.log as it grows."""

from __future__ import annotations

from auto_experiment.cli.watching import LogLines


def test_the_day_is_left_out_and_nothing_else(tmp_path):
    log = tmp_path / "controller.log"
    log.write_text("2026-11-26 12:00:01 cycle 1\nTraceback (most recent call last):\n")
    lines = LogLines(str(log))
    assert lines.read() == ["12:00:01 cycle 1", "Traceback (most recent call last):"]
    with log.open("a") as file:
        file.write("MemoryError\n2026-11-26 12:00:02 half a ")
    assert lines.read() == ["MemoryError"]
    with log.open("a") as file:
        file.write("line\n")
    assert lines.read() == ["12:00:02 half a line"]
