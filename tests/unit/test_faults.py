"""The fault of a run: text and exit status together."""

from __future__ import annotations

import pytest

from auto_experiment.records.observation import Fault, LogFault
from auto_experiment.watch.faults import classify

NOTHING = LogFault()
NAN = LogFault(Fault.NAN)
CUDA = LogFault(Fault.CUDA_OOM, "RuntimeError: CUDA out of memory")
ERROR = LogFault(Fault.EXCEPTION, "ValueError: x")
KILLED = LogFault(Fault.KILLED, "Killed")


def end(log=NOTHING, code=None, signal=None, oom=None, timed_out=False, stopped=None):
    return classify(log=log, exit_code=code, signal=signal, oom=oom, timed_out=timed_out, stopped=stopped)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"code": 0}, NOTHING),
        ({"code": 0, "log": ERROR}, NOTHING),
        ({"code": 0, "log": CUDA}, NOTHING),
        ({"code": 0, "log": KILLED}, NOTHING),
        ({"code": 0, "log": NAN}, NAN),
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
