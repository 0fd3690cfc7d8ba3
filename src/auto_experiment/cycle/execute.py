"""EXECUTE: what exactly is started, and what an ended attempt came to. Starts nothing itself: ``dry_run.py`` holds
the gate, the controller stores the intent, the launcher starts."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from auto_experiment import command
from auto_experiment.clock import human
from auto_experiment.config import Environment
from auto_experiment.cycle.inputs import Inputs, activation, require_program, search_path
from auto_experiment.errors import EnvironmentNotReady
from auto_experiment.files import read_text
from auto_experiment.objective import Objective
from auto_experiment.paths import ProjectPaths
from auto_experiment.records.observation import Fault, LogFault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import Ended, Exit, FenceWords, Kind, Lost, Ref, RunState, Sighting, Spec, Unreachable
from auto_experiment.watch import faults
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.sources.merge import Choice, decide
from auto_experiment.watch.sources.read import read as read_sources
from auto_experiment.watch.sources.record import Sources
from auto_experiment.watch.stop_rules import HANG_RULE, NAN_RULE

GRACE_S = 30.0
DRY_GRACE_S = 5.0
_CLOCKS_AGREE_S = 2.0
NEVER_STARTED = "never started"
FOLDER_GONE = "its run folder or its claim was removed, exit not observed"
HIDDEN = "exit status 0, as behind `| tee`: set -o pipefail"
PROGRAM = ".program"  # a file in out/: the program that a command means after experiment.setup, which alone decides
_NOTED = f'[ ! -d "$AUTO_EXPERIMENT_RUN_DIR" ] || type -P "$1" 2>/dev/null >"$AUTO_EXPERIMENT_RUN_DIR/{PROGRAM}"'
_ELSEWHERE = ("lightning_logs", "wandb", "mlruns")  # where libraries write unless they are told otherwise
_OURS = 4  # words before the command's own: bash -c SCRIPT bash
_SHEBANG = 256  # bytes, as the kernel reads it
_SECRET = re.compile(r"(?i)key|token|secret|private|passw|credential|auth")


def _unfenced(_inputs: Inputs, _out: str) -> FenceWords | None:
    """Code that humans alone have written runs as they would run it."""
    return None


@dataclass(frozen=True)
class Ground:
    """Where and how commands are started: the same for every attempt of a session."""

    paths: ProjectPaths
    env: Environment
    gpus: str | None  # CUDA_VISIBLE_DEVICES for the trainings; None leaves it as the environment has it
    fence: Callable[[Inputs, str], FenceWords | None] = _unfenced  # around an attempt whose out/ is this folder


def ref_of(ground: Ground, attempt: str) -> Ref:
    return Ref(attempt, ground.paths.attempt(attempt))


def spec_of(ground: Ground, inputs: Inputs, attempt: str, kind: Kind, text: str, *, tree: str | None = None) -> Spec:
    """What an attempt of this command starts. The program is resolved here and so recorded with the run; after
    ``experiment.setup`` only the shell knows it, and notes it."""
    words = command.split(text)
    settings = inputs.config.experiment
    program = require_program(words, settings.setup, ground.paths.root, ground.env)
    assigned, argv = command.leading_env(words)
    if settings.setup:
        before = activation(settings.setup, ground.paths.root, ground.env) or ""
        argv = ("bash", "-c", f'{{ {before}{settings.setup}\n}} && {{ {_NOTED}; exec "$@"; }}', "bash", *argv)
    else:
        argv = (program, *argv[1:])
    dry = kind is Kind.DRY
    hours = None if settings.max_hours is None else settings.max_hours * 3600.0
    return Spec(
        attempt=attempt,
        argv=argv,
        cwd=ground.paths.root,
        env={**_order(ground), **_shown(settings.env), **assigned, **_harness_env(ground, attempt, dry=dry)},
        env_names=tuple(sorted(settings.env)),
        wall_limit_s=float(settings.dry_run_timeout) if dry else hours,
        grace_s=DRY_GRACE_S if dry else GRACE_S,
        tree=tree,
        fence=ground.fence(inputs, ground.paths.out(attempt)),
    )


def program_of(spec: Mapping[str, Any]) -> str | None:
    """The program that an attempt was started with; None when nothing has noted it."""
    noted = read_text(os.path.join(spec["env"]["AUTO_EXPERIMENT_RUN_DIR"], PROGRAM), 4096)
    if noted and noted.strip():
        return noted.strip()
    return str(spec["argv"][0]) if "/" in spec["argv"][0] else None


def environment(ground: Ground, inputs: Inputs) -> dict[str, str]:
    """The environment of a training before the spec's own values: ours without provider keys, plus the config's."""
    child = ground.env.child(inputs.config)
    child["PATH"] = search_path(ground.paths.root, ground.env)
    return {**child, **inputs.config.experiment.env}


def _shown(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of the config that are written down with the run, so that it can be repeated: all but those whose
    name says that the value is a secret."""
    return {name: value for name, value in env.items() if not _SECRET.search(name)}


