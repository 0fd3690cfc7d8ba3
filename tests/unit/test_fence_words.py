"""Which fence is taken and why, what it is told to keep, and which names a glob means. What it keeps is tried in
tests/faults/test_fence.py."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from auto_experiment.errors import HostError
from auto_experiment.hosts import fence as module
from auto_experiment.hosts.base import Completed
from auto_experiment.hosts.fence import Fence, Profile, caches, shell_profile, training_profile
from auto_experiment.hosts.protected import Protected, has_second_names, pattern_of, protected_of, tops
from auto_experiment.paths import ProjectPaths


class Machine:
    """A host that answers by the first word and by what is asked of it."""

    def __init__(self, **answers: Completed | HostError) -> None:
        self.answers = answers

    def run(self, argv, *, stdin=b"", env, timeout, cap=1 << 20):
        words = " ".join(argv)
        name = "bwrap" if "bwrap" in argv[0] else "abi" if "--abi" in words else "landlock"
        if name == "bwrap" and "--unshare-user" in argv:
            name = "bwrap_user"
        answer = self.answers.get(name, Completed(1, b"", b"bwrap: No permissions to create new namespace\n"))
        if isinstance(answer, HostError):
            raise answer
        return answer

    def open(self, argv, *, env):
        raise NotImplementedError


def says(text: str) -> Completed:
    return Completed(0, text.encode() + b"\n", b"")


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(module, "_which", lambda name: f"/usr/bin/{name}")


class TestDetecting:
    """C14: nothing falls back silently."""

    def test_bubblewrap(self, installed):
        found = Fence.detect(Machine(bwrap=says("pid 1"), bwrap_user=says("pid 1")), {})
        assert (found.mode, found.why, found.enforces) == ("bubblewrap", "", True)
        assert found.said.startswith("bubblewrap: ")

    def test_a_root_that_may_not_mount_takes_a_user_namespace(self, installed):
        found = Fence.detect(Machine(bwrap_user=says("pid 1")), {})
        assert found.mode == "bubblewrap"
        assert found.options[0] == "--unshare-user"

    def test_not_installed(self, monkeypatch):
        monkeypatch.setattr(module, "_which", lambda name: "")
        found = Fence.detect(Machine(abi=says("7"), landlock=says("up")), {})
        assert (found.mode, found.scope, found.enforces) == ("landlock", True, False)
        assert "apt-get install bubblewrap" in found.said

    def test_installed_and_not_allowed(self, installed):
        found = Fence.detect(Machine(abi=says("3"), landlock=says("up")), {})
        assert (found.mode, found.scope) == ("landlock", False)
        assert "No permissions to create new namespace" in found.said
        assert "signals to other processes are not stopped before Linux 6.12" in found.said

    @pytest.mark.parametrize("abi", [says("0"), Completed(1, b"", b""), HostError("no python")])
    def test_nothing_at_all(self, installed, abi):
        found = Fence.detect(Machine(abi=abi), {})
        assert (found.mode, found.words(Profile(None, ()))) == ("none", None)
        assert "No permissions" in found.said
        assert "\n" not in found.said
        assert found.wrap(["true"], Profile((), ())) == ["true"]

    def test_a_landlock_that_is_there_and_does_not_work(self, installed):
        found = Fence.detect(Machine(abi=says("4")), {})
        assert found.mode == "none"
        assert "Landlock does not work here" in found.why

    def test_a_bwrap_of_the_project_is_not_taken(self, tmp_path, monkeypatch):
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho pid 1\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.chdir(tmp_path)
        assert not module._which("bwrap").startswith(str(tmp_path))


class TestGlobs:
    @pytest.mark.parametrize(
        ("glob", "yes", "no"),
        [
            ("eval.py", ["eval.py"], ["src/eval.py", "eval.pyc", "evalxpy"]),
            ("eval/", ["eval", "eval/a.py", "eval/b/c.py"], ["evaluate/a.py"]),
            ("*.csv", ["a.csv"], ["data/a.csv"]),
            ("**/*.csv", ["a.csv", "data/a.csv", "data/x/a.csv"], ["a.csvx"]),
            ("data/**", ["data/a", "data/b/c"], ["other/a"]),
            ("./data/?.txt", ["data/a.txt"], ["data/ab.txt", "data//.txt"]),
            ("run[0-9]", ["run1", "run2/x"], ["runx"]),
            ("run[!0-9]", ["runx"], ["run1"]),
            ("a+b(c).py", ["a+b(c).py"], ["aab(c).py"]),
        ],
    )
    def test_what_they_mean(self, glob, yes, no):
        pattern = re.compile(pattern_of(glob))
        assert [name for name in yes if not pattern.fullmatch(name)] == []
        assert [name for name in no if pattern.fullmatch(name)] == []

    def test_the_highest_of_each_branch(self):
        assert tops(["/a/b", "/a", "/ab", "/a/b/c", "/c/d"]) == ["/a", "/ab", "/c/d"]


class TestProtected:
    def test_git_above_and_elsewhere(self, tmp_path):
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        project = tmp_path / "lab/project"
        project.mkdir(parents=True)
        assert str(tmp_path / ".git") in protected_of(ProjectPaths.of(str(project))).paths()
        (project / ".git").write_text(f"gitdir: {tmp_path}/store/.git/worktrees/w\n")
        (tmp_path / "store/.git/worktrees/w").mkdir(parents=True)
        assert str(tmp_path / "store/.git") in protected_of(ProjectPaths.of(str(project))).paths()

    def test_what_is_not_there_is_known(self, tmp_path):
        kept = protected_of(ProjectPaths.of(str(tmp_path)), frozen=("sealed.txt", "eval/*.py"))
        names = {os.path.relpath(path, tmp_path) for path in kept.missing()}
        unasked = {"sitecustomize.py", "usercustomize.py"}
        assert names == {"PROJECT_BRIEF.md", "config.yaml", "workspace", ".git", "sealed.txt", *unasked}

    def test_a_ledger_and_a_config_elsewhere(self, tmp_path):
        paths = ProjectPaths.of(str(tmp_path), ledger="/var/tmp/one.db")
        fixed = protected_of(paths, config="/etc/other.yaml").fixed
        assert {"/var/tmp/one.db", "/var/tmp/one.db-wal", "/etc/other.yaml", str(tmp_path / "config.yaml")} <= set(
            fixed
        )


class TestProfiles:
    def test_caches_that_are_none(self, tmp_path):
        home, root = tmp_path / "home", tmp_path / "home/project"
        for folder in (home / ".cache", root / "cache", tmp_path / "hf"):
            folder.mkdir(parents=True)
        wrong = {
            "XDG_CACHE_HOME": str(home),
            "TORCH_HOME": "/",
            "PIP_CACHE_DIR": "relative",
            "UV_CACHE_DIR": "/no/such",
        }
        assert caches(str(home), {**wrong, "HF_HOME": str(tmp_path / "hf")}, str(root)) == [
            str(tmp_path / "hf"),
            str(home / ".cache"),
        ]

    def test_a_cache_in_which_this_program_is_installed(self, tmp_path, monkeypatch):
        """uvx and poetry do that: what our own later processes load is not to be written."""
        cache, root = tmp_path / ".cache", tmp_path / "project"
        for folder in (cache / "uv/archive-v0/x/lib", cache / "huggingface", cache / "torch", root):
            folder.mkdir(parents=True)
        monkeypatch.setattr(sys, "prefix", str(cache / "uv/archive-v0/x"))
        assert caches(str(tmp_path), {}, str(root)) == [str(cache / "huggingface"), str(cache / "torch")]
        assert caches(str(tmp_path), {"UV_CACHE_DIR": str(cache / "uv")}, str(root)) == [
            str(cache / "huggingface"),
            str(cache / "torch"),
        ]

    def test_second_names_of_this_program_are_seen(self, tmp_path):
        """Hard links into an installer's cache."""
        (tmp_path / "__init__.py").touch()
        assert not has_second_names(str(tmp_path))
        os.link(tmp_path / "__init__.py", tmp_path / "in_a_cache.py")
        assert has_second_names(str(tmp_path))

    def test_too_many_frozen_files_close_their_folders(self, tmp_path, monkeypatch):
        monkeypatch.setattr(module, "MOST_MOUNTS", 10)
        (tmp_path / "eval").mkdir()
        for number in range(20):
            (tmp_path / f"eval/{number}.py").touch()
        kept = Protected(str(tmp_path), str(tmp_path / "workspace"), (), ("eval/*.py",))
        assert training_profile(kept, out=str(tmp_path / "out")).protected == (str(tmp_path / "eval"),)

    def test_outer_folders_come_first_and_ways_are_pinned(self, tmp_path):
        (tmp_path / "conf/deep").mkdir(parents=True)
        (tmp_path / "conf/deep/frozen.py").touch()
        kept = Protected(str(tmp_path), str(tmp_path / "workspace"), (), ("conf/deep/frozen.py",))
        profile = shell_profile(kept, temporary=str(tmp_path), home="/no/home", variables={})
        mounts = [(mount[0], os.path.relpath(mount[1], tmp_path)) for mount in module._mounts(profile)]
        assert mounts == [
            ("--bind-try", "."),
            ("--bind-try", "conf"),
            ("--bind-try", "conf/deep"),
            ("--ro-bind-try", "conf/deep/frozen.py"),
        ]
