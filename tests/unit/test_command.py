"""Training commands as words: taken apart, given values, put together."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.command import entry, join, leading_env, program, script, spell, split, values_in, with_values
from auto_experiment.errors import CommandError


def refusal(text: str) -> str:
    with pytest.raises(CommandError) as refused:
        split(text)
    message = str(refused.value)
    assert len(message.splitlines()) == 1
    assert refused.value.exit_status == 2
    return message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python train.py", ("python", "train.py")),
        ("  python   train.py  ", ("python", "train.py")),
        ("python \"my train.py\" --name 'a b'", ("python", "my train.py", "--name", "a b")),
        (
            "torchrun --nproc_per_node 2 train.py --cfg x",
            ("torchrun", "--nproc_per_node", "2", "train.py", "--cfg", "x"),
        ),
        ("python train.py model.lr=1e-3 +x=[1,2]", ("python", "train.py", "model.lr=1e-3", "+x=[1,2]")),
        ('python t.py --note "a & b; c | d > e"', ("python", "t.py", "--note", "a & b; c | d > e")),
        ("python t.py --url http://x/y?a=1#b", ("python", "t.py", "--url", "http://x/y?a=1#b")),
        ("python t.py --empty ''", ("python", "t.py", "--empty", "")),
        ("python тренировка.py --имя ß", ("python", "тренировка.py", "--имя", "ß")),
    ],
)
def test_words_are_taken_as_a_shell_would_take_them(text, words):
    assert split(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "python a.py | tee log",
        "python a.py > log",
        "python a.py 2>&1",
        "cd src && python a.py",
        "python a.py; echo done",
        "python a.py &",
        "python a.py --x $(date)",
        "python a.py --x `date`",
        "python a.py|tee log",
        "python a.py >log",
        "python a.py < data",
    ],
)
def test_shell_syntax_is_refused_with_a_way_out(text):
    message = refusal(text)
    assert "shell syntax" in message
    assert "experiment.setup" in message


@pytest.mark.parametrize("word", [";", "|", "&", "<", ">>"])
def test_a_quoted_operator_is_an_argument(word):
    assert split(f"python t.py --separator '{word}'") == ("python", "t.py", "--separator", word)


@pytest.mark.parametrize(
    "text", ["python a.py --data $DATA/cifar", "python a.py --data ${DATA}", 'python a.py "$HOME/x"']
)
def test_a_variable_is_not_passed_on_as_text(text):
    assert "shell syntax" in refusal(text)


@pytest.mark.parametrize("text", ["", "   ", "\t"])
def test_an_empty_command_says_where_to_write_one(text):
    assert "Training:" in refusal(text)


@pytest.mark.parametrize("text", ["python 'a.py", 'python "a.py', "python a.py \\"])
def test_open_quotes_are_refused(text):
    assert "quot" in refusal(text)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="$`"), max_size=12), min_size=1, max_size=6))
def test_joined_words_come_back(words):
    if not any(words):
        return
    text = join(words)
    assert tuple(shlex.split(text)) == tuple(words)
    if not any(word and set(word) <= set("|&;<>") for word in words):
        assert split(text) == tuple(words)


@pytest.mark.parametrize(
    ("words", "env", "rest", "name"),
    [
        (("python", "t.py"), {}, ("python", "t.py"), "python"),
        (("A=1", "B=x=y", "python", "t.py", "C=3"), {"A": "1", "B": "x=y"}, ("python", "t.py", "C=3"), "python"),
        (("EMPTY=", "python"), {"EMPTY": ""}, ("python",), "python"),
        (("./1=x", "a"), {}, ("./1=x", "a"), "./1=x"),
    ],
)
def test_variables_before_the_program(words, env, rest, name):
    assert leading_env(words) == (env, rest)
    assert program(words) == name


def test_a_command_of_variables_alone_is_refused():
    with pytest.raises(CommandError, match="only sets variables"):
        leading_env(("A=1", "B=2"))


@pytest.mark.parametrize(
    ("words", "params", "wanted"),
    [
        ("t.py", {"--lr": 0.1}, "t.py --lr 0.1"),
        ("t.py --lr 1", {"--lr": 0.1}, "t.py --lr 0.1"),
        ("t.py --lr=1", {"--lr": 0.1}, "t.py --lr=0.1"),
        ("t.py --lr 1 --lr 2 -v", {"--lr": 3}, "t.py --lr 1 --lr 3 -v"),
        ("t.py --lr 1 --lr=2", {"--lr": 3}, "t.py --lr 1 --lr=3"),
        ("t.py --lr-min 1", {"--lr": 3}, "t.py --lr-min 1 --lr 3"),
        ("t.py --lr", {"--lr": 3}, "t.py --lr 3"),
        ("t.py lr=1", {"lr": 3}, "t.py lr=3"),
        ("t.py", {"model.lr": 3}, "t.py model.lr=3"),
        ("t.py lr 1", {"lr": 3}, "t.py lr 1 lr=3"),
        ("t.py", {"-b": 32, "--opt": "sgd", "--on": True}, "t.py -b 32 --opt sgd --on true"),
        ("t.py --x 1", {}, "t.py --x 1"),
    ],
)
def test_values_are_put_in(words, params, wanted):
    assert with_values(words.split(), params) == tuple(wanted.split())


NAMES = st.sampled_from(["--lr", "-b", "--opt", "model.lr", "seed"])
VALUES = st.one_of(
    st.integers(-999, 999), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["a b", "sgd", "-x"])
)


@given(st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES))
def test_what_was_put_in_is_found_again(first, second):
    words = with_values(with_values(("python", "t.py"), first), second)
    wanted = {name: spell(value) for name, value in {**first, **second}.items()}
    assert values_in(words, wanted) == wanted
    assert with_values(words, second) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (0.001, "0.001"), (1e-7, "1e-07"), ("a b", "a b"), (1.0, "1.0")],
)
def test_spelling(value, text):
    assert spell(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_spelled_so_that_it_comes_back(value):
    assert float(spell(value)) == value


def test_values_that_are_not_there_are_left_out():
    assert values_in(("t.py", "--lr", "1", "x=2"), ["--lr", "--momentum", "x", "y"]) == {"--lr": "1", "x": "2"}
    assert values_in(["t.py", "--lr"], ["--lr"]) == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("python train.py --x other.py", "train.py"),
        ("A=1 /usr/bin/python3.11 -u -O train.py", "train.py"),
        ("python -uB -W ignore -X dev -Wdefault train.py", "train.py"),
        ("python -m package.train --config x.py", None),
        ("python -c 'print(1)' x.py", None),
        ("python --unknown x.py", None),
        ("torchrun --nproc_per_node 2 train.py", None),
        ("./train.sh x.py", None),
        ("python", None),
    ],
)
def test_the_script_of_a_command(text, wanted):
    assert script(split(text)) == wanted


@pytest.mark.parametrize(
    ("text", "params", "wanted", "values"),
    [
        ("t.py --amp --lr 0.1", {"--amp": "true"}, "t.py --amp true --lr 0.1", {}),
        ("t.py --amp -v", {"--amp": "true"}, "t.py --amp true -v", {}),
        ("t.py --amp", {"--amp": "true"}, "t.py --amp true", {}),
        ("t.py --lr -0.1 --x", {"--lr": 1}, "t.py --lr 1 --x", {"--lr": "-0.1"}),
        ("t.py --lr -1e-3", {"--lr": 1}, "t.py --lr 1", {"--lr": "-1e-3"}),
        ("t.py --lr -.5", {"--lr": 1}, "t.py --lr 1", {"--lr": "-.5"}),
    ],
)
def test_a_flag_without_a_value_takes_no_other_ones(text, params, wanted, values):
    words = split(text)
    assert join(with_values(words, params)) == wanted
    assert values_in(words, params) == values


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("python train.py --lr 1", ("python", "train.py")),
        ("A=1 python -u -X dev train.py", ("python", "train.py")),
        ("python -m pkg.train --x 1", ("python", "-m", "pkg.train")),
        ("python -c pass train.py", ("python", "-c", "pass")),
        ("python", ("python",)),
        ("torchrun --nproc_per_node 2 train.py --cfg x.py", ("torchrun", "train.py")),
        ("torchrun -m pkg.train", ("torchrun", "-m", "pkg.train")),
        ("bash -c true train.sh", ("bash", "-c", "true")),
        ("bash train.sh", ("bash", "train.sh")),
        ("./train --x 1", ("./train",)),
    ],
)
def test_the_entry_is_the_program_and_what_it_runs(text, what):
    assert entry(split(text)) == what
