"""One line of a search space: every form that is read, every mistake that is refused, and the round trip."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_experiment.errors import UsageError
from auto_experiment.records.brief import Parameter
from auto_experiment.search_space import could_be_whole, is_space_line, parse_line, parse_mapping


@pytest.mark.parametrize(
    ("line", "parameter"),
    [
        ("- --lr: 1e-4 .. 1e-1 log", Parameter("--lr", "float", 1e-4, 1e-1, log=True)),
        ("- --hidden: 32 .. 512 int", Parameter("--hidden", "int", 32, 512)),
        ("- --optimizer: [sgd, adam]", Parameter("--optimizer", "choice", choices=("sgd", "adam"))),
        ("- --dropout: 0.0 .. 0.5", Parameter("--dropout", "float", 0.0, 0.5)),
        ("--lr: 1e-4 .. 1e-1 log", Parameter("--lr", "float", 1e-4, 1e-1, log=True)),
        ("* `--lr`: 1e-4..1e-1 LOG  # learning rate", Parameter("--lr", "float", 1e-4, 1e-1, log=True)),
        ("+\t--lr:\t.5 … 1.5", Parameter("--lr", "float", 0.5, 1.5)),
        ("1. model.lr: -1 .. +1", Parameter("model.lr", "float", -1, 1)),
        ("- `--n: 1 .. 8 log int`", Parameter("--n", "int", 1, 8, log=True)),
        ("- --n: 1e1 .. 1e3 int", Parameter("--n", "int", 10, 1000)),
        ("- -b: 0...5", Parameter("-b", "float", 0, 0.5)),
        ("- --same: 3 .. 3 int", Parameter("--same", "int", 3, 3)),
        (
            "- x/y@z: [1, 2.5, -3, 1e-3, on, true, 007]",
            Parameter("x/y@z", "choice", choices=(1, 2.5, -3, 1e-3, "on", "true", "007")),
        ),
        ('- --s: ["a, b", \'c]\', "1"]', Parameter("--s", "choice", choices=("a, b", "c]", "1"))),
        ("- --größe: [klein, groß]", Parameter("--größe", "choice", choices=("klein", "groß"))),
    ],
)
def test_what_is_read(line, parameter):
    read = parse_line(line)
    assert read == parameter
    assert [type(choice) for choice in read.choices] == [type(choice) for choice in parameter.choices]
    assert is_space_line(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("- --lr: 1e-1 .. 1e-4", "low end 0.1 is above the high end 0.0001"),
        ("- --lr: 0 .. 1 log", "log range starts above 0"),
        ("- --lr: -1 .. 1 log", "log range starts above 0"),
        ("- --n: 1.5 .. 8 int", "whole ends"),
        ("- --n: 0 .. 1e300 int", "goes up to"),
        ("- --lr: 0 .. 1e999", "finite"),
        ("- --lr: -1e308 .. 1e308", "finite"),
        ("- --o: []", "the list is empty"),
        ("- --o: [a, a]", "a is in the list twice".replace("a is", '"a" is')),
        ("- --o: [1, 1.0]", "1.0 is in the list twice"),
        ("- --o: [a,, b]", "empty value"),
        ("- --o: [a", "no closing ]"),
        ("- --o: [a, [b]]", "not a plain list"),
        ("- --o: [1e999]", "not finite"),
        ("- --lr 0.1", "no `name: values`"),
        ("- : 0 .. 1", "not a parameter's name"),
        ("Search these: 0 .. 1", "not a parameter's name"),
        ("- --lr: 0.1", "neither a range nor a list"),
        ("- --lr:", "neither a range nor a list"),
        ("- --lr: inf .. 1", "neither a range nor a list"),
        ("- --lr: 0 .. 1 linear", "only `log` and `int`"),
        ("- --lr: 0 .. 1 int float", "only `log` and `int`"),
    ],
)
def test_what_is_refused(line, reason):
    with pytest.raises(UsageError) as refused:
        parse_line(line)
    assert reason in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_mapping_from_yaml_holds_lists_and_text():
    space = {"--lr": "1e-4 .. 1e-1 log", "--optimizer": ["sgd", "adam"], "--n": [1, 2.5, "3"], "--o": "[a, b]"}
    lr, optimizer, n, o = parse_mapping(space)
    assert lr == Parameter("--lr", "float", 1e-4, 1e-1, log=True)
    assert optimizer.choices == ("sgd", "adam")
    assert n.choices == (1, 2.5, "3")
    assert o.choices == ("a", "b")


@pytest.mark.parametrize("value", [3, 0.5, None, True, {"low": 0}, [None], [["a"]], [{}], [math.inf], ["a\nb"], [""]])
def test_a_mapping_refuses_other_values(value):
    with pytest.raises(UsageError):
        parse_mapping({"--x": value})


@pytest.mark.parametrize(
    "text", ["stop", "try a higher learning rate: 0.1", "see [1, 2]", "", "--lr 0.1", "note: run 3"]
)
def test_a_directive_in_words_is_no_space_line(text):
    assert not is_space_line(text)


def test_a_bad_space_line_has_the_shape_of_one():
    assert is_space_line("--lr: 1 .. 0")


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("--b: 16 .. 64", True),
        ("--b: 16 .. 64 int", False),
        ("--d: 0 .. 1", False),
        ("--d: 0.0 .. 8", False),
        ("--b: 1 .. 64 log", True),
    ],
)
def test_a_real_interval_with_whole_ends_is_worth_a_question(line, asks):
    assert could_be_whole(parse_line(line), line) is asks


names = st.from_regex(r"(--?)?[a-z_][a-z0-9_.-]{0,10}", fullmatch=True)
# "%g" keeps six digits: what is written with six comes back as it was
reals = st.floats(-1e6, 1e6).map("{:.6g}".format).map(float)
wholes = st.integers(-(2**53), 2**53)
words = st.from_regex(r"[a-z_][a-z0-9_./-]{0,8}", fullmatch=True)


@st.composite
def parameters(draw):
    name, kind = draw(names), draw(st.sampled_from(["float", "int", "choice"]))
    if kind == "choice":
        items = draw(st.lists(words | st.integers(-999, 999) | reals, min_size=1, unique_by=str))
        items = [item for index, item in enumerate(items) if item not in items[:index]]
        return Parameter(name, kind, choices=tuple(items))
    low, high = sorted((draw(reals if kind == "float" else wholes), draw(reals if kind == "float" else wholes)))
    return Parameter(name, kind, float(low), float(high), log=low > 0 and draw(st.booleans()))


@settings(deadline=None)  # a busy machine is no failure
@given(parameters())
def test_a_parameter_written_and_read_is_the_same(parameter):
    assert parse_line(str(parameter)) == parameter
    assert parse_line(f"- {parameter}") == parameter


@settings(deadline=None)  # a busy machine is no failure
@given(st.text() | st.from_regex(r"- --?[a-z]+: [\[\]0-9a-z., \"'-]*"))
def test_any_text_is_read_or_refused_in_one_line(text):
    is_space_line(text)
    try:
        parse_line(text)
    except UsageError as refused:
        assert len(str(refused).splitlines()) == 1
