"""No way leads to a training around the dry run. And what dry runs and trainings find in their environment."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

import auto_experiment
from auto_experiment.errors import LedgerError
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.writer import Writer
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import Kind, RunState, Spec

RUN = "exp001/run01/a1"
DRY = "exp001/dry01/a1"
STEPS = """
for step in (1, 2, 3):
    print(f"step {step}/3 val_acc=0.{step}", flush=True)
"""
DRY_RUN_FAILS = f"""
import os, sys, time
import judge
judge.note()
if judge.DRY:
    FAILURE
{STEPS}
"""
DIVERGES = """
import itertools, time
import judge
judge.note()
for step in itertools.count(1):
    print(f"step {step} train_loss=nan val_acc=0.1", flush=True)
    time.sleep(0.02)
"""
KNOWS_NO_DRY_RUN = """
import itertools, os, time
import judge
judge.note()
for step in itertools.count(1) if not os.path.exists(judge.DESK + "/gate.short") else (1, 2, 3):
    print(f"step {step} val_acc=0.5", flush=True)
    if step == 2 and judge.DRY:
        judge.wait("short")
"""

# Like the real one: the program itself cannot activate, it prints the shell function that can.
CONDA = """#!/bin/bash
if [ "$*" = "shell.bash hook" ]; then
cat <<'END'
conda() {{ [ "$1" = activate ] && export CONDA_PREFIX="{envs}/$2" && PATH="$CONDA_PREFIX/bin:$PATH"; }}
END
else
    echo "CondaError: Run 'conda init' before 'conda $1'" >&2; exit 1
