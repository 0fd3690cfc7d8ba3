"""Which files are code, judged by their path; and the globs that leave files out."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.agent.code_files import Globs, is_code
from auto_experiment.agent.code_store import Entry, blob_of, tree_of

CODE = """
train.py src/model.PYX nb/explore.ipynb run.sh a.cu a.cuh native/op.cpp lib.rs main.go plot.jl fit.R conf.gin
config.json conf/model.yaml conf/data.yml ds_config.json setup.cfg pyproject.toml pytest.ini hparams.json args.json
requirements.txt requirements-dev.txt dev_requirements.txt constraints.txt CMakeLists.txt Makefile docker/Dockerfile
environment.yml net.prototxt prompt.jinja2 poetry.lock job.slurm runs/eval.py logs/plot.py outputs/collect.sh
sub/config.yaml sub/PROJECT_BRIEF.py
""".split()  # noqa: SIM905  names without quotes are easier to read

NOT_CODE = """
results.json metrics.json eval_results.json train_metrics.json trainer_state.json history.json model_scores.json
runs/1/hparams.yaml wandb/run-1/files/config.yaml wandb/run-1/files/wandb-summary.json outputs/2024/.hydra/config.yaml
lightning_logs/version_0/hparams.yaml checkpoint-120/config.json mlruns/0/meta.yaml my_results/conf.toml logs/args.json
model.pt data.csv notes.txt log.txt README.md out.log events.out.tfevents.1 PROJECT_BRIEF.md config.yaml .gitignore
image.png train.py.orig .json .yaml
""".split()  # noqa: SIM905  names without quotes are easier to read


@pytest.mark.parametrize("path", CODE)
def test_code(path):
    assert is_code(path.encode(), executable=False)


@pytest.mark.parametrize("path", NOT_CODE)
def test_not_code(path):
    assert not is_code(path.encode(), executable=False)


def test_an_executable_without_a_suffix_is_a_script():
    assert is_code(b"bin/train", executable=True)
    assert not is_code(b"bin/train", executable=False)
    assert not is_code(b"model.pt", executable=True)


@pytest.mark.parametrize(
    ("glob", "fits", "does_not"),
    [
        ("*.pt", ["a.pt", "x/y/a.pt"], ["a.pth", "apt"]),
        ("data", ["data", "data/x", "a/data/x"], ["mydata", "data2/x"]),
        ("data/", ["data/x"], ["mydata/x"]),
        ("/train.py", ["train.py"], ["a/train.py"]),
        ("src/*.py", ["src/a.py"], ["src/b/a.py", "x/src/a.py"]),
        ("src/**", ["src/a.py", "src/b/a.py"], ["source/a"]),
        ("**/eval.py", ["eval.py", "a/b/eval.py"], ["myeval.py"]),
        ("a?c[0-9].x", ["abc1.x"], ["a/c1.x", "abcd.x"]),
        ("[!a].x", ["b.x"], ["a.x"]),
        ("./train.py", ["train.py"], ["train2py"]),
        ("[z-a]", ["[z-a]"], ["b"]),
        ("a+(b).py", ["a+(b).py"], ["aab.py"]),
    ],
)
def test_globs(glob, fits, does_not):
    globs = Globs([glob, "  "])
    assert all(globs.fit(path.encode()) for path in fits)
    assert not any(globs.fit(path.encode()) for path in does_not)


NAME = st.binary(min_size=1, max_size=6).filter(lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b".."))


@given(st.text(max_size=12), st.lists(NAME, max_size=3).map(b"/".join))
def test_no_glob_raises(glob, path):
    Globs([glob]).fit(path)


FILES = ["a", "a.b", "a-b/c", "a0/x", "z/y/x/w", "z/y.x", "b/c/d", "b/c0", "ä/ö", "b c"]


def test_a_tree_has_the_id_that_git_gives_it(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "core.quotePath=false"]
    subprocess.run([*git, "init", "-q"], check=True)
    entries = {}
    for n, path in enumerate(FILES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"%d" % n)
        (tmp_path / path).chmod(0o755 if n % 2 else 0o644)
        entries[path.encode()] = Entry("100755" if n % 2 else "100644", blob_of(b"%d" % n))
    os.symlink("nowhere", tmp_path / "link")
    entries[b"link"] = Entry("120000", blob_of(b"nowhere"))
    subprocess.run([*git, "add", "-A"], check=True)
    told = subprocess.run([*git, "write-tree"], check=True, capture_output=True, text=True).stdout.strip()
    assert tree_of(entries) == told
    assert tree_of({}) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
