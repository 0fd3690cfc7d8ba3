"""A GPU that somebody else uses: refused at the start, waited for before each launch, and nobody is harmed."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess

import click
import pytest

from auto_experiment.cli.campaign import _gpu_wait
from auto_experiment.cycle import gpu_gate
from auto_experiment.errors import EnvironmentNotReady, UsageError
from auto_experiment.records.gpu import Gpu, GpuProcess, Gpus, GpuWait
from auto_experiment.records.run import RunState

SMI = """#!/bin/sh
case $1 in
*uuid,compute_mode*) printf '0, GPU-a, Default\\n1, GPU-b, Default\\n';;
*compute-apps*) cat {folder}/apps;;
*) cat {folder}/gpus;;
esac
"""
PROMPT = "from auto_experiment.cycle import gpu_gate\ngpu_gate.PAUSES_S = (0.05, 0.1)"  # looks as often
FREE = "0, A100, 4, 40000, 0, 31\n1, A100, 4, 40000, 0, 31\n"


class Machine:
    """nvidia-smi on a project's PATH, with two GPUs; and a process of somebody else's."""

    def __init__(self, work, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "nvidia-smi").write_text(SMI.format(folder=folder))
        (folder / "nvidia-smi").chmod(0o755)
        work.env["PATH"] = f"{folder}:{work.env['PATH']}"
        work.env.pop("CUDA_VISIBLE_DEVICES", None)
        self.stranger = subprocess.Popen(["sleep", "1000"], cwd="/")
        self.gives(0)

    def gives(self, *pids, uuid="GPU-a"):
        """These processes are on the GPU; 0: none."""
        rows = [f"{uuid}, {pid}, 12000, python\n" for pid in pids if pid]
        (self.folder / "new").write_text("".join(rows))
        (self.folder / "new").replace(self.folder / "apps")
        (self.folder / "gpus").write_text(FREE)

    def taken(self):
        self.gives(self.stranger.pid)


@pytest.fixture
def machine(tmp_path):
    made = []

    def make(work):
        made.append(Machine(work, tmp_path / "bin"))
        return made[-1]

    yield make
    for one in made:
        assert one.stranger.poll() is None, "somebody else's process was ended"
        one.stranger.kill()
        one.stranger.wait()


def test_f16_a_busy_gpu_is_refused_before_anything_starts(project, machine):
    work = project()
    busy = machine(work)
    busy.taken()
    for words in ((), ("--detach",)):
        said = work.cli("run", "--gpu", "0", *words, status=3).stderr
        who = f"GPU 0 (A100) is in use: pid {busy.stranger.pid} of {getpass.getuser()}, 11.7 GiB, sleep 1000"
        assert who in said
        assert "--gpu-wait" in said
        assert "--gpu 1" in said
        assert said.count("\n") == 1
    assert not os.path.exists(work.paths.workspace)
    assert (
        "there is no GPU 7; there are: GPU 0 (A100), GPU 1 (A100)" in work.cli("run", "--gpu", "0,7", status=2).stderr
    )
    work.env["CUDA_VISIBLE_DEVICES"] = "GPU-a"
    assert "is in use" in work.cli("run", status=3).stderr


def test_what_waits_is_said_and_goes_on_when_the_gpu_is_free(project, machine):
    work = project()
    busy = machine(work)
    busy.taken()
    run = work.start("run", "--gpu", "0", "--gpu-wait", "--max-cycles", 1, patch=PROMPT)
    run.said(f"waiting: GPU 0 (A100) is in use: pid {busy.stranger.pid}")
    controller = work.json("status")["controller"]
    assert (controller["state"], controller["phase"]) == ("parked", "dry_run")
    assert "GPU 0 (A100) is in use" in controller["reason"]
    assert work.judged() == []
    run.kill()
    run = work.start("run", "--gpu", "0", "--gpu-wait", "--max-cycles", 1, patch=PROMPT)
    run.said("waiting: GPU 0")
    with work.ledger() as ledger:  # who is killed while waiting was not killed by the step
        work.until(lambda: ledger.last_cycle().recoveries == 0)
    busy.gives(0)
    assert run.wait() == 0
    assert "the GPU is free after" in run.text
    assert work.attempt("exp001/run01/a1").state is RunState.FINISHED
    assert work.attempt("exp001/run01/a1").spec["env"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_pause_in_a_wait_is_seen_and_outlives_it(project, machine):
    work = project()
    busy = machine(work)
    busy.taken()
    run = work.start("run", "--gpu", "0", "--gpu-wait", "--max-cycles", 1, patch=PROMPT)
    run.said("waiting: GPU 0")
    said = work.cli("pause").stdout
    assert "exp001/dry01 has not started and waits" in said
    controller = work.json("status")["controller"]
    assert controller["state"] == "parked"
    assert "; paused since " in controller["reason"]
    busy.gives(0)
    work.until(lambda: work.json("status")["controller"]["state"] == "paused")
    assert work.judged() == []
    work.cli("resume")
    assert run.wait() == 0


@pytest.mark.parametrize("how", ["signal", "stop --run"])
def test_a_stop_ends_a_wait_at_once(project, machine, how):
    work = project()
    machine(work).taken()
    run = work.start("run", "--gpu", "0", "--gpu-wait", "--max-cycles", 1)
    run.said("waiting: GPU 0")
    if how == "signal":
        run.signal(signal.SIGINT)
    else:
        work.cli(*how.split())
    assert run.wait() == (130 if how == "signal" else 0)
    assert work.json("status")["controller"]["state"] == "stopped"
    assert work.judged() == []
    if how == "stop --run":
        assert work.attempt("exp001/dry01/a1").state is RunState.LOST
        assert work.attempt("exp001/dry01/a1").reason == "never started"


def test_f16_it_is_looked_at_before_each_launch(project, machine):
    """Somebody takes it between the dry run and the training; a wait that was not asked for has no bound."""
    work = project(
        "import judge\njudge.note()\nfor n in range(3): print(f'step {n} val_acc=0.{n}', flush=True)\n"
        "judge.DRY and judge.wait('dry')\n",
        config={"experiment": {"dry_run_timeout": 60}},
    )
    free = machine(work)
    run = work.start("run", "--gpu", "0", "--max-cycles", 1, patch=PROMPT)
    work.training(dry=True)
    free.taken()
    work.open("dry")
    run.said("waiting: GPU 0")
    assert work.judged(dry=False) == []
    free.gives(0)
    assert run.wait() == 0
    assert len(work.judged(dry=False)) == 1


def test_a_bounded_wait_ends_and_the_next_run_carries_on(project, machine):
    work = project()
    busy = machine(work)
    busy.taken()
    run = work.start("run", "--gpu", "0", "--gpu-wait", "1s", "--max-cycles", 1, patch=PROMPT)
    assert run.wait() == 3
    assert "(--gpu-wait): GPU 0 (A100) is in use" in run.text
    assert work.judged() == []
    busy.gives(0)
    work.cli("run", "--gpu", "0", "--max-cycles", 1)
    assert work.attempt("exp001/run01/a1").state is RunState.FINISHED


def test_our_own_training_is_not_somebody_else(project, machine):
    work = project(
        "import judge\njudge.note()\nfor n in range(3): print(f'step {n} val_acc=0.{n}', flush=True)\njudge.DRY or judge.wait('go')\n"
    )
    gpus = machine(work)
    run = work.start("run", "--gpu", "0", "--max-cycles", 1)
    pid = work.training(dry=False)["pid"]
    gpus.gives(pid)
    [process] = work.json("gpus")[0]["processes"]
    assert process["run"] == "exp001/run01"
    run.kill()
    again = work.start("run", "--gpu", "0", "--max-cycles", 1)
    again.said("carrying on")
    work.open("go")
    assert again.wait() == 0, again.text
    assert len(work.judged(dry=False)) == 1


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (None, GpuWait()), ("", GpuWait(asked=True)), ("30", GpuWait(True, 1800.0)), ("1h30m", GpuWait(True, 5400.0)),
        ("90s", GpuWait(True, 90.0)), ("2H", GpuWait(True, 7200.0)), ("0", GpuWait(True, 0.0)),
    ],
)  # fmt: skip
def test_how_long_a_wait_may_last(given, wait):
    assert _gpu_wait(given) == wait


@pytest.mark.parametrize("given", ["soon", "-5", "1d", "h", " ", "1e3", "٣"])
def test_a_time_that_is_none(given):
    with pytest.raises(click.UsageError, match="90s, 30m, 2h"):
        _gpu_wait(given)


# -- what is looked at ------------------------------------------------------------------------------------------------


def gpu(number, *, used=4.0, pids=(), ours=()):
    theirs = [GpuProcess(pid, 9000.0, compute=True, user="mary", command="python x.py") for pid in pids]
    own = [GpuProcess(pid, 9000.0, compute=True, user="me", run="exp001/run01") for pid in ours]
    return Gpu(str(number), f"GPU-{number}abc", "A100", used, 40960.0, mode="default", processes=(*theirs, *own))


BUSY, IDLE, OURS = gpu(0, used=9004.0, pids=[7]), gpu(1), gpu(2, used=9004.0, ours=[8])


@pytest.mark.parametrize(
    ("visible", "busy"),
    [
        ("0", True), ("1", False), ("2", False), ("1,2", False), ("1, 0", True), ("GPU-0a", True), ("", False),
        ("-1", False), ("1,-1,0", False), (None, False), ("9", False),
    ],
)  # fmt: skip
def test_which_gpus_a_launch_gets(visible, busy):
    gpus = Gpus((BUSY, IDLE, OURS), answered=True)
    assert bool(gpu_gate.why_not(gpus, gpu_gate.words_of(visible))) is busy


def test_where_nothing_names_one_all_of_them_must_be_busy():
    assert gpu_gate.why_not(Gpus((BUSY, gpu(1, pids=[9])), answered=True), None)
    assert not gpu_gate.why_not(Gpus((BUSY, IDLE), answered=True), None)
    assert not gpu_gate.why_not(Gpus((), answered=True), None)


def asked(gpus, visible, *, adopts=False, wait=False):
    return gpu_gate.require(lambda: gpus, visible, "--gpu", GpuWait(wait), lambda: adopts)


def test_what_a_start_refuses():
    all_busy = Gpus((BUSY,), answered=True)
    with pytest.raises(EnvironmentNotReady, match="no other one is free"):
        asked(all_busy, "0")
    with pytest.raises(UsageError, match="there is no GPU 3; there are: GPU 0"):
        asked(all_busy, "3", adopts=True)
    asked(all_busy, "0", adopts=True)
    assert asked(all_busy, "0", wait=True) == ""
    assert asked(all_busy, "") == ""
    assert asked(Gpus(why="it hangs"), "0") == "--gpu names GPU 0: it hangs"
    gpu_gate.require(lambda: pytest.fail("looked at"), None, "", GpuWait(), lambda: False)


def test_a_look_that_hangs_does_not_hold_up_a_stop(project, tmp_path):
    work = project()
    (tmp_path / "bin").mkdir()
    smi = tmp_path / "bin/nvidia-smi"
    smi.write_text(f"#!/bin/sh\n[ -e {tmp_path}/hang ] || exec echo '0, A100, 4, 40000, 0, 31'\n"
                   f"echo $$ > {tmp_path}/pid\nexec sleep 1000\n")  # fmt: skip
    smi.chmod(0o755)
    work.env["PATH"] = f"{tmp_path}/bin:{work.env['PATH']}"
    later = (
        "from auto_experiment.cycle.controller import Controller\nreal = Controller.run\n"
        f"Controller.run = lambda self: (open('{tmp_path}/hang', 'w').close(), real(self))[1]"
    )
    run = work.start("run", "--gpu", "0", "--max-cycles", 1, patch=later)
    work.until((tmp_path / "pid").exists)
    work.until(lambda: (tmp_path / "pid").read_text().strip())
    looking = int((tmp_path / "pid").read_text())
    run.signal(signal.SIGTERM)
    assert run.wait() == 130
    work.until(lambda: not work.alive(looking))
    assert work.judged() == []
