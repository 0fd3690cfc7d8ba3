"""What providers and models do wrong (B01 to B18), at the level of the whole loop: each fault in THINK, in the code agent
and in REFLECT, over both SDKs, against a local server.

However it goes wrong, one experiment comes of it: one training, its result, its lesson, the directive taken. Nothing of an
answer that is not whole is carried out, no act is done twice, and each fault costs as many requests as it was given, no
more. The controller runs in this process, on a clock that its waits alone move.
"""

from __future__ import annotations

import dataclasses
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auto_experiment.cycle.inputs import add_directive
from auto_experiment.cycle.parts import Minds
from auto_experiment.models.anthropic import AnthropicModel
from auto_experiment.models.openai import OpenAIModel
from auto_experiment.models.wire import Endpoint, Timeouts
from auto_experiment.planners.leader import Leader
from auto_experiment.records.run import Kind
from drill.figures import Figure
from drill.judging import sound
from drill.mind import MARK, Clock, Mind, config, inside, thoughtful
from model_server import Answer, Call, ModelServer, Plain, Request, anthropic_error, openai_error

WIRES = ("anthropic", "openai")
PLACES = ("think", "code", "reflect")
TURNS = 5  # of a dispatch that goes well
BASE = TURNS + 2  # requests of a cycle in which nothing goes wrong
HASTY = Timeouts(connect=2.0, stall=0.3, whole=3.0)
HTML = {"content-type": "text/html"}
LOOK_S = 60

Make = Callable[[Answer, str], "Answer | Plain"]  # the sensible answer, the wire -> what is said instead


@dataclass(frozen=True)
class Case:
    """``times``: how often it happens. ``waits``: simulated seconds that pass at least. ``more``: requests that it may
    cost beyond its times. ``whole``: its calls are sound and are carried out. ``edit``: a human puts the config right
    while it lasts. ``only``: the wires and places where there is such a thing."""

    make: Make
    times: int = 1
    waits: float = 0.0
    longest: float = 400.0
    more: int = 0
    whole: bool = False
    edit: bool = False
    only: tuple[str, ...] = ()


def plain(status: int, body: Any = b"", **headers: str) -> Make:
    return lambda _sensible, _wire: Plain(status, body, {n.replace("_", "-"): v for n, v in headers.items()})


def error(status: int, kind: str, message: str = "no") -> Make:
    def make(_sensible: Answer, wire: str) -> Plain:
        body = anthropic_error(kind, message) if wire == "anthropic" else openai_error(kind, message, kind)
        return Plain(status, body, {"content-type": "application/json"})

    return make


def changed(**facts: Any) -> Make:
    return lambda sensible, _wire: dataclasses.replace(sensible, **facts)


def instead(*calls: Call, text: str = "", **facts: Any) -> Make:
    return lambda _sensible, _wire: Answer(text, calls, **facts)


def arguments(change: Callable[[dict[str, Any]], Any]) -> Make:
    def make(sensible: Answer, _wire: str) -> Answer:
        calls = [Call(call.name, change(dict(call.arguments))) for call in sensible.calls]
        return dataclasses.replace(sensible, calls=calls)

    return make


def doubled(sensible: Answer, wire: str) -> Answer:
    return dataclasses.replace(sensible, twice=("content_block_delta",) if wire == "anthropic" else ("chunk",))


def same_id(sensible: Answer, _wire: str) -> Answer:
    call = sensible.calls[0]
    return dataclasses.replace(sensible, calls=[dataclasses.replace(call, id="same"), Call("no_such", {}, id="same")])


def one_bad(sensible: Answer, _wire: str) -> Answer:
    return dataclasses.replace(
        sensible, calls=[Call("list_files", {}), Call("no_such", {}), Call("read_file", {"p": 1})]
    )


def broken(sensible: Answer, wire: str) -> Answer:
    kind = {
        "anthropic": anthropic_error("overloaded_error"),
        "openai": openai_error("server_error", kind="server_error"),
    }[wire]
    return dataclasses.replace(sensible, error_after=3, error=kind)