fi
"""


class TestAFailingDryRun:
    @pytest.mark.parametrize(
        ("failure", "said"),
        [
            ("sys.exit(1)", "exit status 1"),
            ("print('step 1 val_acc=0.1', flush=True); sys.exit(3)", "exit status 3"),
            ("raise ValueError('shapes do not match')", "shapes do not match"),
            ("import traceback; exec('try: 1/0\\nexcept Exception: traceback.print_exc()'); sys.exit(0)", "ZeroDivision"),
            ("print('step 1 val_acc=nan', flush=True); sys.exit(0)", "NaN"),
            ("print('step 1 train_loss=inf val_acc=0.1', flush=True); sys.exit(0)", "infinite"),
            ("sys.exit('torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB')", "memory"),
            ("os.kill(os.getpid(), 9)", "signal 9"),
            ("os.execvp('no-such-program', ['x'])", "No such file"),
        ],
        ids=["exit-1", "exit-3-after-one-step", "exception", "traceback-then-exit-0", "nan", "inf", "oom", "sigkill", "no-file"],
    )  # fmt: skip
    def test_starts_no_training_and_fails_the_experiment(self, project, failure, said):
        work = project(DRY_RUN_FAILS.replace("FAILURE", failure))
        work.cli("run", "--max-cycles", 1)
        assert [line["attempt"] for line in work.judged()] == [DRY]
        (row,) = work.attempts()
        assert (row.kind, row.passed) == (Kind.DRY, False)
        assert row.reason.startswith("dry run failed: ")
        assert said in row.reason
        (experiment,) = work.json("list")
        assert (experiment["result"], experiment["value"]) == ("failed", None)
        assert "dry run" in experiment["decision"]
        status = work.json("status")
        assert (status["runs"], status["best"]) == (0, None)

    def test_that_diverges_is_ended_and_starts_no_training(self, project):
        work = project(DIVERGES)
        work.cli("run", "--max-cycles", 1)
        (row,) = work.attempts()
        assert row.passed is False
        assert "train_loss was NaN" in row.reason
        assert [line["dry"] for line in work.judged()] == [True]

    def test_does_not_end_the_campaign(self, project):
        work = project(DRY_RUN_FAILS.replace("FAILURE", "sys.exit(1)"))
        work.cli("run", "--max-cycles", 2)
        assert [e["result"] for e in work.json("list")] == ["failed", "failed"]
        assert [line["attempt"] for line in work.judged()] == [DRY, "exp002/dry01/a1"]


class TestAPassingDryRun:
    def test_of_a_script_that_knows_no_dry_run_is_ended_after_two_steps(self, project):
        work = project(KNOWS_NO_DRY_RUN)
        run = work.start("run", "--max-cycles", 1)
        work.until(lambda: len(work.attempts()) == 2)
        work.open("short")
        work.cli("stop", "--run")
        assert run.wait() == 0
        dry = work.attempt(DRY)
        assert (dry.state, dry.passed, dry.counts) == (RunState.STOPPED, True, False)
        assert "two steps seen" in dry.reason

    def test_may_show_no_step_until_the_time_is_up(self, project):
        script = f"import judge\njudge.note()\nif judge.DRY: judge.wait('never')\n{STEPS}"
        work = project(script, config={"experiment": {"dry_run_timeout": 1}})
        said = work.cli("run", "--max-cycles", 1).stdout
        assert "dry run passed: no step seen in 1" in said
        assert work.attempt(DRY).passed
        assert work.attempt(RUN).state is RunState.FINISHED

    def test_that_ignores_sigterm_does_not_get_in_the_way(self, project):
        script = (
            "import signal, sys, judge\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\njudge.note()\n"
            f"{STEPS}\nif judge.DRY: judge.wait('never')"
        )
        work = project(script)
        work.cli("run", "--max-cycles", 1)
        assert (work.attempt(DRY).signal, work.attempt(DRY).passed) == (9, True)
        assert work.attempt(RUN).state is RunState.FINISHED

    def test_says_nothing_about_what_the_training_reaches(self, project):
        """A dry run may print a better value than any training: it is no result, no best, no reached target."""
        script = "import judge\njudge.note()\nprint('step 1 val_acc=' + ('0.99' if judge.DRY else '0.4'), flush=True)"
        work = project(script, config={"objective": {"target": 0.9}})
        done = work.cli("run", "--max-cycles", 2)
        assert "2 cycles done" in done.stdout
        assert work.json("status")["best"] == {
            "experiment": "exp001", "run": "exp001/run01", "value": 0.4, "status": "lead",
            "title": "baseline: the command as it stands",
        }  # fmt: skip
        assert [(e["result"], e["value"]) for e in work.json("list")] == [("improved", 0.4), ("not_improved", 0.4)]


class TestTheGateInTheLedger:
    COMMAND = "python train.py"

    @pytest.fixture
    def ledger(self, tmp_path):
        lock = ProjectLock.take(str(tmp_path / "lock"))
        writer = Writer.open_with(str(tmp_path / "ledger.db"), lock)
        with writer.transaction() as tx:
            writer.session = tx.session("host", "boot", os.getpid(), "0")
        for number in (1, 2):
            with writer.transaction() as tx:
                cycle = tx.cycle()
                plan = Plan(Action.EXPERIMENT, command=self.COMMAND)
                tx.plan(cycle, plan, "")
                assert tx.experiment(cycle, plan, str(number)) == number
        yield writer
        writer.close()
        lock.release()

    def attempt(self, tx, name, kind, *, experiment=1, command=COMMAND, tree=None, **kw):
        spec = Spec(name, ("python",), "/", tree=tree)
        run = tx.run(experiment, 1, command, {}) if kind is Kind.FULL else None
        return tx.attempt(spec, experiment=experiment, kind=kind, n=1, command=command, params={}, run=run, **kw)

    def dry_run(self, ledger, *, passed: bool | None) -> None:
        with ledger.transaction() as tx:
            row = self.attempt(tx, DRY, Kind.DRY)
            if passed is not None:
                nothing = (None,) * 3
                end = Outcome(RunState.FINISHED, 0, None, Fault.NONE, None, "", *nothing, None, "", None)
                tx.outcome(row, end, objective=None, passed=passed)

    @pytest.mark.parametrize(
        ("passed", "training"),
        [
            (True, {"gate": None}),
            (True, {"gate": ""}),
            (True, {"gate": "exp001/dry02/a1"}),
            (True, {"gate": DRY, "command": "python train.py --lr 1"}),
            (True, {"gate": DRY, "tree": "another"}),
            (True, {"gate": DRY, "experiment": 2}),
            (False, {"gate": DRY}),
            (None, {"gate": DRY}),
        ],
        ids=["no-gate", "empty", "unknown", "other-command", "other-code", "other-experiment", "failed", "open"],
    )
    def test_refuses_a_training_without_a_passed_dry_run_of_its_own(self, ledger, passed, training):
        self.dry_run(ledger, passed=passed)
        with pytest.raises(LedgerError, match="needs a passed dry run"), ledger.transaction() as tx:
            self.attempt(tx, RUN, Kind.FULL, **training)
        assert [a.name for a in ledger.attempts()] == [DRY]
        assert ledger.run_count() == 0, "nothing of the refused transaction is left"

    @pytest.mark.parametrize("gate", [DRY, "waived"])
    def test_lets_a_training_through_with_one_or_when_it_is_waived(self, ledger, gate):
        self.dry_run(ledger, passed=gate == DRY)
        with ledger.transaction() as tx:
            self.attempt(tx, RUN, Kind.FULL, gate=gate)
        assert ledger.attempts()[-1].gate == gate

    def test_refuses_a_training_that_belongs_to_no_run(self, ledger):
        with pytest.raises(LedgerError), ledger.transaction() as tx:
            spec = Spec(RUN, ("python",), "/")
            tx.attempt(spec, experiment=1, kind=Kind.FULL, n=1, command="x", params={}, gate="waived")


def test_processes_are_started_by_these_files_alone():
    """The shim starts what an attempt is and, on a tether, the agent's shell commands; the local host the short helpers,
    the code store and `init` git, ``run --detach`` the controller itself, ``run`` its view, the notes what tells people,
    the report what draws its figures."""
    starters = set()
    root = Path(auto_experiment.__file__).parent
    for path in root.rglob("*.py"):
        if "files" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            module, _, verb = name.rpartition(".")
            spawns = verb in {"fork", "forkpty", "system", "popen"} or verb.startswith(("exec", "spawn", "posix_spawn"))
            if module == "subprocess" or (module == "os" and spawns) or verb in {"Popen", "Process"}:
                starters.add(str(path.relative_to(root)))
    programs = {"hosts/local.py", "hosts/shell.py", "launchers/shim.py", "agent/code_store.py", "cli/campaign.py"}
    programs |= {"report/drawing.py", "notes/errand.py", "cli/beside.py", "init/place.py"}
    programs |= {"hosts/landlock_exec.py", "hosts/tethered.py"}  # restrict themselves and become what they were given
    assert starters <= programs


def test_a_waived_dry_run_is_said_wherever_results_are_shown(project):
    work = project(config={"experiment": {"mandatory_dry_run": False}})
    said = work.cli("run", "--max-cycles", 1).stdout
    assert "no dry run: experiment.mandatory_dry_run is false" in said
    (row,) = work.attempts()
    assert (row.name, row.gate, row.state) == (RUN, "waived", RunState.FINISHED)
    report = Path(work.paths.report).read_text()
    assert "dry run" in report
    assert "mandatory_dry_run" in report


# -- what a process of ours finds ---------------------------------------------------------------------------------

LOOKS_AROUND = f"""
import os, socket, sys
import judge

