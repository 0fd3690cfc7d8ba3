"""Which fault a log's text shows: tracebacks with their chains, out of memory, signals, schedulers. No exit status.

What is found counts until the run goes on: the reader calls ``went_on`` when new metrics or progress come after it.
Of several faults at the end of a log the first is the cause, unless it is of the kind that only follows from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from auto_experiment.records.observation import Fault, LogFault
from auto_experiment.watch.log_tail import clean

_HEADER = re.compile(r"^(?P<prefix>.{0,80}?)Traceback \(most recent call last\):")
_EXCEPTION = re.compile(r"^(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: ?(?P<message>.*))?$")
_CHAIN = ("The above exception was the direct cause", "During handling of the above exception")
_STAMP = re.compile(r"^(?:\[?(?:rank|Rank)? ?\d+\]?:\s?|\d{4}-\d\d-\d\d[T ][\d:.,]+\S*\s+|\[[^\]]{1,60}\]:?\s?)+")
# A line that is an exception's own, with no traceback above it.
_BARE = re.compile(
    r"^(?:[\w.]+: )?(?P<text>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt): .+|KeyboardInterrupt)$"
)

# TensorFlow and JAX say the same of the host's memory, but for the place.
_HOST = re.compile(
    r"java\.lang\.OutOfMemoryError|device:CPU:|by allocator (?:mkl)?cpu\b"
    r"|RESOURCE_EXHAUSTED: Out of memory allocating \d"
)
_CUDA_OOM = re.compile(
    r"(?i)(?:cuda|hip|gpu|mps backend)[^\n]{0,60}out[ _]of[ _]memory|OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY"
    r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED|ResourceExhaustedError"
    r"|OOM when allocating|out of gpu memory|out of memory on device|Allocator \(GPU_\d+_bfc\) ran out of memory"
)
_OOM = re.compile(
    r"(?i)oom[-_ ]kill|\bMemoryError\b|out of memory: kill|std::bad_alloc|can't allocate memory|cannot allocate memory"
    r"|unable to allocate [\d.]+ .?i?B|TERM_MEMLIMIT|killed by (?:the )?oom|exceeded (?:job |step )?memory limit"
    r"|OOMKilled|srun: error: .{1,80}: Out Of Memory|tried to allocate more memory than is available"
    r"|not enough memory: you tried to allocate"
)
_TIMEOUT = re.compile(r"DUE TO TIME LIMIT|TERM_RUNLIMIT|walltime \d+ exceeded|job killed: walltime")
_KILLED = re.compile(
    r"^(?:\S+: line \d+:\s+\d+ |srun: error: \S+: tasks? [\d,-]+: )?"
    r"(?:Killed|Terminated|Segmentation fault|Bus error|Aborted|Illegal instruction"
    r"|Floating point exception)"
    r"(?: \(core dumped\))?(?:\s{2,}.*|:? ?\d*)?$"
    r"|^Fatal Python error: (?:Segmentation fault|Aborted|Bus error)|CANCELLED AT \d{4}-|TERM_OWNER"
    r"|is killed by signal: (?:Killed|Terminated)"
    r"|^\*\*\* Aborted at \d+ \(unix time\)"
)
_ERROR_EXIT = re.compile(
    r"^(?:[\w./-]+: error: (?:argument |unrecognized arguments|the following arguments|invalid choice).*"
    r"|Error: (?![-\d.]+\s*$).+"
    r"|g?make(?:\[\d+\])?: \*\*\* .*Error \d+.*"
    r"|F(?:\d{4} | \S+\.cc:\d+\]).{0,80}Check failed: .+"  # glog
    r"|libc\+\+abi\S*: terminating .*uncaught exception.*"
    r"|terminate called after throwing.*|[^\s:]*python[\d.]*: (?:can't open file|No module named) .*"
    r"|(?:ba|z)?sh: (?:line \d+: )?.*: (?:command not found|No such file or directory|cannot execute: .*)"
    r"|auto-experiment: cannot .*"  # the supervisor, when a training cannot be started
    r"|Error executing job with overrides.*|Error in .+|Execution halted|ERROR: LoadError: .+"
    r"|thread '.{1,80}' panicked at .+"
    r"|Unhandled [Ee]xception.*|Error using \S+ \(line \d+\).*|error: called from|.*Watchdog caught collective .+"
    r"|panic: .+|Exception in thread \".+|ERROR \(.+|\S{0,200}lua(?:jit)?: .+)$"
)
_INTERRUPTED = re.compile(
    r"\bKeyboardInterrupt\b|^\^C\W{0,3}$|^Exiting from training early"
    r"|(?i:^\W{0,4}(?:training|run) (?:was )?interrupted\b)"
    r"|(?i:\binterrupted by (?:the )?user\b|\bkeyboard interrupt (?:detected|received|caught)\b)"
)
# What a launching script says of the status that its training ended with: 128 + the signal's number, 124 of `timeout`.
_STATUS = re.compile(
    r"(?i)\b(?:exit[ _-]?(?:status|code)|exited with code|status|exitcode|returncode|exit)"
    r"(?: was| is| of|:|=)?\s{0,9}(?P<status>\d{1,3})\s*(?:$|[.,;()\]])"
)
_LIMIT = re.compile(
    r"(?i)\bexceed(?:ed|s)\b.{0,40}\b(?:time|walltime|\d+ ?(?:s|sec|seconds|m|min|minutes|h|hours))\b.{0,20}\blimit\b"
    r"|\btimed out after \d|\btimeout: sending signal"
)
_FINISHED = re.compile(
    r"(?i)^(?!.*\b(?:not|never|un\w+)\b).*"
    r"\b(?:training|train|fit(?:ting)?)\b[\w ]{0,20}\b(?:finished|completed?|done)\b|\bfinished training\b"
)
_BEGUN = re.compile(  # and that it has begun, or gone on without what failed
    r"(?i)^(?!.*\b(?:not|never|before|cannot|can't|fail\w*|un\w+)\b)"
    r".*\b(?<!to )(?:(?:re)?start(?:ing|ed)?|begin(?:ning|s)?|began|resum(?:ing|ed))\b"
    r"(?: \w+){0,2} (?:training|testing|fine-?tuning)\b"
    r"|\btraining (?:has )?(?:started|begun|begins|starts)\b"
    r"|\bfall(?:ing|s)? back (?:to|on)\b|\bcontinuing (?:without|with|anyway)\b"
    r"|\b(?:skipping|ignoring) (?:it|this|that)\b"
)
_INFO = re.compile(r"^.{0,60}?\b(?:INFO|DEBUG)\b|^[\W\d]{0,40}[ID]\b")
_NAN_MESSAGE = re.compile(r"(?i)\b(?:nans?|infs?|infinite|non-?finite|infinity|invalid numeric)\b")
_BAD_LOSS = re.compile(
    r"(?i)\bnon-?finite loss\b|\b(?:nan|inf)s? (?:was |values? )?(?:detected|encountered|found)\b.{0,20}\bloss\b"
    r"|\b(?:nan|inf)s? in (?:the )?(?:\w+ )?loss\b"
)
_LOSS_NAN = re.compile(r"(?i)\bloss\b.{0,40}\b(?:nan|inf|infinite|non-?finite)\b")
# Only ever the consequence of another process's or another line's fault.
_FOLLOWS = re.compile(
    r"ChildFailedError|SignalException|BrokenPipeError|ConnectionResetError|EOFError|DistBackendError|DistNetworkError"
    r"|ProcessRaisedException|ProcessExitedException|CalledProcessError|NCCL|Connection closed by peer|TCPStore"
    r"|ActorDiedError|Caught [\w.]+ in |is killed by signal|exited unexpectedly"
)
# The line above a traceback that ends no process: an interpreter's, a logger's or an event loop's.
_ASIDE = re.compile(
    r"^(?:Exception ignored |Error in (?:atexit|sys\.)|Exception in (?:thread|callback) |--- Logging error ---"
    r"|Task exception was never retrieved)"
)
_IGNORED = re.compile(r"^(?:Exception ignored |--- Logging error ---)")  # and no fault of the run at all
_ABOVE = 2  # lines in which that is looked for
# Who prints a traceback because nothing has handled it: the hooks of a thread, of a child process, of a rank.
_BY_A_HOOK = re.compile(r"^(?:Exception in thread |Process [\w-]+:$)")
_RANK = re.compile(r"^\[rank ?\d+\]: *$")
# Behind the last words of a training: the rest of the message, a bar that is drawn once more, a launcher's report.
_NOISE = re.compile(
    r"^\s|^[\W_]*$|^.{0,60}\d{1,3}%\|"
    r"|^(?:CUDA kernel errors might|For debugging consider|Compile with `|Exception raised from |frame #|Failures:"
    r"|For simplicity, JAX has removed|Stack trace:|Root Cause|\[\d+\]:$|<NO_OTHER_FAILURES>"
    r"|Set the environment variable HYDRA_FULL_ERROR"
    r"|wandb: |srun: |slurmstepd: |g?make(?:\[\d+\])?: |(?:real|user|sys)\s+\d+m|\S+ FAILED$)"
    r"|destroy_process_group\(\)|ProcessGroupNCCL|torch[./](?:distributed|multiprocessing)|resource_tracker"
)
# Before a mention of memory it makes the line a remark, not a report.
_REMARK = re.compile(r"(?i)(?:^|\s)(?:#|//)\s|\b(?:avoid\w*|prevent\w*|against|unless|in case of|skipp\w+|retry\w*)\b")

# A traceback that does not reach its exception within this many lines is not one.
_LONGEST_TRACEBACK = 2000
# As many different words of loggers come of no process that only ends.
_MANY_INFOS = 20
# A fault followed by this much other output, and then by another fault, had been handled.
_FAR = 40
_LONGEST_TEXT = 500
_LONGEST_INFO = 80
_DIGITS = re.compile(r"\d+")
_TROUBLE = re.compile(r"(?i)warning|error|fatal|traceback|exception")
_LEAST_LETTERS = 8  # of a line that is known again
_SIGNALLED = {128 + number for number in (1, 2, 4, 6, 7, 8, 9, 11, 13, 15)}

# One of them, whatever its case, is in every line that may tell of a fault. Kept few: every line pays for them.
# Longer ones cost less, but not all of them: each was measured.
CLUES = (
    b"rror",
    b"exception",
    b"traceback",
    b"nterrupt",
    b"illed",
    b"tion fault",
    b"bort",
    b"terminat",
    b"of memory",
    b"allocat",
    b"not found",
    b"no such",
    b"denied",
    b"panic",
    b"lua:",
    b"^",  # of ^C: one byte is looked for ten times as fast as two
    b"status",
    b"exit",
    b"exceed",
    b"timeout",
    b"timed out",
    b"heck failed",
    b"finite loss",
    b"nan",  # also a number
    b"no module named",
)


@dataclass(frozen=True)
class _Event:
    fault: Fault
    text: str | None
    follows: bool
    line: int
    remark: bool = False  # a line of somebody's words: a traceback that comes after it says more
    loose: bool = False  # an error's line without a traceback: the process may well have gone on


class FaultReader:
    """Feed it the lines that hold a clue, and every line while ``inside`` a traceback."""

    def __init__(self) -> None:
        self._event: _Event | None = None
        self.inside = False
        self._prefix = ""
        self._header_line = 0
        self._frames = False
        self._chained: list[str] = []  # the exceptions of the chain so far, the first one first: at most two are kept
        self._awaiting = 0  # the line until which "During handling" may still join the next traceback to this one
        self._joins = False
        self._aside = self._by_a_hook = self._harmless = False  # what the traceback at hand is
        self._last_words = False  # the report of an exception was the last thing that was said
        self._infos: set[str] = set()  # what loggers have said since, without its numbers
        self.unhandled: str | None = None  # by a thread, a process or a rank: it ended, however the others go on

    @property
    def found(self) -> bool:
        return self._event is not None

    @property
    def is_interrupted(self) -> bool:
        """A human broke it off: what it prints then may well be its summary."""
        return self._event is not None and self._event.fault is Fault.INTERRUPTED

    @property
    def closes(self) -> bool:
        """Is the report of an exception that ends a process the last thing in the log?"""
        return self._event is not None and self._last_words

    def verdict(self, *, bad_loss: bool) -> LogFault:
        """The fault as it stands. ``bad_loss``: the latest value of a loss is not finite."""
        event = self._event
        if event is None:
            return LogFault(Fault.NAN) if bad_loss else LogFault()
        if event.fault is Fault.EXCEPTION and event.text is not None:
            about_nan = _NAN_MESSAGE.search(event.text)
            if about_nan and (bad_loss or _LOSS_NAN.search(event.text)):
                return LogFault(Fault.NAN, event.text)
        return LogFault(event.fault, event.text)

    def says_it_goes_on(self, text: str, *, several: bool) -> bool:
        """Words of the training itself that it has begun or came to its end, or many of its loggers: what was found
        before had been handled. ``text``: a line that is no part of a fault's report. Of ``several`` processes in one
        log the one that begins may be one beside the failed."""
        if self._event is None or self.inside:
            return False
        if several:
            return _FINISHED.search(text) is not None
        if _INFO.match(text) is not None:
            self._infos.add(_DIGITS.sub("", text)[-_LONGEST_INFO:])
        return len(self._infos) >= _MANY_INFOS or any(said.search(text) for said in (_FINISHED, _BEGUN))

    def went_on(self) -> None:
        """The run reported something new: what was found had been handled."""
        self._event = None
        self._chained = []
        self._infos.clear()
        self.inside = self._last_words = False

    def heard(self, text: str) -> None:
        """A line that is no part of a fault's report."""
        if self._last_words:
            said = _STAMP.sub("", text)
            self._last_words = _NOISE.search(said) is not None or _ASIDE.match(said) is not None

    def feed(self, text: str, line: int, above: Iterable[str] = ()) -> bool:
        """True when the line is part of a fault's report: its numbers are no sign that the run goes on. ``above``: the
        lines before it that are not blank, the nearest one first."""
        header = _HEADER.match(text) if "Traceback" in text else None
        if header is not None:
            self._open(header["prefix"], line, above)
        elif any(mark in text for mark in _CHAIN):
            self._joins = bool(self._chained) and line <= self._awaiting
        elif self.inside:
            self._inside(text, line)
        else:
            return self._outside(text, line)
        return True

    def _open(self, prefix: str, line: int, above: Iterable[str]) -> None:
        if not self._joins:
            self._chained = []
            said = list(islice(above, _ABOVE))
            self._aside = any(map(_ASIDE.match, said))
            self._harmless = any(map(_IGNORED.match, said))
            self._by_a_hook = _RANK.match(prefix) is not None or any(map(_BY_A_HOOK.match, said[:1]))
        self._joins = False
        self.inside, self._frames = True, False
        self._prefix, self._header_line = prefix, line

    def _inside(self, text: str, line: int) -> None:
        body = text.removeprefix(self._prefix)
        if body is text and self._prefix:
            body = _STAMP.sub("", text)
        if not body.strip() or body[0] in " \t|" or body.startswith("File "):
            self._frames = True
            return
        match = _EXCEPTION.match(body.rstrip())
        if match is not None and self._frames and _is_exception(match):
            self.inside = False
            self._close(clean(body, _LONGEST_TEXT), line)
        elif line - self._header_line > _LONGEST_TRACEBACK:
            self.inside = False
        elif not self._frames:
            self._frames = True  # the source line of an odd formatter: the frames may not be indented

    def _close(self, text: str, line: int) -> None:
        self._chained = [*self._chained[:1], text]
        self._awaiting = line + _FAR
        self._last_words = self._last_words or not self._aside
        if self._harmless and not text.startswith("KeyboardInterrupt"):
            return
        if self._by_a_hook and (self.unhandled is None or _FOLLOWS.search(self.unhandled)):
            self.unhandled = self._chained[0]
        if len(self._chained) == 1:
            self._record(_classify(text), text, line)
            return
        first = root = self._chained[0]
        if text.startswith("KeyboardInterrupt"):  # the wait that the human broke is not the cause
            root = text
        new = _Event(_classify(root), root, _FOLLOWS.search(root) is not None, line)
        if self._event is None or self._event.text == first or _says_more(new, self._event):
            self._event = new

    def _outside(self, text: str, line: int) -> bool:
        stripped = _STAMP.sub("", text).strip()
        if _TIMEOUT.search(text):
            self._scheduler(Fault.TIMEOUT, stripped, line)
        elif _reports(_CUDA_OOM, text):
            bare = _BARE.match(stripped) is not None
            self._record(_classify(stripped), stripped, line, remark=not bare)
            self._last_words = self._last_words or bare
        elif _reports(_OOM, text):
            self._scheduler(Fault.OOM, stripped, line)
        elif _KILLED.search(stripped):
            self._record(Fault.KILLED, stripped, line)
        elif (match := _BARE.match(stripped)) is not None:
            self._record(_classify(match["text"]), match["text"], line, loose=True)
        elif _ERROR_EXIT.match(stripped):
            self._record(Fault.EXCEPTION, stripped, line, loose=True)
        elif "Invalid loss, terminating training" in text:
            self._record(Fault.NAN, "Invalid loss, terminating training", line)
            return False  # Keras says it on the line of its bar
        elif ("loss" in text or "Loss" in text) and _BAD_LOSS.search(text) is not None:
            self._record(Fault.NAN, stripped, line)
        elif ("nterrupt" in text or "^C" in text or "early" in text) and _INTERRUPTED.search(stripped):
            self._record(Fault.INTERRUPTED, stripped, line)
        elif ("xceed" in text or "ime" in text) and _LIMIT.search(stripped):
            self._scheduler(Fault.TIMEOUT, stripped, line)
        else:
            return self._by_status(stripped, line)
        return True

    def _by_status(self, text: str, line: int) -> bool:
        """A script's word for how its training ended; never more than what the training itself has said."""
        match = _STATUS.search(text) if "xit" in text or "tatus" in text or "returncode" in text else None
        status = int(match["status"]) if match else 0
        fault = Fault.TIMEOUT if status == 124 else Fault.KILLED if status in _SIGNALLED else None
        if fault is None and status and ("xited with " in text or "finished with exit code" in text):
            fault = Fault.EXCEPTION
        if fault is None:
            return False
        if self._event is None or (fault is Fault.TIMEOUT and self._event.fault is Fault.KILLED):
            self._event = _Event(fault, clean(text, _LONGEST_TEXT), True, line)
        return True

    def _scheduler(self, fault: Fault, text: str, line: int) -> None:
        """The kernel or the scheduler says why the process was killed: more than the signal that it died of; and its
        time limit more than an error that the process had outlived."""
        old = self._event
        if old is not None and (
            old.fault in {Fault.KILLED, Fault.INTERRUPTED} or (old.loose and _TIMEOUT.search(text) is not None)
        ):
            self._event = None
        self._record(fault, text, line)

    def _record(self, fault: Fault, text: str, line: int, *, remark: bool = False, loose: bool = False) -> None:
        follows = _FOLLOWS.search(text) is not None and "Watchdog caught" not in text
        new = _Event(fault, clean(text, _LONGEST_TEXT) or None, follows, line, remark, loose)
        if self._event is None or _says_more(new, self._event):
            self._event = new


