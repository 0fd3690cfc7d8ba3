"""What EXECUTE hands on before a run: the code as it was recorded, and the launch that was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """The project's code at one moment. ``tree``: its git tree, all recorded files. ``code``: digest over those files
    that are code (not outputs that a run leaves behind): the same code, the same digest. ``skipped``: what was too
    large or could not be read, with the reason."""

    tree: str
    code: str
    files: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two trees. ``kind``: "added", "changed" or "deleted". ``code``: else it is data, or
    what a run leaves behind."""

    path: str
    kind: str
    added: int  # lines
    deleted: int
    code: bool = True


@dataclass(frozen=True)
class LaunchRequest:
    """The code agent asks for a training. ``dry_run_command``: another command for the dry run, "" for the same one.
    ``note``: facts about the code for the next dispatch."""

    command: str
    dry_run_command: str = ""
    name: str = ""
    note: str = ""
