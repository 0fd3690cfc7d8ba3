"""The provider's key is not in /proc/PID/environ, and all that we need of /proc goes on working."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

KEY = "sk-canary-0123456789"


@pytest.fixture
def child(tmp_path):
    """A process that has forgotten its key and waits."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> tuple[int, list[str]]:
        env = {**os.environ, "ANTHROPIC_API_KEY": KEY, "NOT_ANTHROPIC_API_KEY": "kept", "LAST": "also kept"}
        one = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(one)
        assert one.stdout is not None
        return one.pid, one.stdout.readline().decode().split()

    yield start
    for one in started:
        one.communicate()


FORGET = """
    import os, sys, faulthandler, subprocess
    from auto_experiment.environ_block import forget
    kept = dict(os.environ)
    done = forget(["ANTHROPIC_API_KEY", "", "UNSET"])
"""


def test_the_block_holds_no_key(child):
    pid, said = child(FORGET + "    print(done, kept['ANTHROPIC_API_KEY'], flush=True); sys.stdin.read()")
    assert said == ["True", KEY], "the program goes on with the key"
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            Path(f"/proc/{pid}/environ").read_bytes()
        return
    block = Path(f"/proc/{pid}/environ").read_bytes()
    assert KEY.encode() not in block
    assert b"NOT_ANTHROPIC_API_KEY=kept" in block
    assert b"LAST=also kept" in block


def test_without_it_the_key_is_there(child):
    pid, _ = child("import sys; print('up', flush=True); sys.stdin.read()")
    assert KEY.encode() in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_child_gets_no_key_by_accident(child):
    code = "    print(subprocess.run(['env'], capture_output=True, text=True).stdout.count('sk-canary'), flush=True)"
    _, said = child(FORGET + code)
    assert said == ["0"]


def test_what_we_need_of_proc_goes_on_working(child):
    code = """
    faulthandler.dump_traceback(file=open(os.devnull, "w"))
    for name in ("fd", "task"):
        assert os.listdir("/proc/self/" + name)
    for name in ("stat", "status", "mountinfo"):
        open("/proc/self/" + name, "rb").read()
    one = subprocess.run(["sh", "-c", "cat /proc/self/environ >/dev/null && readlink /proc/self/exe && echo 1 > /proc/self/oom_score_adj"], stdout=subprocess.PIPE)
    print(one.returncode, flush=True)
    """
    _, said = child(FORGET + code)
    assert said == ["0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_same_user_cannot_look(child):
    """A process of the same user, which is not root, reads neither the memory nor the environment."""
    code = FORGET.replace("    kept", "    os.setgid(65534); os.setuid(65534)\n    kept")
    pid, _ = child(code + "    print('up', flush=True); sys.stdin.read()")
    look = f"import os; os.setgid(65534); os.setuid(65534); print(os.access('/proc/{pid}/stat', os.R_OK)); open('/proc/{pid}/environ')"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n"
    assert "PermissionError" in done.stderr


CHANGED = """
    import ctypes, sys
    from auto_experiment.environ_block import _block
    from auto_experiment.project import Place
    from auto_experiment.wiring import controller_of

    folder, settings, said = sys.argv[1], sys.argv[2], []
    place = Place.of(folder)
    with controller_of(place, said.append) as controller:
        parts = controller._parts
        with open(folder + "/config.yaml", "w") as file:
            file.write(settings + "agent: {provider: optuna, api_key_env: SECOND}\\n")
        now = parts.read_inputs()
        parts.say("one " + place.env.variables["FIRST"] + " two " + place.env.variables["SECOND"])
        with parts.ledger.transaction() as tx:
            tx.event("text", said=place.env.variables["SECOND"])
        stored = parts.ledger.last_event("text").body["said"]
        start, size = _block()
        block = ctypes.string_at(start, size)  # a plain user may not even read his own /proc/self/environ now
    shown = [name for name in ("FIRST", "SECOND") if place.env.variables[name].encode() in block]
    print(said[-1], "|", stored, "|", shown, [n for n in ("FIRST", "SECOND") if n in place.env.child(now.config)])
"""


def test_a_key_that_is_named_while_it_runs(tmp_path):
    """It is hidden, taken out of the block and kept from children like the one before it, which stays so."""
    (tmp_path / "PROJECT_BRIEF.md").write_text("# Goal\nval_acc\n\n# Search Space\n- --lr: 0.1 .. 1\n")
    (tmp_path / "train.py").touch()
    settings = f"objective: {{metric: val_acc, direction: max}}\nexperiment: {{command: {sys.executable} train.py}}\n"
    first = "agent: {provider: optuna, api_key_env: FIRST}\n"
    (tmp_path / "config.yaml").write_text(settings + first)
    env = {**os.environ, "FIRST": "wordless-0123456789", "SECOND": "speechless-9876543210"}
    words = [sys.executable, "-c", textwrap.dedent(CHANGED), tmp_path, settings]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "one [secret] two [secret] | [secret] | [] []\n", done.stderr
