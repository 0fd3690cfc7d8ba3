"""A disk that fails at the n-th write of a campaign: full, over quota, broken, read-only; then it is well again.

The disk fails in the controller's and the supervisors' own calls (``disk_faults.c``, put before the C library), SQLite's
among them. The trainings are spared: what they write is theirs. They keep the judge's record outside the project. Each
trial is a campaign of two short experiments that meets the fault at another write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from auto_experiment.records.run import Kind, RunState
from drill import projects
from drill.figures import Figure

NUMBERS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
CYCLES = 2
PATIENCE = 90.0
WITH_SHIM = (
    "from auto_experiment.launchers import process\n"
    "process.HELPER_ENV += tuple(n for n in __import__('os').environ if n == 'LD_PRELOAD' or n.startswith('DISK_'))\n"
)

# The first experiment ends well, the second one badly, each in its own way.
TRAIN = """
import sys
import judge

code = 0 if judge.DRY or "--lr=0.1" in sys.argv or "0.1" in sys.argv else 3
judge.note(code=code)
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc={0.5 + 0.01 * step:.5f}", flush=True)
sys.exit(code)
"""


def run(scale: float, seed: int, folder: Path) -> Iterator[Figure]:
    if no_compiler():
        return
    library = compiled(folder)
    total = writes_of_a_campaign(folder / "count", library)
    dice = random.Random(seed)
    trials = max(1, round(total * scale))
    chosen = [1 + int((i + dice.random()) * total / trials) for i in range(trials)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        ended = list(
            pool.map(
                lambda i: trial(folder / f"t{i}", library, chosen[i], NUMBERS[i % 4], once=i % 8 >= 4), range(trials)
            )
        )
    yield Figure(
        "disk fails at the n-th write",
        trials,
        tuple(complaint for complaints, _ in ended for complaint in complaints[:1]),
        {"writes of a campaign": total, "met": dict(Counter(how for _, how in ended))},
    )


def no_compiler() -> str:
    """Why there is no failing disk here; "" when there is one."""
    return "" if shutil.which("gcc") else "no gcc here: the failing disk is a C library that is compiled for the test"


def compiled(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "disk_faults.so"
    source = Path(__file__).with_name("disk_faults.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def failing_disk(project: Any, library: Path, **asked: object) -> Path:
    """The environment of a project's commands, with a disk that fails below its workspace: ``FROM=3, ERRNO=28``.
    Returns the file whose existence ends it."""
    count, back = project.desk / "disk.count", project.desk / "disk.back"
    count.write_bytes(bytes(16))
    back.unlink(missing_ok=True)
    project.env.update(LD_PRELOAD=str(library), DISK_UNDER=project.paths.workspace, DISK_COUNT=str(count))
    project.env.update(DISK_BACK=str(back), DISK_TRACE=str(project.desk / "disk.trace"))
    project.env.update({f"DISK_{name}": str(value) for name, value in asked.items()})
    return back


def healthy_disk(project: Any) -> None:
    project.env = {k: v for k, v in project.env.items() if k != "LD_PRELOAD" and not k.startswith("DISK_")}


def poke(project: Any) -> None:
    """As `direct` does when it has changed something: look now."""
    with contextlib.suppress(OSError):
        descriptor = os.open(project.paths.poke, os.O_WRONLY | os.O_NONBLOCK)
        os.write(descriptor, b"!")
        os.close(descriptor)


# -- one trial ----------------------------------------------------------------------------------------------------


def writes_of_a_campaign(folder: Path, library: Path) -> int:
    with opened(folder) as project:
        failing_disk(project, library)
        project.start("run", "--max-cycles", CYCLES, patch=WITH_SHIM).wait(PATIENCE)
        return int.from_bytes((project.desk / "disk.count").read_bytes()[:8], sys.byteorder)


def trial(folder: Path, library: Path, at: int, number: int, *, once: bool) -> tuple[list[str], str]:
    """(complaints, how the fault was met) of one campaign whose ``at``-th write fails: ``once``, or until somebody has
    made room."""
    given = f"write {at}, {errno.errorcode[number]}{', once' if once else ''}"
    with opened(folder) as project:
        back = failing_disk(project, library, FROM=at, ERRNO=number, **({"ONCE": 1} if once else {}))
        try:
            how, text = carried_through(project, back)
            if list(
                Path(project.paths.workspace).glob("*.tmp")
            ):  # a read-only disk takes back no file: the next session
                healthy_disk(project)
                project.cli("run", "--max-cycles", 0)
            complaints = [*sound(project, text)]
        except AssertionError as error:
            complaints, how = [f"{error}"], "failed"
        trace = (project.desk / "disk.trace").read_text().splitlines()
    met = next((" ".join(line.split()[3:]) for line in trace if line.split()[1] == "1"), "nothing")
    if not complaints:
        shutil.rmtree(folder)
    return [f"{given} ({met}): {complaint}" for complaint in complaints], how


def carried_through(project: Any, back: Path) -> tuple[str, str]:
    """Run the campaign to its end, as a human would who makes room; returns how the disk was met, and what was said."""
    controller = project.start("run", "--max-cycles", CYCLES, patch=WITH_SHIM)
    begun = time.monotonic()
    while not controller.is_over():
        lasted = time.monotonic() - begun
        assert lasted < PATIENCE, f"has not ended:\n{controller.text}"
        # when only a supervisor waits, to write down an end, the controller has nothing to write and says nothing
        if "waiting: " in controller.text or lasted > PATIENCE / 10:
            back.touch()
            poke(project)
        time.sleep(0.02)
    text, status = controller.text, controller.wait()
    if status == 3:  # the start could not write
        assert len(text.strip().splitlines()[-1:]) == 1, text
        assert "Traceback" not in text, text
        back.touch()
        healthy_disk(project)
        again = project.start("run", "--max-cycles", CYCLES)
        assert again.wait(PATIENCE) == 0, again.text
        return "refused at the start", text + again.text
    assert status == 0, f"exit status {status}:\n{text}"
    if "waiting: " in text:
        assert "carrying on" in text, text
        return "waited and carried on", text
    return "not noticed by the loop", text


def sound(project: Any, text: str) -> Iterator[str]:
    """Complaints about the ended campaign, by the trainings' own record; none when all is well."""
    if "Traceback" in text:
        yield f"a traceback:\n{text}"
    judged = Counter(line["attempt"] for line in project.judged())
    codes = {line["attempt"]: line["code"] for line in project.judged()}
    yield from (f"{name} was started {n} times" for name, n in judged.items() if n > 1)
    attempts = project.attempts()
    yield from (
        f"{name} was started, and the ledger does not know it" for name in set(judged) - {a.name for a in attempts}
    )
    yield from (wrong for a in attempts if (wrong := wrong_end(a, codes.get(a.name))))
    trained = Counter(a.experiment for a in attempts if a.kind is Kind.FULL and a.name in judged)
    with project.ledger() as ledger:
        cycles, lessons = ledger.cycle_count(), ledger.lessons()
        decisions = Counter(note.plan for note in ledger.notes("decision", 10_000))
        experiments = [e.cycle for e in ledger.experiments()]
        read = {a.name: [p[4] for p in ledger.points(a.id, "val_acc")] for a in attempts if a.kind is Kind.FULL}
    yield from (f"{name}: points {read[name]}" for name in set(read) & set(judged) if read[name] != [0.51, 0.52, 0.53])
    whole = list(range(1, CYCLES + 1))
    if cycles != CYCLES or experiments != whole or sorted(lessons) != whole or decisions != dict.fromkeys(whole, 1):
        yield f"cycles {cycles}, experiments of {experiments}, lessons of {sorted(lessons)}, decisions {decisions}"
    no_log = {a.experiment for a in attempts if a.exit_code == 126}
    if trained != dict.fromkeys(set(whole) - no_log, 1):
        yield f"trainings per experiment: {trained}"
    with closing(sqlite3.connect(project.paths.ledger)) as db:
        if (found := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            yield f"integrity_check: {found}"
        if found := db.execute("PRAGMA foreign_key_check").fetchall():
            yield f"foreign_key_check: {found}"
    yield from said_twice(Path(project.paths.memory_log).read_text())
    if not Path(project.paths.report).exists():
        yield "no report"
    if left := [p.name for p in Path(project.paths.workspace).glob("*.tmp")]:
        yield f"left behind: {left}"


def wrong_end(attempt: Any, code: int | None) -> str:
    """``code``: as the training itself has announced it; None when it never ran."""
    seen = f"{attempt.name}: {attempt.state.value} {attempt.exit_code} {attempt.signal} ({attempt.reason})"
    if code is None:
        unborn = attempt.state is RunState.LOST
        no_log = attempt.state is RunState.FAILED and attempt.exit_code == 126  # its log could not be opened
        return "" if unborn or no_log else f"{seen}, never ran"
    if attempt.kind is Kind.DRY and attempt.state is RunState.STOPPED:  # two steps seen: ended by the harness
        return ""
    right = (RunState.FAILED if code else RunState.FINISHED, code, None)
    return "" if (attempt.state, attempt.exit_code, attempt.signal) == right else f"{seen}, ended with {code}"


def said_twice(memory: str) -> Iterator[str]:
    lines = [re.sub(r"^- |\[[^]]*\] ", "", line) for line in memory.splitlines() if "exp" in line.lower()]
    yield from (f"said {n} times: {line}" for line, n in Counter(lines).items() if n > 1)


# -- the projects of the suite --------------------------------------------------------------------------------------


SPARED = {
    "experiment": {"command": f"{shlex.quote(sys.executable)} train.py --lr 0.1", "env": {"LD_PRELOAD": ""}},
}


def opened(folder: Path, script: str = TRAIN) -> contextlib.AbstractContextManager[Any]:
    """A project whose trainings are spared by the failing disk."""
    return projects.opened(folder, script, config=SPARED)
