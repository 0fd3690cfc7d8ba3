"""``kill -9`` of the controller at each stored step of a cycle that a language model thinks (A02, A26, A27).

The real command line against a local server that lives through the kills. The points are found as in ``points.py``; those
of the ledger, of the files and of the helpers of such a cycle are taken, and the same instrument kills there. Two stories:
a cycle with a directive, and one whose plan comes with the reflection before it.

Judged from outside: by the trainings' own notes, by the marks that the server has handed out (each act with an effect has
one), by the files on the disk, and by what stood in the ledger at the time of each kill.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auto_experiment.errors import LedgerRefused
from drill.figures import Figure
from drill.mind import MARK, UNKNOWN, Mind, thoughtful, while_training
from drill.points import IN_ONE, MISSES, Siege, Under
from model_server import ModelServer, Request
from model_server.server import text_of

EACH = 10
STORIES = ("directed", "brought")
OURS = ("ledger:commit(", "ledger:begin(_once", "ledger:begin(_act", "ledger:begin(_launch", "hosts.outpost:",
        "helper(ensure)", "helper(shell)", "helper(stop)", "atomic_write:replace")  # fmt: skip
MAIN = ("_call=write_file", "_call=run_shell", "_call=launch", "_result=write_file", "_result=run_shell", "_result=launch",
        "model_answered=", "commit(plan+", "commit(lesson+", "commit(outcome+", "commit(launch+", "commit(began)",
        "commit(claimed)", "event=dispatch)", "replace(markN.txt)", "helper(shell):start")  # fmt: skip
KEPT = ("plan", "lesson", "experiment", "run")  # rows that no kill may take away or change
LAST_ACTS_S = 0.3  # what a command of a killed controller may still do before its tree is ended


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    found = discover(folder / "found")
    chosen = ours(found)
    yield Figure(
        "stored steps of a cycle with a model", len(chosen), (), dict(Counter(p.split(":")[0] for p in chosen))
    )
    yield kills(found, chosen, 1, seed, folder / "all")
    yield kills(found, main(chosen), max(round(EACH * scale), 1), seed, folder / "main")


def main(chosen: list[str]) -> list[str]:
    """Right after each store, and around each act, on which a training, an act, a plan or a lesson depends."""
    return [point for point in chosen if point.endswith(":after") and any(part in point for part in MAIN)]


def ours(found: dict[str, tuple[str, int]]) -> list[str]:
    return sorted(point for point in found if any(part in point for part in OURS))


class Thinking(Under):
    """A project with a model whose controllers carry the instrument."""

    def __init__(self, project: Any, mind: Mind) -> None:
        super().__init__(project)
        self.mind = mind
        self.mind.fault = self._watch
        self.complaints: list[str] = []
        self._owed: list[str] = []  # marks of acts without a result, of which the next dispatch must be told
        self._kept: dict[str, dict[Any, Any]] = {name: {} for name in KEPT}
        self._effects: dict[
            str, int
        ] = {}  # mark -> its file's inode, or how often its command has run, at the last look
        self.told = 0

    def directed(self) -> None:
        self.told += 1
        self.project.cli("direct", f"remark {self.told}.")
        self._ended(self.run("--max-cycles", 1))

    def brought(self) -> None:
        self._ended(self.run("--max-cycles", 2))

    def tell(self, story: str, plan: list[tuple[str, int]]) -> bool:
        came = super().tell(story, plan)
        self._look(killed=came)
        return came

    def _watch(self, purpose: str, request: Request) -> None:
        """The first message of a dispatch names what the killed one has left open."""
        talk = [m for m in request.messages if m["role"] not in ("system", "developer")]
        if purpose != "code" or len(talk) > 1:
            return
        section = text_of(talk[0]).partition(UNKNOWN)[2]
        self.complaints += [f"nothing was said of {mark}, whose outcome is unknown" for mark in self._owed
                            if mark not in section]  # fmt: skip
        self._owed = []

    def _look(self, *, killed: bool) -> None:
        """What there is after a run of the story: it must still be there at the end."""
        try:
            with self.project.ledger() as ledger:
                self._compare(ledger)
                cycle = ledger.last_cycle()
                calls = ledger.tool_calls(cycle.id) if cycle else []
                coding = cycle is not None and cycle.phase.value == "execute"
        except LedgerRefused:
            return
        open_marks = [mark for call in calls if call.result is None for mark in MARK.findall(call.args)[:1]]
        self._owed = open_marks if killed and coding else []
        if killed and open_marks:
            time.sleep(LAST_ACTS_S)
        done = self._commands()
        for mark, kind in self.mind.marks.items():
            if kind != "script":
                self._same_effect(mark, done[mark] if kind == "shell" else self._file(mark))

    def _compare(self, ledger: Any) -> None:
        for name in KEPT:
            key = "cycle" if name in ("plan", "lesson") else "id"
            now = {row[key]: tuple(row) for row in ledger._all(f"SELECT * FROM {name}")}
            if name == "experiment":  # what it is about is known with its launch
                now = {k: tuple(v[:6]) for k, v in now.items()}
            for k, row in self._kept[name].items():
                if now.get(k) != row:
                    self.complaints.append(f"{name} {k}: was {row}, is {now.get(k)}")
            self._kept[name] = now

    def _same_effect(self, mark: str, now: int) -> None:
        """Between two looks a controller may carry out only what the server has asked for between them."""
        before = self._effects.setdefault(mark, now)
        if now != before:
            self.complaints.append(f"{mark}: was carried out after the kill that came after its intent")
            self._effects[mark] = now

    def _file(self, mark: str) -> int:
        path = self.project.root / "made" / f"{mark}.txt"
        return path.stat().st_ino if path.exists() else 0

    def _commands(self) -> Counter[str]:
        effects = self.project.root / "effects.log"
        return Counter(effects.read_text().split() if effects.exists() else ())

    def judged(self) -> Iterator[str]:
        self._look(killed=False)
        yield from self.complaints
        yield from (f"{mark}: its command was carried out {n} times" for mark, n in self._commands().items() if n > 1)
        yield from self._directives()
        with self.project.ledger() as ledger:
            doubled = Counter(row["cycle"] for row in ledger._all("SELECT cycle FROM lesson"))
            open_calls = ledger._all("SELECT id FROM tool_call t WHERE result IS NULL AND name != 'launch_experiment' "
                                     "AND EXISTS (SELECT 1 FROM tool_call u WHERE u.id > t.id AND u.cycle = t.cycle "
                                     "AND u.dispatch = t.dispatch)")  # fmt: skip
        yield from (f"cycle {cycle}: {n} lessons" for cycle, n in doubled.items() if n > 1)
        yield from (f"tool call {row['id']}: the dispatch went on without its result" for row in open_calls)
        if count := while_training(self.project, self.mind):
            yield f"{count} requests while a training ran"

    def _directives(self) -> Iterator[str]:
        """Each was taken with a plan of the model, which had read it; or still waits."""
        pending = Path(self.project.paths.directive)
        waiting = pending.read_text() if pending.exists() else ""
        with self.project.ledger() as ledger:
            taken = "\n".join(note.text for note in ledger.directives())
        heard = self.mind.directives()
        for number in range(1, self.told + 1):
            words = f"remark {number}."
            if (words in taken) == (words in waiting):
                yield f"directive {words!r}: taken {words in taken}, waits {words in waiting}"
            if words in taken and words not in heard:
                yield f"directive {words!r}: was taken, and the model never heard it"


def discover(folder: Path) -> dict[str, tuple[str, int]]:
    """Every point -> (the first story that passes it, how many times)."""
    found: dict[str, tuple[str, int]] = {}
    for story in STORIES:
        mind = Mind()
        with ModelServer(mind) as server, thoughtful(folder / story, server) as project:
            Thinking(project, mind).tell(story, [])
            assert not server.failures, server.failures
            for point, count in Counter((project.desk / "hits").read_text().splitlines()).items():
                found.setdefault(point, (story, count))
    return found


def kills(found: dict[str, tuple[str, int]], chosen: list[str], each: int, seed: int, folder: Path) -> Figure:
    """``each`` kills at each of the chosen points, at most ``IN_ONE`` in a project."""
    begun, dice = time.monotonic(), random.Random(seed)
    wanted = [point for _ in range(each) for point in dice.sample(chosen, len(chosen))]
    failures: list[str] = []
    hits = Counter(dict.fromkeys(chosen, 0))
    facts: Counter[str] = Counter()
    fresh: set[str] = set()  # points that only a new project passes
    number = 0
    while wanted:
        number += 1
        place, mind = folder / f"kills-{number:04d}", Mind()
        with ModelServer(mind) as server, thoughtful(place, server) as project:
            under = Thinking(project, mind)
            siege = Siege(under, found, dice)
            for _ in range(IN_ONE):
                if not wanted:
                    break
                point = wanted.pop(0)
                came = siege.kill_at(point, tries=1 if point in fresh else MISSES)
                hits[point] += came
                if not came and point not in fresh:
                    fresh.add(point)
                    wanted.insert(0, point)
                if not came or point in fresh:
                    break
            mind.reported = True
            lines = [*siege.judged(), *under.judged(), *map(str, server.failures)]
            failures += [f"{place.name}, seed {seed}: {line}" for line in lines]
            facts.update(requests=len(mind.asked), acts=len(mind.marks), unknown=len(mind.told_unknown),
                         attempts=len(project.attempts()), directives=under.told)  # fmt: skip
    missed = [point for point in chosen if not hits[point]]
    told = {"points": len(chosen), "points hit": len(chosen) - len(missed), "fewest hits": min(hits.values()),
            **facts, "seconds": round(time.monotonic() - begun)}  # fmt: skip
    if missed:
        told["not met"] = json.dumps(missed)
    name = f"kill -9 at {len(chosen)} stored steps of a cycle with a model, {each} each"
    return Figure(name, hits.total(), tuple(failures), told)
