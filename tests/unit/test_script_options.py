"""The options of a script are read from its source, never by running it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.script_options import script_options

ARGPARSE = """
import argparse, sys
sys.exit("this must not be run")
def parse():
    ap = argparse.ArgumentParser()
    ap.add_argument("data")
    ap.add_argument("-l", "--lr", type=float, default=1e-3, help="learning   rate")
    group = ap.add_argument_group("model")
    group.add_argument("--opt", choices=["sgd", "adam"], default="sgd")
    group.add_argument("--amp", action="store_true")
    group.add_argument("--out", default=os.path.join("a", "b"))
    group.add_argument("--seed", type=int, default=None)
"""
CLICK = """
@click.command()
@click.option("--lr", default=0.1)
@click.option("--kind", type=click.Choice(["a", "b"]))
@click.option("--amp/--no-amp", default=False)
def main(lr): ...
"""


def test_argparse():
    found = script_options(ARGPARSE)
    assert [str(option) for option in found] == [
        "--lr=0.001", "--opt sgd|adam=sgd", "--amp", "--out=os.path.join('a', 'b')", "--seed"
    ]  # fmt: skip
    assert found[0].help == "learning rate"


def test_click():
    assert [str(option) for option in script_options(CLICK)] == ["--lr=0.1", "--kind a|b", "--amp=False"]


@pytest.mark.parametrize("source", ["", "def f(:", "\0", "x = '\\d'", "add_argument(*names, **more)", "(" * 5000])
def test_what_cannot_be_read_has_none(source):
    assert script_options(source) == ()


@given(st.text(max_size=200))
def test_any_text(source):
    script_options(source)
