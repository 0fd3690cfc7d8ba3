"""The code agent's files and its shell, as its tools want them: over the project's outpost and a fenced shell.

What may be touched is decided by those two; here their words become the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from auto_experiment.agent.base import Entry, ShellResult, ToolRefused
from auto_experiment.errors import HostError
from auto_experiment.hosts.fence import Fence, Profile
from auto_experiment.hosts.outpost import Outpost, Refused
from auto_experiment.hosts.shell import Shell

_KEPT = 1 << 16  # bytes of a command's output
_KINDS = ("folder", "file", "link")


class ProjectFiles:
    """Implements the port ``Files``."""

    def __init__(self, outpost: Outpost) -> None:
        self._outpost = outpost

    def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int]:
        try:
            data, size = self._outpost.read(path, offset, limit)
        except Refused as no:
            raise ToolRefused(str(no)) from None
        return data, size

    def write(self, path: str, data: bytes) -> None:
        try:
            self._outpost.write(path, data)
        except Refused as no:
            raise ToolRefused(str(no)) from None

    def list(self, path: str) -> Sequence[Entry]:
        try:
            found, more = self._outpost.list(path)
        except Refused as no:
            raise ToolRefused(str(no)) from None
        entries = [Entry(name, kind if kind in _KINDS else "other", size) for name, kind, size in found]
        return [*entries, Entry(f"({more:,} more)", "other")] if more else entries


class FencedShell:
    """Implements the port ``Shell``. ``profile`` is made anew for each command: what is protected may have come since.
    ``before``: shell lines that come before each command (``experiment.setup``)."""

    def __init__(
        self,
        shell: Shell,
        fence: Fence,
        profile: Callable[[], Profile],
        *,
        cwd: str,
        env: Mapping[str, str],
        before: str = "",
    ) -> None:
        self._shell, self._fence, self._profile = shell, fence, profile
        self._cwd, self._env, self._before = cwd, env, before

    def run(self, command: str, timeout: float) -> ShellResult:
        profile = self._profile()
        try:
            done = self._shell.run(
                f"{self._before}{command}",
                timeout=timeout,
                cap=_KEPT,
                env={**self._env, **profile.env},
                cwd=self._cwd,
                fence=self._fence.words(profile),
            )
        except HostError as error:
            raise ToolRefused(f"the shell cannot be started now: {error}") from error
        if done.error:
            raise ToolRefused(done.error)
        output = done.output.encode("utf-8", "replace")
        return ShellResult(done.code, done.signal, timed_out=done.timed_out, output=output, cut=bool(done.cut))

    def abort(self) -> None:
        self._shell.abort()
