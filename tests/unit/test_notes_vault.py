"""Notes as real files: what a vault can do to them, and what they must not do to a vault."""

from __future__ import annotations

import errno
import os
import stat
import time

import pytest

from auto_experiment.notes import vault as files
from auto_experiment.notes.managed import LeftAlone
from auto_experiment.notes.vault import Vault


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "vault"
    folder.mkdir()
    return folder


def write(root, part="text", name="Dashboard", folder="a/p"):
    return Vault(str(root), folder).write(name, part, owner="p", front="---\n---\n")


def test_a_note_is_made_and_left_alone_while_nothing_changes(root):
    assert write(root)
    note = root / "a/p/Dashboard.md"
    os.utime(note, (1, 1))
    assert not write(root)
    assert note.stat().st_mtime == 1
    assert write(root, "other")
    assert os.listdir(note.parent) == ["Dashboard.md"]


def test_the_mode_of_a_note_stays(root):
    write(root)
    note = root / "a/p/Dashboard.md"
    note.chmod(0o600)
    write(root, "other")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600


def test_a_vault_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(LeftAlone, match="no such folder; is the drive mounted"):
        write(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_what_is_edited_at_the_same_time_stays(root, monkeypatch):
    """A human saves while we write: the note is read again, with both."""
    write(root)
    note, saved = root / "a/p/Dashboard.md", []
    sync = os.fsync

    def save_meanwhile(descriptor):
        if not saved:
            saved.append(note.write_text(note.read_text() + "mine\n"))
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", save_meanwhile)
    assert write(root, "other")
    assert "other" in note.read_text()
    assert note.read_text().endswith("mine\n")


def test_a_note_that_comes_meanwhile_is_not_overwritten(root, monkeypatch):
    note, made = root / "a/p/Dashboard.md", []

    def make_meanwhile(descriptor):
        if not made:
            made.append(note.write_text("mine\n"))

    monkeypatch.setattr(files.os, "fsync", make_meanwhile)
    assert write(root)
    assert note.read_text().startswith("mine\n")
    assert "text" in note.read_text()


def test_a_note_that_is_edited_all_the_time_waits(root, monkeypatch):
    write(root)
    note = root / "a/p/Dashboard.md"
    monkeypatch.setattr(files.os, "fsync", lambda _: note.write_text(f"{note.read_text()}{time.time_ns()}\n"))
    with pytest.raises(LeftAlone, match="somebody is editing it"):
        write(root, "other")
    assert "other" not in note.read_text()


def test_without_links_a_new_note_is_moved_there(root, monkeypatch):
    def no_link(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(files.os, "link", no_link)
    assert write(root)
    assert os.listdir(root / "a/p") == ["Dashboard.md"]


def test_a_full_disk_leaves_the_note_as_it_was(root, monkeypatch):
    write(root)
    before = (root / "a/p/Dashboard.md").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(root, "other")
    assert (root / "a/p/Dashboard.md").read_bytes() == before
    assert os.listdir(root / "a/p") == ["Dashboard.md"]


def test_what_a_killed_one_has_left_is_removed_and_nothing_of_a_humans(root):
    write(root)
    gone = root / "a/p/.auto-experiment.Dashboard.md.4194305.tmp"  # no pid is that high
    mine = root / "a/p/thesis.4194305.tmp"
    gone.touch()
    mine.touch()
    write(root, "other")
    assert not gone.exists()
    assert mine.exists()


def test_a_link_within_the_vault_is_followed_and_stays_one(root):
    (root / "real.md").write_text("mine\n")
    (root / "a/p").mkdir(parents=True)
    (root / "a/p/Dashboard.md").symlink_to("../../real.md")
    assert write(root)
    assert (root / "a/p/Dashboard.md").is_symlink()
    assert (root / "real.md").read_text().startswith("mine\n")


@pytest.mark.parametrize("what", ["note", "folder"])
def test_no_link_leads_out_of_the_vault(root, tmp_path, what):
    outside = tmp_path / "home"
    outside.mkdir()
    target = outside / "Dashboard.md"
    target.write_text("echo mine\n")
    (root / "a").mkdir()
    if what == "folder":
        (root / "a/p").symlink_to(outside)
    else:
        (root / "a/p").mkdir()
        (root / "a/p/Dashboard.md").symlink_to(target)
    with pytest.raises(LeftAlone, match="leads out of the vault"):
        write(root)
    assert target.read_text() == "echo mine\n"


def test_what_is_no_file_is_left_alone(root):
    (root / "a/p").mkdir(parents=True)
    os.mkfifo(root / "a/p/Dashboard.md")
    (root / "a/p/Other.md").mkdir()
    for name in ("Dashboard", "Other"):
        with pytest.raises(LeftAlone, match="no regular file"):
            write(root, name=name)
