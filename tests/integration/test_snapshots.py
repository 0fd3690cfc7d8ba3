"""The project's code recorded and put back, with real repositories in every odd state, and the user's left as it was."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from auto_experiment.agent import code_files, code_store, snapshots
from auto_experiment.agent.snapshots import Snapshots
from auto_experiment.errors import AutoExperimentError, DiskFault, EnvironmentNotReady, HostError, UsageError

GIT = shutil.which("git")
IDENTITY = (
    "-c",
    "user.name=n",
    "-c",
    "user.email=n@n",
    "-c",
    "protocol.file.allow=always",
    "-c",
    "init.defaultBranch=main",
)


def git(place, *words, check=True):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", "-C", place, *IDENTITY, *words], check=check, capture_output=True, text=True, env=env).stdout.strip()  # fmt: skip


def write(folder, files):
    for name, text in files.items():
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


def snaps(root, leave_out=(), env=None, program="git") -> Snapshots:
    return Snapshots(
        program,
        str(root),
        os.path.join(root, "workspace", "code.git"),
        leave_out=leave_out,
        env=env or dict(os.environ),
    )


def files_of(root, tree) -> dict[str, str]:
    """path -> "mode blob", told by git itself."""
    store = os.path.join(root, "workspace", "code.git")
    told = subprocess.run(
        ["git", "--git-dir", store, "ls-tree", "-r", "-z", tree], check=True, capture_output=True
    ).stdout
    rows = [row.partition(b"\t") for row in told.split(b"\0")[:-1]]
    return {os.fsdecode(path): facts.decode().split()[0] + " " + facts.decode().split()[2] for facts, _, path in rows}


def content(root, tree, path) -> bytes:
    store = os.path.join(root, "workspace", "code.git")
    blob = files_of(root, tree)[path].split()[1]
    return subprocess.run(["git", "--git-dir", store, "cat-file", "blob", blob], check=True, capture_output=True).stdout


def fingerprint(folder) -> str:
    """Every byte, mode and name below a folder, and when it was last written."""
    digest = hashlib.sha256()
    for place, folders, names in os.walk(os.fsencode(folder)):
        folders.sort()
        for name in sorted(names + folders):
            path = os.path.join(place, name)
            status = os.lstat(path)
            when = 0 if name.startswith(b"sharedindex.") else status.st_mtime_ns  # git sets it when it reads
            digest.update(b"%b %o %d %d\n" % (path, status.st_mode, when, status.st_size))
            if os.path.isfile(path) and not os.path.islink(path):
                digest.update(Path(os.fsdecode(path)).read_bytes())
    return digest.hexdigest()


@pytest.fixture
def repo(tmp_path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    write(root, {"train.py": "lr = 0.1\n", "src/model.py": "layers = 2\n", ".gitignore": "*.pt\n/data/\nsecret.py\n"})
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    write(root, {"workspace/.gitignore": "*\n", "workspace/ledger.db": "x"})
    return root


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_tracked_and_untracked_files_are_recorded_ignored_ones_are_not(repo):
    write(repo, {"new.py": "n", "model.pt": "w", "data/x.csv": "1", "secret.py": "s", "notes.md": "m"})
    write(repo, {"data/keep.json": "{}"})
    git(repo, "add", "-f", "data/keep.json")
    got = snaps(repo).record("x")
    assert set(files_of(repo, got.tree)) == {
        ".gitignore",
        "train.py",
        "src/model.py",
        "new.py",
        "notes.md",
        "data/keep.json",
    }
    assert got.files == 6
    assert got.skipped == ()


def test_the_same_files_are_the_same_tree_and_are_recorded_once(repo):
    one = snaps(repo).record("first")
    assert snaps(repo).record("second") == one
    store = repo / "workspace/code.git"
    assert git(store, "rev-list", "--count", "refs/snapshots/all") == "1"
    assert git(store, "log", "-1", "--format=%s", "refs/snapshots/all") == "first"


def test_without_a_repository_gitignore_counts_all_the_same(tmp_path):
    root = tmp_path / "p"
    write(
        root,
        {
            "train.py": "t",
            "a.pt": "w",
            ".gitignore": "*.pt\n",
            "sub/x.py": "x",
            "sub/.gitignore": "y.py\n",
            "sub/y.py": "",
        },
    )
    got = snaps(root).record("x")
    assert set(files_of(root, got.tree)) == {"train.py", ".gitignore", "sub/x.py", "sub/.gitignore"}


@pytest.mark.parametrize("in_git", [True, False])
def test_what_is_never_recorded(tmp_path, in_git):
    root = tmp_path / "p"
    write(root, {
        "train.py": "t", ".venv/pyvenv.cfg": "", ".venv/lib/a.py": "a", "env2/conda-meta/history": "", "env2/b.py": "",
        "__pycache__/t.pyc": "", "a/__pycache__/t.pyc": "", "js/node_modules/x/y.js": "", ".ipynb_checkpoints/n.ipynb": "",
        "workspace/runs/out.py": "o", "big/a.bin": "b", "x.secret": "s",
    })  # fmt: skip
    if in_git:
        git(root, "init", "-q")
        git(root, "add", "-f", ".")  # tracked or not
    os.mkfifo(root / "pipe.py")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(root)
        s.bind("sock.py")
        os.chdir(here)
        got = snaps(root, leave_out=["big/", "*.secret"]).record("x")
    assert set(files_of(root, got.tree)) == {"train.py"}
    assert got.skipped == ()


def test_links_are_recorded_as_links(repo, tmp_path):
    outside = tmp_path / "outside"
    write(outside, {"foreign.py": "f"})
    (repo / "away").symlink_to(outside)
    (repo / "file.py").symlink_to("train.py")
    (repo / "dangling").symlink_to("nowhere")
    got = files_of(repo, snaps(repo).record("x").tree)
    assert {n for n, e in got.items() if e.startswith("120000")} == {"away", "file.py", "dangling"}
    assert not any("foreign" in name for name in got)


def test_a_tracked_folder_that_became_a_link_is_not_followed(repo, tmp_path):
    write(tmp_path / "outside", {"model.py": "foreign"})
    shutil.rmtree(repo / "src")
    (repo / "src").symlink_to(tmp_path / "outside")
    got = files_of(repo, snaps(repo).record("x").tree)
    assert got["src"].startswith("120000")
    assert "src/model.py" not in got


def test_embedded_repositories_and_submodules(repo, tmp_path):
    library = tmp_path / "library"
    write(library, {"lib.py": "l", ".gitignore": "*.o\n"})
    git(library, "init", "-q")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "l")
    git(repo, "submodule", "add", "-q", str(library), "third/lib")
    git(repo, "commit", "-qm", "submodule")
    git(repo, "clone", "-q", str(library), "embedded")
    git(repo, "clone", "-q", str(library), "embedded/deeper")
    (repo / "unborn").mkdir()
    git(repo / "unborn", "init", "-q")
    write(
        repo,
        {
            "third/lib/lib.py": "edited",
            "third/lib/a.o": "",
            "embedded/new.py": "n",
            "unborn/u.py": "u",
            "embedded/deeper/d.py": "d",
        },
    )
    before = [fingerprint(p) for p in (repo / ".git", repo / "embedded/.git", repo / "unborn/.git")]
    got = snaps(repo).record("x")
    assert set(files_of(repo, got.tree)) == {
        ".gitignore", ".gitmodules", "train.py", "src/model.py", "third/lib/lib.py", "third/lib/.gitignore", "third/lib/.git",
        "embedded/lib.py", "embedded/.gitignore", "embedded/new.py", "unborn/u.py", "embedded/deeper/lib.py",
        "embedded/deeper/.gitignore", "embedded/deeper/d.py",
    } - {"third/lib/.git"}  # fmt: skip
    assert content(repo, got.tree, "third/lib/lib.py") == b"edited"
    assert [fingerprint(p) for p in (repo / ".git", repo / "embedded/.git", repo / "unborn/.git")] == before


def test_a_submodule_that_is_not_checked_out_and_one_whose_git_is_gone(repo, tmp_path):
    library = tmp_path / "library"
    write(library, {"lib.py": "l"})
    git(library, "init", "-q")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "l")
    for name in ("empty", "broken", "bare"):
        git(repo, "submodule", "add", "-q", str(library), name)
    git(repo, "submodule", "deinit", "-q", "-f", "empty")
    write(repo, {"broken/.git": "gitdir: ../nowhere\n"})
    (repo / "bare/.git").unlink()
    got = files_of(repo, snaps(repo).record("x").tree)
    assert {"broken/lib.py", "bare/lib.py"} <= set(got)
    assert not any(name.startswith("empty") for name in got)


ODD = [
    "with space.py", "new\nline.py", 'quo"te.py', "apo'strophe.py", "-rf.py", "--help.py", "back\\slash.py", "tab\t.py",
    b"latin-\xe9.py", "ünïcode.py", "Case.py", "case.py", "star*.py", "[x].py", ":(top)x.py", "!x.py", "#x.py", "~1.py",
    "GIT~1.py", "con.py", " lead.py", "trail.py ", "a\x7fb.py", "a\x01b.py", "nul\u200b.py", "dir with\nnewline/x.py",
    b"dir-\xff/\xfe.py",
]  # fmt: skip


@pytest.mark.parametrize("in_git", [True, False])
def test_odd_names_come_back(tmp_path, in_git):
    root = tmp_path / "p"
    write(root, {name: b"content of %d" % n for n, name in enumerate(ODD)})
    if in_git:
        git(root, "init", "-q")
        git(root, "add", "--", "-rf.py", "Case.py", "new\nline.py")
    s = snaps(root)
    one = s.record("x")
    assert set(files_of(root, one.tree)) == {os.fsdecode(name) for name in ODD}
    write(root, dict.fromkeys(ODD, b"overwritten"))
    two = s.record("x")
    assert len(s.changes(one.tree, two.tree)) == len(ODD)
    for name in ODD:
        os.unlink(os.path.join(os.fsencode(root), os.fsencode(name)))
    assert len(s.put_back(one.tree, missing=True)) == len(ODD)
    assert s.record("x").tree == one.tree
    for n, name in enumerate(ODD):
        with open(os.path.join(os.fsencode(root), os.fsencode(name)), "rb") as file:
            assert file.read() == b"content of %d" % n


def test_modes_and_contents_of_any_kind_come_back(repo):
    binary = bytes(range(256)) * 50
    write(
        repo,
        {
            "x.bin": binary,
            "crlf.py": b"a\r\nb\n",
            "empty.py": b"",
            "run.sh": "#!/bin/sh\n",
            ".gitattributes": "* text=auto\n*.bin filter=lfs\n",
        },
    )
    (repo / "run.sh").chmod(0o755)
    s = snaps(repo)
    one = s.record("x")
    assert files_of(repo, one.tree)["run.sh"].startswith("100755")
    write(repo, {"crlf.py": b"a\nb\n", "empty.py": b"full"})
    (repo / "x.bin").unlink()
    (repo / "run.sh").chmod(0o600)
    s.put_back(one.tree, missing=True)
    assert (repo / "x.bin").read_bytes() == binary
    assert (repo / "crlf.py").read_bytes() == b"a\r\nb\n"
    assert (repo / "empty.py").read_bytes() == b""
    assert (repo / "run.sh").stat().st_mode & 0o777 == 0o700


# -- the user's repository ---------------------------------------------------------------------------------------------


def _merge(repo):
    git(repo, "checkout", "-qb", "side")
    write(repo, {"train.py": "lr = 0.2\n"})
    git(repo, "commit", "-qam", "side")
    git(repo, "checkout", "-q", "main")
    write(repo, {"train.py": "lr = 0.3\n"})
    git(repo, "commit", "-qam", "main")
    git(repo, "merge", "side", check=False)
    assert "<<<<" in (repo / "train.py").read_text()


def _corrupt_index(repo):
    (repo / ".git/index").write_bytes(b"DIRC" + b"\xff" * 200)
    (repo / ".git/info/exclude").write_text("excluded.py\n")
    write(repo, {"excluded.py": "e"})


def _hostile(repo):
    trap = repo.parent / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {repo.parent}/sprung\nexit 1\n")
    trap.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "filter.x.clean",
        "filter.x.process",
        "diff.external",
        "core.editor",
    ):
        git(repo, "config", key, str(trap))
    git(repo, "config", "core.hooksPath", str(repo.parent / "hooks"))
    git(repo, "config", "core.ignoreCase", "true")
    (repo.parent / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc", "post-commit"):
        shutil.copy(trap, repo.parent / "hooks" / hook)
    write(repo, {".gitattributes": "* filter=x diff=x ident working-tree-encoding=UTF-16\n"})


STATES = {
    "plain": lambda repo: None,
    "dirty": lambda repo: write(repo, {"train.py": "lr = 9\n", "new.py": ""}),
    "staged": lambda repo: (write(repo, {"train.py": "s"}), git(repo, "add", "-A"), write(repo, {"train.py": "t"})),
    "merge": _merge,
    "detached": lambda repo: git(repo, "checkout", "-q", "--detach"),
    "unborn": lambda repo: (shutil.rmtree(repo / ".git"), git(repo, "init", "-q")),
    "corrupt index": _corrupt_index,
    "no index": lambda repo: (repo / ".git/index").unlink(),
    "locked index": lambda repo: (repo / ".git/index.lock").touch(),
    "corrupt HEAD": lambda repo: (repo / ".git/HEAD").write_text("rubbish"),
    "no objects": lambda repo: shutil.rmtree(repo / ".git/objects"),
    "sparse": lambda repo: (git(repo, "sparse-checkout", "init", "--cone"), git(repo, "sparse-checkout", "set", "nothing")),
    "stale stat": lambda repo: os.utime(repo / "train.py", (1, 1)),
    "untracked cache": lambda repo: git(repo, "update-index", "--untracked-cache", "--split-index"),
    "hostile": _hostile,
    "strange": lambda repo: git(repo, "config", "core.worktree", "/nowhere"),
    "newer format": lambda repo: git(repo, "config", "core.repositoryFormatVersion", "99"),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_recording_works_in_any_state_and_leaves_the_repository_as_it_is(repo, state):
    STATES[state](repo)
    before = fingerprint(repo / ".git")
    names = {p.relative_to(repo).as_posix() for p in repo.rglob("*.py")} - {"excluded.py"}
    s = snaps(repo)
    one = s.record("x")
    got = files_of(repo, one.tree)
    assert {name for name in got if name.endswith(".py")} == names
    for name in names:
        assert content(repo, one.tree, name) == (repo / name).read_bytes()
    write(repo, {"train.py": "changed by somebody", "more.py": ""})
    assert s.tested(one.tree) == ("more.py", "train.py")
    assert [c.path for c in s.put_back(one.tree)] == ["more.py", "train.py"] if "train.py" in names else True
    assert s.diff(one.tree, s.record("y").tree, cap=1000) == "" or "train.py" not in names
    assert fingerprint(repo / ".git") == before
    assert not (repo.parent / "sprung").exists()


def test_a_sha256_repository(tmp_path):
    root = tmp_path / "p"
    root.mkdir()
    git(root, "init", "-q", "--object-format=sha256")
    write(root, {"train.py": "t", "new.py": "n"})
    git(root, "add", "train.py")
    assert len(files_of(root, snaps(root).record("x").tree)) == 2


def test_a_project_in_a_subfolder_of_its_repository(repo):
    root = repo / "experiments" / "a b"
    write(root, {"train.py": "mine", "weights.pt": "w", "x.py": ""})
    git(repo, "add", "-A")
    before = fingerprint(repo / ".git")
    got = files_of(root, snaps(root).record("x").tree)
    assert set(got) == {"train.py", "x.py"}
    assert fingerprint(repo / ".git") == before


def test_a_project_in_a_home_folder_whose_repository_ignores_everything(tmp_path):
    git(tmp_path, "init", "-q")
    root = tmp_path / "work" / "p"
    write(tmp_path, {".gitignore": "*\n"})
    write(root, {"train.py": "t", "kept.pt": "k", "data.pt": "d", ".gitignore": "*.pt\n"})
    git(tmp_path, "add", "-f", "work/p/kept.pt")
    assert set(files_of(root, snaps(root).record("x").tree)) == {"train.py", ".gitignore", "kept.pt"}


def test_a_worktree_and_a_shallow_clone(repo, tmp_path):
    git(repo, "worktree", "add", "-q", str(tmp_path / "tree"))
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repo}", str(tmp_path / "shallow"))
    for root in (tmp_path / "tree", tmp_path / "shallow"):
        write(root, {"new.py": "n"})
        before = fingerprint(repo / ".git")
        assert set(files_of(root, snaps(root).record("x").tree)) == {".gitignore", "train.py", "src/model.py", "new.py"}
        assert fingerprint(repo / ".git") == before


def test_variables_and_settings_of_the_user_do_not_reach_git(repo, tmp_path):
    home = tmp_path / "home"
    write(
        home,
        {
            ".gitconfig": "[core]\n\texcludesFile = ~/all\n\tfsmonitor = /bin/false\n[init]\n\ttemplateDir = ~/t\n",
            "all": "*\n",
        },
    )
    write(home, {"t/hooks/reference-transaction": "#!/bin/sh\nexit 1\n"})
    (home / "t/hooks/reference-transaction").chmod(0o755)
    env = {
        **os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/", "GIT_INDEX_FILE": "/x",
        "GIT_OBJECT_DIRECTORY": "/x", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "rubbish",
        "GIT_TRACE": str(tmp_path / "trace"),
    }  # fmt: skip
    write(repo, {"new.py": "n"})
    assert "new.py" in files_of(repo, snaps(repo, env=env).record("x").tree)
    assert not (tmp_path / "trace").exists()
    assert not (repo / "workspace/code.git/hooks").exists()


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_skipped_and_told(repo, monkeypatch):
    monkeypatch.setattr(code_files, "MOST_BYTES", 3000)
    monkeypatch.setattr(code_files, "LARGEST", 2000)
    write(repo, {"large.csv": "x" * 2001, "aa.csv": "y" * 1900, "ab.csv": "z" * 1900, "zz.py": "code" * 200})
    got = snaps(repo).record("x")
    assert "zz.py" in files_of(repo, got.tree), "code comes first"
    assert "aa.csv" in files_of(repo, got.tree)
    assert got.skipped == ("large.csv: 0.0 MB, more than 0 MB", "ab.csv: beyond the first 0 MB")


def test_beyond_so_many_files_the_others_are_counted_and_code_comes_first(repo, monkeypatch):
    monkeypatch.setattr(code_files, "MOST_FILES", 60)
    write(repo, {f"data.d/{n:03}.csv": "1" for n in range(100)})
    write(repo, {f"z/{n}.py": "1" for n in range(50)})
    got = snaps(repo).record("x")
    names = files_of(repo, got.tree)
    assert got.files == len(names) == 60
    assert sum(name.endswith(".py") for name in names) == 52
    assert len(got.skipped) == 21
    assert got.skipped[0].endswith(".csv: beyond the first 60 files")
    assert re.fullmatch(r"and \d+ more", got.skipped[-1])
    assert 20 + int(got.skipped[-1].split()[1]) == 100 + 50 + 3 - 60


def test_a_file_that_cannot_be_read_is_told(repo):
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    write(repo, {"closed.py": "c"})
    (repo / "closed.py").chmod(0)
    got = snaps(repo).record("x")
    assert got.skipped == ("closed.py: Permission denied",)


def test_too_slow_is_one_clear_line(repo, monkeypatch):
    monkeypatch.setattr(snapshots, "_SECONDS", 0.0)
    with pytest.raises(EnvironmentNotReady, match=r"recording the project's code took more than 0 s; .*\.gitignore"):
        snaps(repo).record("x")
    monkeypatch.setattr(snapshots, "_SECONDS", 30.0)
    assert snaps(repo).record("x").files == 3


def test_a_git_that_hangs_is_ended(repo, tmp_path, monkeypatch):
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nsleep 1000\n")
    fake.chmod(0o755)
    monkeypatch.setattr(snapshots, "_SECONDS", 0.3)
    with pytest.raises(EnvironmentNotReady, match="took more than"):
        snaps(repo, program=str(fake)).record("x")


def test_git_is_missing(repo):
    with pytest.raises(EnvironmentNotReady, match=r"git .*cannot be started: No such file.*2.25") as error:
        snaps(repo, program="/nowhere/git").record("x")
    assert "\n" not in str(error.value)


def test_a_store_that_cannot_be_written(repo, tmp_path):
    fake = tmp_path / "git"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *fast-import*) echo "fatal: write error: No space left on device" >&2; exit 128;; esac\nexec {GIT} "$@"\n'
    )
    fake.chmod(0o755)
    with pytest.raises(DiskFault, match="No space left on device; free some space"):
        snaps(repo, program=str(fake)).record("x")
    assert snaps(repo).record("x").files == 3


# -- again and again ---------------------------------------------------------------------------------------------------


def counting(tmp_path) -> tuple[str, Path]:
    """A git that notes what it was asked."""
    fake, log = tmp_path / "counting-git", tmp_path / "asked"
    fake.write_text(
        f'#!/bin/sh\nfor w in "$@"; do case "$w" in -c|*=*) ;; *) echo "$w" >> {log}; break;; esac; done\nexec {GIT} "$@"\n'
    )
    fake.chmod(0o755)
    return str(fake), log


def test_unchanged_files_are_not_read_again(repo, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "_UNSURE_NS", 0)
    time.sleep(0.02)  # so that the files are older than the look at them
    one = snaps(repo).record("x")
    read = []
    monkeypatch.setattr(snapshots, "_content", lambda path, status: read.append(path))
    program, log = counting(tmp_path)
    assert snaps(repo, program=program).record("x") == one
    assert read == []
    assert log.read_text().split() == ["for-each-ref", "rev-parse", "ls-files"]
    monkeypatch.undo()
    for path in files_of(repo, one.tree):
        os.utime(repo / path)
    log.unlink()
    assert snaps(repo, program=program).record("x") == one
    assert log.read_text().split() == ["for-each-ref", "rev-parse", "ls-files"], (
        "touched, not changed: nothing to store"
    )


def test_what_may_still_change_in_the_same_instant_is_not_remembered_as_unchanged(repo, monkeypatch):
    s = snaps(repo)
    s.record("x")
    memory = repo / "workspace/code.git/seen.json"
    assert {len(facts) for facts in json.loads(memory.read_text()).values()} == {1}, "only the content's id"
    monkeypatch.setattr(snapshots, "_UNSURE_NS", 0)
    time.sleep(0.02)
    s.record("x")
    assert {len(facts) for facts in json.loads(memory.read_text()).values()} == {6}


def test_a_change_of_the_same_size_in_the_same_instant_is_seen(repo):
    s = snaps(repo)
    for n in range(10):
        write(repo, {"train.py": f"lr = {n}\n"})
        status = os.stat(repo / "train.py")
        tree = s.record("x").tree
        assert content(repo, tree, "train.py") == b"lr = %d\n" % n
        with open(repo / "train.py", "r+b") as file:  # in place, and its time set back
            file.write(b"LR")
        os.utime(repo / "train.py", ns=(status.st_atime_ns, status.st_mtime_ns))
        assert content(repo, s.record("x").tree, "train.py") == b"LR = %d\n" % n


def test_every_recorded_tree_stays(repo, monkeypatch):
    monkeypatch.setattr(code_store, "_MOST_PACKS", 2)
    s = snaps(repo)
    trees = []
    for n in range(6):
        write(repo, {"train.py": f"lr = {n}\n"})
        trees.append(s.record(f"n{n}").tree)
    store = repo / "workspace/code.git"
    packs = len(list((store / "objects/pack").glob("*.pack")))
    assert packs <= 3, "the packs become one now and then"
    git(store, "gc", "-q", "--prune=now")
    assert git(store, "fsck", "--strict", "--connectivity-only") == ""
    for n, tree in enumerate(trees):
        s.put_back(tree)
        assert (repo / "train.py").read_text() == f"lr = {n}\n"


def test_the_store_was_removed_or_damaged_meanwhile(repo):
    s = snaps(repo)
    one = s.record("x")
    shutil.rmtree(repo / "workspace/code.git")
    assert s.record("x") == one
    assert "train.py" in files_of(repo, one.tree)
    shutil.rmtree(repo / "workspace/code.git/objects")  # what is remembered is of no use then
    with pytest.raises(AutoExperimentError, match=r"code.git"):
        s.record("x")


def test_contents_that_are_remembered_and_not_there_are_read_again(repo, monkeypatch):
    monkeypatch.setattr(snapshots, "_UNSURE_NS", 0)
    time.sleep(0.02)
    s = snaps(repo)
    one = s.record("x")
    store = repo / "workspace/code.git"
    for pack in (store / "objects/pack").iterdir():
        pack.unlink()
    git(store, "update-ref", "-d", "refs/snapshots/all", check=False)
    (store / "refs/snapshots/all").unlink(missing_ok=True)
    assert s.record("x") == one
    assert content(repo, one.tree, "train.py") == b"lr = 0.1\n"


@pytest.mark.parametrize("rubbish", ["", "{", "[]", '{"train.py": 3}', '{"train.py": []}', "\0" * 10])
def test_rubbish_in_the_memory_is_ignored(repo, rubbish):
    s = snaps(repo)
    one = s.record("x")
    (repo / "workspace/code.git/seen.json").write_text(rubbish)
    assert s.record("x") == one


RECORD = """
import sys, os
from auto_experiment.agent.snapshots import Snapshots
s = Snapshots("git", sys.argv[1], sys.argv[1] + "/workspace/code.git", leave_out=(), env=dict(os.environ))
print("ready", flush=True)
for n in range(1000):
    open(sys.argv[1] + "/big.py", "w").write(f"{n}" * 100000)
    s.record(f"{n}") if sys.argv[2] == "record" else s.put_back(sys.argv[2])
