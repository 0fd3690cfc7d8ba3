"""What the leader costs: tokens and US cents of a cycle, counted on a made project, without a model.

    python benchmarks/leader_cost.py [--quick] [--json]

A cycle is one call: REFLECT with the next plan in it. Four characters are a token, as the scripted model counts; prices
are $3 for a million tokens of input and $15 of output; nothing comes from a cache. The answer is one of usual length.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from typing import Any

import make_ledger
from auto_experiment.cycle import think
from auto_experiment.cycle.notebook import Notebook
from auto_experiment.cycle.reflect import recall
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.models.base import Ask, Steps, Usage
from auto_experiment.models.scripted import Heard, ScriptedModel, call
from auto_experiment.planners.base import PlanView, ReflectView
from auto_experiment.planners.leader import Leader
from auto_experiment.project import Place
from auto_experiment.records.lesson import Result as Verdict
from auto_experiment.records.outcome import Outcome
from auto_experiment.views.standing import best_attempt, standing
from auto_experiment.wiring import inputs_of
from measuring import Result, main

USD_IN, USD_OUT = 3e-6, 15e-6
SEEDS = 10
DEMO_BRIEF = os.path.join(os.path.dirname(think.__file__), "..", "demo", "files", "PROJECT_BRIEF.md")
PLAN = {
    "action": "experiment",
    "title": "adam with a third of the rate",
    "hypothesis": "The loss still oscillates in the last epochs, so a smaller rate should reach a higher accuracy.",
    "success_criteria": "val_accuracy above the best so far by more than 0.003, the distance between repeated runs",
    "command": "python -S train.py --lr 0.0009 --width 181 --optimizer adam",
    "stop_when": [{"metric": "val_loss", "above": 3, "after": 5}],
}
SAID = {
    "finding": "refuted",
    "milestone": None,
    "decision": "A wider layer did not help at this rate: 0.8348 against 0.8787, more than the noise; the rate is what "
    "limits it, so it is the next to change.",
    "next": "iterate",
}


def answer(heard: Heard) -> Any:
    if "submit_plan" in heard.tools:
        return call("submit_plan", **PLAN)
    return call("submit_reflection", **SAID, plan=PLAN)


def usage(steps: Steps[Any]) -> Usage:
    """What the one call of these steps costs."""
    ask: Ask = next(steps)
    reply = ask.talk.say(ask.message, max_tokens=ask.max_tokens)
    try:
        steps.send(reply)
    except StopIteration:
        if reply.usage is not None:
            return reply.usage
    raise RuntimeError("more than one call")


def cents(used: Usage) -> float:
    return 100 * (used.input_tokens * USD_IN + used.output_tokens * USD_OUT)


def shown(folder: str, count: int, seed: int) -> tuple[PlanView, ReflectView, Outcome]:
    """What THINK and REFLECT show after ``count`` cycles, with the demo's brief."""
    paths = make_ledger.make(folder, count, seed=seed)
    lock = ProjectLock.take(paths.lock)
    ledger = Writer.open_with(paths.ledger, lock)
    inputs = inputs_of(Place.of(folder))
    with open(DEMO_BRIEF, encoding="utf-8") as file:
        inputs = dataclasses.replace(inputs, brief=dataclasses.replace(inputs.brief, text=file.read()))
    now = standing(ledger, inputs.objective)
    best = best_attempt(ledger, now)
    row = ledger.experiment(best.experiment) if best else None
    notebook = Notebook(ledger, paths.memory_log)
    notebook.write(inputs.config.memory, row.cycle if row else None)
    memory, cycle, last = notebook.text() or "", ledger.last_cycle(), ledger.attempts(count)[-1]
    plan = ledger.plan(cycle.id) if cycle else None
    if now is None or plan is None:
        raise RuntimeError("a made project has both")
    view = think.plan_view(ledger, inputs, now, directive=None, memory=memory)
    experiment = ledger.experiment(last.experiment)
    if experiment is None:
        raise RuntimeError("a made attempt has an experiment")
    reflected = think.reflect_view(
        ledger,
        inputs,
        now,
        experiment=experiment,
        before=best,
        plan=plan,
        result=Verdict.NOT_IMPROVED,
        memory=memory,
        ahead=view,
    )
    ledger.close()
    lock.release()
    return view, reflected, recall(last)


def measure(quick: bool) -> Result:
    result, leader = Result(), Leader(ScriptedModel(answer))
    fixed = ScriptedModel(answer)
    counted: dict[str, list[Usage]] = {"think": [], "short": [], "full": []}
    for seed in range(2 if quick else SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            view, reflected, outcome = shown(os.path.join(folder, "project"), 20, seed)
        lines = [
            f"epoch {n}/30 train_loss=0.3693 val_loss=0.4693 val_accuracy=0.8307 lr=0.0042 9.1s" for n in range(10)
        ]
        full = tuple((f"{n:2d} " + "loss 0.1234 " * 40)[:300] for n in range(50))
        short = dataclasses.replace(outcome, tail=tuple(lines))
        counted["think"].append(usage(leader.plan(view)))
        counted["short"].append(usage(leader.reflect(reflected, short)))
        counted["full"].append(usage(leader.reflect(reflected, dataclasses.replace(outcome, tail=full))))
    overhead = _fixed(fixed)
    result.add("fixed", "system prompt and tool of REFLECT", [overhead], "tokens", 1500)
    for name, words in (("think", "THINK"), ("short", "REFLECT with a log of 10 lines")):
        beyond = [used.input_tokens - overhead for used in counted[name]]
        result.add(f"{name}_tokens", f"{words}, cycle 20, beyond the fixed text", beyond, "tokens", 2500)
    result.add("answer_tokens", "the answer", [used.output_tokens for used in counted["short"]], "tokens")
    result.add(
        "cycle_short", "a cycle in one call, log of 10 lines", list(map(cents, counted["short"])), "US cents", 1.2
    )
    result.add("cycle_full", "the same, 50 lines of 300", list(map(cents, counted["full"])), "US cents", 2.5)
    result.notes.append("four characters are a token; $3 and $15 for a million; nothing from a cache; the demo's brief")
    return result


def _fixed(model: ScriptedModel) -> float:
    """Tokens of what every REFLECT begins with."""
    from auto_experiment.planners.leader import system_prompt
    from auto_experiment.planners.submissions import reflection_tool

    return float(model.open(system_prompt(), [reflection_tool(with_plan=True)]).chars // 4)


if __name__ == "__main__":
    main("leader_cost", __doc__, measure)
