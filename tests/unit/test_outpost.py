"""The jailed verbs for files: nothing outside is read or written, whatever is swapped meanwhile."""

from __future__ import annotations

import base64
import errno
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from auto_experiment.hosts import outpost
from auto_experiment.hosts.outpost import Outpost, Refused
from auto_experiment.hosts.protected import Protected

SECRET = b"not for you"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(SECRET)
    (tmp_path / "outside/folder").mkdir()
    project = tmp_path / "project"
    for folder in ("workspace", ".git/hooks", "data/private", "src"):
        (project / folder).mkdir(parents=True)
    for name in (
        "PROJECT_BRIEF.md",
        "workspace/ledger.db",
        ".git/config",
        "eval.py",
        "data/private/labels",
        "src/a.py",
    ):
        (project / name).write_text(name)
    return project


@pytest.fixture(params=["openat2", "by hand"])
def post(request, root, monkeypatch):
    fixed = tuple(str(root / name) for name in ("PROJECT_BRIEF.md", "config.yaml", "workspace", ".git"))
    kept = Protected(str(root), str(root / "workspace"), fixed, ("eval.py", "frozen/**"), ("data/private",))
    made = Outpost(**kept.rules())
    if request.param == "by hand":

        def none(*_):
            raise OSError(errno.ENOSYS, "no such call")

        monkeypatch.setattr(outpost, "openat2", none)
    return made


class TestReading:
    def test_a_piece_and_the_size(self, post, root):
        (root / "big").write_bytes(b"0123456789")
        assert post.read("big", 3, 4) == (b"3456", 10)
        assert post.read(str(root / "big")) == (b"0123456789", 10)
        assert post.read("src/../big", 8) == (b"89", 10)
        assert post.read("big", 100) == (b"", 10)

    def test_links_that_stay_inside(self, post, root):
        (root / "relative").symlink_to("src/a.py")
        (root / "absolute").symlink_to(root / "src/a.py")
        (root / "src/up").symlink_to("../src")
        for path in ("relative", "absolute", "src/up/a.py", "src/up/up/a.py"):
            assert post.read(path)[0] == b"src/a.py"

    def test_what_is_protected_may_be_read(self, post):
        assert post.read("PROJECT_BRIEF.md")[0] == b"PROJECT_BRIEF.md"
        assert post.read("eval.py")[0] == b"eval.py"

    @pytest.mark.parametrize(
        "path",
        [
            "../outside/secret",
            "/etc/passwd",
            "src/../../outside/secret",
            "/proc/self/root/etc/passwd",
            "OUT/secret",
            "link",
            "up/outside/secret",
            "round",
            "",
        ],
    )
    def test_nothing_outside(self, post, root, path):
        (root / "link").symlink_to("../outside/secret")
        (root / "up").symlink_to("..")
        (root / "round").symlink_to(root.parent / "outside/secret")
        with pytest.raises(Refused) as refusal:
            post.read(path.replace("OUT", str(root.parent / "outside")))
        assert "outside the project" in str(refusal.value) or path == ""
        assert "\n" not in str(refusal.value)

    def test_private_by_every_name(self, post, root):
        (root / "other").symlink_to("data/private/labels")
        for path in ("data/private/labels", "other", "data/./private/../private/labels"):
            with pytest.raises(Refused, match="private: no tool may read it"):
                post.read(path)
        with pytest.raises(Refused, match="private"):
            post.list("data/private")

    def test_what_is_no_file(self, post, root):
        os.mkfifo(root / "fifo")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(root / "socket"))
        for path, kind in (("fifo", "FIFO"), ("socket", "socket"), ("src", "folder; use list_files")):
            with pytest.raises(Refused, match=f"{path} is a {kind.split(';')[0]}, not a file"):
                post.read(path)
            with pytest.raises(Refused):
                post.write(path, b"x")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
    def test_a_device(self, post, root):
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        with pytest.raises(Refused, match="is a device"):
            post.read("null")

    def test_what_is_not_there(self, post, root):
        (root / "loop").symlink_to("loop")
        with pytest.raises(Refused, match=r"there is no src/b\.py"):
            post.read("src/b.py")
        for path in ("loop", "src/a.py/b", "x" * 300, "a\0b"):
            with pytest.raises(Refused):
                post.read(path)


