"""The reports at the end of a real campaign: both are there, none of them can fail or hold up `run`, and nothing of them
outlives it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

CURVE = """
import argparse
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
lr = parser.parse_args().lr
for step in range(1, 6):
    print(f"epoch {step}/5 train_loss={1 / step:.4f} val_loss={1.1 / step + lr / 10:.4f} val_acc={0.9 - 0.5 / step - lr / 10:.4f}", flush=True)
"""
WITH_PAGE = {"report": {"html": True}}


def page(work):
    return Path(work.paths.report_html)


def breaks_matplotlib(work, code):
    """Puts a module of this name before the library."""
    folder = work.desk / "broken"
    folder.mkdir()
    (folder / "matplotlib.py").write_text(code, encoding="utf-8")
    work.env["PYTHONPATH"] = os.pathsep.join([str(folder), work.env["PYTHONPATH"]])


def test_a_finished_campaign_leaves_both_reports(project):
    work = project(CURVE, config=WITH_PAGE)
    done = work.cli("run", "--max-cycles", "2")
    assert done.stdout.splitlines()[-3:] == [
        "ended: 2 cycles done (max_cycles)", f"report: {work.paths.report}", f"report: {work.paths.report_html}",
    ]  # fmt: skip
    text = page(work).read_text(encoding="utf-8")
    assert text.count('role="img"') >= 4, "all experiments in two widths, the learning curves, the losses"
    assert "exp002" in text
    assert "Last ended: 2 cycles done (max_cycles)." in text
    assert "val_loss (lower is better)" in text
    assert "Nothing was left out" in text or "What to know" in text

    for report in (Path(work.paths.report), page(work)):
        report.unlink()
    assert work.cli("report", "--format", "md").stdout.strip() == work.paths.report
    assert not page(work).exists()
    assert work.cli("report").stdout.split() == [work.paths.report, work.paths.report_html]


def test_a_broken_matplotlib_costs_the_figures_and_a_line(project):
    work = project(CURVE, config=WITH_PAGE)
    breaks_matplotlib(work, "raise ImportError('no matplotlib here')")
    done = work.cli("run", "--max-cycles", "1")
    assert (
        "report.html: no figures: the process that draws them ended with status 1: ImportError: no matplotlib here"
        in done.stdout
    )
    assert Path(work.paths.report).exists()
    assert "The figures are missing" in page(work).read_text(encoding="utf-8")
    asked = work.cli("report", "--format", "html")
    assert "has no figures" in asked.stderr


def test_html_can_be_switched_off_and_one_that_cannot_be_written_costs_a_line(project):
    work = project(CURVE, config={"report": {"html": False}})
    assert "report.html" not in work.cli("run", "--max-cycles", "1").stdout
    assert Path(work.paths.report).exists()
    assert not page(work).exists()

    page(work).mkdir()
    work.configure(WITH_PAGE)
    done = work.cli("run", "--max-cycles", "1")
    assert f"report: {work.paths.report}" in done.stdout
    assert "report.html: " in done.stdout
    assert f"report: {work.paths.report_html}" not in done.stdout


@pytest.fixture
def drawing(project):
    """A campaign that has ended, and whose figures take for ever."""
    work = project(CURVE, config=WITH_PAGE)
    mark = work.desk / "drawing"
    code = f"import os, time\nopen({str(mark)!r}, 'w').write(f'{{os.getpid()}}.')\ntime.sleep(600)\n"
    breaks_matplotlib(work, code)
    started = work.start("run", "--max-cycles", "1")
    work.until(lambda: mark.exists() and mark.read_text().endswith("."), patience=60.0)
    return work, started, int(mark.read_text().rstrip("."))


@pytest.mark.parametrize("how", ["signal", "stop"])
def test_a_stop_does_not_wait_for_the_figures(drawing, how):
    work, started, draws = drawing
    if how == "signal":
        started.signal(signal.SIGINT)
    else:
        work.cli("stop")
    assert started.wait() == (130 if how == "signal" else 0)
    assert f"report: {work.paths.report}" in started.text
    assert Path(work.paths.report).exists()
    assert not page(work).exists()
    work.until(lambda: not work.alive(draws))


def test_what_draws_dies_with_a_controller_that_is_killed(drawing):
    work, started, draws = drawing
    assert work.alive(draws)
    started.kill()
    work.until(lambda: not work.alive(draws) and not work.processes())


@pytest.mark.parametrize("formats", ["pdf", "", "md,pdf", "HTML", "md;html"])
def test_a_format_that_is_not_there(project, formats):
    work = project(CURVE)
    done = work.cli("report", "--format", formats, status=2)
    assert len(done.stderr.splitlines()) == 1
    assert "there is md, and html" in done.stderr


def test_a_report_of_nothing(project):
    assert "nothing has run yet" in project(CURVE).cli("report", "--format", "html", status=2).stderr
