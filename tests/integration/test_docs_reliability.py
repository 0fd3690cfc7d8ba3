"""docs/reliability.md and the tests that carry an id in their name: each row names the files that have one, and no other."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def where_tested() -> dict[str, set[str]]:
    """id -> the files with a test of it."""
    found = defaultdict(set)
    for path in ROOT.glob("tests/**/test_*.py"):
        for ids in re.findall(r"^ *def test_((?:[abf]\d\d_)+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            for one in ids.strip("_").split("_"):
                found[one.upper()].add(path.relative_to(ROOT).as_posix())
    return found


def test_each_case_is_tested_where_the_page_says():
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([ABF]\d\d) \|.*\| ([^|]+) \|$", page, re.MULTILINE))
    assert set(rows) == {f"{a}{n:02d}" for a, most in (("A", 28), ("B", 18), ("F", 18)) for n in range(1, most + 1)}
    found = where_tested()
    for name, where in rows.items():
        said = set() if where.startswith("no test: ") else set(re.findall(r"`(tests/[^`]+)`", where))
        assert said == found[name], name
        assert said or len(where) > len("no test: "), f"{name}: no test and no reason"
