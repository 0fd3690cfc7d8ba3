"""The real Claude Code and Codex, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from programs import NAMES, Client, make

from model_server import ModelServer


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as made:
        yield made
    assert not made.failures


@pytest.fixture(params=NAMES)
def client(request, tmp_path, server) -> Client:
    return make(request.param, tmp_path, server)


@pytest.fixture
def claude(tmp_path, server) -> Client:
    return make("claude", tmp_path, server)


@pytest.fixture
def codex(tmp_path, server) -> Client:
    return make("codex", tmp_path, server)
