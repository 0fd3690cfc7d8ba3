"""Kills at named points (A02, A03, A04): before and after each transaction, each step of each file, each fork and start.

The points are found, not listed: campaigns run once with ``instrument.py`` in the controller and in the shim, and every
place that they pass is a point. Then a kill at each, several times, at a hit drawn from those of the first run; the
campaign is carried on from kill to kill, and judged by what the trainings have noted themselves.

Four stories lead past different points: a plain cycle with a directive and an edited memory; one whose supervisor is
killed; one that is stopped with ``stop --run``; one that is paused, cut short by ``direct --now`` and resumed.
"""

from __future__ import annotations

import itertools
import json
import random
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auto_experiment.launchers.process import SHIM
from auto_experiment.records.run import Kind, RunState
from drill.figures import Figure
from drill.judging import sound
from drill.kills import natural, stands_at
from drill.projects import opened, until

EACH = 25
IN_ONE = 25  # kills in one project
IN_A_ROW = 2  # kills at the same step; more than three, and the program gives the step up
MISSES = 3  # runs of the story that may pass without the kill, before the point counts as not met
PATIENCE = 90.0

TRAIN = """
import os, sys, time
import judge

lr = float(sys.argv[sys.argv.index("--lr") + 1])
judge.note(code=0, signal=None)
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc={0.5 + 0.1 * lr + 0.01 * step:.5f}", flush=True)
if not judge.DRY and os.path.exists(os.path.join(judge.DESK, "hold")):
    time.sleep(120)
judge.note(over=True)
"""

SHIM_WRAPPER = """
import importlib.util, sys
def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
instrument, shim = load("instrument", {instrument!r}), load("shim", {shim!r})
instrument.shim(shim, {desk!r})
sys.exit(shim.main(sys.argv[1:]))
"""

PATCH = """
import importlib.util
spec = importlib.util.spec_from_file_location("instrument", {instrument!r})
instrument = importlib.util.module_from_spec(spec)
spec.loader.exec_module(instrument)
instrument.controller({desk!r}, {wrapper!r})
"""

INSTRUMENT = str(Path(__file__).with_name("instrument.py"))


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    found = discover(folder / "found")
    each = max(round(EACH * scale), 1)
    yield Figure("named points found", len(found), (), dict(Counter(p.split(":")[0] for p in found)))
    yield kills(found, sorted(found), each, seed, folder)


# -- finding the points -------------------------------------------------------------------------------------------


def discover(folder: Path) -> dict[str, tuple[str, int]]:
    """Every point -> (the first story that passes it, how many times)."""
    found: dict[str, tuple[str, int]] = {}
    for story in STORIES:
        with opened(folder / story, TRAIN) as project:
            Under(project).tell(story, [])
            for point, count in Counter((project.desk / "hits").read_text().splitlines()).items():
                found.setdefault(point, (story, count))
    return found


