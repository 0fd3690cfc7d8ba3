"""report.html: gathers, has the figures drawn, writes the page. Only reads the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from auto_experiment.files import atomic_write
from auto_experiment.ledger.reader import Reader
from auto_experiment.project import Project
from auto_experiment.redact import Redact, nothing
from auto_experiment.report.drawing import drawn
from auto_experiment.report.facts import Diff, gather
from auto_experiment.report.page import page


def write_html(
    project: Project,
    ledger: Reader,
    *,
    diff: Diff | None = None,
    hide: Redact = nothing,
    env: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Returns its path, and why it has no figures: "" when they are there. ``diff``: compares the code of two trees.
    ``hide``: takes out secrets. ``env``: of the child process that draws."""
    facts = gather(project, ledger, diff)
    figures = drawn(facts, env)
    atomic_write(project.paths.report_html, page(facts, figures, hide))
    return project.paths.report_html, figures.failed