def _harness_env(ground: Ground, attempt: str, *, dry: bool) -> dict[str, str]:
    env = {
        "PYTHONUNBUFFERED": "1",
        "AUTO_EXPERIMENT_RUN_DIR": ground.paths.out(attempt),
        "MASTER_PORT": str(_free_port()),
    }
    if ground.gpus is not None:
        env["CUDA_VISIBLE_DEVICES"] = ground.gpus
    if dry:
        env["AUTO_EXPERIMENT_DRY_RUN"] = "1"
        env["WANDB_MODE"] = "disabled"
    return env


def _order(ground: Ground) -> dict[str, str]:
    """The GPUs that we name are numbered as nvidia-smi numbers them: CUDA's own order has the fastest one first."""
    named = ground.gpus is not None and "CUDA_DEVICE_ORDER" not in ground.env.variables
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if named else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gpu_count(ground: Ground, env: Mapping[str, str]) -> int:
    """How many GPUs a training holds, for the budget; 0 when nobody says. ``env``: what its spec or the config sets."""
    visible = env.get("CUDA_VISIBLE_DEVICES", ground.env.cuda_visible_devices)
    return len([g for g in (visible or "").split(",") if g.strip() and g.strip() != "-1"])


# -- outcomes -----------------------------------------------------------------------------------------------------


def outcome_of(
    sighting: Sighting, reader: LogReader, objective: Objective, spec: Mapping[str, Any], sources: Sources
) -> Outcome:
    """What an attempt came to. The exit status is the shim's; an end that nobody saw is ``lost``, never 0.
    ``sources``: what the attempt wrote beside its log."""
    chosen = decide(reader.judged, objective, sources, beside_validation=reader.beside_validation)
    if isinstance(sighting, Ended):
        base = _ended(sighting.exit, reader, spec, bad_objective=_was_bad(chosen))
    elif isinstance(sighting, Lost):
        base = _lost(sighting, reader)
    elif isinstance(sighting, Unreachable):
        raise EnvironmentNotReady(
            f"{spec['attempt']} belongs to a supervisor on {sighting.hostname}: not ours to judge; run there, or, "
            "when that machine or folder is gone for good, remove this attempt's folder and run again"
        )
    else:
        base = replace(_blank(reader), reason=FOLDER_GONE)
    if chosen.series is not None and chosen.source is not None:  # what the value was read from stays with it
        series = {one.name: one for one in base.series}
        series[chosen.series.name] = chosen.series
        base = replace(base, series=tuple(series.values()))
    return replace(base, value=chosen.value, value_note=chosen.note, read_as=chosen.read_as)


def sources_of(sighting: Sighting, spec: Mapping[str, Any]) -> Sources:
    """The metrics that an attempt has written into its own folder. Read once, at its end."""
    folder = spec["env"]["AUTO_EXPERIMENT_RUN_DIR"]
    if isinstance(sighting, Unreachable) or os.path.islink(folder):
        return Sources()
    since = sighting.exit.started_at if isinstance(sighting, Ended) else None
    since = sighting.started_at if isinstance(sighting, Lost) else since
    sources = read_sources(folder, since)
    elsewhere = [name for name in _ELSEWHERE if since and _was_written(os.path.join(spec["cwd"], name), since)]
    notes = [
        f"{name}/ of the project was written to meanwhile: only the run's own folder is read" for name in elsewhere
    ]
    return replace(sources, notes=(*sources.notes, *notes))


def _was_written(folder: str, since: float) -> bool:
    """Did this folder get a new entry? It may be another program's, so that nothing of it is read."""
    try:
        info = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_mtime >= since


