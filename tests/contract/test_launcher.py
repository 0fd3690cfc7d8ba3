"""What every launcher promises, tried on the real one and on the fake that we ship."""

from __future__ import annotations

import math
import os
import select

import pytest

from auto_experiment.errors import LaunchError, SpecConflict
from auto_experiment.launchers.base import Began, End, LogBytes
from auto_experiment.launchers.simulated import Script, SimulatedLauncher, VirtualClock
from auto_experiment.records.run import Absent, Ended, Lost, Ref, Running, Spec


class RealWorld:
    """Shell commands."""

    def __init__(self, lab) -> None:
        self.lab, self.launcher, self.ref = lab, lab.launcher, lab.ref

    def spec(self, ref, *, says=(), code=0, signal=None, forever=False, stubborn=False, **kw) -> Spec:
        lines = ["trap '' TERM"] if stubborn else []
        lines += [f"printf '%s\\n' '{line}'" for line in says]
        loop = "while :; do sleep 0.05; done" if stubborn else "exec sleep 1000"
        lines.append(loop if forever else f"kill -{signal} $$" if signal else f"exit {code}")
        return self.lab.spec(ref, "\n".join(lines), **kw)


class PretendedWorld:
    """Scripts in virtual time that jumps."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.launcher = SimulatedLauncher(lambda ref, spec: self.scripts[spec.hash], jumps=True)

    def ref(self, name=None) -> Ref:
        name = name or f"a{len(self.scripts)}"
        return Ref(f"exp/run/{name}", f"/runs/{name}")

    def spec(self, ref, *, says=(), code=0, signal=None, forever=False, stubborn=False, **kw) -> Spec:
        spec = Spec(ref.attempt, (*says, str(code), str(signal)), "/", grace_s=kw.pop("grace_s", 0.3), **kw)
        log = tuple((0.1 * n, line.encode() + b"\n") for n, line in enumerate(says))
        duration = math.inf if forever else len(says) * 0.1
        self.scripts[spec.hash] = Script(log, duration, code, signal, ignores_sigterm=stubborn)
        return spec


WORLDS = {"process": "bare", "fenced": "bubblewrap", "landlocked": "landlock"}


@pytest.fixture(params=[*WORLDS, "simulated"])
def world(request):
    return PretendedWorld() if request.param == "simulated" else RealWorld(request.getfixturevalue("lab"))


@pytest.fixture
def fence(request, fence_of):
    return fence_of(WORLDS[request.node.callspec.params["world"]])


@pytest.fixture
def begin(world):
    """Start an attempt that behaves as told."""

    def start(**behaviour) -> Ref:
        ref = world.ref()
        world.launcher.ensure(ref, world.spec(ref, **behaviour), dict(os.environ))
        return ref

    return start


@pytest.fixture
def follow(world, listen):
    """Follow refs until all have ended; their events, by ref."""

    def run(*refs: Ref, offset: int = 0) -> dict:
        feed = world.launcher.follow()
        try:
            for ref in refs:
                feed.add(ref, offset)
            events = listen(feed, lambda events: sum(isinstance(event, End) for event in events) == len(refs))
        finally:
            feed.close()
        return {ref: [event for event in events if event.ref == ref] for ref in refs}

    return run


def log_of(events) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, LogBytes))


def exit_of(events):
    sighting = events[-1].sighting
    assert isinstance(sighting, Ended), sighting
    return sighting.exit


class TestStarting:
    def test_ensure_again_gives_the_same_claim_and_starts_nothing(self, world, follow):
        ref = world.ref()
        spec = world.spec(ref, says=["once"])
        claims = {world.launcher.ensure(ref, spec, dict(os.environ)) for _ in range(3)}
        assert len(claims) == 1
        assert log_of(follow(ref)[ref]) == b"once\n"
        assert world.launcher.ensure(ref, spec, dict(os.environ)) in claims
        assert log_of(follow(ref)[ref]) == b"once\n"

    def test_another_spec_is_refused(self, world, begin):
        ref = begin(says=["one"])
        with pytest.raises(SpecConflict, match="new attempt"):
            world.launcher.ensure(ref, world.spec(ref, says=["two"]), dict(os.environ))

    def test_an_attempt_that_nobody_started_is_absent(self, world, follow):
        ref = world.ref()
        assert world.launcher.state([ref]) == {ref: Absent()}
        assert follow(ref)[ref] == [End(ref, Absent())]

    def test_running_names_the_claim_and_the_pid(self, world, begin, listen):
        ref = begin(says=["hello"], forever=True)
        feed = world.launcher.follow()
        feed.add(ref)
        events = listen(feed, lambda events: b"hello" in log_of(events))
        feed.close()
        seen = world.launcher.state([ref])[ref]
        assert isinstance(seen, Running)
        assert seen.pid
        assert seen == next(event.running for event in events if isinstance(event, Began))
        world.launcher.stop(ref, "enough")


class TestEnds:
    @pytest.mark.parametrize("code", [0, 1, 137, 255])
    def test_a_code_is_a_code(self, begin, follow, code):
        ref = begin(code=code)
        ending = exit_of(follow(ref)[ref])
        assert (ending.code, ending.signal, ending.stopped, ending.timed_out) == (code, None, None, False)

    @pytest.mark.parametrize("signal", [9, 15])
    def test_a_signal_is_a_signal(self, begin, follow, signal):
        ref = begin(signal=signal)
        ending = exit_of(follow(ref)[ref])
        assert (ending.code, ending.signal, ending.stopped) == (None, signal, None)

    def test_state_agrees_with_the_feed_for_ever(self, world, begin, follow):
        ref = begin(code=3)
        told = follow(ref)[ref][-1].sighting
        assert world.launcher.state([ref]) == {ref: told}
        assert follow(ref)[ref][-1].sighting == told

    def test_the_wall_limit_ends_it(self, begin, follow):
        ref = begin(forever=True, wall_limit_s=0.2)
        ending = exit_of(follow(ref)[ref])
        assert ending.timed_out
        assert "wall limit" in ending.stopped
        assert ending.signal == 15
        assert ending.duration_s >= 0.2


class TestFeed:
    def test_began_then_the_whole_log_then_the_end(self, begin, follow):
        lines = [f"line {n}" for n in range(50)]
        ref = begin(says=lines)
        events = follow(ref)[ref]
        assert isinstance(events[0], Began)
        assert isinstance(events[-1], End)
        assert all(isinstance(event, LogBytes) for event in events[1:-1])
        assert log_of(events).decode().splitlines() == lines
        assert exit_of(events).log_bytes == len(log_of(events))

    def test_pieces_carry_their_offsets(self, begin, follow):
        ref = begin(says=["abc", "def"])
        pieces = [event for event in follow(ref)[ref] if isinstance(event, LogBytes)]
        assert [piece.offset for piece in pieces] == [
            sum(len(before.data) for before in pieces[:n]) for n in range(len(pieces))
        ]

    @pytest.mark.parametrize(("offset", "rest"), [(4, b"def\n"), (8, b"")])
    def test_reading_goes_on_from_an_offset(self, begin, follow, offset, rest):
        ref = begin(says=["abc", "def"])
        follow(ref)
        assert log_of(follow(ref, offset=offset)[ref]) == rest

    def test_one_feed_follows_many(self, begin, follow):
        refs = [begin(says=[f"I am {n}"], code=n) for n in range(5)]
        for n, events in enumerate(follow(*refs).values()):
            assert log_of(events) == f"I am {n}\n".encode()
            assert exit_of(events).code == n
            assert sum(isinstance(event, Began) for event in events) == 1

    def test_two_feeds_do_not_disturb_each_other(self, world, begin, listen):
        ref = begin(says=["abc"])
        feeds = [world.launcher.follow() for _ in range(2)]
        for feed in feeds:
            feed.add(ref)
        for feed in feeds:
            assert log_of(listen(feed, lambda events: any(isinstance(event, End) for event in events))) == b"abc\n"
            feed.close()

    def test_an_attempt_can_be_added_while_others_are_followed(self, world, begin, listen):
        first, second = begin(forever=True), begin(says=["late"])
        feed = world.launcher.follow()
        feed.add(first)
        listen(feed, lambda events: any(isinstance(event, Began) for event in events))
        feed.add(second)
        events = listen(feed, lambda events: any(isinstance(event, End) for event in events))
        assert log_of(events) == b"late\n"
        world.launcher.stop(first, "done")
        events = listen(feed, lambda events: any(isinstance(event, End) for event in events))
        assert exit_of(events).stopped == "done"
        feed.close()


class TestStop:
    def test_a_stop_ends_it_and_keeps_the_reason(self, world, begin, listen):
        ref = begin(says=["up"], forever=True)
        feed = world.launcher.follow()
        feed.add(ref)
        listen(feed, lambda events: log_of(events) == b"up\n")
        world.launcher.stop(ref, "loss is NaN: ñ")
        world.launcher.stop(ref, "a second reason")
        ending = exit_of(listen(feed, lambda events: any(isinstance(event, End) for event in events)))
        feed.close()
        assert (ending.code, ending.signal, ending.stopped) == (None, 15, "loss is NaN: ñ")
        assert not ending.timed_out

    def test_a15_who_ignores_sigterm_is_killed_after_the_grace(self, world, begin, listen):
        ref = begin(says=["up"], forever=True, stubborn=True, grace_s=0.4)
        feed = world.launcher.follow()
        feed.add(ref)
        listen(feed, lambda events: log_of(events) == b"up\n")
        world.launcher.stop(ref, "enough")
        ending = exit_of(listen(feed, lambda events: any(isinstance(event, End) for event in events)))
        feed.close()
        assert (ending.code, ending.signal, ending.stopped) == (None, 9, "enough")
        assert ending.duration_s >= 0.4

    def test_an_unclaimed_attempt_becomes_void(self, world, follow):
        ref = world.ref()
        world.launcher.stop(ref, "gave up")
        never = Lost("never started", started=False)
        assert world.launcher.state([ref]) == {ref: never}
        assert world.launcher.ensure(ref, world.spec(ref, says=["too late"]), dict(os.environ)).void
        assert follow(ref)[ref] == [End(ref, never)]

    def test_a_stop_after_the_end_changes_nothing(self, world, begin, follow):
        ref = begin(code=5)
        told = follow(ref)[ref][-1].sighting
        world.launcher.stop(ref, "too late")
        assert world.launcher.state([ref]) == {ref: told}


class TestSweep:
    def test_nothing_is_left_after_an_observed_end(self, world, begin, follow):
        ref = begin()
        follow(ref)
        assert world.launcher.sweep(ref) == 0

    def test_what_runs_is_not_swept(self, world, begin):
        ref = begin(forever=True)
        with pytest.raises(LaunchError, match="stop it instead"):
            world.launcher.sweep(ref)
        world.launcher.stop(ref, "done")


class TestTheFakesOwnTime:
    """What the simulated launcher adds to the port."""

    @pytest.fixture
    def clock(self):
        return VirtualClock(now=1000.0)

    def begin(self, clock, script, **spec):
        launcher = SimulatedLauncher(lambda ref, spec: script, clock)
        ref = Ref("e/r/a1", "/a1")
        launcher.ensure(ref, Spec(ref.attempt, ("train",), "/", **spec), {})
        feed = launcher.follow()
        feed.add(ref)
        return launcher, ref, feed

    def readable(self, feed) -> bool:
        return bool(select.select([feed], [], [], 0)[0])

    def test_the_descriptor_is_readable_exactly_when_there_is_news(self, clock):
        _, _, feed = self.begin(clock, Script(log=((5.0, b"step\n"),), duration_s=60.0))
        assert self.readable(feed)
        assert [type(event) for event in feed.read()] == [Began]
        clock.advance(4.9)
        assert not self.readable(feed)
        assert feed.read() == []
        clock.advance(0.2)
        assert self.readable(feed)
        assert [event.data for event in feed.read()] == [b"step\n"]
        clock.advance(60.0)
        assert self.readable(feed)
        assert isinstance(feed.read()[-1], End)
        assert not self.readable(feed)
        feed.close()

    def test_a_loss_leaves_survivors_to_sweep(self, clock):
        launcher, ref, feed = self.begin(clock, Script(duration_s=10.0, lost=True, survivors=2))
        clock.advance(10.0)
        lost = Lost("the supervisor died, exit not observed", started=True, started_at=1000.0)
        assert feed.read()[-1] == End(ref, lost)
        assert (launcher.sweep(ref), launcher.sweep(ref)) == (2, 0)
        feed.close()

    def test_a_start_that_is_refused(self, clock):
        with pytest.raises(LaunchError, match="no such GPU"):
            self.begin(clock, Script(refuses="no such GPU"))

    def test_a_natural_end_within_the_grace_keeps_its_code(self, clock):
        launcher, ref, feed = self.begin(clock, Script(duration_s=10.0, code=4, ignores_sigterm=True), grace_s=30.0)
        clock.advance(8.0)
        launcher.stop(ref, "enough")
        clock.advance(5.0)
        ending = launcher.state([ref])[ref].exit
        assert (ending.code, ending.signal, ending.stopped, ending.ended_at) == (4, None, "enough", 1010.0)
        feed.close()

    @pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
    def test_time_only_goes_on(self, clock, seconds):
        with pytest.raises(ValueError, match="expected a finite number"):
            clock.advance(seconds)

    def test_a_closed_feed_says_so(self, clock):
        _, _, feed = self.begin(clock, Script())
        feed.close()
        with pytest.raises(LaunchError, match="open another"):
            feed.read()