"""


def test_killed_while_recording(repo):
    s = snaps(repo)
    one = s.record("x")
    for n in range(6):
        child = subprocess.Popen([sys.executable, "-c", RECORD, str(repo), "record"], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        time.sleep(0.02 + 0.03 * n)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        now = s.record("after")
        assert content(repo, now.tree, "big.py") == (repo / "big.py").read_bytes()
        assert not [p for p in (repo / "workspace/code.git/objects/pack").iterdir() if p.name.startswith("tmp")]
    assert git(repo / "workspace/code.git", "fsck", "--strict", "--connectivity-only", "--no-dangling") == ""
    s.put_back(one.tree)
    assert not (repo / "big.py").exists()


CUT_OFF = """
import os, sys
from auto_experiment.agent import code_store
from auto_experiment.agent.snapshots import Snapshots

whole = code_store.Import.commit

def half(self, parent, message, entries):
    whole(self, parent, message, dict(list(entries.items())[:1]))
    self._stdin.flush()
    os._exit(9)

code_store.Import.commit = half
Snapshots("git", sys.argv[1], sys.argv[1] + "/workspace/code.git", leave_out=(), env=dict(os.environ)).record("half")
"""


def test_killed_while_it_tells_git_the_files(repo):
    one = snaps(repo).record("x")
    write(repo, {"new.py": "n"})
    assert subprocess.run([sys.executable, "-c", CUT_OFF, str(repo)], check=False).returncode == 9
    two = snaps(repo).record("y")
    store = repo / "workspace/code.git"
    assert git(store, "log", "--format=%s", "refs/snapshots/all").split() == ["y", "x"], "half a snapshot is none"
    assert [c.path for c in snaps(repo).changes(one.tree, two.tree)] == ["new.py"]


def test_a_git_that_outlives_its_recorder_is_waited_for(repo, tmp_path):
    fake, go, over = tmp_path / "git", tmp_path / "go", tmp_path / "over"
    outlives = f"cat >/dev/null; while ! test -e {go}; do sleep 0.05; done; touch {over}"
    fake.write_text(f'#!/bin/sh\ncase "$*" in *fast-import*) {outlives};; *) exec {GIT} "$@";; esac\n')
    fake.chmod(0o755)
    code = RECORD.replace('"git"', repr(str(fake)))
    child = subprocess.Popen([sys.executable, "-c", code, str(repo), "record"], stdout=subprocess.PIPE)
    assert child.stdout
    while not _children(child.pid, b"fast-import"):
        time.sleep(0.001)
    child.kill()
    child.wait()
    child.stdout.close()
    later = threading.Timer(1.0, go.touch)
    later.start()
    assert not over.exists()
    snaps(repo).record("x")
    assert over.exists()
    later.join()


def _children(pid: int, word: bytes) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
            found += [int(p) for p in pids if word in Path(f"/proc/{p}/cmdline").read_bytes()]
        except OSError:
            continue
    return found


def test_two_that_record_at_once(repo):
    errors = []

    def work(k):
        try:
            for n in range(8):
                write(repo, {f"t{k}.py": f"{n}"})
                snaps(repo).record("x")
        except AutoExperimentError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert git(repo / "workspace/code.git", "fsck", "--strict", "--no-dangling") == ""
    assert {"t0.py", "t1.py", "t2.py"} <= set(files_of(repo, snaps(repo).record("x").tree))


def test_files_that_come_and_go_while_it_records(repo):
    over = threading.Event()

    def churn():
        n = 0
        while not over.is_set():
            n += 1
            write(repo, {f"c{n % 50}.py": f"{n}" * 1000})
            shutil.rmtree(repo / "d", ignore_errors=True)
            if n % 2:
                write(repo, {"d/e/f.py": "x"})
            else:
                (repo / "d").write_text("a file now")
            if (repo / "d").is_file():
                (repo / "d").unlink()
            (repo / f"c{(n + 25) % 50}.py").unlink(missing_ok=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(15):
            assert "train.py" in files_of(repo, snaps(repo).record("x").tree)
    finally:
        over.set()
        thread.join()


def test_an_embedded_folder_that_goes_while_it_is_listed(repo, tmp_path):
    write(repo, {"part/x.py": "x", "stays/x.py": "x"})
    for name in ("part", "stays"):
        git(repo / name, "init", "-q")
        git(repo / name, "add", "-A")
        git(repo / name, "commit", "-qm", "x")
    fake = tmp_path / "git"
    fake.write_text(
        f'#!/bin/sh\ncase "$PWD:$*" in {repo}/part:*ls-files*) rm -r {repo}/part;; {repo}/stays:*ls-files*) exit 1;; esac\nexec {GIT} "$@"\n'
    )
    fake.chmod(0o755)
    got = snaps(repo, program=str(fake)).record("x")
    assert {name for name in files_of(repo, got.tree) if name.endswith("x.py")} == set()
    assert got.skipped == ("stays: its files cannot be listed",)


# -- the digest of the code --------------------------------------------------------------------------------------------


def test_the_same_code_is_the_same_digest_whatever_a_run_leaves_behind(repo):
    s = snaps(repo)
    one = s.record("x")
    write(
        repo,
        {
            "results.json": "{}",
            "log.txt": "l",
            "runs/a/config.yaml": "a: 1",
            "plot.png": "p",
            "config.yaml": "agent:\n",
        },
    )
    two = s.record("x")
    assert two.tree != one.tree
    assert two.code == one.code
    assert s.tested(one.tree) == ()
    for change in ({"train.py": "lr = 3\n"}, {"conf/a.yaml": "a: 1"}):
        write(repo, change)
        three = s.record("x")
        assert three.code != two.code
        assert s.tested(two.tree) == tuple(change)
        two = three
    (repo / "train.py").chmod(0o755)
    assert s.record("x").code != two.code
    os.unlink(repo / "conf/a.yaml")
    assert s.tested(two.tree) == ("conf/a.yaml", "train.py")


def test_looking_stores_nothing(repo):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"train.py": "other"})
    before = fingerprint(repo / "workspace/code.git")
    s.tested(one.tree)
    s.diff(one.tree, one.tree, cap=10)
    assert fingerprint(repo / "workspace/code.git") == before
    assert content(repo, s.record("x").tree, "train.py") == b"other"


# -- differences -------------------------------------------------------------------------------------------------------


def test_changes_and_diff(repo):
    s = snaps(repo)
    write(repo, {"gone.py": "1\n2\n", "x.bin": b"\0\1"})
    one = s.record("x")
    os.unlink(repo / "gone.py")
    write(repo, {"train.py": "lr = 0.2\nwd = 0\n", "new.py": "n\n", "x.bin": b"\0\2", "latin.py": b"# caf\xe9\n"})
    (repo / "src/model.py").chmod(0o755)
    two = s.record("x")
    assert [(c.path, c.kind, c.added, c.deleted) for c in s.changes(one.tree, two.tree)] == [
        ("gone.py", "deleted", 0, 2), ("latin.py", "added", 1, 0), ("new.py", "added", 1, 0), ("src/model.py", "changed", 0, 0),
        ("train.py", "changed", 2, 1), ("x.bin", "changed", 0, 0),
    ]  # fmt: skip
    text = s.diff(one.tree, two.tree, cap=10_000)
    assert "-lr = 0.1\n+lr = 0.2\n+wd = 0\n" in text
    assert "Binary files a/x.bin and b/x.bin differ" in text
    assert "caf�" in text
    assert s.diff(one.tree, two.tree, cap=50) == text[:50] + "\n[cut after 50 characters]\n"
    assert s.changes(one.tree, one.tree) == ()


def test_a_long_diff_is_cut_without_being_made(repo):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {f"l{n}.py": "é" * 40 + f"\n{n}\n" * 100_000 for n in range(5)})
    two = s.record("x")
    text = s.diff(one.tree, two.tree, cap=1000)
    assert len(text) == 1000 + len("\n[cut after 1,000 characters]\n")


@pytest.mark.parametrize(
    "tree",
    ["", "HEAD", "--output=x", "0" * 40, "4b825dc", "../x", "refs/snapshots/all", "refs/snapshots/all^{tree}", "SHORT"],
)
def test_a_tree_that_is_none(repo, tree):
    s = snaps(repo)
    one = s.record("x")
    tree = one.tree[:12] if tree == "SHORT" else tree
    for ask in (
        lambda: s.changes(one.tree, tree), lambda: s.diff(tree, one.tree, cap=9), lambda: s.put_back(tree), lambda: s.tested(tree)
    ):  # fmt: skip
        with pytest.raises(UsageError, match="recorded"):
            ask()


def test_nothing_was_ever_recorded(repo):
    with pytest.raises(UsageError, match="not recorded"):
        snaps(repo).put_back("1" * 40)
    assert not (repo / "workspace/code.git").exists()


# -- what an ignore rule hides later ----


@pytest.mark.parametrize("where", ["repository", "subfolder", "none"])
def test_an_ignore_rule_hides_no_code_that_the_rules_before_would_show(tmp_path, where):
    top = tmp_path / "top"
    root = top / "deep/project" if where == "subfolder" else top
    root.mkdir(parents=True)
    if where != "none":
        git(top, "init", "-q")
        write(top, {".gitignore": "above.py\n/deep/project/data/\n" if where == "subfolder" else ""})
        write(top, {".git/info/exclude": "excluded.py\n"})
    own = "secret.py\n/scratch/\n*.gen.py\n"
    write(root, {"train.py": "t", "kept.py": "k", ".gitignore": own})
    s = snaps(root)
    start = s.record("start").tree
    made = {"hid.py": "h", "sub/in.py": "i", "sub/deep/x.gen.py": "g", "sub/data.json": "{}", "sub/y.py": "y"}
    write(root, made)
    write(root, {"secret.py": "s", "scratch/a.py": "a", "b.gen.py": "b", "large/x.bin": "b"})
    write(root, {".gitignore": own + "hid.py\nlarge/\nkept.py\n", "sub/.gitignore": "*\n"})
    if where != "none":
        write(root, {"excluded.py": "e"})
    if where == "subfolder":
        write(root, {"above.py": "a", "data/x.py": "x"})
    assert set(files_of(root, s.record("without").tree)) == {".gitignore", "train.py", "kept.py"}, "it was recorded"
    now = s.record("with", since=start).tree
    assert set(files_of(root, now)) == {".gitignore", "train.py", "kept.py", "hid.py", "sub/in.py", "sub/y.py"}
    assert s.record("again", since=now).tree == now, "and stays"
    write(root, {"hid.py": "other"})
    assert s.tested(now) == ("hid.py",)
    s.put_back(start)
    assert not (root / "hid.py").exists()
    assert (root / "secret.py").exists()
    assert not list((root / "workspace/code.git").glob("rules-*"))


def test_texts_that_say_something_else(repo):
    s = snaps(repo)
    names = ("a.txt", "README", "results.txt", "t.csv", "out.log", "outputs/b.txt", "bin", "grows.txt", "gone.txt")
    write(repo, dict.fromkeys(names, "old\n") | {"bin": b"a\0b", "big.txt": "x" * 1_000_001})
    one = s.record("x")
    write(
        repo, dict.fromkeys(names, "new\n") | {"grows.txt": "old\nmore\n", "big.txt": "y" * 1_000_001, "more.txt": ""}
    )
    (repo / "gone.txt").unlink()
    assert s.rewritten(one.tree) == ("README", "a.txt")


# -- putting back ------------------------------------------------------------------------------------------------------


def test_put_back_restores_code_and_leaves_everything_else(repo):
    s = snaps(repo)
    write(repo, {"old/a.py": "a", "notes.md": "old notes"})
    one = s.record("x")
    shutil.rmtree(repo / "old")
    write(repo, {"train.py": "lr = 5\n", "new/deep/b.py": "b", "notes.md": "new notes"})
    write(repo, {"results.csv": "1", "model.pt": "w", "secret.py": "s", "new2/c.py": "c", "new2/out.bin": "o"})
    done = s.put_back(one.tree)
    assert [(c.path, c.kind) for c in done] == [
        ("new/deep/b.py", "deleted"), ("new2/c.py", "deleted"), ("old/a.py", "added"), ("train.py", "changed"),
    ]  # fmt: skip
    assert (repo / "train.py").read_text() == "lr = 0.1\n"
    assert (repo / "old/a.py").read_text() == "a"
    assert (repo / "notes.md").read_text() == "new notes", "only code is put back"
    assert not (repo / "new").exists(), "empty folders go"
    assert (repo / "new2/out.bin").exists(), "a folder that holds something stays"
    assert not (repo / "new2/c.py").exists()
    assert all((repo / name).exists() for name in ("results.csv", "model.pt", "secret.py", "workspace/ledger.db"))
    assert s.tested(one.tree) == ()
    assert s.put_back(one.tree) == ()


def test_what_was_there_can_be_had_back(repo):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"train.py": "precious", "new.py": "precious too"})
    s.put_back(one.tree)
    assert (repo / "train.py").read_text() == "lr = 0.1\n"
    store = repo / "workspace/code.git"
    last = git(store, "rev-parse", "refs/snapshots/all^{tree}")
    s.put_back(last)
    assert (repo / "train.py").read_text() == "precious"
    assert (repo / "new.py").read_text() == "precious too"


def test_kept_files_are_neither_written_nor_deleted(repo):
    s = snaps(repo)
    write(repo, {"config.yaml": "old", "PROJECT_BRIEF.md": "old", "frozen/eval.py": "old"})
    one = s.record("x")
    write(
        repo,
        {"config.yaml": "new", "PROJECT_BRIEF.md": "new", "frozen/eval.py": "new", "frozen/more.py": "m", "x.py": "x"},
    )
    done = s.put_back(one.tree, keep=("config.yaml", "PROJECT_BRIEF.md", "frozen/"))
    assert [c.path for c in done] == ["x.py"]
    assert {(repo / n).read_text() for n in ("config.yaml", "PROJECT_BRIEF.md", "frozen/eval.py")} == {"new"}
    assert (repo / "frozen/more.py").exists()


def test_the_workspace_and_git_are_not_touched_whatever_a_tree_holds(repo):
    """A tree that was recorded with another workspace, or by somebody else."""
    s = snaps(repo)
    s.record("x")
    store = repo / "workspace/code.git"
    blob = subprocess.run(
        ["git", "--git-dir", store, "hash-object", "-w", "--stdin"], input=b"evil", capture_output=True, check=True
    ).stdout.strip()
    sub = subprocess.run(
        ["git", "--git-dir", store, "mktree"],
        input=b"100644 blob " + blob + b"\tconfig\n",
        capture_output=True,
        check=True,
    ).stdout.strip()
    rows = b"040000 tree %b\t.git\n040000 tree %b\tworkspace\n100644 blob %b\tok.py\n" % (sub, sub, blob)
    tree = (
        subprocess.run(["git", "--git-dir", store, "mktree"], input=rows, capture_output=True, check=True)
        .stdout.strip()
        .decode()
    )
    before = fingerprint(repo / ".git")
    assert {c.path for c in s.put_back(tree)} == {"ok.py", "train.py", "src/model.py"}
    assert fingerprint(repo / ".git") == before
    assert not (repo / "workspace/config").exists()


def test_nothing_is_written_through_a_link(repo, tmp_path):
    s = snaps(repo)
    one = s.record("x")
    outside = tmp_path / "outside"
    write(outside, {"model.py": "theirs"})
    shutil.rmtree(repo / "src")
    (repo / "src").symlink_to(outside)
    s.put_back(one.tree)  # the link is recorded, so it makes way
    assert (outside / "model.py").read_text() == "theirs"
    assert (repo / "src/model.py").read_text() == "layers = 2\n"
    assert not (repo / "src").is_symlink()


def test_only_code_is_put_back_and_missing_files_when_asked_for(repo):
    s = snaps(repo)
    write(repo, {"NOTES.md": "old", "data.csv": "1", "results.csv": "a\n", "labels.txt": "l", "x.bin": b"w\0"})
    one = s.record("x")
    write(repo, {"NOTES.md": "mine", "data.csv": "2", "results.csv": "a\nb\n", "x.bin": b"w2\0", "train.py": "new"})
    (repo / "labels.txt").unlink()
    assert [c.path for c in s.put_back(one.tree)] == ["train.py"]
    assert [(repo / n).read_text() for n in ("NOTES.md", "data.csv", "results.csv")] == ["mine", "2", "a\nb\n"]
    assert (repo / "x.bin").read_bytes() == b"w2\0"
    assert not (repo / "labels.txt").exists(), "what somebody has removed stays away"
    assert [c.path for c in s.put_back(one.tree, missing=True)] == ["labels.txt"]
    assert (repo / "labels.txt").read_text() == "l"
    assert (repo / "NOTES.md").read_text() == "mine"


def set_aside(root) -> list[str]:
    folder = root / "workspace/set_aside"
    return sorted(re.sub(r"^\d+-", "", name) for name in os.listdir(folder)) if folder.exists() else []


def test_what_stands_in_the_way_is_moved_aside(repo, tmp_path):
    s = snaps(repo)
    one = s.record("x")
    outside = tmp_path / "outside"
    write(outside, {"model.py": "theirs"})
    shutil.rmtree(repo / "src")
    (repo / "src").symlink_to(outside)
    write(repo, {".gitignore": "src\n"})
    git(repo, "rm", "-q", "--cached", "src/model.py")
    (repo / "train.py").unlink()
    write(repo, {"train.py/out/results.bin": "r", "train.py/gone.py": "g"})
    said = []
    s.put_back(one.tree, say=said.append)
    assert (outside / "model.py").read_text() == "theirs"
    assert (repo / "src/model.py").read_text() == "layers = 2\n"
    assert (repo / "train.py").read_text() == "lr = 0.1\n"
    assert set_aside(repo) == ["src", "train.py"]
    (kept,) = (repo / "workspace/set_aside").glob("*-train.py")
    assert (kept / "out/results.bin").read_text() == "r"
    assert [line.split(" moved to ")[0] for line in said] == [
        "src stood in the way:", "train.py stood in the way:"
    ]  # fmt: skip


def test_what_is_not_recorded_is_moved_aside_and_never_overwritten(repo, monkeypatch):
    """Too large meanwhile, or ignored: nobody could have it back."""
    s = snaps(repo)
    write(repo, {"conf.yaml": "lr: 1\n", "local.yaml": "mine: 1\n"})
    one = s.record("x")
    (repo / "local.yaml").unlink()
    write(repo, {".gitignore": "local.yaml\n"})
    s.record("x")
    write(repo, {"local.yaml": "mine: 2\n", "conf.yaml": "lr: 2\n" * 500})
    monkeypatch.setattr(code_files, "LARGEST", 2000)
    said = []
    s.put_back(one.tree, say=said.append)
    assert (repo / "conf.yaml").read_text() == "lr: 1\n"
    assert (repo / "local.yaml").read_text() == "mine: 1\n"
    assert set_aside(repo) == ["conf.yaml", "local.yaml"]
    (kept,) = (repo / "workspace/set_aside").glob("*-conf.yaml")
    assert kept.read_text() == "lr: 2\n" * 500
    assert len(said) == 2


def test_what_must_stay_is_not_moved_aside(repo):
    """The workspace, and what only humans change."""
    s = snaps(repo)
    write(repo, {"a.py": "a", "b.py": "b"})
    one = s.record("x")
    for name in ("a.py", "b.py"):
        (repo / name).unlink()
    write(repo, {"a.py/eval.txt": "frozen", "b.py/store/x": "", "train.py": "new"})
    other = Snapshots("git", str(repo), str(repo / "b.py/store/code.git"), env=dict(os.environ))
    shutil.copytree(repo / "workspace/code.git", repo / "b.py/store/code.git")
    with pytest.raises(UsageError, match=r"a.py: something that must stay stands in its place \(and 1 more\)"):
        other.put_back(one.tree, keep=("eval.txt",))
    assert (repo / "a.py/eval.txt").exists()
    assert (repo / "b.py/store/x").exists()
    assert (repo / "train.py").read_text() == "lr = 0.1\n", "the others are put back"


def test_the_humans_own_are_no_code_and_stay(repo):
    def own():
        store = os.path.join(repo, "workspace", "code.git")
        return Snapshots("git", str(repo), store, humans=("/conf/campaign.yaml",), env=dict(os.environ))

    write(repo, {"conf/campaign.yaml": "old", "conf/model.yaml": "old"})
    one = own().record("x")
    write(repo, {"conf/campaign.yaml": "new"})
    assert own().record("x").code == one.code
    assert own().tested(one.tree) == ()
    write(repo, {"conf/model.yaml": "new"})
    assert [c.path for c in own().put_back(one.tree, missing=True)] == ["conf/model.yaml"]
    assert (repo / "conf/campaign.yaml").read_text() == "new"


def test_a_link_that_is_put_in_place_while_it_writes(repo, tmp_path, monkeypatch):
    """The folder is swapped for a link again and again: no byte may come out beyond it."""
    s = snaps(repo)
    write(repo, {f"src/f{n}.py": f"{n}" for n in range(40)})
    one = s.record("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    over = threading.Event()

    def swap():
        while not over.is_set():
            try:
                os.rename(repo / "src", repo / "away")
                os.symlink(outside, repo / "src")
                os.unlink(repo / "src")
                os.rename(repo / "away", repo / "src")
            except OSError:
                pass

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(10):
            for k in range(40):
                try:
                    (repo / f"src/f{k}.py").unlink(missing_ok=True)
                except OSError:
                    pass
            try:
                s.put_back(one.tree)
            except AutoExperimentError:
                pass
    finally:
        over.set()
        thread.join()
    assert os.listdir(outside) == []


def test_a_link_and_a_file_change_places(repo):
    s = snaps(repo)
    (repo / "latest.py").symlink_to("train.py")
    one = s.record("x")
    (repo / "latest.py").unlink()
    write(repo, {"latest.py": "a file"})
    (repo / "train.py").unlink()
    (repo / "train.py").symlink_to("src/model.py")
    s.put_back(one.tree)
    assert os.readlink(repo / "latest.py") == "train.py"
    assert not (repo / "train.py").is_symlink()
    assert (repo / "train.py").read_text() == "lr = 0.1\n"
    assert (repo / "src/model.py").read_text() == "layers = 2\n", "not written through the link"


def test_a_file_and_a_folder_change_places(repo):
    s = snaps(repo)
    write(repo, {"a.py": "file", "b/c.py": "c"})
    one = s.record("x")
    (repo / "a.py").unlink()
    shutil.rmtree(repo / "b")
    write(repo, {"a.py/x.py": "x", "b": "now a file"})
    s.put_back(one.tree)
    assert (repo / "a.py").read_text() == "file"
    assert (repo / "b/c.py").read_text() == "c"


def test_skipped_files_stay(repo, monkeypatch):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"large.py": "x" * 3000})
    monkeypatch.setattr(code_files, "LARGEST_SOURCE", 2000)
    assert s.put_back(one.tree) == ()
    assert (repo / "large.py").exists()


def test_killed_while_it_puts_back(repo):
    write(repo, {f"m{n}.py": f"{n}" * 1000 for n in range(40)})
    s = snaps(repo)
    one = s.record("x")
    for k in range(5):
        write(repo, {f"m{n}.py": "other" for n in range(40)})
        child = subprocess.Popen([sys.executable, "-c", RECORD, str(repo), one.tree], stdout=subprocess.PIPE)
        assert child.stdout
        child.stdout.readline()
        time.sleep(0.1 + 0.04 * k)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for n in range(40):
            assert (repo / f"m{n}.py").read_text() in (f"{n}" * 1000, "other")
        s.put_back(one.tree)
        assert s.record("x").tree == one.tree
        assert not [p for p in repo.rglob("*") if "put-back" in p.name]


def test_what_a_killed_one_left_beside_a_file_is_no_obstacle(repo):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"train.py": "other", code_files.TEMPORARY: "half"})
    assert s.record("x").files == 3, "it is not recorded"
    s.put_back(one.tree)
    assert (repo / "train.py").read_text() == "lr = 0.1\n"
    assert not (repo / os.fsdecode(code_files.TEMPORARY)).exists()


def test_python_does_not_run_what_was_compiled_before(repo):
    """Same size, same second: Python would take the compiled file of the other source for this one's."""
    s = snaps(repo)
    write(repo, {"value.py": "print(1)\n"})
    one = s.record("x")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for _ in range(2):
        while int(time.time()) <= int((repo / "value.py").stat().st_mtime):
            time.sleep(0.01)  # a new second: it is not this edit's time that is tested
        write(repo, {"value.py": "print(2)\n"})
        words = [sys.executable, "-c", "import value"]
        assert subprocess.run(words, cwd=repo, env=env, capture_output=True, text=True, check=True).stdout == "2\n"
        before = (repo / "value.py").stat().st_mtime
        s.put_back(one.tree)
        assert int((repo / "value.py").stat().st_mtime) != int(before)
        assert subprocess.run(words, cwd=repo, env=env, capture_output=True, text=True, check=True).stdout == "1\n"


