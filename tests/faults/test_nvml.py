"""The GPUs by NVML: the real nvidia-ml-py against a library that answers what a test wants; and by nvidia-smi."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auto_experiment.hosts.local import LocalHost
from auto_experiment.watch import gpu

IDLE = "gpu GPU-aaaa A100 4 40960 0 31 0 0\n"
BUSY = "gpu GPU-bbbb A100 20000 40960 97 61 0 0\n"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    pytest.importorskip("pynvml")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed: no library can be built for the tests")
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).with_name("nvml.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(source)], check=True)
    return folder


@pytest.fixture
def look(library, tmp_path):
    """Looks at a machine with these GPUs. ``runs``: the folder of a project's runs."""

    def one(text, runs=""):
        (tmp_path / "gpus").write_text(text)
        return gpu.look(LocalHost(), env_of(library, tmp_path / "gpus"), runs)

    return one


def env_of(library, facts, path="/usr/bin:/bin"):
    return {"PATH": path, "LD_LIBRARY_PATH": str(library), "FAKE_NVML": str(facts)}


def test_what_a_gpu_tells(look):
    [one] = look("gpu GPU-cccc Tesla 17 16384 3 40 3 0\nproc G 1 11\n").found
    assert (one.id, one.uuid, one.name, one.mode) == ("0", "GPU-cccc", "Tesla", "exclusive")
    assert (one.memory_used, one.memory_total, one.utilisation, one.temperature) == (17.0, 16384.0, 3, 40)
    assert [(p.pid, p.memory, p.compute, p.user) for p in one.processes] == [(1, 11.0, False, "root")]
    assert one.is_free, "a desktop is no reason"


def test_which_are_free(look):
    me = os.getpid()
    text = (
        f"{IDLE}{IDLE}proc C {me} 300\ngpu GPU-d X 1500 40960 0 31 0 0\ngpu GPU-e X 4 40960 0 31 2 0\n"
        "gpu lost\ngpu GPU-f X -1 -1 -1 -1 -1 -1\ndeny\n"
    )
    found = look(text).found
    assert [one.is_free for one in found] == [True, False, False, False, False, None]
    reasons = [one.why_busy() for one in found]
    assert f"pid {me} of {getpass.getuser()}, 0.3 GiB, " in reasons[1]
    assert "python" in reasons[1]
    assert reasons[2] == "1.5 GiB of it are in use by what cannot be seen from here"
    assert "Prohibited" in reasons[3]
    assert reasons[4] == "GPU is lost"
    assert found[5].utilisation is found[5].memory_used is found[5].processes is None


def test_a_process_of_another_container_has_no_name(look):
    [one] = look(f"{BUSY}proc C 4111222 19000\nproc C 4111223 -1\n").found
    first, second = one.processes
    assert (first.user, first.command, first.memory, second.memory) == (None, None, 19000.0, None)
    assert "pid 4111222, not to be seen from here (another container?), 18.6 GiB" in one.why_busy()


def test_a_run_of_the_project_is_told_from_others(look, tmp_path):
    runs = str(tmp_path / "workspace/runs")
    env = {"AUTO_EXPERIMENT_ATTEMPT": f"{runs}/exp003/run01/a1"}
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], env=env, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            worker = int(child.stdout.readline())
            text = f"{BUSY}proc C {worker} 19900\n"
            [one], [foreign] = look(text, runs).found, look(text, "/another/project/runs").found
        finally:
            os.kill(worker, 9)
            child.kill()
    assert one.processes[0].run == "exp003/run01"
    assert one.is_free is False
    assert one.why_busy(but_ours=True) == "", "100 MiB besides ours are the driver's"
    assert foreign.processes[0].run == ""
    assert foreign.why_busy(but_ours=True)


def test_mig_instances_stand_for_their_gpu(look):
    text = f"gpu GPU-a A100 9000 40960 -1 40 0 1\npart MIG-1 1g.5gb 4 4864\npart MIG-2 1g.5gb 4000 4864\nproc C {os.getpid()} 3900\n{IDLE}"
    gpus = look(text)
    assert [(one.id, one.parent, one.split) for one in gpus.found] == [
        ("0", "", True), ("MIG-1", "0", False), ("MIG-2", "0", False), ("1", "", False)]  # fmt: skip
    assert [one.id for one in gpus.usable] == ["MIG-1", "MIG-2", "1"]
    assert [one.is_free for one in gpus.usable] == [True, False, True]
    assert [one.id for one in gpus.named(["0", "MIG-2", "GPU-aaaa"])[0]] == ["MIG-1", "MIG-2", "1"]
    assert gpus.named(["2", "GPU-zz", "1"])[1] == ["2", "GPU-zz"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "shows no GPU"),
        ("init 9", "NVML: Driver Not Loaded"),
        ("init 4", "NVML: Insufficient Permissions"),
        ("init 18", "restart the machine"),
    ],
)
def test_why_there_is_none(look, text, why):
    gpus = look(text)
    assert gpus.found == ()
    assert why in gpus.why


