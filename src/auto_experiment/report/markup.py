"""HTML put together from elements: every text is escaped unless it is ``Html`` already, and only ``el``, ``join`` and
``raw`` make that. And text from elsewhere made fit to show."""

from __future__ import annotations

import html
import re

_VOID = {"meta", "br", "hr", "col"}
# controls, lone surrogates, what turns or hides text, and what XML and HTML allow nowhere
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2028\u2029\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff]"
)


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Html | None


def raw(text: str) -> Html:
    """For what this program itself has made."""
    return Html(text)


def el(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """``el("td", "a < b", class_="n")``. An attribute that is None or False is left out, ``_`` in its name is "-"."""
    told = "".join(_attribute(name, value) for name, value in attributes.items() if value not in (None, False))
    inner = "".join(text_of(child) for child in children if child is not None)
    return Html(f"<{tag}{told}>" if tag in _VOID else f"<{tag}{told}>{inner}</{tag}>")


def join(*children: Child) -> Html:
    return Html("".join(text_of(child) for child in children if child is not None))


def text_of(child: str) -> str:
    return child if isinstance(child, Html) else html.escape(fit(child), quote=False)


def fit(text: str) -> str:
    """What cannot be shown, or would steer how the rest is shown, is a replacement character."""
    return _UNFIT.sub("\ufffd", text.replace("\r\n", "\n"))


def words(text: str, most: int = 400) -> str:
    """On one line, at most so many characters of it, and how many there were."""
    flat = " ".join(text[: 8 * most].split())
    return flat if len(flat) <= most and len(text) <= 8 * most else f"{flat[:most]}… ({len(text):,} characters)"


def lines(text: str, most: int) -> str:
    """The same for a text of several lines."""
    return text if len(text) <= most else f"{text[:most]}\n… (cut: {len(text):,} characters)"


def _attribute(name: str, value: str | int | bool | None) -> str:
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{html.escape(fit(str(value)), quote=True)}"'


__all__ = ["Child", "Html", "el", "fit", "join", "lines", "raw", "text_of", "words"]
