"""An SVG of matplotlib, made fit to stand in a page: no style sheet, no inline style, nothing but drawing elements, ids
of its own, colours that follow the page, links and words for those who cannot see it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

NAME = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
ALLOWED = {"svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect", "a", "title", "desc"}
KEPT = {
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin",
    "stroke-dasharray", "stroke-dashoffset", "stroke-miterlimit", "opacity", "text-anchor", "font-size", "font-weight",
}  # fmt: skip
# what the drawing code uses, and the page's variable that it stands for
COLOURS = {
    "ink": "#010101", "muted": "#010102", "line": "#010103", "accent": "#010104", "bad": "#010105", "paper": "#010106",
    "s1": "#010111", "s2": "#010112", "s3": "#010113", "s4": "#010114",
}  # fmt: skip
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def tidy(text: str, prefix: str, title: str, description: str, tips: Mapping[str, str] | None = None) -> str:
    """``tips``: target of a link -> what is shown beside the pointer. Raises ValueError for an element that has no
    business in a picture."""
    root = ET.fromstring(text)  # noqa: S314  what our own child process has drawn
    _drop(root)
    used = _references(root)
    for element in root.iter():
        name = element.tag.removeprefix(NAME)
        if name not in ALLOWED:
            raise ValueError(f"<{name}> in a figure")
        element.tag = name
        _attributes(element, prefix, used)
        if name == "a" and tips:
            tip = ET.SubElement(element, "title")
            tip.text = tips.get(element.get("href", ""), "")
            element.insert(0, tip)
            element.remove(element[-1])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": "chart", "role": "img", "aria-labelledby": f"{prefix}-t {prefix}-d"}
    root.insert(0, _told("title", f"{prefix}-t", title))
    root.insert(1, _told("desc", f"{prefix}-d", description))
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _told(tag: str, name: str, text: str) -> ET.Element:
    element = ET.Element(tag, {"id": name})
    element.text = text
    return element


def _drop(parent: ET.Element) -> None:
    for child in list(parent):
        if child.tag in (f"{NAME}metadata", f"{NAME}style"):
            parent.remove(child)
        else:
            _drop(child)


def _references(root: ET.Element) -> set[str]:
    used = set()
    for element in root.iter():
        if LINK in element.attrib and element.tag != f"{NAME}a":
            used.add(element.attrib[LINK].removeprefix("#"))
        for value in element.attrib.values():
            used.update(_REFERENCE.findall(value))
    return used


def _attributes(element: ET.Element, prefix: str, used: set[str]) -> None:
    given = dict(element.attrib)
    element.attrib.clear()
    for part in given.pop("style", "").split(";"):
        name, _, value = (word.strip() for word in part.partition(":"))
        if name == "font":
            size = re.search(r"([\d.]+)px", value)
            given["font-size"] = size[1] if size else "9"
            if "bold" in value or re.search(r"\b[67]00\b", value):
                given["font-weight"] = "600"
        elif name in KEPT:
            given[name] = value
    for name, value in given.items():
        if name == "id":
            if value in used:
                element.set("id", f"{prefix}-{value}")
        elif name == LINK:
            element.set("href", value if element.tag == "a" else f"#{prefix}-{value.removeprefix('#')}")
        elif not name.startswith("{"):
            element.set(name, _value(value, prefix))


def _value(value: str, prefix: str) -> str:
    value = _REFERENCE.sub(lambda match: f"url(#{prefix}-{match[1]})", value)
    return _VARIABLES.get(value, _NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value))
