"""The fault of a run: text and exit status together."""

from __future__ import annotations

import pytest

from auto_experiment.cycle.reflect import judge
from auto_experiment.objective import Objective
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault, LogFault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import Kind, RunState
from auto_experiment.watch.faults import behind_a_hang, classify, runs_a_shell
from auto_experiment.watch.metrics.reader import LogReader

NOTHING = LogFault()
NAN = LogFault(Fault.NAN)
CUDA = LogFault(Fault.CUDA_OOM, "RuntimeError: CUDA out of memory")
ERROR = LogFault(Fault.EXCEPTION, "ValueError: x")
KILLED = LogFault(Fault.KILLED, "Killed")


def end(log=NOTHING, code=None, signal=None, oom=None, timed_out=False, stopped=None, hidden=False):
    return classify(
        log=log, exit_code=code, signal=signal, oom=oom, timed_out=timed_out, stopped=stopped, hidden=hidden
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"code": 0}, NOTHING),
        ({"code": 0, "log": ERROR}, NOTHING),
        ({"code": 0, "log": CUDA}, NOTHING),
        ({"code": 0, "log": KILLED}, NOTHING),
        ({"code": 0, "log": NAN}, NAN),
        ({"code": 0, "log": ERROR, "hidden": True}, ERROR),
        ({"code": 0, "log": CUDA, "hidden": True}, CUDA),
        ({"stopped": "asked", "signal": 15, "log": ERROR, "hidden": True}, NOTHING),
        ({"code": 1}, LogFault(Fault.EXCEPTION)),
        ({"code": 1, "log": ERROR}, ERROR),
        ({"code": 1, "log": CUDA}, CUDA),
        ({"code": 1, "log": NAN}, NAN),
        ({"code": 2, "log": ERROR}, ERROR),
        ({"code": 124}, LogFault(Fault.TIMEOUT)),
        ({"code": 124, "log": ERROR}, ERROR),
        ({"signal": 9, "oom": True}, LogFault(Fault.OOM)),
        ({"signal": 9, "oom": False}, LogFault(Fault.KILLED)),
        ({"signal": 9, "oom": None}, LogFault(Fault.KILLED)),
        ({"signal": 9, "log": LogFault(Fault.OOM, "oom-kill")}, LogFault(Fault.OOM, "oom-kill")),
        ({"signal": 11}, LogFault(Fault.KILLED)),
        ({"signal": 15}, LogFault(Fault.KILLED)),
        ({"signal": 2}, LogFault(Fault.INTERRUPTED)),
        ({"signal": 2, "log": LogFault(Fault.INTERRUPTED, "KeyboardInterrupt")}, LogFault(Fault.INTERRUPTED, "KeyboardInterrupt")),
        ({"signal": 6, "log": ERROR}, ERROR),
        ({"code": 130}, LogFault(Fault.INTERRUPTED)),
        ({"code": 137}, LogFault(Fault.KILLED)),
        ({"code": 137, "oom": True}, LogFault(Fault.OOM)),
        ({"code": 139}, LogFault(Fault.KILLED)),
        ({"code": -9}, LogFault(Fault.KILLED)),
        ({"code": 137, "log": ERROR}, ERROR),
        ({"timed_out": True, "signal": 15}, LogFault(Fault.TIMEOUT)),
        ({"timed_out": True, "signal": 15, "log": LogFault(Fault.INTERRUPTED, "KeyboardInterrupt")}, LogFault(Fault.TIMEOUT)),
        ({"stopped": "asked", "signal": 15}, NOTHING),
        ({"stopped": "asked", "signal": 15, "log": LogFault(Fault.INTERRUPTED, "KeyboardInterrupt")}, NOTHING),
        ({"stopped": "asked", "signal": 15, "log": ERROR}, NOTHING),
        ({"stopped": "loss is nan", "signal": 15, "log": NAN}, NAN),
        ({"stopped": "asked", "signal": 15, "log": CUDA}, CUDA),
        ({"stopped": "max_hours", "timed_out": True, "signal": 15}, LogFault(Fault.TIMEOUT)),
        ({"log": CUDA}, CUDA),
        ({}, NOTHING),
    ],
)  # fmt: skip
def test_classify(given, wanted):
    assert end(**given) == wanted


# --- an exception as the last words of a log

STEP = "step 1/3 loss=0.7 val_acc=0.5\n"
TRACEBACK = (
    'Traceback (most recent call last):\n  File "train.py", line 7, in <module>\n    main()\nValueError: bad label 7\n'
)
CUDA_TEXT = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB\n"
RANKS = "".join(f"[rank1]: {line}\n" for line in TRACEBACK.splitlines())
TORCHRUN = f"""
{"=" * 60}
train.py FAILED
{"-" * 60}
Failures:
  <NO_OTHER_FAILURES>
{"-" * 60}
Root Cause (first observed failure):
[0]:
  time      : 2026-01-02_03:04:05
  host      : node01
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 4242)
  error_file: <N/A>
{"=" * 60}
"""


def read(text):
    reader = LogReader()
    reader.feed(text.encode())
    reader.finish()
    return reader


