"""The launcher for a machine where we may simply start processes, near or far: every verb is one run of ``shim.py``.

It keeps nothing: the attempts' folders on that machine are the only state. What the verbs mean is told in ``shim.py``.
"""

from __future__ import annotations

import json
import py_compile
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.util import cache_from_source
from itertools import islice
from pathlib import Path
from typing import Any

from auto_experiment.errors import (
    AutoExperimentError,
    HostError,
    LaunchError,
    Overloaded,
    SpecConflict,
    disk_fault_in,
    overload,
    overload_in,
)
from auto_experiment.hosts.base import Completed, Host, Stream
from auto_experiment.launchers.base import Began, End, FeedEvent, LogBytes
from auto_experiment.records.run import (
    Absent,
    Claim,
    Ended,
    Exit,
    Lost,
    Ref,
    Running,
    Sighting,
    Spec,
    Unreachable,
)

SHIM = Path(__file__).with_name("shim.py")
TOKEN = "AUTO_EXPERIMENT_ATTEMPT"  # noqa: S105  # the name of a variable: by it a sweep finds what is left of an attempt
HELPER_ENV = ("PATH", "HOME", "LANG")  # all that the shim gets to see: it keeps it, readable, for as long as it lives
BATCH = 200  # folders per question: far below any limit on the length of a command line
TRIES = 3  # of one question, when its helper was killed under way: every verb may be repeated


def compiled_shim() -> str:
    """The shim as bytecode for this interpreter, which starts in two thirds of the time. Compiled afresh at each call:
    a program that is started by its bytecode is not checked against its source. Where nothing can be written, the
    source.
    """
    try:
        return str(py_compile.compile(str(SHIM), cfile=cache_from_source(str(SHIM)), doraise=True))
    except (OSError, NotImplementedError, py_compile.PyCompileError):
        return str(SHIM)