class Under:
    """A project whose processes carry the instrument."""

    def __init__(self, project: Any) -> None:
        self.project, self.desk = project, project.desk
        wrapper = self.desk / "shim_points.py"
        wrapper.write_text(SHIM_WRAPPER.format(instrument=INSTRUMENT, shim=str(SHIM), desk=str(self.desk)))
        self._patch = PATCH.format(instrument=INSTRUMENT, desk=str(self.desk), wrapper=str(wrapper))
        self._told, self._ahead = 0, ""

    def tell(self, story: str, plan: list[tuple[str, int]]) -> bool:
        """Run a story with these kills ahead; True when the last of them came."""
        for path in self.desk.glob("count-*"):
            path.unlink()
        (self.desk / "plan").write_text(json.dumps(plan))
        self._ahead = ", ".join(point for point, _ in plan)
        before = len(self.spent())
        try:
            getattr(self, story)()
        finally:
            (self.desk / "plan").unlink()
        return bool(plan) and plan[-1][0] in [line["point"] for line in self.spent()[before:]]

    def spent(self) -> list[dict[str, Any]]:
        path = self.desk / "spent"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def run(self, *words: object) -> Any:
        return self.project.start("run", *words, patch=self._patch)

    # stories

    def plain(self) -> None:
        """A cycle, with a directive to take and a remark in the memory."""
        self._told += 1
        self.project.cli("direct", f"remark {self._told}")
        memory = Path(self.project.paths.memory_log)
        if memory.exists():
            memory.write_text(memory.read_text() + f"line {self._told}\n")
        self._ended(self.run("--max-cycles", 1))

    def lost(self) -> None:
        """A cycle whose training loses its supervisor."""
        (self.desk / "hold").touch()
        controller = self.run("--max-cycles", 1)
        until(lambda: self._held() or controller.is_over(), patience=PATIENCE)
        if held := self._held():
            self._kill_supervisor(held)
        (self.desk / "hold").unlink()
        self._ended(controller)

    def stopped(self) -> None:
        """A training that is ended by ``stop --run``."""
        (self.desk / "hold").touch()
        controller = self.run("--max-cycles", 1)
        until(lambda: self._held() or controller.is_over(), patience=PATIENCE)
        self.project.cli("stop", "--run", status=None, timeout=PATIENCE)
        (self.desk / "hold").unlink()
        self._ended(controller)

    def steered(self) -> None:
        """A training that is cut short for a directive, in a project that is paused until then."""
        (self.desk / "hold").touch()
        controller = self.run("--max-cycles", 2)
        until(lambda: self._held() or controller.is_over(), patience=PATIENCE)
        self.project.cli("pause")
        self.project.cli("direct", "--now", f"steer {self._told}")
        self._told += 1
        until(lambda: not self._held(), lambda: f"outlived it:\n{controller.text}", patience=PATIENCE)
        (self.desk / "hold").unlink()
        until(lambda: self._is_paused() or controller.is_over(), patience=PATIENCE)
        self.project.cli("resume")
        self._ended(controller)

    def _is_paused(self) -> bool:
        return bool(json.loads(Path(self.project.paths.state).read_bytes())["controller"]["state"] == "paused")

    def _ended(self, controller: Any) -> None:
        until(controller.is_over, lambda: f"the controller goes on:\n{controller.text}", patience=PATIENCE)
        status = controller.child.returncode
        if status not in (0, -9):
            with open(self.desk / "complaints", "a", encoding="utf-8") as file:
                file.write(f"{self._ahead}: ended with {status}: {' / '.join(controller.text.splitlines()[-3:])}\n")

    def _held(self) -> dict[str, Any] | None:
        """The living training that waits, by its own note."""
        notes = [n for n in self.project.judged(dry=False) if "over" not in n and self.project.alive(n["pid"])]
        return notes[-1] if notes else None

    def _kill_supervisor(self, held: dict[str, Any]) -> None:
        from drill.kills import strike

        folder = Path(self.project.paths.attempt(held["attempt"]))
        claim = json.loads((folder / "claim").read_bytes())
        if strike(claim["pid"], claim["start_ticks"]):
            with open(self.desk / "spent", "a", encoding="utf-8") as file:
                facts = {"point": "supervisor killed", "depth": 1, "argv": ["ensure", str(folder)]}
                file.write(json.dumps(facts) + "\n")


STORIES = ("plain", "lost", "stopped", "steered")  # methods of Under


# -- killing at them ----------------------------------------------------------------------------------------------


def kills(found: dict[str, tuple[str, int]], points: list[str], each: int, seed: int, folder: Path) -> Figure:
    """``each`` kills at each of these points; one project for as many as fit. A point that only a new project passes
    gets a new one for each kill."""
    begun = time.monotonic()
    dice = random.Random(seed)
    wanted = [point for point in points for _ in range(each)]
    failures: list[str] = []
    hits: Counter[str] = Counter(dict.fromkeys(points, 0))
    once: set[str] = set()
    for number in itertools.count(1):
        if not wanted:
            break
        place = folder / f"kills-{number:05d}"
        with opened(place, TRAIN) as project:
            siege = Siege(Under(project), found, dice)
            for _ in range(IN_ONE):
                if not wanted:
                    break
                point = wanted.pop(0)
                came = siege.kill_at(point, tries=1 if point in once else MISSES)
                hits[point] += came
                if came and point in once:
                    break
                if not came and point not in once:  # perhaps a new project passes it
                    once.add(point)
                    wanted.insert(0, point)
                    break
            failures += [f"{place.name}, seed {seed}: {line}" for line in siege.judged()]
    missed = [point for point in points if not hits[point]]
    facts = {"points": len(points), "points hit": len(points) - len(missed), "fewest hits": min(hits.values()),
             "seconds": round(time.monotonic() - begun)}  # fmt: skip
    if missed:
        facts["not met"] = shlex.join(missed)
    return Figure("kill -9 at named points", hits.total(), tuple(failures), facts)