class TestWriting:
    def test_a_new_file_with_its_folders(self, post, root):
        post.write("new/deep/file.py", b"1")
        assert (root / "new/deep/file.py").read_bytes() == b"1"

    def test_the_mode_is_kept(self, post, root):
        (root / "src/a.py").chmod(0o754)
        post.write("src/a.py", b"2")
        assert (root / "src/a.py").read_bytes() == b"2"
        assert stat.S_IMODE((root / "src/a.py").stat().st_mode) == 0o754
        assert sorted(os.listdir(root / "src")) == ["a.py"], "nothing is left beside it"

    def test_a_link_inside_leads_to_its_file(self, post, root):
        (root / "link").symlink_to("src/a.py")
        post.write("link", b"3")
        assert (root / "link").is_symlink()
        assert (root / "src/a.py").read_bytes() == b"3"

    def test_a_hard_link_to_a_file_outside_is_cut(self, post, root):
        os.link(root.parent / "outside/secret", root / "hard")
        post.write("hard", b"4")
        assert (root.parent / "outside/secret").read_bytes() == SECRET
        assert (root / "hard").read_bytes() == b"4"

    @pytest.mark.parametrize(
        "path",
        [
            "PROJECT_BRIEF.md",
            "config.yaml",
            "workspace/ledger.db",
            "workspace/new/x",
            ".git/hooks/post-commit",
            "eval.py",
            "frozen/new.py",
            "./src/../eval.py",
            "to_brief",
            "to_git/hooks/x",
            "data/private/labels",
            "data/private/new",
        ],
    )
    def test_what_is_protected(self, post, root, path):
        (root / "to_brief").symlink_to("PROJECT_BRIEF.md")
        (root / "to_git").symlink_to(".git")
        before = tree(root)
        with pytest.raises(Refused, match=r"protected|private"):
            post.write(path, b"x")
        assert tree(root) == before

    @pytest.mark.parametrize("path", ["../new", "/tmp/no-such-file", "up/new", "dangling", "out/new", "out/a/b/c"])
    def test_nothing_outside(self, post, root, path):
        (root / "up").symlink_to("..")
        (root / "out").symlink_to("../outside")
        (root / "dangling").symlink_to("../outside/new")
        before = tree(root.parent)
        with pytest.raises(Refused):
            post.write(path, b"x")
        assert tree(root.parent) == before

    def test_a_link_that_leads_nowhere(self, post, root):
        (root / "nowhere").symlink_to("src/gone")
        with pytest.raises(Refused, match="leads nowhere"):
            post.write("nowhere", b"x")

    def test_a_full_disk_leaves_the_old_file(self, post, root, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(outpost.os, "write", full)
        with pytest.raises(Refused, match="No space left"):
            post.write("src/a.py", b"x")
        assert sorted(os.listdir(root / "src")) == ["a.py"]
        assert (root / "src/a.py").read_text() == "src/a.py"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


class TestListing:
    def test_names_kinds_sizes(self, post, root):
        (root / "link").symlink_to("src")
        entries, more = post.list(".")
        assert ("eval.py", "file", 7) in entries
        assert ("src", "folder", 0) in entries
        assert ("link", "link", 0) in entries
        assert more == 0
        assert post.list("data")[0] == [("private", "private", 0)]
        assert post.list("src")[0] == [("a.py", "file", 8)]

    def test_it_is_bounded(self, post, root):
        for number in range(50):
            (root / f"src/{number:02}").touch()
        entries, more = post.list("src", most=10)
        assert [name for name, _, _ in entries] == [f"{number:02}" for number in range(10)]
        assert more == 41

    def test_a_file_is_no_folder(self, post):
        with pytest.raises(Refused, match="is a file, not a folder; use read_file"):
            post.list("eval.py")


class TestC02:
    """A link, or a folder, that is swapped all the time."""

    @pytest.fixture
    def flipping(self, root):
        """Ten thousand swaps, while something is done."""
        (root / "in").mkdir()
        (root / "in/secret").write_bytes(b"inside")
        (root / "real").mkdir()
        (root / "real/secret").write_bytes(b"inside")
        links = [("../project/in", "a"), (str(root.parent / "outside"), "b")]
        for words, name in links:
            os.symlink(words, root / name)

        def flip():
            for _ in range(5000):
                for words, name in links:
                    os.symlink(words, root / (name + ".new"))
                    os.rename(root / (name + ".new"), root / "here")
            done.set()

        done = threading.Event()
        os.symlink("in", root / "here")
        thread = threading.Thread(target=flip)
        thread.start()
        yield done
        thread.join()

    def test_no_read_escapes(self, post, flipping):
        said = set()
        while not flipping.is_set():
            try:
                said.add(post.read("here/secret")[0])
            except Refused:
                said.add(b"refused")
        assert said <= {b"inside", b"refused"}
        assert b"refused" in said

    def test_no_write_escapes(self, post, flipping, root):
        count = 0
        while not flipping.is_set():
            try:
                post.write("here/secret", b"inside")
                post.write(f"here/new{count}/x", b"inside")
                count += 1
            except Refused:
                pass
        assert (root.parent / "outside/secret").read_bytes() == SECRET
        assert sorted(os.listdir(root.parent / "outside")) == ["folder", "secret"]


def test_it_can_be_sent_as_it_is(root):
    kept = Protected(str(root), str(root / "workspace"), (str(root / "workspace"),), ("eval.py",), ())

    def ask(**words):
        request = json.dumps({**kept.rules(), **words}) + "\n"
        command = [sys.executable, "-I", "-S", outpost.__file__]
        return json.loads(subprocess.run(command, input=request.encode(), capture_output=True, check=True).stdout)

    assert ask(verb="write", path="n", data=base64.b64encode(b"\0x").decode()) == {}
    assert ask(verb="read", path="n", offset=0, limit=9) == {"data": base64.b64encode(b"\0x").decode(), "size": 2}
    assert ["n", "file", 2] in ask(verb="list", path=".", most=50)["entries"]
    assert "protected" in ask(verb="write", path="eval.py", data="")["refused"]
