"""The one funnel for secrets: what goes to the ledger, to controller.log and the terminal, or to a model passes here.

Known secrets (the values of environment variables whose names say so) are found as they are, in JSON, in a URL, in
base64, and where a text was cut in their middle; unknown ones by the forms that providers give their keys. One that is
neither is not found, and neither is one that a program prints letter by letter.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "[secret]"
_SHORTEST = 8  # characters: a shorter value would hide words
_LONG = 20  # characters of a part of an address that is no word
_HOST_FIRST = frozenset({"json", "xml", "form", "gotify", "apprise", "matrix", "mmost", "rocket", "mailto"})
_PLAIN = re.compile(r"(?:[A-Za-z0-9-]+\.)+[a-z]{2,24}|[a-z]+(?:[._-][a-z]+)*")  # a host's name, words
_CUT = 6  # characters of a secret at the edge of a text that was cut
_NAME = re.compile(
    r"(?i)(?:api|access|private|secret|signing|encryption)_?key|(?:^|_)key(?:$|_)|token(?!iz)|secret|passw|credential|passphrase"
    r"|(?:^|_)auth(?:$|_)|(?:^|_)pat$|_dsn$|webhook"
)
_FORMS = re.compile(
    r"\bsk-(?:ant-|proj-|or-|svcacct-)?[A-Za-z0-9_-]{16,}"  # Anthropic, OpenAI and those who do as they do
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bhf_[A-Za-z0-9]{20,}|\bxox[abposr]-[A-Za-z0-9-]{10,}|\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bnpm_[A-Za-z0-9]{30,}|\bpypi-[A-Za-z0-9_-]{40,}|\bdapi[a-f0-9]{32}\b"
    r"|\bsk_(?:live|test)_[A-Za-z0-9]{16,}|\br8_[A-Za-z0-9]{30,}|\bgsk_[A-Za-z0-9]{30,}|\bnvapi-[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"  # JSON web tokens
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{20,}=*"
    r"|(?<=://)[^\s/:@]+:[^\s/@]+(?=@)",  # a password in a URL
    re.DOTALL,
)

# What each of these forms holds as it stands, but for "bearer": most texts hold none, and that is seen far faster.
_HINTS = (
    "sk-", "sk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "xox", "AIza", "ya29.",
    "AKIA", "ASIA", "npm_", "pypi-", "dapi", "r8_", "nvapi-", "eyJ", "-----BEGIN", "://",
)  # fmt: skip


def nothing(text: str) -> str:
    """Where there is nothing to hide."""
    return text


class Redactor:
    """``secrets``: values that must not be seen anywhere."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """For a child that hides the same; over its standard input, never in its arguments or environment."""
        return tuple(self._secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """These as well from now on, for everybody who holds this redactor."""
        new = {secret for secret in secrets if len(secret) >= _SHORTEST} - set(self._secrets)
        if not new:
            return
        self._secrets = sorted([*self._secrets, *new], key=len, reverse=True)
        spelled = {form for secret in self._secrets for form in _spellings(secret)}
        known = "|".join(re.escape(form) for form in sorted(spelled, key=len, reverse=True))
        self._known = re.compile(known) if known else None

    @classmethod
    def of(cls, variables: Mapping[str, str], named: Iterable[str] = ()) -> Redactor:
        """``named``: variables that hold a secret whatever they are called."""
        wanted = set(named)
        return cls(value for name, value in variables.items() if name in wanted or _is_secret(name, value))

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._edges(self._known.sub(HIDDEN, text))
        if "bearer" in text.lower() or any(hint in text for hint in _HINTS):
            text = _FORMS.sub(HIDDEN, text)
        return text

    def deep(self, value: Any) -> Any:
        """The same for every text in lists and dictionaries."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self.deep(key): self.deep(inner) for key, inner in value.items()}
        return [self.deep(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def _edges(self, text: str) -> str:
        """A text that was cut may begin or end within a secret."""
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(text)), _CUT - 1, -1):
                if text.endswith(secret[:length]):
                    text = text[:-length] + HIDDEN
                    break
            for length in range(min(len(secret) - 1, len(text)), _CUT - 1, -1):
                if text.startswith(secret[-length:]):
                    text = HIDDEN + text[length:]
                    break
        return text


Redact = Callable[[str], str]


def secrets_of(address: str) -> Iterator[str]:
    """What must not be seen of an address that a notification goes to: all of it, and each part that may be a password
    or a token by itself. Names of hosts and plain words are none: hiding them would hide them everywhere."""
    scheme, _, rest = address.partition("://")
    yield f"//{rest}"  # without the scheme, which is a word
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    before, at, _ = authority.rpartition("@")
    behind = rest.removeprefix(before + at)
    user, colon, password = before.partition(":")
    if colon:
        yield from (password, unquote(password))
    parts = re.split(r"[/:?&=#,]", behind)
    for part in [*([] if colon else [user]), *(parts[1:] if at or scheme.rstrip("s") in _HOST_FIRST else parts)]:
        mixed = re.search(r"\d", part) and re.search(r"[A-Za-z]", part)
        if (mixed or re.search(r"[a-z][A-Z]", part) or len(part) >= _LONG) and not _PLAIN.fullmatch(part):
            yield from (part, unquote(part))


def _is_secret(name: str, value: str) -> bool:
    """By the variable's name; a path (SSH_AUTH_SOCK), a number or a word is none."""
    plain = value.startswith(("/", "~", ".")) or re.fullmatch(r"[A-Za-z]{1,15}|[\d.:,]+", value)
    return bool(_NAME.search(name)) and len(value) >= _SHORTEST and not plain


def _spellings(secret: str) -> Iterable[str]:
    """As it is, in JSON, in a URL, and in base64 at each of the three places that it can have in what is encoded."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
    yield repr(secret)[1:-1]
    data = secret.encode("utf-8", "replace")
    yield data.hex()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data).decode()
        inner = coded[(shift * 8 + 5) // 6 : (len(data) + shift) * 8 // 6]  # what depends on the secret alone
        if len(inner) >= _SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