def test_f08_one_that_hangs_is_given_up(look, monkeypatch):
    monkeypatch.setattr(gpu, "_TIMEOUT_S", 0.5)
    gpus = look("init hang")
    assert gpus.found == ()
    assert "NVML did not answer" in gpus.why


# -- nvidia-smi, where NVML is not ------------------------------------------------------------------------------------


def smi(folder: Path, apps: str = "", more: str = "0, GPU-aaaa, Default") -> dict[str, str]:
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\ncase $1 in\n"
        f"*uuid,compute_mode*) echo '{more}';;\n*compute-apps*) printf '{apps}';;\n"
        "*) echo '0, NVIDIA A100, 20000, 40960, 97, 61';;\nesac\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_nvidia_smi_answers_in_its_place(tmp_path):
    me = os.getpid()
    env = smi(
        tmp_path / "bin", f"GPU-aaaa, {me}, 12000, python\\nGPU-aaaa, 4111222, [N/A], [Not Found]\\nGPU-b, 5, 6, x\\n"
    )
    gpus = gpu.look(LocalHost(), env)
    [one] = gpus.found
    assert gpus.answered
    assert (one.id, one.uuid, one.mode, one.memory_used) == ("0", "GPU-aaaa", "default", 20000.0)
    assert [(p.pid, p.memory, p.user) for p in one.processes] == [
        (me, 12000.0, getpass.getuser()),
        (4111222, None, None),
    ]


@pytest.mark.parametrize(
    ("mode", "free"), [("Exclusive_Process", True), ("Prohibited", False), ("[N/A]", True), ("Default", True)]
)
def test_compute_modes_of_nvidia_smi(tmp_path, mode, free):
    env = smi(tmp_path / "bin", more=f"0, GPU-aaaa, {mode}")
    text = (tmp_path / "bin/nvidia-smi").read_text().replace("20000,", "20,")
    (tmp_path / "bin/nvidia-smi").write_text(text)
    [one] = gpu.look(LocalHost(), env).found
    assert one.is_free is free


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9", "has failed"),
        ("echo 'No devices were found'; exit 6", "shows no GPU"),
        ("echo 'Failed to initialize NVML: Insufficient Permissions' >&2; exit 4", "Insufficient Permissions"),
        ("kill -9 $$", "exit status -9"),
    ],
)
def test_why_nvidia_smi_shows_none(tmp_path, body, why):
    env = smi(tmp_path / "bin")
    (tmp_path / "bin/nvidia-smi").write_text(f"#!/bin/sh\n{body}\n")
    gpus = gpu.look(LocalHost(), env)
    assert gpus.found == ()
    assert why in gpus.why


def test_without_a_driver(tmp_path):
    assert gpu.look(LocalHost(), {"PATH": str(tmp_path)}).why == gpu.NO_DRIVER


# -- the command ------------------------------------------------------------------------------------------------------


def run_gpus(env, folder, *words):
    words = [sys.executable, "-m", "auto_experiment", "gpus", *words]
    return subprocess.run(words, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=True)


def test_the_command(library, tmp_path):
    facts = tmp_path / "gpus"
    facts.write_text(f"{IDLE}gpu GPU-bbbb \x1b[31mred 20000 40960 97 61 0 0\nproc C {os.getpid()} 19000\n")
    env = {**env_of(library, facts), "HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": "1",
           "PYTHONPATH": os.environ.get("PYTHONPATH", "")}  # fmt: skip
    shown = run_gpus(env, tmp_path).stdout
    assert "free: 0\n" in shown
    assert f"pid {os.getpid()} of {getpass.getuser()}, 19,000 MiB: " in shown
    assert "here CUDA_VISIBLE_DEVICES=1" in shown
    assert "\x1b" not in shown
    first, second = json.loads(run_gpus(env, tmp_path, "--json").stdout)
    assert set(first) == {
        "id", "uuid", "name", "parent", "memory_used_mb", "memory_total_mb", "utilisation", "temperature",
        "compute_mode", "processes", "free", "why"}  # fmt: skip
    assert (first["id"], first["free"], first["why"], second["free"]) == ("0", True, None, False)
    [process] = second["processes"]
    assert (process["pid"], process["memory_mb"], process["kind"], process["run"]) == (
        os.getpid(),
        19000.0,
        "compute",
        None,
    )


def test_the_command_says_plainly_that_there_is_none(tmp_path):
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    assert "no GPU: no NVIDIA driver" in run_gpus(env, tmp_path).stdout
    done = run_gpus(env, tmp_path, "--json")
    assert json.loads(done.stdout) == []
    assert "no GPU: no NVIDIA driver" in done.stderr


def test_the_library_is_not_loaded_into_our_process(look):
    assert look(IDLE).answered
    assert "libnvidia-ml" not in Path("/proc/self/maps").read_text()
