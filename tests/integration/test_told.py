"""Notes and messages of whole campaigns: real runs, a real receiver, a real vault, and kills in between."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from receiver import Receiver

PASSWORD = "hunter2hunter2"
SOON = "import auto_experiment.notes.teller as t; t.MINUTE_S = 0.05"
SCRIPT = """
import argparse
import judge

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
lr = parser.parse_args().lr
judge.note(lr=lr)
for step in range(1, 4):
    print(f"step {step}/3 val_acc={0.5 + 0.1 * lr + 0.01 * step:.4f}", flush=True)
if lr != 0.1 and not judge.DRY:
    judge.note(note="second")
    judge.wait("go")
"""
SPILLS = """
print("val_acc=0.5", flush=True)
print("val_acc=0.6", flush=True)
raise ValueError("cannot reach {address}, tried hunter2hunter2")
"""
HANG = """\
import os, sys, time
if "auto_experiment.notes.child" in " ".join(sys.orig_argv):
    isdir = os.path.isdir
    os.path.isdir = lambda path: time.sleep(600) if str(path).endswith("dead") else isdir(path)
"""


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


def children(mark: str) -> set[int]:
    """The processes that tell, of the test with this mark in their environment."""
    found = set()
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            words, variables = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if b"auto_experiment.notes.child" in words and mark.encode() in variables:
            found.add(pid)
    return found


def first_lines(receiver: Receiver) -> list[str]:
    return [one["message"].splitlines()[0] for one in receiver.got]


def test_an_address_is_in_no_sink(project, receiver):
    spilled = SPILLS.format(address=receiver.address)
    work = project(spilled, config={"notify": [receiver.address], "obsidian": {"enabled": True}})
    run = work.cli("run", "--max-cycles", 1)
    receiver.wait(1)
    work.until(lambda: "stopped: 1 cycle done" in Path(work.paths.notes, "Dashboard.md").read_text())
    said = [work.cli("check", "--json", status=None).stdout, run.stdout, run.stderr, str(receiver.got)]
    for text in said:
        assert PASSWORD not in text
    assert "ValueError" in receiver.got[0]["message"]
    files = [
        path
        for path in work.root.rglob("*")
        if path.is_file() and path.name not in {"config.yaml", "train.py", "train.log"}
    ]
    assert {"ledger.db", "controller.log", "Dashboard.md", "REPORT.md", "messages.json"} <= {
        path.name for path in files
    }
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_check_knows_the_services_and_sends_nothing_unless_it_is_asked_to(project, receiver):
    work = project(
        config={"notify": [receiver.address, "slak://abc"], "obsidian": {"enabled": True, "vault_path": "gone"}}
    )
    text = work.cli("check", status=3).stdout
    assert "JSON" in text
    assert "address 2 is none that Apprise understands" in text
    assert "gone: there is no such folder" in text
    assert receiver.got == []
    work.configure({"notify": [receiver.address]})
    assert "1 of 1 took a message" in work.cli("check", "--notify-test").stdout
    assert len(receiver.got) == 1


def test_who_was_told_is_not_told_again_when_the_controller_is_killed(project, receiver):
    """The message is on its way when the controller is killed; the next one tells what came after it."""
    work = project(SCRIPT, config={"notify": [receiver.address]})
    receiver.hold()
    run = work.start("run", patch=SOON)
    work.training(note="second")
    receiver.wait(1)
    run.kill()
    receiver.let_go()
    work.open("go")
    work.cli("run", "--max-cycles", 1)
    receiver.wait(2)
    assert first_lines(receiver)[0].startswith("new best: val_acc=0.54, exp001/run01")
    assert "exp001" not in first_lines(receiver)[1]


def test_what_a_killed_controller_had_not_told_yet_is_told_by_the_next_one(project, receiver):
    work = project(SCRIPT, config={"notify": [receiver.address], "obsidian": {"enabled": True, "vault_path": "vault"}})
    (work.root / "vault").mkdir()
    run = work.start("run")
    work.training(note="second")
    run.kill()
    for note in (work.root / "vault").rglob("*.md"):
        note.unlink()
    work.open("go")
    work.cli("run", "--max-cycles", 1)
    receiver.wait(1)
    assert first_lines(receiver)[0].startswith("new best: ")
    board = work.root / "vault/auto-experiment/project/Dashboard.md"
    work.until(lambda: board.exists() and "stopped: 1 cycle done" in board.read_text())
    days = sorted((work.root / "vault/auto-experiment/project/Daily").iterdir())  # one, but at midnight
    lines = [line for day in days for line in day.read_text().splitlines() if line.startswith("- ")]
    ids = [line.rpartition("^")[2] for line in lines]
    assert ids == ["start1", "exp001", "start2", "exp002", "end2"]


def test_neither_a_dead_vault_nor_a_dead_receiver_holds_up_the_end(project, receiver, tmp_path):
    (tmp_path / "hang").mkdir()
    (tmp_path / "hang" / "sitecustomize.py").write_text(HANG)
    work = project(SCRIPT, config={"notify": [receiver.address], "obsidian": {"enabled": True, "vault_path": "dead"}})
    work.env["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "hang"), work.env["PYTHONPATH"]])
    work.env["TOLD"] = mark = f"told-{tmp_path}"
    receiver.hold()
    run = work.start("run", patch=SOON)
    try:
        work.training(note="second")
        receiver.wait(1)
        run.signal(signal.SIGINT)
        assert run.wait() == 130
        assert children(mark), "the end did not wait for those who tell"
    finally:
        receiver.let_go()
        for pid in children(mark):
            os.kill(pid, signal.SIGKILL)
    work.open("go")
    work.cli("stop", "--run", status=None)


def test_a_vault_that_is_not_there_is_said_once(project):
    work = project(config={"obsidian": {"enabled": True, "vault_path": "gone"}})
    work.start("run", "--max-cycles", 2, patch="import auto_experiment.notes.teller as t; t.CALM_S = 0").wait()
    lines = [line for line in work.said().splitlines() if "obsidian: " in line and "the campaign goes on" in line]
    assert len(lines) == 1
    assert "gone: there is no such folder; is the drive mounted?" in lines[0]
    assert not (work.root / "gone").exists()


def test_a_human_writes_beside_us(project):
    work = project(config={"obsidian": {"enabled": True, "vault_path": "vault", "project_subdir": "Exp"}})
    (work.root / "vault/Exp").mkdir(parents=True)
    board = work.root / "vault/Exp/Dashboard.md"
    mine = b"---\r\naliases: [x]\r\n---\r\n# My thoughts\r\n\r\n- [ ] call Ada \xc3\xbc\r\n"
    board.write_bytes(mine)
    work.cli("run", "--max-cycles", 1)
    work.until(lambda: b"stopped: 1 cycle done" in board.read_bytes())
    first = board.read_bytes()
    assert first.startswith(mine)
    assert first.count(b"\n") == first.count(b"\r\n")
    board.write_bytes(first + b"after\r\n")
    work.cli("run", "--max-cycles", 0)
    work.until(lambda: b"stopped: 0 cycles" in board.read_bytes())
    second = board.read_bytes()
    assert second.startswith(mine)
    assert second.endswith(b"\r\nafter\r\n")
    assert second.count(b"auto-experiment:begin") == 1
