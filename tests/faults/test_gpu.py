"""F08: ``nvidia-smi`` in every shape in which it has been seen. The monitor goes on, and nothing is made up."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from auto_experiment.hosts.local import LocalHost
from auto_experiment.records.gpu import Gpu
from auto_experiment.records.run import RunState
from auto_experiment.watch import gpu

GOOD = "0, NVIDIA A100, 1000, 40000, 97, 61"
SAMPLE = Gpu("0", "", "NVIDIA A100", 1000.0, 40000.0, 97.0, 61.0)

SHAPES = {
    "good": (f"echo '{GOOD}'", (SAMPLE,)),
    "N/A": ("echo '0, Tesla, [N/A], [N/A], [Not Supported], N/A'", (Gpu("0", "", "Tesla", None, None, None, None),)),
    "ERR!": ("echo '0, Tesla, 5, 9, ERR!, [Unknown Error]'", (Gpu("0", "", "Tesla", 5.0, 9.0, None, None),)),
    "not numbers": ("echo '0, T, nan, inf, -5, 1e999'", (Gpu("0", "", "T", None, None, None, None),)),
    "MIG": ("echo '0, A100 MIG 1g.5gb, [N/A], [N/A], [N/A], 40'; echo 'MIG 1g.5gb Device 0: (UUID: MIG-1)'",
            (Gpu("0", "", "A100 MIG 1g.5gb", None, None, None, 40.0),)),
    "a lost GPU beside a good one": (
        f"echo 'Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost. Reboot'; echo '{GOOD}'",
        (SAMPLE,)),
    "lost, with an exit status": ("echo 'Unable to determine the device handle: GPU is lost'; exit 15", ()),
    "good words, bad exit status": (f"echo '{GOOD}'; exit 9", ()),
    "not UTF-8": (f"printf '\\377\\376\\200\\n'; echo '{GOOD}'", (SAMPLE,)),
    "garbage": ("head -c 100000 /dev/urandom", ()),
    "NUL": (f"printf '0, a\\000b, 1, 2, 3, 4\\n'; echo '{GOOD}'", None),
    "a quote that never ends": ("printf '0, \"T, 1, 2, 3, 4\\n'; head -c 400000 /dev/zero | tr '\\0' x", ()),
    "an index that is no number": ("echo '\u00b2, T, 1, 2, 3, 4'", ()),
    "nothing": ("true", ()),
    "killed": ("kill -9 $$", ()),
}  # fmt: skip


def put(folder: Path, body: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def seen(env: dict[str, str]) -> tuple[Gpu, ...]:
    """What one question tells; such a program answers all of them alike."""
    return tuple(replace(one, processes=None) for one in gpu.look(LocalHost(), env).found)


@pytest.mark.parametrize("shape", SHAPES)
def test_f08_nothing_is_made_up(tmp_path, shape):
    body, wanted = SHAPES[shape]
    found = seen(put(tmp_path / "bin", body))
    assert wanted is None or found == wanted


def test_f08_absent_and_not_executable(tmp_path):
    env = put(tmp_path / "bin", "true")
    (tmp_path / "bin/nvidia-smi").chmod(0o644)
    assert seen({"PATH": str(tmp_path / "bin")}) == ()
    (tmp_path / "bin/nvidia-smi").unlink()
    assert seen({"PATH": env["PATH"].split(":")[0]}) == ()


def test_f08_one_that_hangs_is_ended_with_its_whole_tree(tmp_path, monkeypatch, alive):
    monkeypatch.setattr(gpu, "_TIMEOUT_S", 0.3)
    env = put(
        tmp_path / "bin", f"trap '' TERM\nsleep 1000 & echo $! >> {tmp_path}/pids\necho $$ >> {tmp_path}/pids\nwait"
    )
    assert seen(env) == ()
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_f08_one_that_hangs_does_not_outlive_a_killed_controller(tmp_path, alive):
    env = put(tmp_path / "bin", f"echo $$ > {tmp_path}/pid\nexec sleep 1000")
    code = f"from auto_experiment.hosts.local import LocalHost; from auto_experiment.watch import gpu; gpu.look(LocalHost(), {env})"
    with subprocess.Popen([sys.executable, "-c", code]) as controller:
        try:
            wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        finally:
            controller.kill()
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())))


def wait_for(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "nvidia-smi outlived its time"
        time.sleep(0.01)


@pytest.fixture
def alive():
    def look(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    return look


TRAINING = (
    "import judge, time\njudge.note()\nfor n in range(2): print(f'step {n} val_acc=0.{n}', flush=True)\n"
    "judge.DRY or judge.wait('go')\n"
)


def test_f08_a_hanging_one_does_not_pile_up_and_does_not_hold_the_monitor(project, tmp_path, alive):
    work = project(TRAINING, config={"monitor": {"poll_interval": 1}})
    calls = tmp_path / "calls"
    env = put(tmp_path / "bin", f"echo $$ >> {calls}\nexec sleep 1000")
    work.env["PATH"] = f"{tmp_path / 'bin'}:{work.env['PATH']}"
    assert env
    run = work.start("run", "--max-cycles", 1)
    work.training(dry=False)
    work.until(lambda: run.text.count("exp001/run01: step") >= 4)
    assert len(calls.read_text().split()) == 1  # four beats, one call
    work.open("go")
    assert run.wait() == 0
    work.until(lambda: not alive(int(calls.read_text())))  # long before its ten seconds have passed
    assert work.attempt("exp001/run01/a1").state is RunState.FINISHED


def test_f08_one_that_disappears_mid_run(project, tmp_path):
    work = project(TRAINING, config={"monitor": {"poll_interval": 1}})
    put(tmp_path / "bin", f"echo '{GOOD}'")
    work.env["PATH"] = f"{tmp_path / 'bin'}:{work.env['PATH']}"
    run = work.start("run", "--max-cycles", 1)
    run.said("GPU 0 NVIDIA A100: 97% busy, 1.0/39 GiB, 61 C")
    put(tmp_path / "bin", "echo 'Unable to determine the device handle for GPU 0: GPU is lost'; exit 15")
    beats = run.text.count("exp001/run01: step")
    work.until(lambda: run.text.count("exp001/run01: step") >= beats + 3)
    (tmp_path / "bin/nvidia-smi").unlink()
    beats = run.text.count("exp001/run01: step")
    work.until(lambda: run.text.count("exp001/run01: step") >= beats + 2)
    work.open("go")
    assert run.wait() == 0


@pytest.mark.parametrize("utilisation", [100, 0])
def test_f09_a_hang_is_found_whatever_the_gpu_says(project, tmp_path, utilisation):
    work = project(TRAINING, config={"monitor": {"hang_timeout": 2}})
    put(tmp_path / "bin", f"echo '0, NVIDIA A100, 1000, 40000, {utilisation}, 61'")
    work.env["PATH"] = f"{tmp_path / 'bin'}:{work.env['PATH']}"
    work.cli("run", "--max-cycles", 1)
    row = work.attempt("exp001/run01/a1")
    assert row.fault.value == "hang"
    assert row.reason.startswith("hang rule")
