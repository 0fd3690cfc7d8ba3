"""The demo: what `make_demo` writes, and that its training script is an honest one."""

import importlib.util
import json
import math
import os
import re
import runpy
import shlex
import subprocess
import sys
from argparse import Namespace

import pytest
import yaml

from auto_experiment.brief import parse_brief
from auto_experiment.config import load_config
from auto_experiment.demo import BASELINE, FILES, make_demo
from auto_experiment.errors import UsageError

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

GOOD = {"lr": 0.003, "hidden": 64, "batch_size": 64, "dropout": 0.1, "optimizer": "adam"}
SCRIPT = os.path.join(os.path.dirname(importlib.util.find_spec("auto_experiment.demo").origin), "files", "train.py")
EPOCH = r"epoch \d+/\d+ train_loss=\d\.\d{4} val_loss=\d\.\d{4} val_accuracy=[01]\.\d{4}"


def content(path):
    return path.read_text(encoding="utf-8")


# The project that is written


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "demo"
    make_demo(str(folder), sys.executable, seed=3)
    return folder


def command_of(folder):
    return shlex.split(yaml.safe_load(content(folder / "config.yaml"))["experiment"]["command"])


def test_a_new_folder_gets_three_files(project):
    assert sorted(os.listdir(project)) == sorted(FILES)
    with open(SCRIPT, encoding="utf-8") as file:
        assert content(project / "train.py") == file.read()


def test_the_command_names_the_python_and_the_seed(project):
    assert command_of(project) == [sys.executable, *BASELINE.split(), "--seed", "3"]


@pytest.mark.parametrize("python", ["/opt/my env/bin/python", '/a\'b/"c"/python', "/péß/🐍: #1/python", r"C:\x\py"])
def test_an_awkward_path_to_python_survives_yaml_and_shell(tmp_path, python):
    make_demo(str(tmp_path), python)
    assert command_of(tmp_path)[0] == python


def test_the_baseline_is_the_scripts_own_default(train):
    defaults = vars(train.parse([]))
    given = vars(train.parse(BASELINE.split()[1:]))
    assert given == defaults


def test_the_searched_flags_are_the_scripts_and_the_baseline_lies_among_their_values(project, train):
    baseline = vars(train.parse([]))
    for parameter in parse_brief(content(project / "PROJECT_BRIEF.md")).search_space:
        value = baseline[parameter.name.strip("-").replace("-", "_")]
        assert value in parameter.choices or parameter.low <= value <= parameter.high


def test_the_brief_is_understood_without_a_notice(project):
    brief = parse_brief(content(project / "PROJECT_BRIEF.md"))
    assert brief.notices == ()
    assert (brief.direction, brief.target, brief.target_is_percent) == ("max", 0.995, True)
    assert brief.metric in {"validation accuracy", "val_accuracy"}
    assert len(brief.search_space) == 6
    assert (brief.command, brief.gpus, brief.current_best) == (None, None, None)


def test_the_config_is_valid(project):
    config = load_config(str(project))
    assert shlex.split(config.experiment.command) == command_of(project)
    assert config.agent.provider == "optuna"
    assert config.budget.experiments == 12


def test_an_earlier_demo_is_left_as_it_is(project):
    (project / "workspace").mkdir()
    (project / "train.py").write_text("# mine\n")
    before = {name: content(project / name) for name in FILES}
    make_demo(str(project), "/another/python", seed=9)
    assert {name: content(project / name) for name in FILES} == before


def test_a_demo_that_was_cut_off_while_it_was_written_is_completed(project):
    os.unlink(project / "train.py")
    make_demo(str(project), sys.executable)
    assert sorted(os.listdir(project)) == sorted(FILES)


def test_a_folder_with_anything_else_in_it_is_refused_and_not_touched(tmp_path):
    (tmp_path / "config.yaml").write_text("agent:\n")
    with pytest.raises(UsageError, match="not empty and holds no earlier demo"):
        make_demo(str(tmp_path), sys.executable)
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_file_in_the_way_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        make_demo(str(tmp_path / "file"), sys.executable)


