"""Opening a ledger: what is refused, and how a connection is set up. Queries and writes are next door."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import tempfile
import time
from urllib.parse import quote

from auto_experiment.errors import AutoExperimentError, DiskFault, LedgerError, LedgerRefused
from auto_experiment.files import NOT_POSSIBLE, sync_folder
from auto_experiment.ledger import migrations

_CHECKED_BYTES = 64 << 20  # a ledger up to this size is checked page by page before a controller starts
_BUSY_S = 10.0
_TRIES = 10  # a tenth of a second apart: a reader that recovers the ledger after a kill needs far less


def open_read_only(path: str, *, thorough: bool = False) -> sqlite3.Connection:
    """A connection that cannot write. An empty database (schema version 0) is let through for ``open_writable``."""
    if not os.path.exists(path):
        raise LedgerRefused(f"{path}: there is no ledger yet; `auto-experiment run` makes it")
    db = None
    try:
        db = connect(path, "ro")
        kind = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
    except (sqlite3.Error, TypeError) as error:
        if db is not None:
            db.close()
        if not os.access(path, os.R_OK):  # a sound ledger, which nobody should move away
            raise LedgerRefused(f"{path}: cannot be read: Permission denied; give the permissions back") from error
        kind_of = _Locked if "locked" in str(error) else LedgerRefused
        raise kind_of(f"{path}: is not a ledger or is damaged ({error}); {_RESCUE}") from error
    if empty and kind == version == 0:  # its maker was killed before the first commit
        return db
    if kind != migrations.APPLICATION_ID:
        db.close()
        raise LedgerRefused(f"{path}: is a SQLite file, but not a ledger of auto-experiment; {_RESCUE}")
    if version > migrations.VERSION:
        db.close()
        raise LedgerRefused(
            f"{path}: was written by a newer auto-experiment (schema {version}, this one knows "
            f"{migrations.VERSION}); update the program"
        )
    if verdict != "ok":
        db.close()
        raise LedgerRefused(f"{path}: is damaged ({' '.join(str(verdict).split())}); {_RESCUE}")
    return db


def is_blank(path: str) -> bool:
    """Is there a file by this name in which no ledger was ever begun?"""
    if not os.path.exists(path):
        return False
    with contextlib.closing(open_read_only(path)) as db:
        return bool(db.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


_RESCUE = "nothing was changed: put a backup in its place, or move it away to start afresh (logs stay in runs/)"


def open_writable(path: str) -> sqlite3.Connection:
    """Open or create, and bring to the newest schema. Raises LedgerRefused, with the file untouched."""
    refuse_network_disk(path)
    refuse_disk_without_locks(os.path.dirname(path) or ".")
    for _ in range(_TRIES):
        with contextlib.suppress(_Locked):
            return _open_writable(path)
        time.sleep(0.1)
    return _open_writable(path)


class _Locked(LedgerRefused):
    """Somebody who looks at the ledger is recovering it after a kill; SQLite does not always wait for that itself."""


def _open_writable(path: str) -> sqlite3.Connection:
    version = 0
    if os.path.exists(path) and os.path.getsize(path) > 0:
        check = open_read_only(path, thorough=os.path.getsize(path) <= _CHECKED_BYTES)
        version = int(check.execute("PRAGMA user_version").fetchone()[0])
        check.close()
    db = None
    try:
        db = connect(path, "rwc")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        if version < migrations.VERSION:
            migrations.migrate(db, version)
    except sqlite3.Error as error:
        if db is not None:
            db.close()
        kind = _Locked if "locked" in str(error) else LedgerRefused
        raise kind(f"{path}: cannot be written ({error}); free space or fix its permissions") from error
    return db


def replace_by(path: str, kept: sqlite3.Connection) -> None:
    """Put a copy into a ledger's place, whole or not at all. Nobody may have the ledger open."""
    beside = f"{path}.{os.getpid()}.tmp"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)
    with contextlib.closing(sqlite3.connect(beside)) as fresh:
        kept.backup(fresh)
    descriptor = os.open(beside, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if os.path.isdir(path) and not os.path.islink(path):
        os.rename(path, f"{path}.{os.getpid()}.folder")
    for tail in ("-wal", "-shm"):  # they belong to what was there
        with contextlib.suppress(OSError):
            os.unlink(path + tail)
    os.replace(beside, path)
    sync_folder(os.path.dirname(path))


def failure(path: str, error: sqlite3.Error, consequence: str) -> AutoExperimentError:
    """A failed statement as an error of ours: a disk that may be written again later, or the ledger itself."""
    if str(error) in _OF_THE_DISK:
        return DiskFault(f"{path}: {error}; free some space, or see why its disk cannot be written")
    return LedgerError(f"{path}: {error}; {consequence}")


_OF_THE_DISK = frozenset(
    {
        "database or disk is full",
        "disk I/O error",
        "attempt to write a readonly database",
        "unable to open database file",
    }
)


def connect(path: str, mode: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_S,
        check_same_thread=True,
    )
    db.row_factory = sqlite3.Row
    return db


def refuse_network_disk(path: str) -> None:
    """SQLite's log needs a local disk; on a network file system a ledger can be damaged."""
    kind = file_system(path)
    if kind in _NETWORK:
        raise LedgerRefused(
            f"{path}: is on a network disk ({kind}), where SQLite can lose data; "
            "set project.ledger in config.yaml to a path on a local disk"
        )


def refuse_disk_without_locks(folder: str) -> None:
    """SQLite waits for a lock as if another program had it, where there are none to be had."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            fcntl.lockf(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NOT_POSSIBLE:
            error.filename = folder  # not a name of the probe's, which nobody knows
            raise
        raise LedgerRefused(
            f"{folder}: this file system cannot lock files ({error.strerror}); "
            "set project.ledger in config.yaml to a path on a local disk"
        ) from error


def file_system(path: str) -> str:
    """The type of the file system that holds ``path`` ("ext4"), from Linux's mount table; "" when unknown."""
    folder = os.path.realpath(os.path.dirname(path) or ".")
    best, kind = "", ""
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        for line in table:
            fields, _, rest = line.partition(" - ")
            mount = fields.split()[4].encode().decode("unicode_escape", "replace")
            inside = folder == mount or folder.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best):
                best, kind = mount, rest.split()[0]
    return kind


_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "fuse.sshfs", "9p"}
)
