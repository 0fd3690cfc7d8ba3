"""`check` and a model: nobody is asked without --online, and once with it."""

from __future__ import annotations

import pytest

from drill.mind import thoughtful
from model_server import Answer, ModelServer, Plain
from model_server.answers import openai_error


@pytest.fixture
def asked(tmp_path):
    """Run `check` in a project of a model whose server says this; what it printed, and the requests."""

    def go(script, *words, status=0, **agent):
        with ModelServer(script) as server, thoughtful(tmp_path, server, "openai", agent=agent) as work:
            return work.cli("check", *words, status=status).stdout, server.requests

    return go


def test_nobody_is_asked_without_it(asked):
    said, requests = asked(lambda request: Answer("ok"))
    assert "ok      provider    openai: test-model at http://127.0.0.1" in said
    assert requests == []


def test_one_question_of_a_few_tokens(asked):
    said, (request,) = asked(lambda request: Answer("ok"), "--online")
    assert "ok      online      test-model answers" in said
    assert request.body["max_tokens"] <= 16
    assert len(str(request.messages)) < 200


def test_a_model_that_takes_no_tools_is_found_out(asked):
    def script(request):
        words = "registry.ollama.ai/library/gemma:2b does not support tools"
        return Plain(400, openai_error(None, words)) if request.tools else Answer("ok")

    said, requests = asked(script, "--online", status=3)
    (line,) = [line for line in said.splitlines() if line.startswith("MISSING")]
    assert "does not support tools" in line
    assert len(requests) == 1


def test_a_password_in_an_address_is_not_shown(asked):
    said, _ = asked(lambda request: Answer("ok"), base_url="http://me:hunter2hunter2@localhost:9/v1")
    assert "http://[secret]@localhost:9/v1" in said
