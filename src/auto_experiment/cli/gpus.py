"""gpus."""

from __future__ import annotations

import click

from auto_experiment.cli.common import existing_folder, json_option, print_json, project_option, show
from auto_experiment.project import Place
from auto_experiment.views import gpus as view


@click.command("gpus", epilog="Example: auto-experiment gpus --json | jq -r '.[] | select(.free) | .id'")
@project_option
@json_option
def gpus_command(project: str, as_json: bool) -> None:
    """The GPUs of this machine: memory, utilisation, temperature, the processes on each and which of them are runs of
    this project, and which GPUs are free: less than 1 GiB in use and no process that computes.

    Needs no project. Without a GPU it says why there is none, on stderr with --json, and the list is empty.
    """
    from auto_experiment.wiring import gpus_of

    place = Place.of(existing_folder(project))
    gpus = gpus_of(place)
    if as_json:
        print_json(view.document(gpus))
        if not gpus.found:
            click.echo(f"auto-experiment: no GPU: {gpus.why}", err=True)
    else:
        show(lambda screen: view.as_text(gpus, place.env.cuda_visible_devices, screen))
