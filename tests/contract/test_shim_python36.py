"""The shim runs where the training runs, under whatever Python is there: 3.6 and later.

One check reads its source and works everywhere; the others need real interpreters, from PATH or from pyenv.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.hosts import outpost
from auto_experiment.hosts.fence import LANDLOCK_EXEC, Fence, Profile
from auto_experiment.hosts.landlock_exec import abi
from auto_experiment.hosts.local import LocalHost
from auto_experiment.hosts.shell import Shell
from auto_experiment.launchers.base import Began, End, LogBytes
from auto_experiment.launchers.process import SHIM, ProcessLauncher
from auto_experiment.records.run import Lost

ALONE = [SHIM, LANDLOCK_EXEC, Path(outpost.__file__)]  # files that are sent as they are
VERSIONS = [f"3.{minor}" for minor in range(6, 14)]
ALLOWED_IMPORTS = {
    "base64",
    "ctypes",
    "errno",
    "json",
    "os",
    "re",
    "resource",
    "select",
    "signal",
    "stat",
    "sys",
    "time",
    "typing",
}


def find(version: str) -> str | None:
    names = [shutil.which(f"python{version}")]
    names += sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python{version}"))
    for name in filter(None, names):  # a pyenv shim on PATH may stand for a version that is switched off: ask it
        done = subprocess.run([str(name), "-c", "import sys; print(sys.executable)"], capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout.decode().strip()
    return None


@pytest.fixture(scope="module", params=VERSIONS)
def python(request):
    path = find(request.param)
    if path is None:
        pytest.skip(f"no python{request.param} on PATH or under ~/.pyenv/versions")
    return path


@pytest.fixture
def old_lab(make_lab, python):
    return make_lab(python=python)


@pytest.mark.parametrize("file", ALONE, ids=lambda path: path.name)
class TestSource:
    def test_it_needs_nothing_newer_than_3_6(self, file):
        pytest.importorskip("vermin")
        run = "from vermin import main; main()"
        command = [sys.executable, "-c", run, "--no-tips", "--violations", "-t=3.6-", str(file)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stdout

    def test_its_grammar_is_that_of_3_6(self, file):
        ast.parse(file.read_text(), feature_version=(3, 6))

    def test_it_imports_little_and_only_the_standard_library(self, file):
        tree = ast.parse(file.read_text())
        plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert plain | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} <= ALLOWED_IMPORTS


class TestInterpreters:
    @pytest.mark.parametrize("fence", ["bare", "bubblewrap", "landlock"], indirect=True)
    def test_starts_follows_and_tells_the_end(self, old_lab, listen):
        refs = [old_lab.start("echo hello; exit 3"), old_lab.start("kill -9 $$"), old_lab.start(["no-such-program"])]
        feed = old_lab.launcher.follow()
        for ref in refs:
            feed.add(ref)
        events = listen(feed, lambda events: sum(isinstance(event, End) for event in events) == len(refs))
        feed.close()
        ends = {event.ref: event.sighting.exit for event in events if isinstance(event, End)}
        assert [(ends[ref].code, ends[ref].signal) for ref in refs] == [(3, None), (None, 9), (127, None)]
        assert [type(event) for event in events if event.ref == refs[0]] == [Began, LogBytes, End]
        contained = "pid namespace" if old_lab.nested else "subreaper"
        assert old_lab.read(refs[0], "exit.json")["containment"] == contained

    def test_a_shell(self, python, tmp_path):
        shell = Shell(python=python, shim=str(SHIM), variables=os.environ)
        for words in (None, Fence("landlock", python=python).words(Profile(None, ()))):
            if words is None or abi():
                done = shell.run("echo $((6 * 7)); exit 9", timeout=20, env=dict(os.environ), cwd="/", fence=words)
                assert (done.output, done.code) == ("42\n", 9)

    def test_the_outpost(self, python, tmp_path):
        request = {"root": str(tmp_path), "protected": [], "frozen": "", "private": ""}
        for words, key in (
            ({"verb": "write", "path": "a/b", "data": "eA=="}, None),
            ({"verb": "read", "path": "a/b", "offset": 0, "limit": 9}, "data"),
            ({"verb": "list", "path": "a", "most": 9}, "entries"),
            ({"verb": "read", "path": "../x", "offset": 0, "limit": 9}, "refused"),
        ):
            line = json.dumps({**request, **words}).encode() + b"\n"
            done = subprocess.run([python, "-I", "-S", outpost.__file__], input=line, capture_output=True, check=True)
            assert set(json.loads(done.stdout)) >= ({key} if key else set())

    def test_a_stop_ends_daemons_too(self, old_lab, alive):
        ref = old_lab.start("trap '' TERM; setsid env -i sleep 1000 & echo up; while :; do sleep 0.02; done")
        old_lab.said(ref, b"up")
        old_lab.launcher.stop(ref, "enough: ñ")
        ending = old_lab.exit(ref)
        assert (ending.signal, ending.stopped) == (9, "enough: ñ")
        assert old_lab.launcher.sweep(ref) == 0

    def test_a_loss_and_a_sweep(self, old_lab, alive):
        ref = old_lab.start("setsid sh -c 'echo $$; exec sleep 1000' & wait")
        old_lab.until(lambda: old_lab.path(ref, "train.log").exists() and old_lab.log(ref).endswith(b"\n"))
        daemon = int(old_lab.log(ref))
        old_lab.kill_guard(ref)
        old_lab.kill_shim(ref, signal.SIGKILL)
        assert isinstance(old_lab.end(ref), Lost)
        assert old_lab.launcher.sweep(ref) >= 1
        assert not alive(daemon)

    def test_a_loss_leaves_nothing_behind(self, old_lab, alive):
        ref = old_lab.start("setsid env -i sh -c 'echo $$; exec sleep 1000' & wait")
        old_lab.until(lambda: old_lab.path(ref, "train.log").exists() and old_lab.log(ref).endswith(b"\n"))
        daemon = int(old_lab.log(ref))
        old_lab.kill_shim(ref)
        assert isinstance(old_lab.end(ref), Lost)
        old_lab.until(lambda: not alive(daemon))

    def test_without_a_locale(self, old_lab, python, listen):
        """Old Pythons take the C locale to mean ASCII."""
        env = {"PATH": os.environ["PATH"], "LANG": "C"}
        old_lab.launcher = ProcessLauncher(LocalHost(), python=python, env=env)
        ref = old_lab.start(["printf", "%s", "größer"], name="Größe 日本", env={**os.environ, "Ä": "ö"})
        feed = old_lab.launcher.follow()
        feed.add(ref)
        events = listen(feed, lambda events: any(isinstance(event, End) for event in events))
        feed.close()
        assert b"".join(event.data for event in events if isinstance(event, LogBytes)).decode() == "größer"
        assert old_lab.state(ref).exit.code == 0

    def test_it_stays_small(self, old_lab):
        ref = old_lab.start("echo up; exec sleep 1000")
        old_lab.said(ref, b"up")
        status = Path(f"/proc/{old_lab.read(ref, 'claim')['pid']}/status").read_text()
        assert int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) <= 15 * 1024
