"""Courses of a training that hang and courses that are slow but healthy, on a compressed clock: the hang corpus, with
which the rule was made, and the held-out courses, which it had not seen.

Each course is a real process under a real supervisor, and its label was written with it, before any rule saw it. A
course counts in minutes; ``floor_s`` seconds stand for ten of them, and the hang rule gets the same number for its floor
of ten minutes: nothing else is changed. A healthy course fails when the rule would stop it, a hung one when the rule
says nothing within 210 minutes of silence (a run that writes a line an hour needs three hours to be sure of).
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.drill.figures import Figure

from auto_experiment.hosts.local import LocalHost
from auto_experiment.launchers.base import Began, End, LogBytes
from auto_experiment.launchers.process import ProcessLauncher, compiled_shim
from auto_experiment.records.run import Ref, Spec
from auto_experiment.watch.activity import ProcessProbe
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.stop_rules import Hang

FLOOR_S = 0.6
WITHIN = 220  # looks since the last step, a minute apart or more, in which a hang must be found
PATIENCE = 6.0  # how much longer than it should take a crowded machine may need for all of it

TRAINING = r'''
import json, os, random, subprocess, sys, threading, time

minute, course = float(sys.argv[1]), json.loads(sys.argv[2])
out, chance, step = os.environ["AUTO_EXPERIMENT_RUN_DIR"], random.Random(7), 0


def burn(seconds):
    """A fifth of a core."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.thread_time()
        while time.thread_time() - start < 0.002:
            pass
        time.sleep(0.008)


def say(text):
    os.write(1, (text + "\n").encode())


def steps(count, *gaps):
    """A line per step; the gap is one number, or grows from the first number to the last, or is drawn between them."""
    global step
    for number in range(count):
        time.sleep(minute * (gaps[0] if len(gaps) < 2 else chance.uniform(*gaps)))
        step += 1
        say(f"step {step} loss={1 / step:.4f}")


def burst(count):
    global step
    for _ in range(count):
        step += 1
        say(f"step {step} loss={1 / step:.4f}")


def growing(count, first, factor, work=False):
    global step
    for number in range(count):
        (burn if work else time.sleep)(minute * first * factor**number)
        step += 1
        say(f"epoch {step} loss={1 / step:.4f}")


def bar(count, gap):
    for number in range(1, count + 1):
        time.sleep(minute * gap)
        os.write(2, f"\r{number * 100 // count:3d}%|####      | {number}/{count} [00:01<00:09, 1.2it/s]".encode())


def sleep(minutes):
    time.sleep(minute * minutes)


def work(minutes):
    burn(minute * minutes)


def compiler(minutes):
    """In child processes, one after the other."""
    for _ in range(4):
        subprocess.run([sys.executable, "-I", "-S", "-c", f"import time\nend = time.monotonic() + {minute * minutes / 4}\n"
            "while time.monotonic() < end:\n t = time.thread_time()\n while time.thread_time() - t < .002: pass\n time.sleep(.008)"])


def brief_threads(minutes):
    """A new thread for each batch, which ends with it."""
    end = time.monotonic() + minute * minutes
    while time.monotonic() < end:
        thread = threading.Thread(target=burn, args=(minute / 4,))
        thread.start()
        thread.join()


