"""Names of a search space that the training script seems not to take, for ``check`` and ``direct``. Reads the source
only: a script may make options while it runs, so this is a note and never a refusal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from auto_experiment import command
from auto_experiment.brief import load_brief
from auto_experiment.config import Config
from auto_experiment.cycle.inputs import training_command
from auto_experiment.errors import AutoExperimentError
from auto_experiment.files import read_text
from auto_experiment.project import Place
from auto_experiment.script_options import script_options

SOURCE_MAX = 1 << 20  # bytes of a script


def misspelt(config: Config, place: Place, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(what is wrong, what may have been meant) of each name that is close to an option that the script takes, and is
    none: it would fail every dry run but the baseline's. A name that is like none says nothing."""
    try:
        brief = load_brief(place.paths(config).brief)
        words, _ = training_command(config, brief, place.root, place.env)
        script = command.script(words)
    except (OSError, AutoExperimentError):
        return
    source = read_text(os.path.join(place.root, script), SOURCE_MAX) if script else None
    taken = [option.name for option in script_options(source)] if source else []
    for name in names:
        if close := _meant(name, taken):
            yield f"{script} takes no {name} that can be seen", f"did you mean {close}?"


def _meant(name: str, taken: list[str]) -> str | None:
    if not name.startswith("-"):  # it is passed as name=value
        return next((option for option in taken if option.lstrip("-") == name), None)
    if any(option.startswith(name) for option in taken):
        return None
    return next(iter(get_close_matches(name, taken, n=1, cutoff=0.75)), None)
