"""The live view at work: ``watch``, and the process that ``run`` has beside it (``beside.py``). Both look at the
ledger, as ``status`` does, and change nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import click

from auto_experiment import clock
from auto_experiment.cli.common import existing_folder, has_braille, project_option
from auto_experiment.cli.screen import Screen, TerminalGone
from auto_experiment.config import Environment
from auto_experiment.errors import AutoExperimentError, UsageError
from auto_experiment.ledger.lock import holder
from auto_experiment.ledger.reader import Reader
from auto_experiment.project import Place
from auto_experiment.records.gpu import Gpu
from auto_experiment.records.gpu import Gpus as FoundGpus
from auto_experiment.views.live import Live, live
from auto_experiment.watch.log_tail import Growing, clean, tail

_EVERY_S = 1.0  # a frame
_SOON_S = 0.3  # a frame after something was said
_OLDEST_S = 10.0  # a look at an unchanged ledger
_GPUS_EVERY_S = 10.0
_LAST_WORDS_S = 0.5  # for a terminal that takes nothing
_FIRST_LINES = 10
_LONGEST = 2000  # characters of a line
_DAY = re.compile(r"^\d{4}-\d\d-\d\d ")  # in front of what a controller says; not of what else comes into its log
GOODBYE = b"\0"
WATCH_HINT = "q leaves the view; the loop goes on"
RUN_HINT = "Ctrl-C ends the loop, a training goes on; elsewhere: auto-experiment watch"


@click.command("watch", epilog="Example: auto-experiment watch --project ~/cifar")
@project_option
@click.option("--config", "config_file", type=click.Path(), hidden=True)
@click.option("--beside", "lines", type=int, hidden=True, help="What `run` says comes from this descriptor.")
def watch_command(project: str, config_file: str | None, lines: int | None) -> int:
    """The live view of a loop that runs elsewhere, in the background or in another terminal: `q` leaves it.

    Without a loop it shows how things stand, and goes on by itself when one starts. It only looks.
    """
    place = Place.of(existing_folder(project), config_file)
    if not sys.stdout.isatty() or place.env.variables.get("TERM", "dumb") in ("", "dumb"):
        raise UsageError(
            "watch draws on a terminal, and standard output is none that it can draw on: "
            "`auto-experiment status` prints how things stand once, `--json` for a program"
        )
    looker = Looker(place)
    screen = Screen(sys.stdout.fileno(), sys.stdout.encoding or "ascii")
    with contextlib.closing(looker), contextlib.closing(screen):
        if lines is not None:
            return View(looker, screen, place.env, SaidLines(lines), RUN_HINT).run(None)
        view = View(looker, screen, place.env, LogLines(looker.controller_log), WATCH_HINT)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, view.interrupt)
        with keys(screen) as keyboard:
            return view.run(keyboard)


# -- what is said -----------------------------------------------------------------------------------------------------


class Lines(Protocol):
    """Where the lines come from that are put above the view. ``descriptor``: None where one has to look. ``over``: no
    more will come."""

    descriptor: int | None
    over: bool

    def read(self) -> list[str]: ...
    def seen(self) -> None: ...
    def last_words(self) -> str: ...


class SaidLines:
    """What a controller says, from a socket that ends with it, however it ends. It is told when the view is seen."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor: int | None = descriptor
        self.over = False
        self._source, self._rest, self._goodbye, self._told = descriptor, b"", False, False

    def read(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._source, 1 << 16)
            self._goodbye = self._goodbye or data.endswith(GOODBYE)
            self.over = self._goodbye or not data
            *whole, self._rest = (self._rest + data.rstrip(GOODBYE)).split(b"\n")
            return [clean(line.decode("utf-8", "replace"), _LONGEST) for line in whole]
        return []

    def seen(self) -> None:
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):
                os.write(self._source, b"!")

    def last_words(self) -> str:
        return "" if self._goodbye else "the controller is gone without a word: `auto-experiment run` carries on"


