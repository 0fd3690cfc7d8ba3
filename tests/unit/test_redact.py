"""Secrets are found in every form that they take on their way out."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.redact import HIDDEN, Redactor, secrets_of

SECRET = 'Zq7/"x+9\\kLmnOP_4é8-w'
REDACT = Redactor([SECRET])

SPELLED = {
    "as it is": SECRET,
    "JSON": json.dumps({"k": SECRET}),
    "JSON, not ASCII": json.dumps(SECRET, ensure_ascii=False),
    "repr": repr([SECRET]),
    "URL": "https://host/?key=" + quote(SECRET, safe=""),
    "hex": SECRET.encode().hex(),
    **{f"base64 at {n}": base64.b64encode(b"x" * n + SECRET.encode() + b"tail").decode() for n in range(4)},
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("text", SPELLED.values(), ids=SPELLED)
def test_a_known_secret_is_hidden(text):
    hidden = REDACT(f"before {text} after")
    assert HIDDEN in hidden
    assert "kLmn" not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@given(before=st.text(max_size=30), after=st.text(max_size=30))
def test_it_is_hidden_whatever_stands_around_it(before, after):
    assert SECRET not in REDACT(before + SECRET + after)


@given(cut=st.integers(6, len(SECRET) - 1))
def test_a_text_that_was_cut_within_a_secret(cut):
    assert SECRET[:cut] not in REDACT("a line " + SECRET[:cut])
    assert SECRET[-cut:] not in REDACT(SECRET[-cut:] + " goes on")


KEYS = [
    "sk-ant-api03-" + "a1B2" * 10,
    "sk-proj-" + "x9Y8" * 8,
    "ghp_" + "a1" * 18,
    "hf_" + "Ab" * 17,
    "AKIA" + "A1B2C3D4E5F6G7H8",
    *(f"gh{kind}_" + "a1" * 18 for kind in "ours"),
    "github_pat_" + "A1b2" * 8,
    "glpat-" + "a1B2" * 5,
    "ya29." + "a1B2" * 8,
    "ASIA" + "A1B2C3D4E5F6G7H8",
    "npm_" + "a1B2" * 9,
    "pypi-" + "a1B2" * 12,
    "dapi" + "a1b2" * 8,
    "sk_live_" + "a1B2" * 5,
    "r8_" + "a1B2" * 9,
    "gsk_" + "a1B2" * 9,
    "nvapi-" + "a1B2" * 9,
    "bearer " + "a1B2" * 6,
    "Authorization: BeaRer  " + "a1B2" * 6,
    "xoxb-123456789012-abcdef",
    "AIza" + "x" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("key", KEYS)
def test_an_unknown_key_is_known_by_its_form(key):
    assert key not in Redactor()(f"the key is {key}, keep it")


def test_a_password_in_a_url():
    assert Redactor()("git clone https://me:hunter2hunter2@host/x.git") == f"git clone https://{HIDDEN}@host/x.git"


@pytest.mark.parametrize(
    "text",
    [
        "epoch 3/10 val_acc=0.912 lr=1e-3",
        "python train.py --tokenizer bert-base-uncased --key-dim 64",
        "sk-learn baseline; ask-first; risk-averse-policy-network-v2",
        "commit 3f2a9c1d5e7b8a9c0d1e2f3a4b5c6d7e8f9a0b1c",
        "wandb: Run data is saved locally in wandb/offline-run-20260101_000000-abcdefgh",
        "http://localhost:8000/v1",
    ],
)
def test_ordinary_text_stays(text):
    assert REDACT(text) == text


def test_which_variables_hold_secrets():
    redact = Redactor.of(
        {
            "WANDB_API_KEY": "0123456789abcdef0123", "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1", "MY_THING": "plain-value-1",
            "DB_PASSWORD": "correct horse battery", "TOKENIZERS_PARALLELISM": "false",
            "TOKENIZER": "bert-base-uncased", "KEYBOARD": "us-international",
            "NAMED": "named-value-22",
        },
        named=["NAMED"],
    )  # fmt: skip
    text = "0123456789abcdef0123 /tmp/ssh-1/agent.1 plain-value-1 correct horse battery false us-international bert-base-uncased named-value-22"
    assert (
        redact(text)
        == f"{HIDDEN} /tmp/ssh-1/agent.1 plain-value-1 {HIDDEN} false us-international bert-base-uncased {HIDDEN}"
    )


def test_structures_are_hidden_text_by_text():
    found = REDACT.deep({"tail": ["x " + SECRET[:10], SECRET[10:] + " y"], "n": 3, SECRET: None})
    assert found == {"tail": [f"x {HIDDEN}", f"{HIDDEN} y"], "n": 3, HIDDEN: None}


def test_a_form_does_not_backtrack():
    """One that did would run into the suite's time limit here."""
    REDACT(("a" * 50 + ":" + "b-" * 50 + " eyJ" + "x" * 300 + " sk-" + "_" * 10 + "\n") * 2000)


def test_it_learns():
    redactor = Redactor(["first-secret"])
    assert redactor("first-secret second-secret") == "[secret] second-secret"
    redactor.learn(["second-secret", "", "short"])
    assert redactor("first-secret second-secret short") == "[secret] [secret] short"


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
            ["T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"],
        ),
        ("mailto://john.smith2:pa%20ssword@gmail.com?to=x@y.org", ["pa%20ssword", "pa ssword"]),
        ("json://u:hunter2hunter2@gpu-node-17.example.org:8080/hook", ["hunter2hunter2"]),
        ("tgram://123456789:AbCdefg_hijklmnop/12315544/", ["AbCdefg_hijklmnop"]),
        ("ntfys://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@ntfy.sh/topic", ["tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"]),
    ],
)
def test_the_secrets_of_an_address(address, secrets):
    found = list(secrets_of(address))
    assert set(found) == {f"//{address.partition('://')[2]}", *secrets}
    redact = Redactor(found)
    assert redact(f"POST {address} failed") in {f"POST {address.partition(':')[0]}:{HIDDEN} failed"}
    plain = "gmail.com gpu-node-17.example.org general john.smith2 slack report to discord"
    assert redact(plain) == plain