def can_bind(port):
    with socket.socket() as one:
        one.bind(("127.0.0.1", port))
        return True

parent = open("/proc/%d/environ" % os.getppid(), "rb").read()
folder = os.environ["AUTO_EXPERIMENT_RUN_DIR"]
open(os.path.join(folder, "checkpoint"), "w").close()
judge.note(
    env=dict(os.environ), argv=sys.argv, cwd=os.getcwd(), executable=sys.executable,
    parent_knows_key=b"not-for-trainings" in parent, port_is_free=can_bind(int(os.environ["MASTER_PORT"])),
)
{STEPS}
"""


def looked_around(project, *words, env=None, **kw):
    """(what the dry run saw, what the training saw, the project)"""
    work = project(LOOKS_AROUND, **kw)
    work.env.update(env or {})
    work.cli("run", "--max-cycles", 1, *words)
    (dry,), (full,) = work.judged(dry=True), work.judged(dry=False)
    return dry, full, work


class TestTheEnvironment:
    def test_of_a_dry_run_and_of_a_training(self, project):
        dry, full, work = looked_around(project, env={"WANDB_MODE": "online"})
        assert (dry["env"]["AUTO_EXPERIMENT_DRY_RUN"], dry["env"]["WANDB_MODE"]) == ("1", "disabled")
        assert "AUTO_EXPERIMENT_DRY_RUN" not in full["env"]
        assert full["env"]["WANDB_MODE"] == "online"
        assert dry["port_is_free"] or full["port_is_free"], "one may have been taken by somebody else meanwhile"
        for seen, name in ((dry, DRY), (full, RUN)):
            assert seen["env"]["AUTO_EXPERIMENT_RUN_DIR"] == work.paths.out(name)
            assert seen["env"]["PYTHONUNBUFFERED"] == "1"
            assert seen["cwd"] == str(work.root)
            assert os.listdir(work.paths.out(name)) == ["checkpoint"], "each writes into a folder of its own"

    def test_has_no_provider_key_anywhere_but_keeps_other_secrets(self, project):
        secret = "not-for-trainings"
        keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "MY_PROVIDER_KEY")
        kept = {"WANDB_API_KEY": "w", "HF_TOKEN": "h"}
        dry, full, work = looked_around(
            project, env={**dict.fromkeys(keys, secret), **kept}, config={"agent": {"api_key_env": "MY_PROVIDER_KEY"}}
        )
        for seen in (dry, full):
            assert [name for name in keys if name in seen["env"]] == []
            assert {name: seen["env"][name] for name in kept} == kept
            assert not seen["parent_knows_key"], "nor can it be read from the supervisor"
        files = [p for p in Path(work.paths.workspace).rglob("*") if p.is_file()]
        assert [p for p in files if secret.encode() in p.read_bytes()] == []

    def test_values_from_the_config_reach_every_command_and_a_secret_no_disk(self, project):
        config = {"experiment": {"env": {"LR_TEXT": "1e-3", "MY_SECRET": "s3cr3t"}, "setup": "export FROM_SETUP=yes"}}
        dry, full, work = looked_around(project, config=config)
        for seen in (dry, full):
            found = {name: seen["env"].get(name) for name in ("LR_TEXT", "MY_SECRET", "FROM_SETUP")}
            assert found == {"LR_TEXT": "1e-3", "MY_SECRET": "s3cr3t", "FROM_SETUP": "yes"}
        files = [p for p in Path(work.paths.workspace).rglob("*") if p.is_file()]
        assert [p for p in files if b"s3cr3t" in p.read_bytes()] == []

    @pytest.mark.parametrize(
        ("words", "constraint", "env", "visible"),
        [
            (("--gpu", "0,1"), "", {}, "0,1"),
            (("--gpu", "1"), "- GPU 2-3", {}, "1"),
            ((), "- GPU 0-2", {}, "0,1,2"),
            ((), "", {"CUDA_VISIBLE_DEVICES": "5"}, "5"),
            (("--gpu", "0"), "", {"CUDA_VISIBLE_DEVICES": "5"}, "0"),
        ],
        ids=["option", "option-before-brief", "brief", "environment", "option-before-environment"],
    )
    def test_shows_the_gpus_that_were_asked_for(self, project, words, constraint, env, visible):
        brief = (
            "# Goal\nA high accuracy.\n\n# Codebase\n- Training: train.py\n\n# Search Space\n- --lr: 0.001 .. 1 log\n"
        )
        brief += f"\n# Constraints\n{constraint}\n" if constraint else ""
        dry, full, work = looked_around(project, *words, env=env, brief=brief)
        assert [seen["env"]["CUDA_VISIBLE_DEVICES"] for seen in (dry, full)] == [visible, visible]
        if constraint and not words:
            assert f"CUDA_VISIBLE_DEVICES={visible}" in work.said()

    def test_has_the_projects_own_venv(self, project):
        work = project(LOOKS_AROUND, config={"experiment": {"command": "python train.py --lr 0.1"}})
        python = work.write(".venv/bin/python", f'#!/bin/sh\nexport VIA_VENV=1\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        work.cli("run", "--max-cycles", 1)
        assert [line["env"].get("VIA_VENV") for line in work.judged()] == ["1", "1"]
        assert work.json("show", 1)["runs"][1]["program"] == str(python), "which one is recorded with the run"

    @pytest.mark.parametrize("found_by", ["PATH", "CONDA_EXE", "nothing"])
    def test_conda_activate_works_as_it_does_in_a_terminal(self, project, found_by):
        work = project(config={"experiment": {"command": "python train.py --lr 0.1", "setup": "conda activate x"}})
        python = work.write("envs/x/bin/python", f'#!/bin/sh\nIN_CONDA=$CONDA_PREFIX exec {sys.executable} "$@"\n')
        conda = work.write("my conda/conda", CONDA.format(envs=work.root / "envs"))
        for path in (python, conda):
            path.chmod(0o755)
        work.write("train.py", "import os, judge\njudge.note(env=os.environ.get('IN_CONDA'))\nprint('val_acc=0.5')\n")
        if found_by == "PATH":
            work.env["PATH"] = f"{conda.parent}{os.pathsep}{work.env['PATH']}"
        elif found_by == "CONDA_EXE":
            work.env["CONDA_EXE"] = str(conda)
        work.cli("run", "--max-cycles", 1)
        note = [check for check in work.json("check")["checks"] if check["name"] == "setup"]
        if found_by == "nothing":
            assert work.json("list")[0]["result"] == "failed"
            assert "conda.sh" in note[0]["todo"]
        else:
            assert [judged["env"] for judged in work.judged(dry=False)] == [str(work.root / "envs/x")]
            assert note == []

    def test_lets_setup_choose_the_python(self, project):
        config = {"experiment": {"command": "python train.py --lr 0.1", "setup": "PATH=$PWD/conda/bin:$PATH"}}
        work = project(LOOKS_AROUND, config=config)
        python = work.write("conda/bin/python", f'#!/bin/sh\nexport VIA_CONDA=1\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        work.cli("run", "--max-cycles", 1)
        assert [line["env"].get("VIA_CONDA") for line in work.judged()] == ["1", "1"]
        assert [run["program"] for run in work.json("show", 1)["runs"]] == [str(python)] * 2

    def test_takes_values_before_the_command_as_a_shell_does(self, project):
        command = f"OMP_NUM_THREADS=3 WORD='two words' {sys.executable} train.py --lr 0.1"
        dry, full, _ = looked_around(project, config={"experiment": {"command": command}})
        for seen in (dry, full):
            assert (seen["env"]["OMP_NUM_THREADS"], seen["env"]["WORD"]) == ("3", "two words")
            assert seen["argv"] == ["train.py", "--lr", "0.1"]