class ProcessLauncher:
    """``python`` and ``shim`` are paths on the host; ``env`` is where the helper's few variables are taken from."""

    def __init__(
        self,
        host: Host,
        *,
        python: str = sys.executable,
        shim: str = str(SHIM),
        env: Mapping[str, str],
        timeout: float = 60.0,
    ) -> None:
        self._host, self._timeout = host, timeout
        self._command = (python, "-I", "-S", shim)
        self._env = {name: env[name] for name in HELPER_ENV if name in env}

    def ensure(self, ref: Ref, spec: Spec, env: Mapping[str, str]) -> Claim:
        whole = {**env, **spec.env, TOKEN: ref.folder}
        answer = self._ask("ensure", ref.folder, stdin=_line({"spec": spec.document(), "env": whole}))
        return claim_from(answer["claim"])

    def state(self, refs: Sequence[Ref]) -> Mapping[Ref, Sighting]:
        seen: dict[Ref, Sighting] = {}
        rest = iter(refs)
        while batch := list(islice(rest, BATCH)):
            answer = self._ask("state", *(ref.folder for ref in batch))
            seen.update((ref, sighting_from(answer[ref.folder])) for ref in batch)
        return seen

    def stop(self, ref: Ref, reason: str, grace_s: float | None = None) -> None:
        grace = () if grace_s is None else (f"{grace_s:g}",)
        answer = self._ask("stop", ref.folder, reason, *grace)
        if answer["stop"] == "unreachable":
            raise LaunchError(
                f"{ref.attempt} cannot be stopped from here: it was started on {answer['hostname']!r}; stop it there"
            )

    def sweep(self, ref: Ref, claim: Claim | None = None) -> int:
        answer = self._ask("sweep", ref.folder, stdin=_line({"claim": claim.__dict__ if claim else None}))
        if answer["left"]:
            raise LaunchError(
                f"{ref.attempt}: {answer['left']} processes could not be ended (killed: {answer['killed']}); "
                f"look for {TOKEN}={ref.folder} in /proc/*/environ and end them by hand"
            )
        return int(answer["killed"])

    def follow(self) -> ProcessFeed:
        try:
            return ProcessFeed(self._host.open([*self._command, "follow"], env=self._env))
        except HostError as error:
            raise _as_launch_error("the feed cannot be opened", error) from error

    def _ask(self, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        for _ in range(TRIES):
            try:
                done = self._host.run(
                    [*self._command, *words], stdin=stdin, env=self._env, timeout=self._timeout, cap=64 << 20
                )
            except HostError as error:
                raise _as_launch_error(f"{words[0]} {words[1]}", error) from error
            if not _was_killed(done):
                break
        return _answer(words, done, self._timeout)


def _as_launch_error(what: str, error: HostError) -> LaunchError:
    return (Overloaded if overload(error.__cause__) else LaunchError)(f"{what}: {error}")


def _was_killed(done: Completed) -> bool:
    """The helper itself, or the supervisor that it had forked before it could claim the attempt."""
    return done.code is not None and (done.code < 0 or b'"error": "not_started"' in done.stdout)


def _trouble(why: str, place: str, what: str) -> AutoExperimentError:
    """What the shim could not do, by the number that is in its words."""
    return disk_fault_in(why, place) or (Overloaded if overload_in(why) else LaunchError)(f"{what}: {why}")


def _answer(words: Sequence[str], done: Completed, timeout: float) -> dict[str, Any]:
    """The shim's answer, or the error that it names."""
    what = f"{words[0]} {words[1]}"
    if done.code is None:
        raise Overloaded(f"{what}: no answer within {timeout:g} s; it is safe to try again")
    if done.code == -signal.SIGKILL:
        raise Overloaded(f"{what}: the helper was killed {TRIES} times, by the kernel perhaps, for want of memory")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        tail = done.stderr.decode("utf-8", "replace").strip()[-500:]
        kind = Overloaded if overload_in(tail) else LaunchError
        raise kind(f"{what}: expected JSON from the shim, got exit status {done.code} and {tail!r}") from error
    if answer.get("error") == "spec_conflict":
        raise SpecConflict(
            f"{words[1]} exists with another spec (given {answer['given']}, kept {answer['kept']}); "
            "an attempt is never changed: use a new attempt"
        )
    if "error" in answer and done.code != 0:
        raise _trouble(str(answer.get("detail") or answer["error"]), words[1], what)
    return dict(answer)


class ProcessFeed:
    """The feed over one ``shim.py follow``: JSON lines, a log piece's bytes right after its line."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._refs: dict[str, Ref] = {}
        self._unread = bytearray()
        self._dead = ""

    def fileno(self) -> int:
        return self._stream.fileno()

    def add(self, ref: Ref, offset: int = 0) -> None:
        self._refs[ref.folder] = ref
        self._stream.write(_line({"dir": ref.folder, "offset": offset}))

    def read(self) -> Sequence[FeedEvent]:
        if self._dead:
            raise LaunchError(self._dead)
        data = self._stream.read()
        self._unread += data or b""
        events = self._parse()
        if data is None:
            self._dead = "the feed's helper has ended; open another feed and add the attempts again"
            if not events:
                raise LaunchError(self._dead)
        return events

    def close(self) -> None:
        self._stream.close()

    def _parse(self) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        while (end := self._unread.find(b"\n") + 1) and not self._dead:
            head = _head(bytes(self._unread[:end]))
            size = head.get("n", 0)
            if len(self._unread) < end + size:
                break
            data = bytes(self._unread[end : end + size])
            del self._unread[: end + size]
            if "error" in head:
                self._dead = f"the feed's helper failed: {head.get('detail')}; open another feed"
            elif "trouble" in head:
                raise _trouble(head["trouble"], head["dir"], "cannot be followed now")
            elif head["dir"] in self._refs:
                events.append(self._event(self._refs[head["dir"]], head, data))
        return events

    def _event(self, ref: Ref, head: Mapping[str, Any], data: bytes) -> FeedEvent:
        if "log" in head:
            return LogBytes(ref, head["log"], data)
        if "began" in head:
            return Began(ref, running_from(head["began"]))
        del self._refs[ref.folder]
        return End(ref, sighting_from(head["end"]))


def _head(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {"error": "garbled", "detail": f"expected a line of JSON, got {line[:200]!r}"}


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


# --- from the shim's JSON to records ---------------------------------------------------------------------------------


def claim_from(body: Mapping[str, Any]) -> Claim:
    return Claim(
        pid=body["pid"],
        start_ticks=body["start_ticks"],
        boot_id=body["boot_id"],
        hostname=body["hostname"],
        at=body["at"],
        token=body["token"],
        void=body["void"],
    )


def running_from(body: Mapping[str, Any]) -> Running:
    return Running(claim_from(body["claim"]), body["pid"], body["started_at"])


def exit_from(body: Mapping[str, Any]) -> Exit:
    usage = body["rusage"]
    facts = {field.name: body[field.name] for field in fields(Exit) if field.name in body}
    return Exit(**facts, cpu_s=usage.get("cpu_s", 0.0), max_rss_kib=usage.get("max_rss_kib", 0))


def sighting_from(body: Mapping[str, Any]) -> Sighting:
    match body["state"]:
        case "absent":
            return Absent()
        case "running":
            return running_from(body)
        case "ended":
            return Ended(exit_from(body["exit"]))
        case "lost":
            return Lost(body["reason"], body["started"], body["started_at"])
        case "unreachable":
            return Unreachable(body["hostname"])
    raise LaunchError(f"the shim said state {body['state']!r}: expected absent, running, ended, lost or unreachable")