class LogLines:
    """controller.log as it grows, its last lines first, with the time of day."""

    def __init__(self, path: str) -> None:
        self.descriptor: int | None = None
        self.over = False
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        self._before = tail(path, lines=_FIRST_LINES, chars=_LONGEST, end=size)
        self._log, self._rest = Growing(path, size), b""

    def read(self) -> list[str]:
        *whole, self._rest = (self._rest + self._log.read()).split(b"\n")
        found = [clean(line.decode("utf-8", "replace"), _LONGEST) for line in whole]
        lines, self._before = [*self._before, *found], []
        return [_DAY.sub("", line) for line in lines]

    def seen(self) -> None:
        pass

    def last_words(self) -> str:
        return ""


# -- looking ----------------------------------------------------------------------------------------------------------


class Looker:
    """Looks at a project, at the ledger only when something was stored. Raises UsageError when brief or config cannot
    be read at first; later the last good reading stands."""

    def __init__(self, place: Place) -> None:
        self._place, self._gpus = place, Gpus(place)
        self._project = place.look()
        self._inputs = self._stamps()
        self._ledger: Reader | None = None
        self._inode = 0
        self._seen: tuple[object, ...] = ()
        self._last: Live | None = None

    def close(self) -> None:
        if self._ledger:
            self._ledger.close()

    @property
    def controller_log(self) -> str:
        return self._project.paths.controller_log

    def look(self) -> Live:
        try:
            trouble = self._read_inputs()
            return self._look(trouble)
        except AutoExperimentError as error:
            last = self._last or live(self._project, None)
            return replace(last, trouble=clean(" ".join(str(error).split())))

    def _look(self, trouble: str) -> Live:
        self._open()
        paths = self._project.paths
        seen = (
            self._project, self._inode, self._ledger.version if self._ledger else 0, holder(paths.lock),
            _stamp(paths.lock), _stamp(paths.directive), self._gpus.now(), trouble,
        )  # fmt: skip
        if self._last is None or seen != self._seen or clock.since_boot() - self._last.at > _OLDEST_S:
            self._last = replace(live(self._project, self._ledger, self._gpus.now()), trouble=trouble)
            self._seen = seen
        return self._last

    def _open(self) -> None:
        """Another file may have come into the ledger's place."""
        stamp = _stamp(self._project.paths.ledger)
        inode = stamp[0] if stamp else 0
        if inode != self._inode or self._ledger is None:
            self.close()
            self._ledger, self._inode = None, inode
            self._ledger = Reader.open_if_any(self._project.paths.ledger)

    def _read_inputs(self) -> str:
        """Why brief and config as they are now cannot be read; "" when they can."""
        if (stamps := self._stamps()) == self._inputs:
            return ""
        try:
            self._project = self._place.look()
        except AutoExperimentError as error:
            return clean(" ".join(str(error).split()))
        self._inputs = stamps
        return ""

    def _stamps(self) -> tuple[object, ...]:
        config = self._place.config_file or os.path.join(self._place.root, "config.yaml")
        return _stamp(config), _stamp(self._project.paths.brief)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Gpus:
    """Looks in a thread: what tells of GPUs may hang."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._look: Callable[[], FoundGpus] | None = None
        self._thread: threading.Thread | None = None
        self._next = time.monotonic() + _SOON_S  # the first frame comes first: a look takes two processes
        self._found: tuple[Gpu, ...] = ()

    def now(self) -> tuple[Gpu, ...]:
        """The latest ones."""
        idle = self._thread is None or not self._thread.is_alive()
        if idle and time.monotonic() >= self._next:
            self._next = time.monotonic() + _GPUS_EVERY_S
            self._thread = threading.Thread(target=self._take_a_look, daemon=True)
            self._thread.start()
        return self._found

    def _take_a_look(self) -> None:
        from auto_experiment.watch.gpu import until_blind
        from auto_experiment.wiring import gpus_of

        self._look = self._look or until_blind(partial(gpus_of, self._place))
        with contextlib.suppress(AutoExperimentError, OSError):
            self._found = tuple(self._look().usable)


# -- the view ---------------------------------------------------------------------------------------------------------


class View:
    def __init__(self, looker: Looker, screen: Screen, env: Environment, lines: Lines, hint: str) -> None:
        self._looker, self._screen, self._lines, self._hint = looker, screen, lines, hint
        self._plain = not has_braille(sys.stdout) or env.variables.get("TERM") == "linux"  # whose fonts have no braille
        self._color = not env.variables.get("NO_COLOR")
        self._due = 0.0
        self._interrupted = False

    def interrupt(self, _number: int, _frame: object) -> None:
        """For signals. An exception from here could be raised where none is passed on, and be lost."""
        self._interrupted = True

    def run(self, keyboard: int | None) -> int:
        """Until the lines are over or a key says so. Returns the exit status."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGWINCH, self._resized)
        signal.signal(signal.SIGCONT, self._continued)
        try:
            while not self._lines.over and not self._interrupted:
                self._frame()
                ready = self._wait(woken, keyboard)
                if woken in ready:
                    _drain(woken)
                if keyboard is not None and keyboard in ready and self._left(keyboard):
                    break
        except TerminalGone:
            return 1
        finally:
            with contextlib.suppress(TerminalGone):
                self._end()
        return 130 if self._interrupted else 0

    def _wait(self, woken: int, keyboard: int | None) -> list[int]:
        poller = select.poll()
        for descriptor in (woken, keyboard, self._lines.descriptor):
            if descriptor is not None:
                poller.register(descriptor, select.POLLIN)
        if self._screen.waits:
            poller.register(self._screen.descriptor, select.POLLOUT)
        ready = [descriptor for descriptor, _ in poller.poll(max(self._due - time.monotonic(), 0.0) * 1000)]
        if self._lines.descriptor in ready:
            self._take_lines()
        if self._screen.descriptor in ready:
            self._screen.flush()
        return ready

    def _take_lines(self) -> None:
        for line in self._lines.read():
            self._screen.say(line)
            self._due = min(self._due, time.monotonic() + _SOON_S)

    def _frame(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY_S
        if self._lines.descriptor is None:
            self._take_lines()
        if self._screen.waits:
            self._screen.flush()
            return
        size = self._screen.size()
        frame = self._drawn(size) if self._screen.is_ours else ()
        self._lines.seen()
        self._screen.show(frame, size)

    def _drawn(self, size: tuple[int, int]) -> Sequence[str]:
        from auto_experiment.cli.live import Look, draw

        look = Look(*size, self._plain, self._color, self._hint)
        return draw(self._looker.look(), look, since_boot=clock.since_boot(), unix=time.time())

    def _end(self) -> None:
        """What was said stays, the view goes. Not where the terminal is the shell's again: it has written meanwhile."""
        if words := self._lines.last_words():
            if not self._screen.is_ours:
                return
            self._screen.say(words)
        until = time.monotonic() + _LAST_WORDS_S
        while time.monotonic() < until:
            self._screen.show((), self._screen.size())
            if not self._screen.waits and not self._screen.has_news:
                break
            time.sleep(0.02)

    def _left(self, keyboard: int) -> bool:
        try:
            pressed = os.read(keyboard, 1)  # what is typed after a q is for the shell
        except OSError as error:
            raise TerminalGone from error
        return b"q" in pressed.lower() or not pressed

    def _resized(self, _number: int, _frame: object) -> None:
        self._due = 0.0

    def _continued(self, _number: int, _frame: object) -> None:
        self._screen.forget()
        self._due = 0.0


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(descriptor, 4096)


@contextlib.contextmanager
def keys(screen: Screen) -> Iterator[int | None]:
    """Standard input, so that a key comes at once and is not shown; None when it is no terminal. Put back afterwards,
    and while we are stopped (Ctrl-Z)."""
    if not sys.stdin or not sys.stdin.isatty():
        yield None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def stopped(_number: int, _frame: object) -> None:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
        os.kill(os.getpid(), signal.SIGSTOP)
        tty.setcbreak(keyboard, termios.TCSANOW)
        screen.forget()

    signal.signal(signal.SIGTSTP, stopped)
    tty.setcbreak(keyboard, termios.TCSANOW)
    try:
        yield keyboard
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(keyboard, termios.TCSANOW, before)
