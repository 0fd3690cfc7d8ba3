"""The document of ``status --json`` and ``state.json``."""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any

from auto_experiment import clock
from auto_experiment.files import read_text
from auto_experiment.ledger.lock import holder, parked
from auto_experiment.ledger.reader import Reader
from auto_experiment.ledger.rows import AttemptRow, CycleRow, Phase, experiment_name
from auto_experiment.project import Project
from auto_experiment.views.pausing import GO_ON, pause_of
from auto_experiment.views.standing import Standing, best_attempt, standing

_DECISIONS = 5


def status(project: Project, ledger: Reader | None) -> dict[str, Any]:
    """Contract section 4. ``ledger`` None: nothing has run yet."""
    now = standing(ledger, project.objective)
    controller = _controller(project, ledger)
    running = ledger.open_attempts() if ledger and controller["state"] != "paused" else []
    return {
        "project": project.name,
        "goal": project.goal,
        "objective": now.objective.document() if now else None,
        "controller": controller,
        "cycles": ledger.cycle_count() if ledger else 0,
        "experiments": ledger.experiment_count() if ledger else 0,
        "runs": ledger.run_count() if ledger else 0,
        "best": _best(ledger, now),
        "current_runs": [_current(project, a) for a in running],
        "decisions": [n.text for n in ledger.notes("decision", _DECISIONS)] if ledger else [],
        "memory": {"brief_chars": project.brief_chars, "log_chars": _chars(project.paths.memory_log)},
        "pending_directive": _pending(project),
        "llm": _llm(ledger),
    }


def _controller(project: Project, ledger: Reader | None) -> dict[str, Any]:
    pid = holder(project.paths.lock)
    cycle = ledger.last_cycle() if ledger else None
    session = ledger.last_session() if ledger else None
    pause = pause_of(project.paths)
    if pid is None or (session is not None and session.ended_at and session.pid == pid):  # or is just leaving
        reason = None if session is None else session.reason or "ended without a word (killed?)"
        if pause:
            reason = f"{reason or 'nothing has run yet'}; paused {pause}, {GO_ON}"
        return {"state": "stopped", "until": None, "pid": None, "phase": None, "reason": reason}
    phase = cycle.phase.value if cycle and cycle.phase is not Phase.DONE else None
    if held_up := parked(project.paths.lock):
        until, reason = held_up.get("until"), held_up.get("reason")
        if pause:  # what waits for a GPU will not start when there is one
            reason = f"{reason}; paused {pause}, {GO_ON}"
        return {"state": "parked", "until": until, "pid": pid, "phase": phase, "reason": reason}
    if pause and ledger and ledger.is_paused():
        return {"state": "paused", "until": None, "pid": pid, "phase": phase, "reason": f"{pause}; {GO_ON}"}
    if cycle and cycle.parked and cycle.parked_why is not None:
        return {"state": "parked", "until": cycle.parked, "pid": pid, "phase": phase, "reason": cycle.parked_why}
    if cycle and cycle.parked:
        reason = "the plan says wait"
        return {"state": "parked", "until": cycle.parked, "pid": pid, "phase": "waiting", "reason": reason}
    reason = _pausing(ledger, cycle) + f", asked for {pause}" if pause else None
    return {"state": "running", "until": None, "pid": pid, "phase": phase, "reason": reason}


def _pausing(ledger: Reader | None, cycle: CycleRow | None) -> str:
    """A pause was asked for, and what goes on comes to its end first."""
    experiment = ledger.experiment_of(cycle.id) if ledger and cycle and cycle.phase is not Phase.DONE else None
    return f"pausing after {experiment.name}" if experiment else "pausing"


def _best(ledger: Reader | None, now: Standing | None) -> dict[str, Any] | None:
    best = best_attempt(ledger, now) if ledger else None
    if ledger is None or best is None:
        return None
    experiment = ledger.experiment(best.experiment)
    return {
        "experiment": experiment_name(best.experiment),
        "run": best.run_name,
        "value": best.value,
        "status": "lead",
        "title": experiment.title if experiment else "",
    }


def _current(project: Project, attempt: AttemptRow) -> dict[str, Any]:
    series = attempt.summary.get("series", ())
    return {
        "experiment": experiment_name(attempt.experiment),
        "run": attempt.run_name,
        "attempt": attempt.n,
        "kind": attempt.kind.value,
        "pid": attempt.pid,
        "command": attempt.command,
        "log": project.paths.train_log(attempt.name),
        "elapsed_s": None if attempt.started_at is None else _elapsed_s(project, attempt),
        "progress": attempt.summary.get("progress"),
        "metrics": {s["name"]: s["final"] for s in series},
    }


def _elapsed_s(project: Project, attempt: AttemptRow) -> float:
    """By the boot's clock when the attempt was started since; else by the wall clock, which somebody may have set."""
    if (took := took_s(project, attempt)) is not None:
        return took
    claim = attempt.claim or {}
    if claim.get("boot_id") == clock.boot_id() and claim.get("hostname") == os.uname().nodename:
        elapsed = clock.since_boot() - claim["start_ticks"] / os.sysconf("SC_CLK_TCK")
    else:
        elapsed = time.time() - (clock.seconds(attempt.started_at) or 0.0)
    return max(round(float(elapsed), 1), 0.0)


def took_s(project: Project, attempt: AttemptRow) -> float | None:
    """How long an attempt took that has ended while no controller was there to record it; None when it has not."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        left = json.loads(read_text(os.path.join(project.paths.attempt(attempt.name), "exit.json")) or "")
        return max(round(float(left["duration_s"]), 1), 0.0)
    return None


def _chars(path: str) -> int:
    return len(read_text(path) or "")


def _pending(project: Project) -> str | None:
    return (read_text(project.paths.directive) or "").strip() or None


def _llm(ledger: Reader | None) -> dict[str, float | None]:
    """``usd`` is null when the price of a call is not known."""
    if ledger is not None:
        return {**ledger.llm(), "calls_while_training": ledger.calls_while_training()}
    names = ("calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "usd")
    return dict.fromkeys((*names, "calls_while_training"), 0)


def unsettled(project: Project, ledger: Reader | None) -> str:
    """What is reserved for calls that were cut off, for people; "" when there are none. A living controller's own may
    be under way."""
    if ledger is None:
        return ""
    session = ledger.last_session() if holder(project.paths.lock) is not None else None
    calls, usd = ledger.unsettled_calls(session.started_at if session and not session.ended_at else None)
    if not calls:
        return ""
    of_it = "" if usd is None else f"of it ${usd:.4f} reserved for "
    return f"{of_it}{calls} call{'' if calls == 1 else 's'} whose end is not known"


def spent(llm: dict[str, float | None], cut_off: str = "") -> str:
    """Calls, tokens and money, for people."""
    cached = llm["cache_read_tokens"] or 0
    sent = (llm["input_tokens"] or 0) + cached + (llm["cache_write_tokens"] or 0)
    read = f" ({cached / sent:.0%} from the cache)" if cached and sent else ""
    cost = "cost unknown (no price for this model: agent.prices)" if llm["usd"] is None else f"${llm['usd']:.4f}"
    parts = [
        cost,
        cut_off,
        f"{llm['calls']:g} calls",
        f"{sent:,.0f} tokens in{read}",
        f"{llm['output_tokens']:,.0f} out",
    ]
    return ", ".join(filter(None, parts))