# The training script


@pytest.fixture(scope="module")
def train():
    before = dict(os.environ)
    try:
        return Namespace(**runpy.run_path(SCRIPT))
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def data(train):
    return train.load()


def fit(train, data, **settings):
    args = train.parse([])
    vars(args).update(settings)
    return train.fit(args, data[0], data[1])


def script(*flags, folder, **env):
    command = [sys.executable, SCRIPT, *flags]
    env = {**os.environ, **env}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=60, check=False)


def test_the_split_is_disjoint_complete_and_fixed(train):
    labels = train.load_digits(return_X_y=True)[1]
    parts = [set(rows.tolist()) for rows in train.split(labels)]
    assert [len(part) for part in parts] == [1077, 360, 360]
    assert set.union(*parts) == set(range(1797))
    np.random.seed(7)  # the split must not hang on the old global generator
    assert [set(rows.tolist()) for rows in train.split(labels)] == parts


def test_each_part_has_its_share_of_every_digit(data):
    for part in data:
        shares = np.bincount(part.y) / len(part.y)
        assert shares.min() > 0.09
        assert shares.max() < 0.11


def test_only_training_images_are_multiplied_and_make_the_standard(train, data):
    pixels, labels = train.load_digits(return_X_y=True)
    rows = train.split(labels)
    assert [len(part.y) for part in data] == [5 * 1077, 360, 360]
    mean, deviation = data[0].x.mean(axis=0), data[0].x.std(axis=0)
    assert abs(mean).max() < 1e-4
    assert abs(deviation[deviation > 0] - 1).max() < 1e-3
    raw = train.nudge(train.Images(pixels[rows[0]].astype(np.float32), labels[rows[0]])).x
    for part, numbers in ((data[1], rows[1]), (data[2], rows[2])):
        spread = np.where(raw.std(axis=0) == 0, 1, raw.std(axis=0))
        np.testing.assert_allclose(part.x, (pixels[numbers] - raw.mean(axis=0)) / spread, atol=1e-3)


def test_nudging_moves_a_pixel_by_one_and_keeps_the_digit(train):
    image = np.zeros((1, 64), np.float32)
    image[0, 3 * 8 + 4] = 1
    nudged = train.nudge(train.Images(image, np.array([7])))
    assert nudged.x.argmax(axis=1).tolist() == [3 * 8 + 4, 4 * 8 + 4, 2 * 8 + 4, 3 * 8 + 5, 3 * 8 + 3]
    assert nudged.y.tolist() == [7] * 5


def test_the_gradient_is_the_slope_of_the_loss(train, data):
    rng = np.random.default_rng(0)
    network, few = train.Network(8, rng), train.Images(data[1].x[:20], data[1].y[:20])
    network.parameters = network.parameters.astype(np.float64)
    _, gradient = network.gradient(few, 0.0, rng)
    for index in rng.choice(len(gradient), 40, replace=False):
        losses = []
        for step in (1e-5, -2e-5):
            network.parameters[index] += step
            losses.append(network.gradient(few, 0.0, rng)[0])
        network.parameters[index] += 1e-5
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-3, abs=1e-6)


def test_dropout_keeps_the_expected_activation(train, data):
    network = train.Network(64, np.random.default_rng(0))
    plain = network.forward(data[0].x)[1]
    dropped = network.forward(data[0].x, 0.5, np.random.default_rng(1))[1]
    assert (dropped == 0).mean() > (plain == 0).mean() + 0.2
    assert dropped.mean() == pytest.approx(plain.mean(), rel=0.02)


