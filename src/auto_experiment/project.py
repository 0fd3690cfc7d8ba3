"""A project as the humans wrote it: its folder, paths, config, brief, and the objective that the two state."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field

from auto_experiment.brief import load_brief
from auto_experiment.config import Config, Environment, load_config, paths_of, read_environment, readable_config
from auto_experiment.errors import EnvironmentNotReady, UsageError
from auto_experiment.objective import BARE, PERCENT, Objective, is_ratio
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.brief import Brief

_METRICS = ("accuracy", "loss", "perplexity", "precision", "recall", "error", "reward", "bleu", "score")


@dataclass(frozen=True)
class Project:
    """What the views need beside the ledger. ``objective``: as stated, before any run; None when it cannot be read.
    ``brief_chars``: how much of the brief reaches a model. ``notices``: what of it was cut or not understood."""

    name: str
    goal: str
    paths: ProjectPaths
    objective: Objective | None
    brief_chars: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A project as the command line names it. ``config_file``: another one than config.yaml; ``overrides``: what
    options of the command line say, by dotted key."""

    root: str
    config_file: str | None = None
    overrides: dict[str, object] = field(default_factory=dict)
    env: Environment = field(default_factory=read_environment)

    @classmethod
    def of(cls, root: str, config_file: str | None = None, overrides: dict[str, object] | None = None) -> Place:
        return cls(os.path.abspath(root), config_file, overrides or {})

    def config(self) -> Config:
        """Read afresh at each call: people edit it while the loop runs."""
        return load_config(self.root, self.config_file, self.overrides)

    def loose_config(self) -> Config:
        """For ending a run: that must work also when the config has been broken meanwhile."""
        try:
            return self.config()
        except UsageError:
            return readable_config(self.root, self.config_file)

    def paths(self, config: Config) -> ProjectPaths:
        return paths_of(config, self.root)

    def look(self) -> Project:
        """For the views: what cannot be read yet (no command, no objective) is left open."""
        config = self.config()
        paths = self.paths(config)
        try:
            brief = load_brief(paths.brief)
        except UsageError as error:
            if not os.path.exists(paths.ledger):
                raise
            brief = Brief(text="", digest="", goal=f"(the brief cannot be read now: {error})")
        return project_of(config, brief, paths)


def project_of(config: Config, brief: Brief, paths: ProjectPaths) -> Project:
    try:
        objective = objective_of(config, brief)
    except UsageError:
        objective = None
    shown = min(len(brief.text), config.memory.brief_max_chars)
    notices = brief.notices + brief_cut(config, brief)
    return Project(config.project.name or "", brief.goal, paths, objective, shown, notices)


def brief_cut(config: Config, brief: Brief) -> tuple[str, ...]:
    """How much of the brief does not reach a model, in one line; none when it fits."""
    cut = len(brief.text) - config.memory.brief_max_chars
    if cut <= 0:
        return ()
    return (f"the brief is {len(brief.text):,} characters long: the last {cut:,} do not reach a model",)


def bar_of(brief: Brief, objective: Objective) -> float | None:
    """The brief's Current Best in the scale in which the target is stated: a "75.2%" beside a target of 78 is 75.2."""
    bar = brief.current_best
    if bar is None:
        return None
    if brief.current_best_is_percent and (objective.target or 0.0) > 1.0 and bar <= 1.0:
        return round(bar * 100.0, 10)
    return objective.beside_target(bar)


def _close(goal: str) -> str:
    """A hint for a mistyped metric."""
    close = (difflib.get_close_matches(word.strip(".,;:%+"), _METRICS, 1, 0.8) for word in goal.lower().split())
    return next((f" (did you mean {found[0]}?)" for found in close if found), "")


def objective_of(config: Config, brief: Brief) -> Objective:
    """Config first, else the brief's Goal. A target that may be a fraction or a percentage is settled later.
    Raises UsageError when the metric or the direction is not stated."""
    stated = config.objective
    metric = stated.metric or brief.metric
    direction: str | None = stated.direction
    if direction is None and (not stated.metric or stated.metric == brief.metric):
        direction = brief.direction
    if metric is None:
        raise UsageError(
            f'no objective: the Goal "{brief.goal[:80]}" names no metric that could be read{_close(brief.goal)}; '
            'write it as "reach 78% accuracy" or "val loss under 0.4" in PROJECT_BRIEF.md, or set objective.metric and '
            "objective.direction in config.yaml"
        )
    if direction is None:
        raise UsageError(
            f"objective.metric is {metric}, but not whether more or less of it is better; "
            "set objective.direction to max or min in config.yaml"
        )
    if stated.target is not None:
        target: float | None = stated.target
    else:
        target = None if stated.metric else brief.target
    return Objective(metric, direction, target, stated.select, _open_scale(config, brief, metric, direction, target))


def _open_scale(config: Config, brief: Brief, metric: str, direction: str, target: float | None) -> str:
    """How the scale is left open until a run prints the metric; "" when the numbers are taken as they stand."""
    of_goal = config.objective.target is None and target is not None
    in_percent = brief.target_is_percent if of_goal else brief.current_best_is_percent and target is None
    if in_percent:
        return PERCENT
    stated = brief.current_best if target is None else target
    written_in_config = config.objective.target is not None and direction == "max" and 0 < config.objective.target <= 1
    return BARE if stated is not None and (is_ratio(metric) or written_in_config) else ""


def make_workspace(paths: ProjectPaths) -> None:
    """The workspace's folders, invisible to the user's git."""
    try:
        os.makedirs(paths.workspace, exist_ok=True)
        os.makedirs(os.path.dirname(paths.ledger), exist_ok=True)
        ignore = os.path.join(paths.workspace, ".gitignore")
        if not os.path.exists(ignore):
            with open(ignore, "w", encoding="utf-8") as file:
                file.write("*\n")
    except OSError as error:
        raise EnvironmentNotReady(
            f"{error.filename or paths.workspace}: cannot be made or written ({error.strerror}); "
            "fix its permissions or set project.workspace in config.yaml"
        ) from error
