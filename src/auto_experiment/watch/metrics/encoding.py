"""Logs that are not UTF-8: those that begin with a byte order mark. PowerShell's ``>`` writes UTF-16 with one.

Without a mark nothing is changed: what is no UTF-8 is read as far as it can be.
"""

from __future__ import annotations

import codecs

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS = (*_WIDE, codecs.BOM_UTF8)


class ToUtf8:
    """The bytes of a log in pieces, cut anywhere, as UTF-8 without a mark."""

    def __init__(self) -> None:
        self._head = b""  # bytes that may become a mark
        self._begun = False
        self._wide: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> bytes:
        if not self._begun:
            data = self._begin(data)
        return data if self._wide is None else self._wide.decode(data).encode("utf-8", "replace")

    def finish(self) -> bytes:
        """What was still kept: the log is over."""
        head, self._head = self._head, b""
        return head if self._wide is None else self._wide.decode(b"", final=True).encode("utf-8", "replace")

    def _begin(self, data: bytes) -> bytes:
        data = self._head + data
        self._head = b""
        if any(mark.startswith(data) and mark != data for mark in _MARKS):
            self._head = data
            return b""
        self._begun = True
        if data.startswith(_WIDE):
            self._wide = codecs.getincrementaldecoder("utf-16")("replace")
        return data.removeprefix(codecs.BOM_UTF8)
