"""What the tests with the real Claude Code and Codex share: the two programs, a home of their own, the local model server.

The programs are looked for in the folder that CLIENTS_BIN names, else where `make clients` has put them. Nothing leaves
the machine: both talk to the server, and to nobody else.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import auto_experiment
from model_server import Answer, Call, ModelServer, Request

ROOT = Path(__file__).parents[2]
BIN = Path(os.environ.get("CLIENTS_BIN") or ROOT / ".make/clients/node_modules/.bin").absolute()
COMMAND = Path(sys.executable).with_name("auto-experiment")
SHELL = {"claude": "Bash", "codex": "exec_command"}
NAMES = tuple(SHELL)
SOURCE = str(Path(auto_experiment.__file__).absolute().parents[1])
FORGET = ("CLAUDE", "CODEX", "ANTHROPIC", "OPENAI", "AUTO_EXPERIMENT_")


class Client:
    """``name``: "claude" or "codex". ``call``: how its user calls a skill."""

    def __init__(self, name: str, home: Path, server: ModelServer) -> None:
        self.name, self.home, self.server = name, home, server
        self.program = BIN / name
        self.call = {"claude": "/", "codex": "$"}[name]
        self.home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(FORGET)}
        self.env = {
            **kept, "HOME": str(home), "PYTHONPATH": SOURCE,
            "PATH": os.pathsep.join([str(BIN), str(COMMAND.parent), kept["PATH"]]),
            "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "test", "SERVER_KEY": "test",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "1", "DISABLE_AUTOUPDATER": "1",
        }  # fmt: skip
        (home / ".profile").write_text(f"PATH={shlex.quote(self.env['PATH'])}\n")  # Codex starts a login shell

    def run(self, *words: object, cwd: Path | None = None) -> str:
        """A command of any program, in the client's home and with its environment."""
        done = subprocess.run(
            [str(word) for word in words], env=self.env, cwd=cwd or self.home, capture_output=True, text=True,
            timeout=90, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, words: str, cwd: Path | None = None, *options: str) -> str:
        """A conversation of one question, without a terminal."""
        if self.name == "claude":
            return self.run(self.program, "-p", words, "--model", "test-model", *options, cwd=cwd)
        provider = f'{{name="S",base_url="{self.server.url}/v1",wire_api="responses",env_key="SERVER_KEY"}}'
        return self.run(
            self.program, "exec", "--skip-git-repo-check", "-m", "test-model", "-c", f"model_providers.S={provider}",
            "-c", "model_provider=S", *options, words, cwd=cwd,
        )  # fmt: skip

    def heard(self) -> list[Request]:
        """The requests in which the model has a shell: not those for a title or the like."""
        return [r for r in self.server.requests if SHELL[self.name] in r.tools]

    def first(self) -> str:
        return everything(self.heard()[0].body)


def everything(part: Any) -> str:
    """All texts of a request, in order."""
    if isinstance(part, str):
        return part + "\n"
    values: Sequence[Any] = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    return "".join(everything(value) for value in values)


def types(name: str, lines: Sequence[str], end: str = "done") -> Callable[[Request], Answer]:
    """A model that types these lines into its shell, one after the other, and then says ``end``."""
    left = list(lines)

    def script(request: Request) -> Answer:
        if SHELL[name] not in request.tools or not left:
            return Answer(end)
        key = {"claude": "command", "codex": "cmd"}[name]
        line = left.pop(0)
        return Answer(calls=[Call(SHELL[name], {key: line, "description": "look"}, f"toolu_{len(left)}")])

    return script


def results(requests: Sequence[Request]) -> list[str]:
    """What the shell answered, one after the other: the last thing in each request after the first."""
    last = [request.messages[-1] for request in requests[1:]]
    return [everything(said["content"][-1] if "content" in said else said["output"]) for said in last]


def make(name: str, folder: Path, server: ModelServer) -> Client:
    if not (BIN / name).exists():
        pytest.skip(f"no {name} in {BIN}: `make clients` installs it and runs these tests")
    return Client(name, folder / "home", server)


def document(text: str) -> Any:
    """The JSON document that is somewhere in an answer of a shell."""
    return json.loads(text[text.index("{") : text.rindex("}") + 1])
