"""What a training's log may do to those who read it (F02) and to the verdict on its end (F12)."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest

from auto_experiment.records.observation import Fault
from auto_experiment.watch.faults import classify
from auto_experiment.watch.metrics.reader import LogReader

# A terminal's title, clearing the screen, a link, the answer-back, 8-bit sequences, a bell, a hidden and a reordered text.
NASTY = {
    "a title": b"\x1b]0;owned\x07",
    "clear": b"\x1b[2J\x1b[H",
    "a link": b"\x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\",
    "a question": b"\x1b[6n\x1b[c",
    "8 bits": b"\xc2\x9b31m\xc2\x9d0;x\xc2\x9c",
    "a broken sequence": b"\x1b[\x1b]\x1b",
    "a bell": b"\x07\x08\x7f",
    "NUL": b"a\0b",
    "bidi": "\u202egnp.exe\u2066\u200b\ufeff".encode(),
    "lines": "\u2028\u2029\x85".encode(),
    "a lone surrogate": b"\xed\xa0\x80",
    "no UTF-8": b"\xff\xfe\xc3\x28",
    "binary": bytes(range(256)) * 4,
}
SCRIPT = """
import judge, os, sys
nasty = {nasty!r}
def say(data): os.write(1, data)
judge.note()
say(b"step 1/3 val_acc=0.5\\n")
for piece in nasty:
    say(b"before " + piece + b" after\\n")
    say(b"loss" + piece + b"=0.5 \\n")
    say(b'{{"name' + piece + b'": 1.5, "loss": 2}}\\n')
say(b'{{"\\\\ud800\\\\u202e\\\\u001b[2J": 1.5, "a\\\\u0000b": 2, "loss": 1}}\\n')
say(b"step 2/3 val_acc=0.6\\n")
if judge.DRY: sys.exit()
say(b"Traceback (most recent call last):\\n  File 'x', line 1, in f" + b"".join(nasty) + b"\\n")
say(b"ValueError: bad " + b"".join(piece for piece in nasty if b"\\n" not in piece) + b" label\\n")
sys.exit(1)
"""


def shown_badly(text: str) -> list[str]:
    """Characters that may not reach a terminal, a prompt or a report: they act, hide or reorder."""
    return sorted({f"U+{ord(c):04X}" for c in text if c not in "\n\t" and (
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or re.match("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", c)
    )})  # fmt: skip


def strings(document: object) -> str:
    if isinstance(document, dict):
        return "".join(strings(key) + strings(value) for key, value in document.items())
    return "".join(map(strings, document)) if isinstance(document, list) else str(document)


def test_f02_nothing_that_a_log_holds_acts_on_a_terminal(project):
    work = project(SCRIPT.format(nasty=list(NASTY.values())), config={"experiment": {"dry_run_timeout": 5}})
    done = work.cli("run", "--max-cycles", 1)
    assert work.attempt("exp001/run01/a1").fault is Fault.EXCEPTION
    shown = {"run": done.stdout + done.stderr}
    for words in (("status",), ("list",), ("show", 1), ("logs",)):
        shown[words[0]] = work.cli(*words).stdout
    for words in (("status",), ("list",), ("show", 1)):
        text = work.cli(*words, "--json").stdout
        shown[f"{words[0]} --json"] = text + strings(json.loads(text))
    for path in (work.paths.report, work.paths.memory_log, work.paths.state, work.paths.controller_log):
        shown[Path(path).name] = Path(path).read_text(encoding="utf-8")
    log = work.paths.train_log("exp001/run01/a1")
    shown["metrics"] = work.cli("metrics", log, "--project", work.root, status=None).stdout
    assert {name: bad for name, text in shown.items() if (bad := shown_badly(text))} == {}
    assert "ValueError: bad" in shown["show"]


@pytest.mark.parametrize("name", NASTY)
def test_f02_the_metrics_around_it_are_read(name):
    reader = LogReader()
    reader.feed(b"step 1 val_acc=0.5\n" + NASTY[name] + b"\nstep 2 val_acc=0.75\n")
    reader.finish()
    assert (reader.series["val_acc"].final, reader.series["val_acc"].count) == (0.75, 2)


TRACE = 'Traceback (most recent call last):\n  File "t.py", line 1, in f\n    g()\n'
CUDA = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.mark.parametrize(
    ("log", "fault"),
    [
        (TRACE + CUDA, "cuda_oom"),
        (CUDA, "cuda_oom"),
        ("RuntimeError: CUDA error: out of memory", "cuda_oom"),
        ("[rank1]: " + CUDA, "cuda_oom"),
        ("CUDA out of memory, giving up", "cuda_oom"),
        (CUDA + "\n" + TRACE + "ConnectionResetError: [Errno 104] Connection reset by peer", "cuda_oom"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n" + TRACE
         + "RuntimeError: DataLoader worker (pid 7) is killed by signal: Aborted.", "oom"),
        ("# batch 8: with 16 there is CUDA out of memory", "exception"),
        ("batch 8, to avoid CUDA out of memory", "exception"),
        ("// see MemoryError in the FAQ", "exception"),
        ("# CUDA out of memory with 16\n" + TRACE + "ValueError: x", "exception"),
        ("CUDA out of memory at batch 16, trying 8\nstep 2 loss=0.5\n" + TRACE + "ValueError: x", "exception"),
        ("CUDA out of memory at batch 16, trying 8\n" + TRACE + "ValueError: x", "exception"),
        ("expandable_segments prevents CUDA out of memory\n", "exception"),
    ],
)  # fmt: skip
def test_f12_memory_in_the_text_of_a_run_that_ended_with_1(log, fault):
    reader = LogReader()
    reader.feed(f"step 1 loss=0.7\n{log}\n".encode())
    reader.finish()
    end = {"exit_code": 1, "signal": None, "oom": False, "timed_out": False, "stopped": None}
    assert classify(log=reader.fault, **end).fault.value == fault
    assert classify(log=reader.fault, **{**end, "exit_code": 0}).fault is Fault.NONE