class Siege:
    """One project that is killed at point after point."""

    def __init__(self, under: Under, found: dict[str, tuple[str, int]], dice: random.Random) -> None:
        self._under, self._found, self._dice = under, found, dice
        self._in_a_row, self._before = 0, None

    def kill_at(self, point: str, tries: int = MISSES) -> bool:
        """Did the kill come? The first try is at a hit that is drawn from those of the first run, the others at the
        first hit."""
        story, most = self._found[point]
        for number in (self._dice.randint(1, most) if tries > 1 else 1, *([1] * (tries - 1))):
            came = self._under.tell(story, [(point, number)])
            now = stands_at(self._under.project)
            self._in_a_row, self._before = (self._in_a_row + 1 if now == self._before else 0), now
            if self._in_a_row >= IN_A_ROW:
                self._calm()
            if came:
                return True
        return False

    def _calm(self) -> None:
        """A run without a kill, so that no step is given up."""
        self._under.tell("plain", [])
        self._in_a_row = 0

    def judged(self) -> Iterator[str]:
        """What went wrong in this project, by the trainings' own notes."""
        under, project = self._under, self._under.project
        last = project.cli("run", "--max-cycles", 2, status=None, timeout=PATIENCE)
        if last.returncode:
            yield f"the last run ended with {last.returncode}: {last.stdout}{last.stderr}"
        complaints = under.desk / "complaints"
        yield from complaints.read_text().splitlines() if complaints.exists() else ()
        lines = project.judged()
        started = Counter(line["attempt"] for line in lines if "over" not in line)
        plans = {line["attempt"]: line for line in lines if "over" not in line}
        over = {line["attempt"] for line in lines if "over" in line}
        rows = project.attempts()
        yield from (f"{name}: started {n} times" for name, n in started.items() if n > 1)
        yield from (f"{name}: not in the ledger" for name in set(started) - {row.name for row in rows})
        hurt = {_attempt_of(line): line["depth"] for line in under.spent() if line["depth"]}
        states = {row.name: row.state for row in rows}
        for row in rows:
            wrong = _wrong(row, plans.get(row.name), states, hurt.get(row.name, 0), over=row.name in over)
            if wrong:
                yield f"{row.name}: {row.state.value} {row.exit_code} {row.signal} {row.reason!r}: {wrong}"
        yield from sound(project, decisions_each=2)  # one answers the directive
        yield from _remarks(project)


def _attempt_of(line: dict[str, Any]) -> str:
    return "/".join(Path(line["argv"][1]).parts[-3:])


def _wrong(row: Any, plan: dict[str, Any] | None, states: dict[str, RunState], hurt: int, *, over: bool) -> str:
    """``hurt``: how deep in the shim's tree a process of this attempt was killed; 0: not at all."""
    ended = (row.state, row.exit_code, row.signal)
    if not row.state.is_final:
        return "is open at the end"
    if row.n > 1 and states[f"{row.run_name}/a{row.n - 1}"] is not RunState.LOST:
        return "a further attempt, and the one before was not lost"
    if row.state is RunState.FINISHED and not over:
        return "finished, and it never came to its end"
    if row.state is RunState.STOPPED:
        return "" if row.kind is Kind.DRY or row.reason in ("stop --run", "direct --now") else "was stopped"
    if hurt and ended in ((RunState.LOST, None, None), (RunState.KILLED, None, 9)):
        return ""
    if row.state is RunState.LOST and row.reason == "never started" and plan is None:
        return ""  # `stop --run` came before its start
    if plan is None:
        return "was never started"
    return "" if ended == natural(plan) else "does not end as planned"


def _remarks(project: Any) -> Iterator[str]:
    """Each directive and each line of a human was taken once."""
    with project.ledger() as ledger:
        told = Counter(line for note in ledger.directives() for line in note.text.splitlines())
        remarks = Counter(n.text for n in (*ledger.notes("decision", 1 << 30), *ledger.notes("milestone", 1 << 30)))
    yield from (f"directive {text!r} taken {n} times" for text, n in told.items() if n > 1)
    yield from (f"line {text!r} taken {n} times" for text, n in remarks.items() if text.startswith("line ") and n > 1)