def _ended(ended: Exit, reader: LogReader, spec: Mapping[str, Any], *, bad_objective: bool) -> Outcome:
    fault = faults.classify(
        log=reader.fault,
        exit_code=ended.code,
        signal=ended.signal,
        oom=ended.oom,
        timed_out=ended.timed_out,
        stopped=ended.stopped,
        hidden=reader.ends_in_exception and _is_run_by_a_shell(spec),
    )
    fault = _by_rule(ended.stopped or "", fault, reader)
    if fault.fault is Fault.NONE and bad_objective:
        fault = LogFault(Fault.NAN, None)
    notes = (f"{ended.leftovers} processes outlived the training and were ended",) if ended.leftovers else ()
    return replace(
        _blank(reader),
        state=_state(ended),
        exit_code=ended.code,
        signal=ended.signal,
        fault=fault.fault,
        exception=fault.exception,
        reason=_reason(ended, fault, spec),
        started_at=ended.started_at,
        ended_at=_end(ended),
        duration_s=ended.duration_s,
        notes=notes,
    )


def _end(ended: Exit) -> float:
    """When it ended, on the clock by which it was started: that one may have been set meanwhile, and what is computed
    from the two times must not become a year, or negative."""
    by_duration = ended.started_at + ended.duration_s
    return ended.ended_at if abs(ended.ended_at - by_duration) < _CLOCKS_AGREE_S else by_duration


def _was_bad(chosen: Choice) -> bool:
    """Was the objective ever NaN or infinite? The NaN rule ends such a run; this is for one that ended before it, or
    that did not print its objective."""
    return chosen.series is not None and chosen.series.bad > 0


def _state(ended: Exit) -> RunState:
    if ended.stopped is not None or ended.timed_out:
        return RunState.STOPPED
    if ended.signal is not None:
        return RunState.KILLED
    return RunState.FINISHED if ended.code == 0 else RunState.FAILED


def _is_run_by_a_shell(spec: Mapping[str, Any]) -> bool:
    """Is the status that of a shell, which may be of the end of a pipe? After ``experiment.setup`` ours is gone: it has
    become the program."""
    words = spec["argv"]
    if list(words[:2]) == ["bash", "-c"] and _NOTED in words[2]:
        words = words[_OURS:]
    program = os.path.join(spec["cwd"], program_of(spec) or words[0])
    return faults.runs_a_shell(words, (read_text(program, _SHEBANG) or "").split("\n", 1)[0])


def _by_rule(reason: str, fault: LogFault, reader: LogReader) -> LogFault:
    """A rule that ended the run knows what was wrong, whatever the log's last words are; but one rank out of memory is
    why the others wait for it, and so is one that ended with an exception."""
    if reason.startswith(NAN_RULE):
        return LogFault(Fault.NAN, fault.exception)
    if reason.startswith(HANG_RULE) and fault.fault not in {Fault.OOM, Fault.CUDA_OOM}:
        return LogFault(Fault.HANG, faults.behind_a_hang(reader.fault, reader.unhandled))
    return fault


def _reason(ended: Exit, fault: LogFault, spec: Mapping[str, object]) -> str:
    if ended.timed_out:
        limit = spec.get("wall_limit_s")
        return f"wall-clock limit of {human(float(limit))} reached" if isinstance(limit, (int, float)) else "timed out"
    if ended.stopped is not None:
        behind = fault.exception if fault.fault is Fault.HANG else None
        return ended.stopped + (f"; an exception before it: {behind}" if behind else "")
    if ended.signal is not None:
        return f"killed by signal {ended.signal}" + (" (out of memory)" if ended.oom else "")
    if ended.code:
        return f"exit status {ended.code}" + (f": {fault.exception}" if fault.exception else "")
    if fault.fault in (Fault.NONE, Fault.NAN):
        return "the objective or a loss was NaN or infinite" if fault.fault is Fault.NAN else ""
    return f"{fault.exception or 'the log ends in a traceback'} ({HIDDEN})"


def _lost(lost: Lost, reader: LogReader) -> Outcome:
    reason = lost.reason if lost.started else NEVER_STARTED
    return replace(_blank(reader), state=RunState.LOST, reason=reason, started_at=lost.started_at)


def _blank(reader: LogReader) -> Outcome:
    blank = Outcome.blank(RunState.LOST)
    return replace(blank, series=tuple(reader.series.values()), progress=reader.progress, tail=tuple(reader.tail))