def test_permissions_are_kept(repo):
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"train.py": "other"})
    (repo / "train.py").chmod(0o640)
    s.put_back(one.tree)
    assert (repo / "train.py").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_used_elsewhere_is_replaced_not_written_into(repo, tmp_path):
    """A running program that has the file open, or a hard link to it, keeps what it has."""
    s = snaps(repo)
    one = s.record("x")
    write(repo, {"train.py": "mine"})
    os.link(repo / "train.py", tmp_path / "other-name")
    s.put_back(one.tree)
    assert (tmp_path / "other-name").read_text() == "mine"


def test_the_workspace_may_be_a_link_or_lie_elsewhere(repo, tmp_path):
    shutil.rmtree(repo / "workspace")
    (tmp_path / "scratch").mkdir()
    (repo / "workspace").symlink_to(tmp_path / "scratch")
    got = snaps(repo).record("x")
    assert "workspace" not in files_of(repo, got.tree)
    (repo / "workspace").unlink()
    elsewhere = Snapshots("git", str(repo), str(tmp_path / "ws/code.git"), leave_out=(), env=dict(os.environ))
    assert elsewhere.record("x") == got


def test_an_empty_project(tmp_path):
    root = tmp_path / "p"
    root.mkdir()
    s = snaps(root)
    one = s.record("x")
    assert one.files == 0
    write(root, {"a.py": "a"})
    s.record("x")
    s.put_back(one.tree)
    assert not (root / "a.py").exists()
    assert root.exists()


def test_the_project_folder_is_gone(tmp_path):
    with pytest.raises(HostError, match="no such folder"):
        snaps(tmp_path / "nothing").record("x")
    assert not (tmp_path / "nothing").exists()
