"""One child process that is sent out with a task and not waited for.

The task goes over its standard input, as it holds secrets: not over its arguments or environment, which others can
read, and not through a pipe, which could fill up and hold us.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

WORDS = (sys.executable, "-m", "auto_experiment.notes.child")
_GRACE_S = 10.0  # after its limit, by which its own alarm has long ended it
_SOON_S, _LATER_S = 0.5, 30.0
_MOST_BYTES = 1 << 16


class Errand:
    """``heard``: somebody reads the answer. Raises OSError when no process can be had."""

    def __init__(
        self,
        task: Mapping[str, Any],
        variables: Mapping[str, str],
        *,
        heard: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._started, self._limit = now, now(), float(task["limit_s"])
        held = os.memfd_create("task")
        try:
            with os.fdopen(os.dup(held), "wb") as file:
                file.write(json.dumps(task).encode("utf-8", "replace"))
            os.lseek(held, 0, os.SEEK_SET)
            self._child = subprocess.Popen(  # in /: `python -m` would import the modules that lie in its folder
                WORDS, stdin=held, stdout=subprocess.PIPE if heard else subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd="/", env=dict(variables), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(held)

    @classmethod
    def asked(cls, task: Mapping[str, Any], variables: Mapping[str, str]) -> Mapping[str, Any]:
        """The answer, waited for, as long as its limit allows."""
        errand = cls(task, variables, heard=True)
        while (answer := errand.answer()) is None:
            if errand.overdue():
                return {"faults": [f"no answer within {task['limit_s']} s"]}
            time.sleep(0.02)
        return answer

    def answer(self) -> Mapping[str, Any] | None:
        """What it said, once it has ended (nothing, when it was not to be heard); None while it has not."""
        status = self._child.poll()
        if status is None:
            return None
        if self._child.stdout is None and status == 0:  # not to be heard: its faults are in the log
            return {}
        said = b""
        if self._child.stdout is not None:
            os.set_blocking(self._child.stdout.fileno(), False)
            said = self._child.stdout.read(_MOST_BYTES) or b""
            self._child.stdout.close()
        try:
            found = json.loads(said)
        except ValueError:
            how = "was ended for taking too long" if status < 0 else f"ended with status {status}"
            return {"faults": [f"the child process {how}"]}
        return found if isinstance(found, dict) else {}

    def overdue(self) -> bool:
        """It has not ended though its time is long over. It is told to once more."""
        late = self._now() - self._started > self._limit + _GRACE_S
        if late:
            self._child.kill()
        return late

    def next_look(self) -> float:
        """Seconds until it is worth looking after it."""
        return _SOON_S if self._now() - self._started <= self._limit + _GRACE_S else _LATER_S