def brief_children(minutes):
    """A script that scores, for an instant every five minutes; its parent waits for results from elsewhere."""
    for _ in range(minutes // 5):
        sleep(4.5)
        if os.fork() == 0:
            while time.process_time() < minute / 2:
                pass
            os._exit(0)
        os.wait()


def checkpoint(minutes, blocks=False):
    """A big file in out/ that grows a little every two minutes."""
    for _ in range(int(minutes / 2)):
        with open(os.path.join(out, "model.pt"), "ab") as file:
            file.write(b"x" * 1000)
        sleep(2)


def write(minutes):
    """Into the project, beside the run folder."""
    end = time.monotonic() + minute * minutes
    with open(os.path.join(os.path.dirname(out), "big.pt"), "wb") as file:
        while time.monotonic() < end:
            file.seek(0)
            file.write(b"x" * 200_000)
            file.flush()
            time.sleep(minute / 5)


def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def spin():
    while True:
        burn(60)


def dataloader():
    """Workers wait for the parent, the parent waits for the workers."""
    read, write = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            os.read(read, 1)
    os.read(read, 1)


def full_pipe():
    """A worker that writes into a pipe which nobody reads; the parent waits for its end."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, b"x" * (1 << 20))
    os.wait()


def blocked_file():
    """A checkpoint that stops half way: the file system does not answer (a FIFO that nobody reads stands for it)."""
    path = os.path.join(out, "remote")
    os.mkfifo(path)
    open(path, "wb")


def accept():
    import socket
    server = socket.create_server(("127.0.0.1", 0))
    server.accept()


def heartbeat():
    """Like the threads of loggers and watchdogs: awake now and then, for nothing."""
    def beat():
        while True:
            time.sleep(max(minute / 6, 0.02))
    threading.Thread(target=beat, daemon=True).start()


def respawn():
    """A supervisor that starts its worker again and again, without a word."""
    while True:
        subprocess.run([sys.executable, "-I", "-S", "-c", "raise SystemExit(1)"])
        sleep(3)


def chatter():
    """A watchdog that says for ever that something waits."""
    while True:
        say("still waiting for rank 3")
        sleep(4)


def chatting(minutes):
    for _ in range(minutes // 4):
        sleep(4)
        say("another chunk is done")


# -- of the held-out courses


def compile_pool(minutes):
    """Two workers that start a compiler for each kernel; the parent waits for them."""
    for _ in range(2):
        if os.fork() == 0:
            end = time.monotonic() + minute * minutes
            while time.monotonic() < end:
                subprocess.run([sys.executable, "-I", "-S", "-c", "sum(range(300_000))"])
                sleep(0.5)
            os._exit(0)
    for _ in range(2):
        os.wait()


def download(minutes, stalls=False):
    """A megabyte a second from a peer, without a word; or with a bar, and then the peer keeps silent for ever."""
    import socket
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        end = time.monotonic() + minute * minutes
        while time.monotonic() < end:
            theirs.sendall(b"x" * 50_000)
            time.sleep(0.05)
        stalls and time.sleep(1e6)
        os._exit(0)
    theirs.close()
    got = 0
    while data := ours.recv(1 << 16):
        got += len(data)
        stalls and os.write(2, f"\rDownloading data: {got >> 20:3d}%|#         | {got >> 10}k/100M [00:01<00:99, 1.05MB/s]".encode())
    os.wait()


def tokenise(job):
    number, gap, lost = job
    burn(minute * gap)
    if number == lost:
        os.kill(os.getpid(), 9)


def map_bar(count, gap, lost=-1):
    """A pool tokenises, its parent draws a bar. A worker that the kernel kills takes its job with it: the pool starts
    another worker and waits for the job for ever."""
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for done, _ in enumerate(pool.imap(tokenise, [(number, gap, lost) for number in range(count)]), 1):
            os.write(2, f"\rMap (num_proc=2): {done * 100 // count:3d}%|###       | {done}000/{count}000 [00:01<00:09, 812.30 examples/s]".encode())


def trials(count, minutes):
    """A sweep by Optuna, which says a word after each trial."""
    global step
    for _ in range(count):
        work(minutes)
        say(f"[I {time.strftime('%Y-%m-%d %H:%M:%S')},123] Trial {step} finished with value: {1 / (step + 1):.4f} and parameters:"
            f" {{'lr': 0.001}}. Best is trial 0 with value: 1.0.")
        step += 1


def pool_evaluation(minutes):
    """New workers for each batch."""
    end = time.monotonic() + minute * minutes
    while time.monotonic() < end:
        for _ in range(2):
            if os.fork() == 0:
                burn(minute / 2)
                os._exit(0)
        for _ in range(2):
            os.wait()


def slow_disk(minutes):
    """A checkpoint beside the run folder, a few megabytes a second, each piece synced."""
    end = time.monotonic() + minute * minutes
    with open(os.path.join(os.path.dirname(out), "slow.pt"), "wb") as file:
        while time.monotonic() < end:
            file.seek(0)
            file.write(b"x" * 400_000)
            file.flush()
            os.fsync(file.fileno())
            time.sleep(0.1)


def lock_file(minutes=1e9):
    """Asks again and again whether the lock of another job is gone."""
    end = time.monotonic() + minute * minutes
    while time.monotonic() < end and os.path.exists(sys.argv[3]):
        time.sleep(0.05)


def stopped(minutes):
    """Somebody stops it, and continues it later."""
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getppid(), 19)
        sleep(minutes)
        os.kill(os.getppid(), 18)
        os._exit(0)
    os.wait()


def all_reduce():
    """Two ranks spin, each waits for the other."""
    os.fork()
    while True:
        burn(60)


def starved_loader():
    """Two workers wait for work, the prefetching thread for their batches, the main thread for its: all wake up now and
    then to see whether the others live, as those of PyTorch do."""
    import queue, select
    read, write = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            while not select.select([read], [], [], max(minute / 12, 0.02))[0]:
                pass
    def prefetch():
        while not select.select([read], [], [], max(minute / 12, 0.02))[0]:
            pass
    threading.Thread(target=prefetch, daemon=True).start()
    batches = queue.Queue()
    while True:
        try:
            batches.get(timeout=max(minute / 12, 0.02))
        except queue.Empty:
            pass


def redraw():
    """A bar that is drawn afresh and does not advance."""
    start = time.monotonic()
    while True:
        passed = int((time.monotonic() - start) / minute) + 20
        os.write(2, f"\r 75%|#######5  | 30/40 [{passed}:00<{passed // 3}:00, {passed * 2}.41s/it]".encode())
        sleep(0.5)


def wandb():
    """A thread that tells how many records wait."""
    def beat():
        count = 0
        while True:
            sleep(5)
            count += 17
            say(f"wandb: {time.strftime('%H:%M:%S')} heartbeat, {count} system records sent, 0 pending")
    threading.Thread(target=beat, daemon=True).start()


def custom_code():
    """Asks a person, and nobody is there."""
    os.write(1, b"Do you wish to run the custom code? [y/N] ")
    read, write = os.pipe()
    os.read(read, 1)


def dead_rank():
    """A rank is killed and nobody notices; the other waits for it in a barrier."""
    if os.fork() == 0:
        os.kill(os.getpid(), 9)
    accept()


def thread_left():
    """The main thread has ended, a thread that it left waits for it."""
    import ctypes
    threading.Thread(target=deadlock).start()
    ctypes.CDLL(None).pthread_exit(None)


while not os.path.exists(sys.argv[3]):
    time.sleep(0.01)
for number, (name, *words) in enumerate(course):
    if number == len(course) - 1:
        open("last", "w").close()
    globals()[name](*words)
'''


@dataclass(frozen=True)
class Course:
    name: str
    hangs: bool
    acts: tuple[tuple[object, ...], ...]


def _healthy(name: str, *acts: tuple[object, ...]) -> Course:
    return Course(name, hangs=False, acts=acts)


def _hung(name: str, *acts: tuple[object, ...]) -> Course:
    return Course(name, hangs=True, acts=acts)


START, TEN = ("say", "loaded the configuration"), ("steps", 10, 1)
CORPUS = (
    _healthy("the same words within epochs of an hour", START, *(3 * (("chatting", 60), ("steps", 1, 0)))),
    _healthy("compiles 40 minutes", START, ("say", "compiling the model"), ("work", 40), TEN),
    _healthy("compiles in silence, in child processes", START, ("compiler", 40), TEN),
    _healthy("downloads 30 minutes", START, ("say", "downloading the data set"), ("sleep", 30), TEN),
    _healthy("silent first epoch", START, ("growing", 2, 60, 1, True)),
    _healthy("a line an hour", START, ("growing", 3, 60, 1, True)),
    _healthy("a line an hour, works elsewhere", START, ("growing", 3, 60, 1)),
    _healthy("evaluates an hour every 5 epochs", START, *(2 * (("steps", 5, 2), ("work", 60)))),
    _healthy("evaluates 40 minutes elsewhere", START, TEN, ("say", "evaluating on 50000 images"), ("sleep", 40), TEN),
    _healthy("evaluates 40 minutes in threads that end", START, TEN, ("brief_threads", 40), TEN),
    _healthy("evaluates 40 minutes in children that end", START, TEN, ("brief_children", 40), TEN),
    _healthy("growing epochs", START, ("growing", 7, 2, 1.5)),
    _healthy("doubling epochs that work", START, ("growing", 6, 1, 2, True)),
    _healthy("big checkpoints in out/", START, *(2 * (("steps", 5, 1), ("checkpoint", 30))), TEN),
    _healthy("big checkpoint elsewhere", START, TEN, ("write", 25), TEN),
    _healthy("progress bar, then a silent validation", START, ("bar", 40, 0.25), ("work", 15), ("bar", 40, 0.25)),
    _healthy("bursts", START, *(4 * (("burst", 50), ("sleep", 8)))),
    _healthy("bursts with long pauses", START, *(4 * (("burst", 50), ("sleep", 25)))),
    _healthy("long imports before the first word", ("sleep", 40), START, TEN),
    _healthy("uneven pace", START, ("steps", 12, 1, 9)),
    _healthy("saves at the end", START, TEN, ("say", "saving the final model"), ("write", 20), ("say", "done")),
    _healthy("uploads 30 minutes", START, TEN, ("say", "uploading the checkpoint"), ("sleep", 30), TEN),
    _hung("deadlock", START, TEN, ("deadlock",)),
    _hung("deadlock before the first step", START, ("deadlock",)),
    _hung("collective spins", START, TEN, ("spin",)),
    _hung("collective spins before the first step", START, ("spin",)),
    _hung("dataloader waits for its parent", START, TEN, ("dataloader",)),
    _hung("worker writes into a full pipe", START, TEN, ("full_pipe",)),
    _hung("hangs in an evaluation", START, TEN, ("say", "evaluating on 50000 images"), ("deadlock",)),
    _hung("hangs in a checkpoint", START, TEN, ("say", "saving"), ("checkpoint", 4), ("blocked_file",)),
    _hung("hangs after a line an hour", START, ("growing", 3, 60, 1), ("deadlock",)),
    _hung("spins after a line an hour", START, ("growing", 3, 60, 1, True), ("spin",)),
    _hung("progress bar stops midway", START, ("bar", 30, 0.5), ("deadlock",)),
    _hung("deadlock beside a watchdog", START, ("heartbeat",), TEN, ("deadlock",)),
    _hung("hangs after a long compilation", START, ("work", 40), TEN, ("deadlock",)),
    _hung("hangs after a long evaluation", START, ("steps", 5, 2), ("work", 60), ("steps", 2, 2), ("deadlock",)),
    _hung("worker restarts for ever", START, TEN, ("respawn",)),
    _hung("hangs at its end", START, TEN, ("say", "training finished"), ("deadlock",)),
    _hung("hangs after bursts", START, *(4 * (("burst", 50), ("sleep", 8))), ("deadlock",)),
    _hung("hangs after growing epochs", START, ("growing", 6, 2, 1.5), ("deadlock",)),
    _hung("waits for a peer", ("say", "waiting for 4 workers to join"), ("accept",)),
    _hung("watchdog says for ever that it waits", START, TEN, ("chatter",)),
)

# Written later, from what trainings do, by somebody who had not read how the rule decides; labelled before the first run.
HELD_OUT = (
    _healthy("a graph compiles 20 minutes in worker processes", START, ("compile_pool", 20), TEN),
    _healthy("downloads 45 minutes without a word", START, ("download", 45), TEN),
    _healthy("tokenises under a bar, then writes its cache", START, ("map_bar", 30, 1), ("write", 15), TEN),
    _healthy("the first epoch takes ten times longer", START, ("growing", 1, 50, 1, True), ("growing", 8, 5, 1, True)),
    _healthy("later trials of a sweep take ten times longer", START, ("trials", 6, 2), ("trials", 3, 20)),
    _healthy(
        "evaluates five epochs long in new workers", START, ("steps", 4, 8), ("pool_evaluation", 40), ("steps", 2, 8)
    ),
    _healthy("gradient accumulation, a line in 25 minutes", START, ("growing", 6, 25, 1, True)),
    _healthy("checkpoint to a slow disk", START, TEN, ("slow_disk", 30), TEN),
    _healthy("waits 25 minutes for the lock of another job", START, ("lock_file", 25), TEN),
    _healthy("stopped for 30 minutes by somebody", START, TEN, ("stopped", 30), TEN),
    _hung("two ranks spin in a collective", START, TEN, ("all_reduce",)),
    _hung("loader starves, its threads tick", START, TEN, ("starved_loader",)),
    _hung("bar is redrawn and does not advance", START, ("bar", 30, 0.5), ("redraw",)),
    _hung("logger's thread heartbeats in the log", START, ("wandb",), TEN, ("deadlock",)),
    _hung("asks for an answer", START, ("custom_code",)),
    _hung("a rank is a zombie, the other waits", START, TEN, ("dead_rank",)),
    _hung("lock file of a dead job", START, TEN, ("lock_file",)),
    _hung("download stalls", START, ("download", 5, True)),
    _hung("pool lost a job", START, ("map_bar", 30, 1, 19)),
    _hung("main thread ended, its thread waits", START, TEN, ("thread_left",)),
)
# A number that grows may be progress: said on the page, told by the figure, and no failure of the drill.
NOT_PROMISED = {"logger's thread heartbeats in the log"}


class _Case:
    """One course under the rule."""

    def __init__(self, course: Course, ref: Ref, rule: Hang, minute: float) -> None:
        self.course, self.ref, self.rule, self.minute = course, ref, rule, minute
        self.reader = LogReader()
        self.said, self.over = "", False
        self.looks = self.steps = 0
        self.counted = 0.0

    def hear(self, data: bytes, now: float) -> None:
        points = self.reader.feed(data)
        self._take(self.rule.check(now, self.reader, heard=True, points=points))
        if self.reader.steps_seen != self.steps:
            self.looks, self.steps = 0, self.reader.steps_seen
        elif now - self.counted >= self.minute:  # of a hung one that never stops talking
            self._count(now)

    def look(self, now: float) -> None:
        if not self.over and now >= self.rule.next_look():
            self._take(self.rule.check(now, self.reader, heard=False))
            self._count(now)

    def _count(self, now: float) -> None:
        self.looks, self.counted = self.looks + 1, now
        self.over = self.over or (self.course.hangs and self.looks > WITHIN)

    def _take(self, said: str) -> None:
        """A hung course that is stopped before it hangs is not found: that was right by chance."""
        if said and not self.over:
            self.over = True
            self.said = said if not self.course.hangs or os.path.exists(f"{self.ref.folder}/last") else ""


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    """``scale``: how often the whole corpus is gone through; below 1, on a quicker clock. ``seed``: nothing is drawn."""
    for number in range(max(1, round(scale * 5))):
        floor_s = FLOOR_S if scale < 1 else 2 * FLOOR_S
        yield corpus(folder / f"pass{number}", floor_s)
        yield held_out(folder / f"held_out{number}", floor_s)


def held_out(folder: Path, floor_s: float) -> Figure:
    return corpus(folder, floor_s, HELD_OUT, "hangs, held-out courses")


def corpus(folder: Path, floor_s: float, courses: Sequence[Course] = CORPUS, name: str = "hang corpus") -> Figure:
    start = time.monotonic()
    found = judge(folder, floor_s, courses)
    wrong = {c.name: said or "not found" for c, said in found.items() if bool(said) != c.hangs}
    failures = tuple(f"{name}: {said}" for name, said in wrong.items() if name not in NOT_PROMISED)
    hung = sum(1 for course, said in found.items() if course.hangs and said)
    stopped = sum(1 for course, said in found.items() if not course.hangs and said)
    excused = ", ".join(sorted(NOT_PROMISED.intersection(wrong))) or "none"
    facts = {"hung found": hung, "healthy stopped": stopped, "missed and not promised": excused}
    return Figure(name, len(courses), failures, {**facts, "seconds": round(time.monotonic() - start, 1)})


def judge(folder: Path, floor_s: float, courses: Sequence[Course]) -> dict[Course, str]:
    """What the rule says of each course; "" when it lets it run to its end (or, of a hung one, for too long)."""
    folder.mkdir(parents=True)
    launcher = ProcessLauncher(LocalHost(), shim=compiled_shim(), env=os.environ)
    cases = [_start(launcher, folder, n, course, floor_s) for n, course in enumerate(courses)]
    feed = launcher.follow()
    try:
        for case in cases:
            case.rule.begin(time.monotonic())
            feed.add(case.ref)
        (folder / "go").touch()
        _watch(feed, {case.ref: case for case in cases}, floor_s)
    finally:
        for case in cases:
            launcher.stop(case.ref, "the drill is over", 0.0)
        feed.close()
        _wait_gone(launcher, cases)
    return {case.course: case.said for case in cases}


def _start(launcher: ProcessLauncher, folder: Path, number: int, course: Course, floor_s: float) -> _Case:
    ref = Ref(f"exp/run/{number}", str(folder / f"{number:02d}"))
    minute = floor_s / 10
    argv = (sys.executable, "-I", "-S", "-c", TRAINING, str(minute), json.dumps(course.acts), str(folder / "go"))
    spec = Spec(ref.attempt, argv, ref.folder, grace_s=0.0)
    env = {**os.environ, "AUTO_EXPERIMENT_RUN_DIR": str(folder / f"{number:02d}" / "out")}
    launcher.ensure(ref, spec, env)
    return _Case(course, ref, Hang(None, ProcessProbe(ref.folder), floor_s=floor_s), minute)


def _watch(feed, cases: dict[Ref, _Case], floor_s: float) -> None:
    poll = select.poll()
    poll.register(feed.fileno(), select.POLLIN)
    limit = time.monotonic() + 60 + PATIENCE * 60 * floor_s
    while not all(case.over for case in cases.values()):
        assert time.monotonic() < limit, [case.course.name for case in cases.values() if not case.over]
        due = min(case.rule.next_look() for case in cases.values() if not case.over)
        if poll.poll(max(0.0, due - time.monotonic()) * 1000):
            _take(feed, cases)
        for case in cases.values():
            case.look(time.monotonic())


def _take(feed, cases: dict[Ref, _Case]) -> None:
    for event in feed.read():
        case, now = cases[event.ref], time.monotonic()
        if isinstance(event, LogBytes):
            case.hear(event.data, now)
        elif isinstance(event, End):
            case.over = True
        else:
            assert isinstance(event, Began)


def _wait_gone(launcher: ProcessLauncher, cases: Sequence[_Case]) -> None:
    end = time.monotonic() + 60
    while any(type(seen).__name__ == "Running" for seen in launcher.state([case.ref for case in cases]).values()):
        assert time.monotonic() < end, "a training of the drill could not be ended"
        time.sleep(0.05)


if __name__ == "__main__":
    for figure in run(float(sys.argv[1]), 1, Path(sys.argv[2])):
        print(figure.line(), *figure.failures, sep="\n  ")