QUOTA_S = 1800.0
AGAIN = TURNS + 1  # requests of another dispatch, which ends with a launch
CASES: dict[str, Case] = {
    "529": Case(plain(529), 3, 5.6),
    "500": Case(plain(500, b"oops"), 2, 2.4),
    "503 by a proxy": Case(plain(503, "<html>no</html>", content_type="text/html"), 2, 2.4),
    "408": Case(plain(408)),
    "429, retry-after 0": Case(plain(429, retry_after="0"), 3, 5.6),
    "429, retry-after 59": Case(plain(429, retry_after="59"), 1, 59.0),
    "429, retry-after 3600": Case(plain(429, retry_after="3600"), 1, 3600.0, 3700.0),
    "429, retry-after a year": Case(plain(429, retry_after="31536000"), 1, 3600.0, 3700.0),
    "429, retry-after garbage": Case(plain(429, retry_after="soon, I hope"), 2, 2.4),
    "429, retry-after negative": Case(plain(429, retry_after="-5"), 2, 2.4),
    "429, insufficient_quota": Case(error(429, "insufficient_quota", "you exceeded your current quota"), 1, QUOTA_S, 2000.0),
    "402": Case(plain(402), 1, QUOTA_S, 2000.0),
    "401, then the config is put right": Case(error(401, "authentication_error", "invalid key"), 1, 0.0, 2 * LOOK_S, more=AGAIN, edit=True),
    "403": Case(plain(403), 1, QUOTA_S, 2000.0),
    "404, then the config is put right": Case(error(404, "not_found_error", "model: retired"), 1, 0.0, 2 * LOOK_S, more=AGAIN, edit=True),
    "400, the context is too long": Case(error(400, "invalid_request_error", "prompt is too long: 300000 tokens"), more=AGAIN),
    "400, too long again": Case(error(400, "invalid_request_error", "prompt is too long: 300000 tokens"), 2, more=AGAIN),
    "413": Case(error(413, "request_too_large", "request too large"), more=AGAIN),
    "400, odd": Case(error(400, "invalid_request_error", "messages.3: odd"), more=AGAIN),
    "a redirect for good": Case(plain(308, b"", location="http://127.0.0.1:9/elsewhere"), more=AGAIN),
    "a redirect to a login page": Case(plain(302, b"", location="http://127.0.0.1:9/login"), 2, 2.4),
    "max_tokens inside a call": Case(changed(stop="length", tool_cut=12)),
    "max_tokens inside a call, twice": Case(changed(stop="length", tool_cut=25), 2),
    "max_tokens inside a call, three times": Case(changed(stop="length", tool_cut=25), 3, more=AGAIN),
    "max_tokens behind a whole call": Case(changed(stop="length")),
    "a cut call that says tool_use": Case(changed(stop="tools", tool_cut=12)),
    "the context window ends in mid answer": Case(changed(stop="overflow", tool_cut=12), more=AGAIN, only=("anthropic",)),
    "a refusal": Case(instead(text="I will not.", stop="refusal"), more=AGAIN),
    "a refusal behind a call": Case(changed(stop="refusal"), more=AGAIN),
    "pause_turn": Case(changed(stop="pause", text="wait", calls=()), only=("anthropic",)),
    "an unknown stop": Case(changed(stop="vacation")),
    "an error after 200": Case(broken, 2, 2.4),
    "silence after 200": Case(changed(stall=250), 1, 0.8),
    "cut at byte 1": Case(changed(cut=1), 2, 2.4),
    "cut at byte 300": Case(changed(cut=300), 2, 2.4),
    "cut at byte 701": Case(changed(cut=701), 2, 2.4),
    "events twice": Case(doubled),
    "a web page with 200": Case(plain(200, "<!doctype html><p>log in</p>", content_type="text/html"), 2, 2.4),
    "nothing with 200": Case(plain(200), 2, 2.4),
    "gzip that is none": Case(plain(200, b"garbage" * 50, content_encoding="gzip"), 2, 2.4),
    "arguments that are no JSON": Case(arguments(lambda given: "{'path': train.py")),
    "arguments of wrong types": Case(arguments(lambda given: {key: [1] for key in given})),
    "arguments with NUL and half a character": Case(arguments(lambda given: {**given, "path\0": "\ud800"})),
    "10 MB of arguments": Case(arguments(lambda given: {**given, "more": "x" * 10_000_000})),
    "a tool that there is not": Case(instead(Call("rm_rf", {"path": "/"}))),
    "the same id twice": Case(same_id, whole=True, more=1),
    "three calls, two of them bad": Case(one_bad),
    "an empty answer": Case(instead()),
    "words": Case(instead(text="I think that it is done.")),
    "usage missing": Case(changed(usage={}), whole=True),
    "usage negative": Case(changed(usage={"input_tokens": -9, "output_tokens": -9, "prompt_tokens": -9, "completion_tokens": -9, "total_tokens": -18}), whole=True),
}  # fmt: skip


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    begun, every = time.monotonic(), trials()
    chosen = every if scale >= 1 else random.Random(seed).sample(every, max(round(len(every) * scale), 1))
    failures: list[str] = []
    requests = 0
    for number, (name, wire, place) in enumerate(chosen):
        complaints, asked = trial(name, wire, place, random.Random(f"{seed} {number}"), folder / f"f{number:03d}")
        failures += [f"{name}, {place}, {wire}, seed {seed}: {line}" for line in complaints]
        requests += asked
    facts = {"cases": len({c[0] for c in chosen}), "requests": requests, "seconds": round(time.monotonic() - begun)}
    yield Figure("faults of models and providers in the whole loop", len(chosen), tuple(failures), facts)