def opening(text: str) -> str:
    """A line of a log's start, without its numbers, by which another run is known that is appended; "" when it says too
    little. ``text``: without what loggers put in front."""
    if _NOISE.search(text) or _TROUBLE.search(text) or sum(map(str.isalpha, text)) < _LEAST_LETTERS:
        return ""
    return _DIGITS.sub("0", text.rstrip())


def _reports(memory: re.Pattern[str], text: str) -> bool:
    """Does the line report that memory ran out? A comment or a hint only speaks of it."""
    found = memory.search(text)
    return found is not None and _REMARK.search(text[: found.start()]) is None and "is not a failure" not in text


def _says_more(new: _Event, old: _Event) -> bool:
    """Of two faults the first is the cause, unless it only follows from others, is a remark, or is long past."""
    if old.follows or new.follows or new.fault is Fault.KILLED:
        return old.follows and not new.follows
    if old.loose and new.fault in {Fault.OOM, Fault.CUDA_OOM}:
        return True  # "Error using train", "terminate called after ...": the next line says why
    return (old.remark and not new.remark) or new.line - old.line > _FAR


def _is_exception(match: re.Match[str]) -> bool:
    """``ValueError: x`` or a lone ``MyProblem``; not a word of some other output between the frames."""
    name = match["type"].rsplit(".", 1)[-1]
    return name[:1].isupper() or "." in match["type"] or name.endswith(("error", "exception"))


def _classify(text: str) -> Fault:
    if text.startswith("KeyboardInterrupt"):
        return Fault.INTERRUPTED
    if _CUDA_OOM.search(text):
        return Fault.OOM if _HOST.search(text) else Fault.CUDA_OOM
    if _OOM.search(text):
        return Fault.OOM
    if "is killed by signal: Killed" in text:
        return Fault.KILLED
    return Fault.EXCEPTION
