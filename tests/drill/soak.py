"""The soak (F14, F18): a month of runs in an hour. Nobody helps, and the controller stays as small as it was.

10,000 trainings of a few milliseconds, each a real process under a real supervisor; one in a hundred meets a fault,
inside (a crash, a NaN, a signal, a log of garbage) or outside (a killed training, supervisor, log follower, controller;
a hung nvidia-smi; directives, edits, litter). Only a killed controller is started again, as a service manager would.

Each training says on its own that it was started. Every 250 runs the drill looks from outside at memory, descriptors
and threads of the controller and its log follower, and at how long a command and state.json take. What it measures is
memory under many runs, not speed: the faults and the looks are in the way of that.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from auto_experiment.cycle.execute import NEVER_STARTED
from auto_experiment.ledger.lock import holder
from auto_experiment.project import Place, project_of
from auto_experiment.records.observation import Fault
from auto_experiment.records.run import Kind, RunState
from auto_experiment.views.status import status
from drill.figures import Figure
from drill.judging import sound
from drill.projects import opened, until

RUNS = 10_000
FAULTS = 0.01
EVERY = 250  # runs between two looks
STALL_S = 180.0  # without a new run for so long somebody would have to look
MEMORY_MIB = 50.0  # by which the controller may grow in 10,000 runs

BRIEF = """\
# Goal
Reach a high validation accuracy on a tiny task.

# Codebase
- Training: train.sh

# Search Space
- --lr: 0.1 .. 0.9
- --width: 16 .. 4096 int
"""

TRAIN = """\
desk='{desk}'
echo "$AUTO_EXPERIMENT_ATTEMPT $$" >> "$desk/started"
lr=$2
echo "step 1/2 val_acc=0.${{lr#*.}}"
if [ -z "$AUTO_EXPERIMENT_DRY_RUN" ] && [ -e "$desk/fault" ] && mv "$desk/fault" "$desk/taken"; then
  . "$desk/taken"