def trials() -> list[tuple[str, str, str]]:
    return [(name, wire, place) for name, case in CASES.items() for wire in case.only or WIRES for place in PLACES]


class Failing(Mind):
    """Sensible, but for one place where one thing goes wrong a few times. ``void``: marks that nobody may carry out."""

    def __init__(self, case: Case, wire: str, place: str, turn: int) -> None:
        super().__init__(self._fail)
        self.case, self.wire, self.place, self.turn = case, wire, place, turn
        self.given, self.void = 0, set[str]()

    def _fail(self, purpose: str, request: Request) -> Answer | Plain | None:
        turn = sum(m["role"] == "assistant" for m in request.messages)
        if purpose != self.place or self.given >= self.case.times or (purpose == "code" and turn != self.turn):
            return None
        self.given += 1
        before = set(self.marks)
        said = self.case.make(self.sensible(purpose, request), self.wire)
        if not self.case.whole:
            self.void |= set(self.marks) - before
        return said


def trial(name: str, wire: str, place: str, dice: random.Random, folder: Path) -> tuple[list[str], int]:
    """Complaints, and how many requests it took."""
    case = CASES[name]
    mind = Failing(case, wire, place, dice.randrange(TURNS))
    clock, said = Clock(), list[str]()
    with ModelServer(mind) as server, thoughtful(folder, server, wire, agent=agent()) as project:
        add_directive(project.paths, "remark 1.")
        if case.edit:
            clock.on_wait = lambda _s: (
                mind.given and project.configure(config(server, wire, agent=agent("other-model")))
            )
        try:
            with inside(project, said, clock, minds=hasty(project)) as controller:
                controller.run()
        except Exception:  # what the loop must not end with
            said += traceback.format_exc().splitlines()[-3:]
        found = list(judged(project, mind, clock))
        found += [str(failure) for failure in server.failures]
        return [f"{line} [turn {mind.turn}; {' / '.join(said[-6:])}]" for line in found], len(mind.asked)


def agent(model: str = "test-model") -> dict[str, Any]:
    return {"max_cycles": 1, "cooldown_interval": LOOK_S, "model": model}


def hasty(project: Any) -> Callable[[Any], Minds]:
    """As ``wiring.minds_of``, with a model that loses patience sooner."""

    def minds(now: Any) -> Minds:
        make = {"anthropic": AnthropicModel, "openai": OpenAIModel}[now.agent.provider]
        model = make(now.agent.model, Endpoint(now.agent.base_url, "x" * 20, timeouts=HASTY))
        return Minds(Leader(model), None, model)

    return minds


def judged(project: Any, mind: Failing, clock: Clock) -> Iterator[str]:
    case, trainings = mind.case, [n for n in project.judged(dry=False) if "over" not in n]
    if mind.given < case.times and not case.more:
        yield f"the fault came {mind.given} times of {case.times}"
    if len(trainings) != 1:
        yield f"{len(trainings)} trainings"
    with project.ledger() as ledger:
        results = [lesson.result for lesson in ledger.lessons().values()]
        taken = [note.text for note in ledger.directives()]
        values = [row.value for row in ledger.attempts() if row.kind is Kind.FULL]
    if results != ["improved"] or len(values) != 1 or values[0] is None:
        yield f"came to {results} {values}"
    extra = len(mind.asked) - BASE
    if extra > mind.given + case.more:
        yield f"{extra} requests more than without the {mind.given} faults: {mind.counts()}"
    if not case.waits <= clock.at <= case.longest:
        yield f"waited {clock.at:.1f} s, not {case.waits:g} to {case.longest:g}"
    yield from carried_out(project, mind)
    if taken != ["remark 1."] or Path(project.paths.directive).exists() or "remark 1." not in mind.directives():
        yield f"directives taken: {taken}; heard by the model: {'remark 1.' in mind.directives()}"
    yield from sound(project, decisions_each=2)


def carried_out(project: Any, mind: Failing) -> Iterator[str]:
    """Nothing of an answer that is not whole, and nothing twice."""
    effects = project.root / "effects.log"
    done = Counter(effects.read_text().split() if effects.exists() else ())
    done.update(path.stem for path in (project.root / "made").glob("*.txt"))
    done.update(MARK.findall((project.root / "train.py").read_text()))
    yield from (f"{mark} was carried out {n} times" for mark, n in done.items() if n > 1)
    yield from (f"{mark} was carried out, of an answer that was not whole" for mark in mind.void & set(done))
