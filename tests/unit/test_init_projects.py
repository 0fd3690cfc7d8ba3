"""`init` on small projects of many kinds: the script, the command, the objective and the search space that it proposes,
and that the brief it writes is understood."""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import time

import pytest

from auto_experiment.brief import load_brief, parse_brief
from auto_experiment.config import Environment, load_config, read_environment
from auto_experiment.errors import BriefError
from auto_experiment.init import look, looking, make_project, proposed_brief
from auto_experiment.init.looking import LARGEST, look_at
from auto_experiment.init.objectives import goal_of, sample_of
from auto_experiment.init.ranges import MOST, is_left_out, propose
from auto_experiment.script_options import ScriptOption
from auto_experiment.search_space import parse_line
from init_projects import PROJECTS, lay_out

ENV = Environment({"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})


def propose_in(folder):
    return look(str(folder), ENV)


# name -> (script, command, metric, direction, space)
EXPECTED = {
    "argparse": (
        "train.py", "train.py", "val_acc", "max",
        ["--lr: 0.01 .. 1 log", "--batch-size: [64, 128, 256]", "--momentum: 0.8 .. 0.99", "--weight-decay: 5e-05 .. 0.005 log"],
    ),
    "click": (
        "fit.py", "fit.py", "val loss", "min",
        ["--learning-rate: 0.001 .. 0.1 log", "--hidden: [32, 64, 128]", "--kernel: [rbf, linear]"],
    ),
    "hydra": (
        "src/train.py", "src/train.py", "val/acc", "max",
        ["optim.lr: 0.0001 .. 0.01 log", "optim.weight_decay: 0.001 .. 0.1 log", "model.dropout: 0 .. 0.5",
         "model.hidden_dim: [64, 128, 256]", "data.batch_size: [16, 32, 64]"],
    ),
    "hf_trainer": (
        "run_glue.py",
        ("run_glue.py --model_name_or_path bert-base-cased --task_name mrpc --do_train --do_eval --learning_rate 2e-5 "
         "--output_dir outputs"),
        "eval_accuracy", "max",
        ["--classifier_dropout: 0 .. 0.5", "--learning_rate: 2e-06 .. 0.0002 log",
         "--weight_decay: [0.0, 1e-05, 0.0001, 0.001, 0.01]", "--warmup_ratio: 0 .. 0.2", "--label_smoothing_factor: 0 .. 0.2",
         "--per_device_train_batch_size: [4, 8, 16]"],
    ),
    "lightning_cli": (
        "main.py", "main.py fit", "val_acc", "max",
        ["--model.lr: 0.0001 .. 0.01 log", "--model.hidden_dim: [128, 256, 512]", "--model.dropout: 0 .. 0.5",
         "--data.batch_size: [32, 64, 128]"],
    ),
    "keras": (
        "train_mnist.py", "train_mnist.py", "val_accuracy", "max",
        ["--lr: 0.0001 .. 0.01 log", "--units: [64, 128, 256]", "--l2: 1e-05 .. 0.001 log"],
    ),
    "config_file": ("train.py", "train.py", "val_f1", "max", []),
    "constants": ("train.py", "train.py", "val_loss", "min", []),
    "src_layout": (
        "src/thing/train.py", "PYTHONPATH=src python3 -m thing.train", "valid_auc", "max",
        ["--lr: 3e-05 .. 0.003 log", "--optim: [adamw, lion]", "--dropout: 0 .. 0.5", "--n-layers: 2 .. 8 int"],
    ),
    "torchrun": (
        "tools/train.py", "torchrun --nproc_per_node=4 tools/train.py /data/imagenet --lr 0.4 --batch-size 128", "acc@1", "max",
        ["--lr: 0.04 .. 4 log", "--wd: 1e-05 .. 0.001 log", "--batch-size: [64, 128, 256]"],
    ),
    "nanogpt": (
        "train.py",
        ("train.py config/train_shakespeare_char.py --batch_size=64 --n_layer=6 --n_embd=384 --dropout=0.2 "
         "--learning_rate=0.001 --weight_decay=0.1 --warmup_iters=100"),
        "val loss", "min",
        ["--batch_size: [32, 64, 128]", "--n_layer: 3 .. 12 int", "--n_embd: [192, 384, 768]", "--dropout: 0 .. 0.5",
         "--learning_rate: 0.0001 .. 0.01 log", "--weight_decay: 0.01 .. 1 log", "--warmup_iters: 0 .. 200 int"],
    ),
    "timm": (
        "train.py", "train.py", "test_Acc@1", "max",
        ["--batch-size: [64, 128, 256]", "--momentum: 0.8 .. 0.99", "--weight-decay: 2e-06 .. 0.0002 log", "--lr: 0.005 .. 0.5 log",
         "--warmup-epochs: 0 .. 10 int", "--smoothing: 0 .. 0.2", "--drop: 0 .. 0.5", "--drop-path: 0 .. 0.5"],
    ),
    "absl": (
        "main.py", "main.py --workdir outputs", "eval_accuracy", "max",
        ["--learning_rate: 3e-05 .. 0.003 log", "--num_layers: 1 .. 6 int", "--activation: [relu, gelu]"],
    ),
    "tyro": (
        "train.py", "train.py", "val_miou", "max",
        ["--optim.lr: 0.0001 .. 0.01 log", "--optim.weight-decay: 0.001 .. 0.1 log", "--optim.kind: [adamw, sgd]",
         "--dropout: 0 .. 0.5"],
    ),
    "required": (
        "train.py", "venv/bin/python train.py --data-path datasets --teacher EDIT", "loss", "min", ["--lr: 0.001 .. 0.1 log"],
    ),
    "with_log": (
        "fit.py", "fit.py", "val acc", "max",
        ["--learning-rate: 0.001 .. 0.1 log", "--hidden: [32, 64, 128]", "--kernel: [rbf, linear]"],
    ),
    "gan_options": (
        "train.py", "train.py --dataroot ./images --batch_size 4", "FID", "min",
        ["--beta1: 0.5 .. 0.99", "--lr: 2e-05 .. 0.002 log", "--batch_size: [2, 4, 8]"],
    ),
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """A project laid out; executables where it has an environment of its own, so that a run would find them."""

    def made(name):
        lay_out(name, tmp_path)
        if (tmp_path / "venv").is_dir():
            (tmp_path / "venv/bin").mkdir()
            os.symlink("/bin/sh", tmp_path / "venv/bin/python")
        return tmp_path

    return made


def test_every_project_is_expected():
    assert set(PROJECTS) == set(EXPECTED) | {"notebooks"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_project_is_understood(name, project):
    root = project(name)
    told = make_project(str(root), ENV)
    script, command, metric, direction, space = EXPECTED[name]
    assert propose_in(root).script == script
    brief = load_brief(str(root / "PROJECT_BRIEF.md"))
    written = brief.command.replace(" python -m ", " python3 -m ")  # which of the two there is, is the machine's
    assert (written, brief.metric, brief.direction, brief.target) == (command, metric, direction, None)
    assert [str(parameter) for parameter in brief.search_space] == space
    assert all("still to edit" in notice for notice in brief.notices), brief.notices
    assert len(brief.text) < load_config(str(root)).memory.brief_max_chars, "all of it reaches a model"
    assert len(told) < 20
    edits = [line for line in told if line.startswith("edit ")]
    assert len(edits) == len(brief.notices)
    assert [f"script      {script} (" in told[0], told[-1].startswith("next ")] == [True, True]


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_that_judges_or_costs_is_varied(name, project):
    space = {p.name.lstrip("-") for p in parse_brief(proposed_brief(str(project(name)), ENV)).search_space}
    assert not [
        n
        for n in space
        if re.search(r"seed|(?<!warmup-)epoch|worker|(?<!per_)device|(?<!drop-)path|eval|val|dir|^data$", n)
    ]
    assert len(space) <= MOST


def test_two_edits_make_it_final(project):
    """The Goal's target and the ranges: the two comments that begin with EDIT."""
    root = project("argparse")
    make_project(str(root), ENV)
    text = (root / "PROJECT_BRIEF.md").read_text(encoding="utf-8")
    assert len(load_brief(str(root / "PROJECT_BRIEF.md")).notices) == 2
    once = re.sub(r"Maximise val_acc\.\n<!-- EDIT.*?-->", "Reach 95% val_acc.", text, flags=re.DOTALL)
    twice = re.sub(r"<!-- EDIT.*?-->\n", "", once, flags=re.DOTALL)
    brief = parse_brief(twice)
    assert (brief.metric, brief.target, brief.notices, len(brief.search_space)) == ("val_acc", 0.95, (), 4)


def test_judges_and_data_are_frozen(project):
    root = project("argparse")
    assert propose_in(root).frozen == ("evaluate.py", "data/**")
    (root / "data.py").write_text("CIFAR10('data', download=True)\n")
    assert propose_in(root).frozen == ("evaluate.py",), "a training that downloads must be able to write"


def test_the_gpus_of_torchrun_are_asked_for(project):
    brief = parse_brief(proposed_brief(str(project("torchrun")), ENV))
    assert brief.gpus == "0,1,2,3"


def test_an_earlier_log_says_what_a_run_came_to(project):
    best, *others = propose_in(project("with_log")).objectives
    assert (best.name, best.best, best.final, best.place) == ("val acc", 1.0, 1.0, "logs/new.log")
    assert [(c.name, c.best) for c in others] == [("val loss", 0.4), ("train loss", 0.2)]


def test_a_file_of_metrics_counts_as_a_log(tmp_path):
    lay_out("lightning_cli", tmp_path)
    folder = tmp_path / "lightning_logs/version_0"
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("epoch,step,val_acc,val_loss\n0,10,0.5,1.0\n1,20,0.7,0.8\n")
    best = propose_in(tmp_path).objective
    assert (best.name, best.best, best.place) == ("val_acc", 0.7, "lightning_logs/version_0/metrics.csv")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("constants", ["LR=0.5", "HIDDEN=64"]),
        ("config_file", ["--config", "configs/base.yaml", "lr=0.5", "batch_size=64"]),
    ],
)
def test_the_lines_to_add_do_what_they_say(name, words, project, tmp_path):
    """They are put into a script of that kind and run."""
    root = project(name)
    proposal = propose_in(root)
    assert not proposal.options.settable
    added = "\n".join(proposal.options.lines)
    assert all(f"    {line}\n" in proposed_brief(str(root), ENV) for line in proposal.options.lines)
    if name == "constants":
        code = f"LR = 1e-2\nHIDDEN = 32\n{added}\nprint(LR, HIDDEN)\n"
    else:
        code = (
            "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--config')\n"
            f"cfg = {{'lr': 0.1, 'batch_size': 16}}\n{added}\nprint(cfg['lr'], cfg['batch_size'])\n"
        )
    (tmp_path / "try.py").write_text(code)
    done = subprocess.run(["python3", "try.py", *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0.5 64\n"


def test_the_lines_for_a_nested_file_do_what_they_say(tmp_path):
    (tmp_path / "base.yaml").write_text("optim:\n  lr: 0.1\nmodel: {dropout: 0.1}\n")
    (tmp_path / "train.py").write_text(
        "import argparse, yaml\np = argparse.ArgumentParser()\np.add_argument('-c', '--cfg', default='base.yaml')\n"
        "args = p.parse_args()\nfor epoch in range(3):\n    train_epoch()\n    print(f'val_loss={loss}')\n"
    )
    proposal = propose_in(tmp_path)
    added = "\n".join(proposal.options.lines)
    code = (
        "import argparse\np = argparse.ArgumentParser()\n"
        f"cfg = {{'optim': {{'lr': 0.1}}}}\n{added}\nprint(cfg['optim']['lr'])\n"
    )
    done = subprocess.run(["python3", "-c", code, "optim.lr=0.5"], capture_output=True, text=True, check=True)
    assert done.stdout == "0.5\n"
    assert "- optim.lr: 0.01 .. 1 log" in proposed_brief(str(tmp_path), ENV)


def test_the_lines_for_a_file_that_is_read_without_a_parser_need_none(tmp_path):
    (tmp_path / "base.yaml").write_text("optim:\n  lr: 0.1\nseed: 1\n")
    (tmp_path / "train.py").write_text(
        "import sys, yaml\ncfg = yaml.safe_load(open('base.yaml'))\nfor epoch in range(3):\n    loss.backward()\n"
        "    print(f'val_loss={loss}')\n"
    )
    assert propose_in(tmp_path).command == "train.py"
    added = "\n".join(propose_in(tmp_path).options.lines)
    code = f"cfg = {{'optim': {{'lr': 0.1}}}}\n{added}\nprint(cfg['optim']['lr'])\n"
    done = subprocess.run(["python3", "-c", code, "optim.lr=0.5"], capture_output=True, text=True, check=True)
    assert done.stdout == "0.5\n"


def test_a_settings_file_that_is_the_first_word_is_named_in_the_command(tmp_path):
    (tmp_path / "base.yaml").write_text("lr: 0.1\nseed: 1\n")
    (tmp_path / "train.py").write_text(
        "import sys, yaml\ncfg = yaml.safe_load(open(sys.argv[1] if len(sys.argv) > 1 else 'base.yaml'))\n"
        "for epoch in range(3):\n    loss.backward()\n    print(f'val_loss={loss}')\n"
    )
    assert propose_in(tmp_path).command == "train.py base.yaml"


def test_a_script_with_a_space_in_its_name_is_found(tmp_path):
    (tmp_path / "my train.py").write_text(
        "import argparse\nap = argparse.ArgumentParser()\nap.add_argument('--lr', type=float, default=0.1)\n"
        "for epoch in range(ap.parse_args().lr):\n    print(f'val_acc={acc}')\n"
    )
    assert propose_in(tmp_path).script == "my train.py"
    (tmp_path / "empty").mkdir()
    told = make_project(str(tmp_path / "empty"), ENV)
    assert "script      none found that trains something: write `- Training: your_script.py` under # Codebase" in told


def test_options_of_a_module_that_is_only_imported_are_not_the_scripts(project):
    names = {option.name for option in propose_in(project("src_layout")).options.all}
    assert names == {"--lr", "--optim", "--dropout", "--n-layers"}, "not --momentum, which is behind the other's guard"
    assert propose_in(project("src_layout")).options.places["--lr"] == "src/thing/options.py:11"


def test_a_value_that_only_the_user_knows_is_asked_for(project, tmp_path):
    from auto_experiment.cli.checks import run_checks
    from auto_experiment.project import Place

    root = project("required")
    make_project(str(root), ENV)
    checks = {c.name: c for c in run_checks(Place.of(str(root)))}
    assert checks["command"].ok is False
    assert "EDIT stands for a value that only you know" in checks["command"].said


def test_only_notebooks_is_said_and_the_goal_is_still_empty(project):
    root = project("notebooks")
    told = make_project(str(root), ENV)
    assert told[0].startswith(
        "script      only notebooks (analysis.ipynb, train.ipynb): `jupyter nbconvert --to script`"
    )
    assert [line for line in told if line.endswith("write the command (only notebooks)")]
    with pytest.raises(BriefError):
        load_brief(str(root / "PROJECT_BRIEF.md"))


@pytest.mark.parametrize("name", ["train2.py", "train_v2.py", "pretrain.py", "finetune_3.py"])
def test_a_script_by_its_name(tmp_path, name):
    loop = "import torch\nfor epoch in range(3):\n    loss.backward()\n    print('acc', acc)\n"
    (tmp_path / name).write_text(loop)
    assert propose_in(tmp_path).script == name


def test_the_metric_that_a_callback_watches_comes_first(tmp_path):
    lay_out("lightning_cli", tmp_path)
    assert propose_in(tmp_path).objective.name == "val_acc"
    with (tmp_path / "main.py").open("a") as file:
        file.write("def callbacks():\n    return EarlyStopping(monitor='val_loss')\n")
    assert propose_in(tmp_path).objective.name == "val_loss"


@pytest.mark.parametrize(
    "line",
    [
        "python fit.py --eval",
        "python fit.py --resume last.pt",
        "python fit.py --n-epochs $EPOCHS",
        "python fit.py --data /path/to/data",
        "python fit.py <your options>",
        "cd src && python fit.py",
        "for s in 1 2; do python fit.py; done",
        "python fit.py | grep loss",
        "python missing.py --lr 1",
        "srun python fit.py",
        "WANDB_API_KEY=0123 python fit.py",
        "python fit.py --hub-token 0123",
        "python fit.py --password=0123",
    ],
)
def test_what_is_no_command_to_begin_with(line, tmp_path):
    lay_out("click", tmp_path)
    (tmp_path / "run.sh").write_text(f"{line}\n")
    assert propose_in(tmp_path).command == "fit.py"


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("CUDA_VISIBLE_DEVICES=0 python fit.py --hidden 32", "fit.py --hidden 32"),
        ("OMP_NUM_THREADS=4 python3 fit.py --hidden 32", "OMP_NUM_THREADS=4 python3 fit.py --hidden 32"),
        ("nohup python -u fit.py --hidden 32 > out.log 2>&1 &", "python -u fit.py --hidden 32"),
        ("PYTHONPATH=. python fit.py --hidden 32", "fit.py --hidden 32"),
        ("PYTHONPATH=lib python fit.py --hidden 32", "PYTHONPATH=lib python fit.py --hidden 32"),
        ("N=12\npython fit.py --n-epochs ${N}", "fit.py --n-epochs 12"),
        ('python fit.py --n-epochs "${EPOCHS:-7}" "$@"', "fit.py --n-epochs 7"),
        ("accelerate launch --num_processes 2 fit.py", "accelerate launch --num_processes 2 fit.py"),
    ],
)
def test_a_command_of_a_shell_script(line, command, tmp_path):
    lay_out("click", tmp_path)
    (tmp_path / "run.sh").write_text(f"#!/bin/bash\n{line}\n")
    written = propose_in(tmp_path).command
    assert re.sub(r"\bpython3?\b", "python", written) == re.sub(r"\bpython3?\b", "python", command)


def test_a_path_that_is_needed_is_kept(tmp_path):
    lay_out("hydra", tmp_path)
    (tmp_path / "run.sh").write_text("PYTHONPATH=. python src/train.py epochs=3\n")
    assert re.fullmatch(r"PYTHONPATH=\. python3? src/train\.py epochs=3", propose_in(tmp_path).command)


def test_torchrun_is_the_environments_own(tmp_path):
    lay_out("torchrun", tmp_path)
    (tmp_path / "venv/bin").mkdir(parents=True)
    for name in ("python", "torchrun"):
        os.symlink("/bin/sh", tmp_path / "venv/bin" / name)
    assert propose_in(tmp_path).command.startswith("venv/bin/torchrun --nproc_per_node=4 tools/train.py")


# -- python, git --------------------------------------------------------------------------------------------------


def test_the_python_is_the_one_that_a_run_will_use(tmp_path):
    lay_out("click", tmp_path)
    assert propose_in(tmp_path).command == "fit.py"
    (tmp_path / "uv.lock").write_text("")
    assert "`uv sync` makes one" in propose_in(tmp_path).python.said
    for folder in ("env", ".venv"):
        (tmp_path / folder / "bin").mkdir(parents=True)
        os.symlink("/bin/sh", tmp_path / folder / "bin/python")
        python = propose_in(tmp_path).python
        assert python.file == str(tmp_path / folder / "bin/python")
        assert propose_in(tmp_path).command == ("fit.py" if folder == ".venv" else "env/bin/python fit.py")


def test_a_conda_environment_is_named(tmp_path):
    lay_out("click", tmp_path)
    (tmp_path / "environment.yml").write_text("name: speech\ndependencies: [python]\n")
    assert "conda activate speech" in propose_in(tmp_path).python.said
    active = Environment({**ENV.variables, "CONDA_DEFAULT_ENV": "speech"})
    assert look(str(tmp_path), active).python.said == ""


def test_what_git_ignores_is_no_script_and_what_is_changed_is_counted(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=b"]
    lay_out("click", tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old/train.py").write_text(PROJECTS["argparse"]["train.py"])
    (tmp_path / ".gitignore").write_text("old/\n*.log\n")
    assert propose_in(tmp_path).script == "old/train.py", "without a repository it is a folder like any other"
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    (tmp_path / "fit.py").write_text(PROJECTS["click"]["fit.py"] + "\n")
    proposal = propose_in(tmp_path)
    assert [s.path for s in proposal.scripts] == ["fit.py"]
    assert proposal.git.changed == 1


# -- what is there stays ------------------------------------------------------------------------------------------


def test_an_existing_brief_is_kept_and_the_proposal_is_named(project):
    root = project("click")
    (root / "PROJECT_BRIEF.md").write_text("mine")
    told = make_project(str(root), ENV)
    assert (root / "PROJECT_BRIEF.md").read_text() == "mine"
    assert told[0].startswith("script      fit.py")
    assert f"kept        {root}/PROJECT_BRIEF.md, which was there" in told
    assert f"proposal    auto-experiment init --print {root}" in told
    assert not [line for line in told if line.startswith("edit")]


def test_a_trainings_own_config_is_named(project):
    root = project("click")
    (root / "config.yaml").write_text("lr: 0.1\n")
    told = make_project(str(root), ENV)
    assert any(line.startswith("rename ") and "lr" in line for line in told)


def test_printing_writes_nothing(project):
    root = project("click")
    before = sorted(os.listdir(root))
    assert parse_brief(proposed_brief(str(root), ENV)).metric == "val loss"
    assert sorted(os.listdir(root)) == before


# -- whatever lies there ------------------------------------------------------------------------------------------


def test_a_name_ends_no_comment(tmp_path):
    (tmp_path / "train.py").write_text(
        "parser.add_argument('--aug-->', default=1)\nparser.add_argument('--lr', default=0.1)\n"
        "for epoch in y: print('val_loss', 1)\n"
    )
    brief = parse_brief(proposed_brief(str(tmp_path), ENV))
    assert "--aug--" in brief.text
    assert [p.name for p in brief.search_space] == ["--lr"]


HOSTILE = {
    "python 2": "print 'epoch', 1\nfor epoch in range(3): pass\n",
    "latin-1": b"# caf\xe9\nimport argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', default=0.1)\n"
    b"for epoch in x:\n    print('val_loss', 0.5)\n",
    "utf-16": "for epoch in x: print('val_loss', 1)".encode("utf-16"),
    "null bytes": b"x = 1\0\n",
    "nested": "x = " + "(" * 5000,
    "signs": "x = " + "-" * 50_000 + "1\n",
    "sum": "parser.add_argument('--lr', default=" + "+".join(["1"] * 900) + ")\nfor epoch in y: print('val_loss', 1)\n",
    "power": "parser.add_argument('--lr', default=9**9**9**9)\nfor epoch in y: print('val_loss', 1)\n",
    "comment marks": "parser.add_argument('--lr-->\\n# Goal\\nReach 9', default=0.1)\nfor epoch in y: print('val_loss', 1)\n",
    "large": "x = 1\n" * LARGEST,
    "empty": "",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_script_brings_it_down(kind, tmp_path):
    content = HOSTILE[kind]
    (tmp_path / "train.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    told = make_project(str(tmp_path), ENV)
    assert all(line.isprintable() for line in told)
    text = (tmp_path / "PROJECT_BRIEF.md").read_text(encoding="utf-8")
    assert re.findall(r"^# (.+)$", text, re.M) == [
        "Goal", "Codebase", "Constraints", "Current Best", "Search Space", "Frozen"
    ]  # fmt: skip


def test_no_name_brings_it_down(tmp_path):
    """FIFOs, loops, a folder that nobody may read, names that are no text."""
    for name in ("train.py", "README.md", "run.sh", "train.log", ".gitignore", "environment.yml", "metrics.csv"):
        os.mkfifo(tmp_path / name)
    os.symlink(tmp_path, tmp_path / "again")
    os.symlink("loop", tmp_path / "loop")
    os.symlink("nowhere", tmp_path / "main.py")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    os.mkdir(tmp_path / "closed", mode=0)
    (tmp_path / "fit.py").write_text(PROJECTS["click"]["fit.py"])
    try:
        assert propose_in(tmp_path).script == "fit.py"
    finally:
        os.chmod(tmp_path / "closed", 0o700)


@pytest.mark.parametrize("folder", ["data", ""])
def test_a_folder_of_many_files_is_not_looked_at_whole(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "MOST_IN_A_FOLDER", 100)
    (tmp_path / "train.py").write_text(PROJECTS["click"]["fit.py"])
    (tmp_path / folder).mkdir(exist_ok=True)
    for n in range(300):
        (tmp_path / folder / f"a{n}.txt").touch()
    found = look_at(str(tmp_path))
    assert len(found.files) <= 102
    assert found.notes == [f"{folder or 'the folder'} holds more than 100 files: not all were looked at"]
    assert propose_in(tmp_path).script == "train.py", "what bears a usual name is found all the same"


def test_when_the_time_is_over_it_stops_and_says_so(tmp_path, monkeypatch):
    for n in range(30):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}/train.py").write_text(PROJECTS["click"]["fit.py"])
    now = [0.0]

    def clock():
        now[0] += 0.2
        return now[0]

    monkeypatch.setattr(time, "monotonic", clock)
    told = make_project(str(tmp_path), ENV)
    assert any("it holds more than was looked at in 2 s: the rest was left out" in line for line in told)


# -- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["--seed", "--epochs", "--max-steps", "--num_workers", "--port", "--device", "--gpus", "--data-dir", "--dataset", "--val-split",
     "--eval-batch-size", "--test_size", "--metric", "--loss", "--img-size", "--block_size", "--output-dir", "--resume", "--log-every",
     "--num-classes", "--threshold", "--fp16", "trainer.max_epochs", "data.root", "--local_rank", "--subset", "--beam-size"],
)  # fmt: skip
def test_what_is_never_varied(name):
    assert is_left_out(name)
    assert propose([ScriptOption(name, "2", ("1", "2"))]).proposals == ()


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (ScriptOption("--lr", "0.001"), "--lr: 0.0001 .. 0.01 log"),
        (ScriptOption("--lr", "3e-4"), "--lr: 3e-05 .. 0.003 log"),
        (ScriptOption("--lr", ""), None),
        (ScriptOption("--lr", "0"), None),
        (ScriptOption("--lr", "auto"), None),
        (ScriptOption("--lr", "nan"), None),
        (ScriptOption("--weight-decay", "0.0"), "--weight-decay: [0.0, 1e-05, 0.0001, 0.001, 0.01]"),
        (ScriptOption("--dropout", "0.1"), "--dropout: 0.0 .. 0.5"),
        (ScriptOption("--drop-rate", "0.6"), "--drop-rate: 0.0 .. 0.6"),
        (ScriptOption("--batch-size", "1"), "--batch-size: [1, 2]"),
        (ScriptOption("--batch-size", "48"), "--batch-size: [24, 48, 96]"),
        (ScriptOption("--momentum", "0.9"), "--momentum: 0.8 .. 0.99"),
        (ScriptOption("--momentum", "0.0"), "--momentum: 0 .. 0.99"),
        (ScriptOption("--n-layers", "1"), "--n-layers: 1 .. 2 int"),
        (ScriptOption("--warmup-steps", "0"), None),
        (ScriptOption("--warmup-steps", "500"), "--warmup-steps: 0 .. 1000 int"),
        (ScriptOption("--warmup_ratio", "0.0"), "--warmup_ratio: 0.0 .. 0.2"),
        (ScriptOption("--amp", flag=True), None),
        (ScriptOption("--hidden-sizes", "64", many=True), None),
        (ScriptOption("--optimizer", "sgd", ("sgd",)), None),
        (ScriptOption("--optimizer", "sgd", ("sgd", "a, b")), '--optimizer: [sgd, "a, b"]'),
        (ScriptOption("--clip-grad", "1.0"), "--clip-grad: 0.333333 .. 3 log"),
    ],
)  # fmt: skip
def test_ranges(option, line):
    found = [proposal.line for proposal in propose([option]).proposals]
    assert found == ([line] if line else [])
    assert all(parse_line(text) for text in found)


@pytest.mark.parametrize(
    ("name", "direction"),
    [("val_acc", "max"), ("val/loss", "min"), ("Acc@1", "max"), ("valid loss", "min"), ("test_Acc@1", "max"), ("mAP50", "max"),
     ("eval_f1", "max"), ("ppl", "min"), ("val_wer", "min"), ("episode_reward", "max"), ("val_bpb", "min")],
)  # fmt: skip
def test_a_goal_is_read_as_its_metric(name, direction):
    for text in (goal_of(name, direction), sample_of(name, direction)):
        brief = parse_brief(f"# Goal\n{text}\n")
        assert brief.direction == direction, text
        assert brief.metric.lower().replace("`", "") in (name.lower(), name.lower().replace("_", " ").replace("/", " "))


def test_the_real_environment_is_taken_too(tmp_path):
    lay_out("click", tmp_path)
    python = look(str(tmp_path), read_environment()).python.file
    assert os.access(python, os.X_OK)
    assert shlex.quote(python)


def test_a_name_is_looked_up_where_it_is_defined(tmp_path):
    """Two modules have a ``parse_opt``; the script's own counts, and what it takes from another is that one's."""
    (tmp_path / "val.py").write_text(
        "import argparse\ndef parse_opt():\n    p = argparse.ArgumentParser()\n    p.add_argument('--batch-size', type=int, default=1)\n"
        "    p.add_argument('--momentum', type=float, default=0.5)\ndef run():\n    pass\n"
    )
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra/__init__.py").write_text("from .more import add_more\n")
    (tmp_path / "extra/more.py").write_text(
        "def add_more(p):\n    p.add_argument('--dropout', type=float, default=0.2)\n"
    )
    (tmp_path / "train.py").write_text(
        "import argparse\nimport val\nfrom extra import add_more\ndef parse_opt():\n    p = argparse.ArgumentParser()\n    add_more(p)\n"
        "    p.add_argument('--batch-size', type=int, default=16)\nfor epoch in x:\n    val.run()\n    print('val_loss', 1.0)\n"
    )
    space = [p.line for p in propose_in(tmp_path).space.proposals]
    assert space == ["--batch-size: [8, 16, 32]", "--dropout: 0.0 .. 0.5"]


@pytest.mark.parametrize("name", ["--remote-protocol", "--sampler", "--style", "--strategy"])
def test_choices_of_no_known_kind_are_left_to_the_user(name):
    space = propose([ScriptOption(name, "a", ("a", "b"))])
    assert (space.proposals, space.others) == ((), (name,))


def test_positional_arguments_that_are_not_known_bear_their_names(tmp_path):
    (tmp_path / "train.py").write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('corpus_id')\np.add_argument('--lr', default=0.1)\n"
        "for epoch in x:\n    print('val_loss', 1.0)\n"
    )
    assert propose_in(tmp_path).command == "train.py EDIT_corpus_id"


def test_damaged_projects_give_a_brief_that_is_read_or_has_no_goal(tmp_path):
    """Lines lost, doubled, with other signs in them: what is proposed never is what the brief's reader refuses."""
    draw = random.Random(5)
    for number in range(60):
        root = tmp_path / str(number)
        for path, text in PROJECTS[draw.choice(sorted(PROJECTS))].items():
            lines = text.splitlines(keepends=True)
            for _ in range(draw.randint(0, 4)):
                at = draw.randrange(len(lines)) if lines else 0
                old = draw.choice(["0", "1", "(", '"', "--", "=", "lr"])
                new = draw.choice(["", "9e999", "-->", "None", "<!--", "[", "\x0b", ": "])
                lines[at : at + 1] = (
                    draw.choice([[], lines[at : at + 1] * 2, [lines[at].replace(old, new)]]) if lines else []
                )
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("".join(lines), encoding="utf-8")
        text = proposed_brief(str(root), ENV)
        try:
            parse_brief(text)
        except BriefError as error:
            assert re.search("the Goal is empty|says nothing yet", str(error)), f"{error}\n{text}"