fi
echo "step 2/2 val_acc=0.${{lr#*.}}"
"""

HELD = """\
echo $$ > "$desk/held.tmp"; mv "$desk/held.tmp" "$desk/held"
while [ ! -e "$desk/go" ]; do sleep 0.05; done
rm -f "$desk/go"
"""

INSIDE = {
    "crash": "echo 'RuntimeError: bad shape' >&2; exit 3",
    "not a number": 'echo "step 2/2 val_acc=nan"; exit 0',
    "signal": "kill -11 $$",
    "garbage in the log": "head -c 200000 /dev/urandom",
    "a long line": "head -c 3000000 /dev/zero | tr '\\000' x; echo",
    "a daemon left behind": "setsid sleep 60 > /dev/null 2>&1 &",
}


def run(scale: float, seed: int, folder: Path, *, faults: float = FAULTS) -> Iterator[Figure]:
    runs = max(round(RUNS * scale), 20)
    config = {
        "experiment": {"command": "sh train.sh --lr 0.5 --width 64", "mandatory_dry_run": False},
        "monitor": {"poll_interval": 1},
    }
    with opened(folder / "soak", "", brief=BRIEF, config=config) as project:
        soak = Soak(project, random.Random(seed), runs, config, faults)
        soak.to_the_end()
        yield from soak.figures()


class Soak:
    """``interventions``: what somebody would have had to do by hand. ``met``: the faults so far, by kind."""

    def __init__(
        self, project: Any, dice: random.Random, runs: int, config: dict[str, Any], faults: float = FAULTS
    ) -> None:
        self.project, self.dice, self.runs, self.config, self.faults = project, dice, runs, config, faults
        self.desk: Path = project.desk
        self.interventions: list[str] = []
        self.met: Counter[str] = Counter()
        self.samples: list[dict[str, float]] = []
        self.controller: Any = None
        self.sessions = 0
        self._names: list[str] = []  # the attempts in the judge's file
        self._read = self._done = 0  # how far it was read, and how many of them are trainings
        self._outside: dict[str, Callable[[], None]] = {
            "killed training": self._kill_training,
            "killed supervisor": self._kill_supervisor,
            "killed log follower": self._kill_follower,
            "killed controller": self._kill_controller,
            "controller killed at a training": self._kill_controller_at_a_training,
            "controller stopped and continued": self._pause_controller,
            "hung nvidia-smi": self._hang_nvidia_smi,
            "log removed": self._remove_log,
            "log cut": self._cut_log,
            "directive": self._direct,
            "directive by hand": self._direct_by_hand,
            "brief edited": self._edit_brief,
            "config edited": self._edit_config,
            "memory edited": self._edit_memory,
            "litter among the requests": self._litter,
            "a lost terminal": lambda: self.controller.signal(signal.SIGHUP),
            "look from outside": self._look,
        }
        self._prepare()

    def _prepare(self) -> None:
        self.project.write("train.sh", TRAIN.format(desk=self.desk))
        tools = self.desk / "bin"
        tools.mkdir()
        fake = tools / "nvidia-smi"
        fake.write_text(f"#!/bin/sh\n[ -e {self.desk}/hung ] && exec sleep 60\necho '0, Fake, 1, 2, 3, 4'\n")
        fake.chmod(0o755)
        self.project.env["PATH"] = f"{tools}{os.pathsep}{self.project.env['PATH']}"

    # -- the month ----------------------------------------------------------------------------------------------

    def to_the_end(self) -> None:
        self.begun = time.monotonic()
        faults = self._schedule()
        looks = list(range(EVERY, self.runs + 1, EVERY)) or [self.runs]
        self._start()
        while (done := self.count()) < self.runs:
            self._carry_on()
            if faults and done >= faults[0][0]:
                self._meet(faults.pop(0)[1])
            elif looks and done >= looks[0]:
                self._sample(looks.pop(0))
            else:
                time.sleep(0.02)
        self._sample(self.runs)
        self.seconds = time.monotonic() - self.begun
        self.project.cli("stop", "--run", timeout=120)
        self.last = self.project.cli("run", "--max-cycles", 1, status=None, timeout=120)

    def _schedule(self) -> list[tuple[int, str]]:
        """Which run meets which fault: one in a hundred (``faults``), the kinds in turn and in a drawn order."""
        kinds: list[str] = []
        planned = []
        for number in range(5, self.runs - 5):
            if self.dice.random() < self.faults:
                if not kinds:
                    kinds = [*INSIDE, *self._outside]
                    self.dice.shuffle(kinds)
                planned.append((number, kinds.pop()))
        return planned

    def count(self) -> int:
        """Trainings started so far, by their own word."""
        path = self.desk / "started"
        if path.exists() and path.stat().st_size > self._read:
            with open(path, "rb") as file:
                file.seek(self._read)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            new = [line.split()[0].decode() for line in whole.splitlines()]
            self._names += new
            self._done += sum(Path(name).parent.name.startswith("run") for name in new)
            self._heard = time.monotonic()
        return self._done

    def _start(self) -> None:
        self.sessions += 1
        self.controller = self.project.start("run")
        began = time.monotonic()
        until(lambda: holder(self.project.paths.lock) == self.controller.pid, give_up=self.controller.is_over,
              patience=STALL_S)  # fmt: skip
        self.start_up = time.monotonic() - began
        self._heard = time.monotonic()

    def _carry_on(self) -> None:
        """Is a human needed? Then count that, and do what the human would do."""
        trouble = ""
        if self.controller.is_over():
            trouble = f"the controller ended with {self.controller.child.returncode}: {self.controller.text[-500:]}"
        elif time.monotonic() - self._heard > STALL_S:
            trouble = f"nothing new for {STALL_S:.0f} s: {self.controller.text[-500:]}"
        if trouble:
            self.interventions.append(f"run {self.count()}, last fault {list(self.met)[-1:]}: {trouble}")
            self.controller.kill()
            self._start()

    def _meet(self, kind: str) -> None:
        self.met[kind] += 1
        try:
            if kind in INSIDE:
                self._leave(INSIDE[kind])
            else:
                self._outside[kind]()
        except AssertionError as error:  # what the fault needed did not come about: _carry_on will see why
            self.interventions.append(f"{kind}: {error}")

    # -- faults -------------------------------------------------------------------------------------------------

    def _leave(self, lines: str) -> None:
        """For the next training to take."""
        beside = self.desk / "fault.tmp"
        beside.write_text(lines + "\n")
        beside.rename(self.desk / "fault")
        until(lambda: not (self.desk / "fault").exists(), patience=STALL_S)

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        """A training that waits in its middle; its pid."""
        self._leave(HELD)
        held = self.desk / "held"
        until(held.exists, patience=STALL_S)
        pid = int(held.read_text())
        held.unlink()
        yield pid
        (self.desk / "go").touch()

    def _ended(self, pid: int) -> None:
        until(lambda: not self.project.alive(pid), patience=STALL_S)
        (self.desk / "go").unlink(missing_ok=True)

    def _kill_training(self) -> None:
        with self._held() as pid:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not self.project.alive(pid), patience=STALL_S)
        self._ended(pid)

    def _kill_supervisor(self) -> None:
        with self._held() as pid:
            os.kill(parent(pid), signal.SIGKILL)
            until(lambda: not self.project.alive(pid), patience=STALL_S)
        self._ended(pid)

    def _kill_follower(self) -> None:
        with self._held():
            follower = self._follower()
            if follower:
                os.kill(follower, signal.SIGKILL)

    def _kill_controller(self) -> None:
        self.controller.kill()
        self._start()

    def _kill_controller_at_a_training(self) -> None:
        with self._held():
            self._kill_controller()

    def _pause_controller(self) -> None:
        self.controller.signal(signal.SIGSTOP)
        time.sleep(1.0)
        self.controller.signal(signal.SIGCONT)

    def _hang_nvidia_smi(self) -> None:
        (self.desk / "hung").touch()
        with self._held():
            time.sleep(2.5)  # two heartbeats
        (self.desk / "hung").unlink()

    def _remove_log(self) -> None:
        with self._held():
            self._log().unlink()

    def _cut_log(self) -> None:
        with self._held():
            os.truncate(self._log(), 0)

    def _log(self) -> Path:
        self.count()
        return Path(self._names[-1], "train.log")

    def _direct(self) -> None:
        self.project.cli("direct", f"look at width {self.dice.randrange(9999)}", timeout=120)

    def _direct_by_hand(self) -> None:
        beside = Path(f"{self.project.paths.directive}.new")
        beside.write_text("- --lr: 0.2 .. 0.8\n" * self.dice.randrange(1, 300))
        beside.rename(self.project.paths.directive)

    def _edit_brief(self) -> None:
        self.project.write("PROJECT_BRIEF.md", f"{BRIEF}\n# Constraints\n- note {self.dice.randrange(9999)}\n")

    def _edit_config(self) -> None:
        """Switches the dry runs on or off: a part of the month has them."""
        self.config["experiment"]["mandatory_dry_run"] ^= True
        self.project.configure(self.config)

    def _edit_memory(self) -> None:
        path = Path(self.project.paths.memory_log)
        if path.exists():
            path.write_text(path.read_text() + f"a remark {self.dice.randrange(9999)}\n")

    def _litter(self) -> None:
        requests = Path(self.project.paths.requests)
        (requests / f"{time.time_ns()}-x.json").write_text("{" * self.dice.randrange(1000))
        (requests / "notes.txt").write_text("not for you")

    def _look(self) -> None:
        for words in (("status",), ("list", "--json"), ("show", "exp001"), ("logs",), ("report",)):
            self.project.cli(*words, status=None, timeout=120)

    # -- measuring ----------------------------------------------------------------------------------------------

    def _follower(self) -> int | None:
        line = f"/proc/{self.controller.pid}/task/{self.controller.pid}/children"
        with contextlib.suppress(OSError):
            for pid in map(int, Path(line).read_text().split()):
                with contextlib.suppress(OSError):
                    if b"\0follow" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        return pid
        return None

    def _sample(self, runs: int) -> None:
        began = time.monotonic()
        self.project.cli("status", "--json", status=None, timeout=120)
        sample = {"runs": runs, "session": self.sessions, "at": round(time.monotonic() - self.begun, 1),
                  "status_s": round(time.monotonic() - began, 3), "start_up_s": round(self.start_up, 3),
                  "state_s": self._state_seconds(), **size_of(self.controller.pid, "controller")}  # fmt: skip
        follower = self._follower()
        sample.update(size_of(follower, "follower") if follower else {})
        self.samples.append(sample)
        with open(self.desk / "samples", "a", encoding="utf-8") as file:
            file.write(json.dumps(sample) + "\n")

    def _state_seconds(self) -> float:
        """What writing state.json costs the controller, but for the writing itself."""
        place = Place.of(str(self.project.root), None, {})
        from auto_experiment.wiring import inputs_of

        inputs = inputs_of(place)
        project = project_of(inputs.config, inputs.brief, self.project.paths)
        times = []
        with self.project.ledger() as ledger:
            for _ in range(5):
                began = time.perf_counter()
                status(project, ledger)
                times.append(time.perf_counter() - began)
        return round(statistics.median(times), 4)

    # -- what it comes to ---------------------------------------------------------------------------------------

    def figures(self) -> Iterator[Figure]:
        facts = {"faults": sum(self.met.values()), "kinds": len(self.met), "sessions": self.sessions,
                 "minutes": round(self.seconds / 60, 1)}  # fmt: skip
        done = self.count()
        ended = () if self.last.returncode == 0 else (f"the last run ended with {self.last.returncode}",)
        yield Figure("soak: interventions", done, (*self.interventions, *ended), facts)
        yield Figure("soak: ledger against the trainings' own record", done, tuple(self._judged()))
        yield self._memory()
        yield self._flat("controller_fds", "controller_threads", "follower_fds", "follower_threads")
        yield self._times()

    def _judged(self) -> Iterator[str]:
        self.count()
        yield from (f"{n}: started {c} times" for n, c in Counter(self._names).items() if c > 1)
        rows = self.project.attempts()
        started = {"/".join(name.split("/")[-3:]) for name in self._names}
        yield from (f"{name}: started, and not in the ledger" for name in started - {row.name for row in rows})
        yield from (f"{row.name}: {row.state.value} at the end" for row in rows if not row.state.is_final)
        yield from self._endings([row for row in rows if row.kind is Kind.FULL])
        yield from sound(self.project, decisions_each=2)  # one may answer a directive

    def _endings(self, rows: list[Any]) -> Iterator[str]:
        # A start that a killed controller broke off is lost too, and made again: nothing had been started.
        rows = [row for row in rows if not (row.state is RunState.LOST and row.reason == NEVER_STARTED)]
        seen = Counter(row.state for row in rows)
        bad = sum(row.fault is Fault.NAN for row in rows)
        expected = {
            RunState.FAILED: self.met["crash"],
            RunState.KILLED: self.met["signal"] + self.met["killed training"],
            RunState.LOST: self.met["killed supervisor"],
        }
        for state, n in expected.items():
            if seen[state] != n:
                told = [f"{row.name} ({row.reason})" for row in rows if row.state is state]
                yield f"{n} {state.value} expected, {seen[state]} in the ledger: {', '.join(told)}"
        if bad != self.met["not a number"]:
            yield f"{self.met['not a number']} NaN expected, {bad} in the ledger"

    def _memory(self) -> Figure:
        """Growth within each session after its first look, added up."""
        grown = self._growth("controller_rss_mib")
        per = grown / max(self._span(), 1) * RUNS
        helper = self._growth("follower_rss_mib") / max(self._span(), 1) * RUNS
        facts = {"controller, MiB per 10,000 runs": round(per, 1), "log follower, MiB per 10,000 runs": round(helper, 1),
                 "largest, MiB": max(s["controller_rss_mib"] for s in self.samples)}  # fmt: skip
        failures = (f"grew by {per:.1f} MiB per 10,000 runs",) if per > MEMORY_MIB else ()
        return Figure("soak: memory of the controller", len(self.samples), failures, facts)

    def _pairs(self) -> list[tuple[dict[str, float], dict[str, float]]]:
        return [(a, b) for a, b in pairwise(self.samples) if a["session"] == b["session"]]

    def _span(self) -> float:
        return sum(b["runs"] - a["runs"] for a, b in self._pairs())

    def _growth(self, name: str) -> float:
        return sum(b.get(name, 0.0) - a.get(name, 0.0) for a, b in self._pairs() if name in a and name in b)

    def _flat(self, *names: str) -> Figure:
        """Flat: the last fifth of the month has no more of it than the first fifth had at most."""
        part = max(len(self.samples) // 5, 1)
        failures = []
        facts = {}
        for name in names:
            values = [s[name] for s in self.samples if name in s]
            if values:
                facts[name] = f"{min(values):.0f} to {max(values):.0f}"
                if min(values[-part:]) > max(values[:part]):
                    failures.append(f"{name}: {max(values[:part])} at first, {min(values[-part:])} at the end")
        return Figure("soak: descriptors and threads", len(self.samples), tuple(failures), facts)

    def _times(self) -> Figure:
        part = max(len(self.samples) // 5, 1)
        facts = {}
        for name in ("status_s", "start_up_s", "state_s"):
            values = [s[name] for s in self.samples]
            first, last = statistics.median(values[:part]), statistics.median(values[-part:])
            facts[name] = f"{first:g} at first, {last:g} at the end"
        facts["seconds per run"] = f"{self.seconds / max(self.count(), 1):.3f}"
        return Figure("soak: times", len(self.samples), (), facts)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def size_of(pid: int, name: str) -> dict[str, float]:
    """Memory in MiB, descriptors and threads of a process; {} when it has just gone."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        return {
            f"{name}_rss_mib": round(int(fields["VmRSS"].split()[0]) / 1024, 1),
            f"{name}_threads": int(fields["Threads"]),
            f"{name}_fds": len(os.listdir(f"/proc/{pid}/fd")),
        }
    return {}