def test_a_seed_repeats_itself_and_another_one_does_not(train, data, capsys):
    first, _ = fit(train, data, epochs=2, seed=1)
    printed = capsys.readouterr().out
    again, _ = fit(train, data, epochs=2, seed=1)
    assert capsys.readouterr().out == printed
    other, _ = fit(train, data, epochs=2, seed=2)
    assert capsys.readouterr().out != printed
    assert np.array_equal(first.parameters, again.parameters)
    assert not np.array_equal(first.parameters, other.parameters)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_kept_weights_are_those_of_the_best_validation_epoch(train, data, capsys, optimizer):
    network, best = fit(train, data, **{**GOOD, "optimizer": optimizer, "epochs": 8})
    printed = [float(value) for value in re.findall(r"val_accuracy=(\S+)", capsys.readouterr().out)]
    assert len(printed) == 8
    assert best["epoch"] == 1 + printed.index(max(printed))
    loss, correct = train.evaluate(network, data[1])
    assert (loss, correct / 360) == (best["val_loss"], best["val_accuracy"])


def test_good_settings_beat_the_baseline_and_the_baseline_beats_guessing(train, data):
    _, baseline = fit(train, data, epochs=20)
    _, good = fit(train, data, **GOOD, epochs=20)
    assert 0.5 < baseline["val_accuracy"] < 0.93
    assert good["val_accuracy"] > 0.96


def test_a_run_prints_a_line_per_epoch_and_then_the_test_once(tmp_path):
    run = script("--epochs", "3", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    *epochs, test = run.stdout.splitlines()
    assert len(epochs) == 3
    assert all(re.fullmatch(EPOCH, line) for line in epochs)
    accuracy, correct = re.fullmatch(r"test_accuracy=(0\.\d{4}) test_correct=(\d+) test_total=360", test).groups()
    assert float(accuracy) == pytest.approx(int(correct) / 360, abs=5e-5)
    assert os.listdir(tmp_path) == []


def test_the_run_folder_gets_the_weights_that_were_tested(tmp_path, train, data):
    folder = tmp_path / "new" / "out"
    run = script("--epochs", "3", "--hidden", "20", folder=tmp_path, AUTO_EXPERIMENT_RUN_DIR=str(folder))
    result = json.loads(content(folder / "metrics.json"))
    assert (result["settings"]["epochs"], result["settings"]["hidden"]) == (3, 20)
    assert f"test_correct={result['test_correct']} test_total=360" in run.stdout
    assert f"val_accuracy={result['best']['val_accuracy']:.4f}" in run.stdout
    network = train.Network(20, np.random.default_rng(0))
    with np.load(folder / "weights.npz") as weights:
        network.parameters[:] = weights["parameters"]
    assert train.evaluate(network, data[2])[1] == result["test_correct"]


def test_a_run_that_diverges_says_nan_once_and_fails(tmp_path):
    run = script("--lr", "1e6", folder=tmp_path)
    assert run.returncode == 1
    assert run.stdout.splitlines()[-1].endswith("val_accuracy=nan")
    assert "test_accuracy" not in run.stdout
    assert len(run.stderr.splitlines()) == 1
    assert "training diverged in epoch" in run.stderr


@pytest.mark.parametrize("flags", [["--lr", "0"], ["--dropout", "1"], ["--optimizer", "lion"], ["--seed", "-1"]])
def test_a_value_that_makes_no_sense_is_refused(train, flags, capsys):
    with pytest.raises(SystemExit) as caught:
        train.parse(flags)
    assert caught.value.code == 2
    assert flags[0] in capsys.readouterr().err


def test_one_thread_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    runpy.run_path(SCRIPT)
    assert (os.environ["OMP_NUM_THREADS"], os.environ.pop("OPENBLAS_NUM_THREADS")) == ("2", "1")


def test_losses_are_finite_numbers_of_a_plausible_size(train, data):
    network = train.Network(32, np.random.default_rng(0))
    network.parameters[:] = 0
    loss, _ = train.evaluate(network, data[1])
    assert loss == pytest.approx(math.log(10), rel=1e-5)
