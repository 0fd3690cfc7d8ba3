"""Looks after what must not be changed while a command or a training of the code agent runs, and says what had to be
put back. How that is done is in ``hosts/guard.py``; where the kernel forbids it all, there is next to nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from auto_experiment.cycle.inputs import Inputs
from auto_experiment.errors import LedgerError, NotNow
from auto_experiment.hosts.guard import HELD, Guard
from auto_experiment.ledger.writer import Writer


class Guarding:
    """``make`` None: nobody but humans changes anything here."""

    def __init__(self, make: Callable[[Inputs], Guard] | None, ledger: Writer, say: Callable[[str], None]) -> None:
        self._make, self._ledger, self._say = make, ledger, say

    @contextmanager
    def around(self, inputs: Inputs, what: str, own: str = "") -> Iterator[None]:
        """``what``: for people, an attempt or a tool. ``own``: the folder of an attempt, which it may change."""
        if self._make is None:
            yield
            return
        guard, refused = self._make(inputs), None
        guard.before(own)
        try:
            yield
        except LedgerError as error:  # what runs has taken the ledger or its lock away, and here it comes back
            refused = error
        finally:
            found = guard.after()
            if found:
                self._tell(what, found)
        if refused is not None:
            raise NotNow(f"{what} took away what the controller writes to; it was put back") if found else refused

    def _tell(self, what: str, found: tuple[str, ...]) -> None:
        with self._ledger.transaction() as tx:
            tx.event("tampered", what=what, found=list(found[:50]))
            for line in (line for line in found if HELD in line):
                tx.note("decision", f"{what}: {line}", author="harness")  # `status` shows it
        for line in found[:10]:
            self._say(f"  {what}: {line}")