@pytest.mark.parametrize(
    "text",
    [
        STEP + TRACEBACK,
        STEP + TRACEBACK + "\n\n",
        STEP + TRACEBACK.rstrip(),
        STEP + RANKS,
        STEP + TRACEBACK + "\nDuring handling of the above exception, another exception occurred:\n\n" + TRACEBACK,
        STEP + TRACEBACK + " 33%|###   | 1/3 [00:01<00:02,  1.00it/s]\n",
        STEP + TRACEBACK + "wandb: Synced 5 W&B file(s)\nreal\t0m1.2s\n",
        STEP + TRACEBACK + "CUDA kernel errors might be asynchronously reported at some other API call\n"
        "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n",
        STEP + TRACEBACK + TRACEBACK.replace("ValueError: bad label 7", "torch.errors.ChildFailedError: ") + TORCHRUN,
        STEP + TRACEBACK + "Exception ignored in: <function Loader.__del__ at 0x7f>\n" + TRACEBACK,
        STEP + TRACEBACK + "-" * 20 + "\nFor simplicity, JAX has removed its internal frames from the traceback\n",
        STEP + CUDA_TEXT,
        STEP + "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\n",
    ],
)  # fmt: skip
def test_an_exception_ends_the_log(text):
    assert read(text).ends_in_exception


@pytest.mark.parametrize(
    "text",
    [
        STEP,
        TRACEBACK + STEP,
        TRACEBACK + "the model was saved\n",
        TRACEBACK + "the upload failed, it goes on without\n\n",
        TRACEBACK + "training finished\n",
        STEP + "Exception ignored in: <function Loader.__del__ at 0x7f>\n" + TRACEBACK,
        STEP + "Exception in thread Thread-1 (send):\n" + TRACEBACK,
        STEP + "Error in atexit._run_exitfuncs:\n" + TRACEBACK,
        STEP + "--- Logging error ---\n" + TRACEBACK,
        STEP + "Task exception was never retrieved\nfuture: <Task finished name='Task-2'>\n" + TRACEBACK,
        STEP + "batch 16: CUDA out of memory. Tried to allocate 2.00 GiB, 8 is taken\n",
        STEP + CUDA_TEXT + "trying again with half of the batch\n",
        STEP + "Traceback (most recent call last): see the FAQ\n",
    ],
)
def test_an_exception_does_not_end_the_log(text):
    assert not read(text).ends_in_exception


@pytest.mark.parametrize("cut", range(0, len(STEP + RANKS), 7))
def test_it_does_not_matter_in_which_pieces_a_log_comes(cut):
    data, reader = (STEP + RANKS).encode(), LogReader()
    reader.feed(data[:cut])
    reader.feed(data[cut:])
    reader.finish()
    assert (reader.ends_in_exception, reader.unhandled) == (True, "ValueError: bad label 7")


@pytest.mark.parametrize(
    ("words", "first_line", "wanted"),
    [
        (["bash", "run.sh"], "", True),
        (["/bin/bash", "-c", "python train.py | tee log"], "", True),
        (["nice", "sh", "x"], "", True),
        (["make", "train"], "", True),
        (["./go"], "#!/usr/bin/env bash", True),
        (["./go"], "#!/bin/sh -e", True),
        (["/usr/bin/python3", "train.py"], "", False),
        (["python", "train.py", "--data", "make"], "#!/usr/bin/env bash", False),
        (["torchrun", "train.py"], "#!/usr/bin/python3", False),
        (["./train"], "\x7fELF", False),
        (["./train"], "#!", False),
    ],
)
def test_what_a_shell_runs_may_have_hidden_its_status(words, first_line, wanted):
    assert runs_a_shell(words, first_line) is wanted


@pytest.mark.parametrize(
    ("fault", "result"),
    [(Fault.NONE, Result.IMPROVED), (Fault.EXCEPTION, Result.FAILED), (Fault.CUDA_OOM, Result.FAILED)],
)
def test_a_crash_that_a_pipe_has_hidden_is_a_failure(fault, result):
    outcome = Outcome(RunState.FINISHED, 0, None, fault, None, "", 0.0, 1.0, 1.0, 0.9, "", "val_acc")
    assert outcome.counts is (result is Result.IMPROVED)
    assert judge(outcome, Objective("val_acc", "max"), 0.5, Kind.FULL) is result


# --- behind a hang


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (STEP + TRACEBACK, "ValueError: bad label 7"),
        (STEP + RANKS + "step 2/3 loss=0.6 val_acc=0.6\n", "ValueError: bad label 7"),
        (STEP + "Exception in thread Thread-1 (fetch):\n" + TRACEBACK + "step 2/3 loss=0.6\n", "ValueError: bad label 7"),
        (STEP + "Process SpawnProcess-1:\n" + TRACEBACK + "step 2/3 loss=0.6\n", "ValueError: bad label 7"),
        (STEP + TRACEBACK + "step 2/3 loss=0.6\n", None),  # handled, as far as can be told
        (STEP, None),
        (STEP + TRACEBACK.replace("ValueError: bad label 7", "KeyboardInterrupt"), None),
        (STEP + RANKS.replace("ValueError: bad label 7", "SignalException: Process 7 got signal: 15"), None),
        (STEP + RANKS.replace("ValueError: bad label 7", "BrokenPipeError: [Errno 32] Broken pipe") + RANKS,
         "ValueError: bad label 7"),
    ],
)  # fmt: skip
def test_the_exception_behind_a_hang(text, wanted):
    reader = read(text)
    assert behind_a_hang(reader.fault, reader.unhandled) == wanted
