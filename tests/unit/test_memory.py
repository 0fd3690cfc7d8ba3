"""MEMORY_LOG.md: its caps whatever is written, and the edits that people make in it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_experiment.config import Memory
from auto_experiment.cycle import notebook
from auto_experiment.cycle.memory import (
    DECISIONS,
    KEY_RESULTS,
    TITLE,
    Caps,
    Entry,
    Rendering,
    edits,
    one_line,
    parse,
    render,
    stamped,
)
from auto_experiment.cycle.notebook import Notebook
from auto_experiment.cycle.reflect import key_result
from auto_experiment.ledger.lock import ProjectLock
from auto_experiment.ledger.rows import ExperimentRow
from auto_experiment.ledger.writer import Writer
from auto_experiment.objective import Objective
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault
from auto_experiment.records.outcome import Outcome
from auto_experiment.records.run import RunState

AT = "2026-11-23T07:05:09.123Z"
DEFAULT = Caps(2000, 1200, 15)
STAMP = re.compile(r"\[\d\d-\d\d \d\d:\d\d\] \S")
ABSURD = [
    "",
    "   ",
    "#",
    "## Key Results",
    "# Memory Log",
    "## Recent Decisions\n- a list\n\n\n## heading",
    "x" * 10_000,
    "word " * 2_000,
    "🧪" * 3_000,
    "👩‍🔬 zero\u200dwidth\u2028line\x85next\x0bpage\x0c",
    "\x00\x1b[31mred\x1b[0m\r\n\t",
    "a\udc80b",
    "مرحبا \u202e right to left",
    "[01-01 00:00] a stamp of its own",
    "| a | table |\n|---|---|",
    "```\nfence\n```",
    "<!-- a comment",
]
TEXTS = st.one_of(st.sampled_from(ABSURD), st.text(max_size=60), st.text(min_size=300, max_size=900))
CAPS = st.builds(
    lambda log, part, decisions: Caps(log, min(max(100, int(log * part)), log), decisions),
    st.integers(200, 3000), st.floats(0, 1), st.integers(1, 40),
)  # fmt: skip


def entries(texts, keep=None):
    """(kind, text) pairs as entries, as the notebook makes them."""
    return [Entry(n, kind, stamped(AT, text), n == keep) for n, (kind, text) in enumerate(texts, start=1)]


def sections(text):
    """The lines of each section, and a check of the frame."""
    lines = text.split("\n")
    assert lines[0] == TITLE
    assert [line for line in lines if line.startswith("#")] == [TITLE, KEY_RESULTS, DECISIONS]
    middle = lines.index(DECISIONS)
    return [x for x in lines[3:middle] if x], [x for x in lines[middle + 1 :] if x]


# --- one entry


@given(TEXTS, st.integers(1, 500))
def test_an_entry_is_one_bounded_line_and_no_heading(text, limit):
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert not line.startswith("#")
    assert line == line.strip()


def test_a_long_entry_is_shortened_visibly():
    assert one_line("x" * 10_000) == "x" * 399 + "…"


def test_a_stamp_is_local_time_and_given_once():
    line = stamped(AT, "said")
    local = datetime.fromisoformat(AT.replace("Z", "+00:00")).astimezone()
    assert line == f"{local:[%m-%d %H:%M]} said"
    assert stamped("2020-01-01T00:00:00.000Z", line) == line


# --- the file


@given(st.lists(st.tuples(st.sampled_from(["milestone", "decision"]), TEXTS), max_size=40), CAPS, st.integers(0, 40))
def test_the_caps_hold_whatever_is_written(texts, caps, keep):
    rendering = render(entries(texts, keep), caps)
    assert len(rendering.text) <= caps.log
    results, decisions = sections(rendering.text)
    assert sum(len(line) + 1 for line in results) <= caps.milestones
    assert len(decisions) <= caps.decisions
    assert len(results) + len(decisions) == len(rendering.lines)


@given(st.lists(st.tuples(st.sampled_from(["milestone", "decision"]), TEXTS), max_size=30), CAPS, st.data())
def test_the_best_so_far_never_goes(texts, caps, data):
    results = [n for n, (kind, _) in enumerate(texts, start=1) if kind == "milestone"]
    if not results:
        return
    best = data.draw(st.sampled_from(results))
    rendering = render(entries(texts, best), caps)
    assert (best, "milestone") in [(note, kind) for note, kind, _ in rendering.lines]


@given(st.lists(st.tuples(st.sampled_from(["milestone", "decision"]), TEXTS.filter(one_line)), max_size=30), CAPS)
def test_what_was_written_is_read_back_as_no_edit(texts, caps):
    rendering = render(entries(texts), caps)
    found = edits(rendering.text, [rendering], newest_was_written=True)
    assert (found.removed, found.added) == ((), ())


@given(st.lists(TEXTS.filter(one_line), min_size=1, max_size=40))
def test_the_oldest_go_first(texts):
    shown = [note for note, _, _ in render(entries([("milestone", t) for t in texts]), DEFAULT).lines]
    assert shown == list(range(len(texts) - len(shown) + 1, len(texts) + 1))
    assert shown[-1] == len(texts)


def test_an_over_long_entry_is_shortened_not_dropped():
    results, decisions = sections(render(entries([("milestone", "m" * 9999), ("decision", "d" * 9999)]), DEFAULT).text)
    assert results[0].endswith("…")
    assert decisions[0].endswith("…")


def test_with_small_caps_too_an_over_long_result_leaves_the_newest_decision():
    texts = [("milestone", "m" * 9999), ("decision", "d" * 9999)]
    results, decisions = sections(render(entries(texts), Caps(300, 150, 15)).text)
    assert results
    assert decisions


def test_every_line_has_a_stamp():
    texts = [(kind, text) for kind in ("milestone", "decision") for text in ABSURD if one_line(text)]
    for text in texts:
        for lines in sections(render(entries([text]), DEFAULT).text):
            assert all(STAMP.match(line) for line in lines)


# --- what a human did to it


A = Rendering("", ((1, "decision", "[11-23 07:05] one"), (2, "decision", "[11-23 07:05] two")))
B = Rendering("", (*A.lines, (3, "decision", "[11-23 07:06] three")))
FRAME = f"{TITLE}\n\n{KEY_RESULTS}\n{{results}}\n{DECISIONS}\n{{decisions}}\n"


def written(rendering, drop=(), add=()):
    lines = [line for note, _, line in rendering.lines if note not in drop]
    return FRAME.format(results="", decisions="\n".join([*lines, *add]))


@pytest.mark.parametrize("known", [True, False])
def test_untouched(known):
    assert edits(written(B), [B, A], newest_was_written=known).removed == ()


def test_a_removed_line_is_the_humans():
    assert edits(written(B, drop=[1]), [B, A], newest_was_written=True).removed == (1,)


def test_the_newest_line_removed_is_the_humans_too():
    """The file then equals the rendering before: only the record that the newest one was written tells them apart."""
    assert edits(written(B, drop=[3]), [B, A], newest_was_written=True).removed == (3,)


def test_a_kill_between_commit_and_rename_is_no_deletion():
    found = edits(written(A), [B, A], newest_was_written=False)
    assert (found.removed, found.added) == ((), ())


def test_a_stale_editor_buffer_is_no_deletion():
    """Saved from an older state, with a line of the human's own."""
    found = edits(written(A, add=["mine"]), [B, A], newest_was_written=True)
    assert found.removed == ()
    assert found.added == (("decision", "mine"),)


def test_an_edited_line_is_one_gone_and_one_new():
    found = edits(written(B, drop=[2], add=["[11-23 07:05] two, but better"]), [B, A], newest_was_written=True)
    assert found.removed == (2,)
    assert found.added == (("decision", "[11-23 07:05] two, but better"),)


def test_the_section_of_an_added_line_is_kept():
    text = FRAME.format(results="mine\n", decisions="\n".join(line for _, _, line in B.lines))
    assert edits(text, [B, A], newest_was_written=True).added == (("milestone", "mine"),)


def test_the_same_line_twice_is_two_lines():
    twice = Rendering("", (*A.lines, (3, "decision", "[11-23 07:05] two")))
    assert edits(written(twice), [twice], newest_was_written=True).removed == ()
    assert edits(written(twice, drop=[3]), [twice], newest_was_written=True).removed in ((2,), (3,))


def test_a_heading_of_the_humans_is_a_line():
    assert parse(FRAME.format(results="", decisions="## My heading\ntext")) == [
        ("decision", "My heading"), ("decision", "text"),
    ]  # fmt: skip


def test_nothing_was_written_yet():
    assert edits("hello\n", [], newest_was_written=False).added == ()


# --- the notebook: file and ledger together


@pytest.fixture
def book(tmp_path):
    made = Book(tmp_path)
    yield made
    made.close()


class Book:
    """A notebook on a real ledger, and the human's hands."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "MEMORY_LOG.md"
        self.lock = ProjectLock.take(str(folder / "lock"))
        self.ledger = Writer.open_with(str(folder / "ledger.db"), self.lock)
        with self.ledger.transaction() as tx:
            self.ledger.session = tx.session("h", "b", 1, "v")
        self.caps = Memory()
        self.best = None
        self.notebook = Notebook(self.ledger, str(self.file))
        self.cycles = 0

    def close(self):
        self.ledger.close()
        self.lock.release()

    def says(self, text, kind="decision"):
        with self.ledger.transaction() as tx:
            self.cycles = tx.cycle()
            tx.note(kind, text, author="planner", plan=self.cycles)
        return self.cycles

    def think(self):
        """What the controller does before each THINK."""
        found = self.notebook.take_edits()
        self.notebook.write(self.caps, self.best)
        return found

    @property
    def text(self):
        return self.file.read_text(encoding="utf-8")

    @property
    def lines(self):
        results, decisions = sections(self.text)
        return results + decisions

    def has(self, words):
        return sum(words in line for line in self.lines)

    def edit(self, old, new):
        assert old in self.text
        self.file.write_text(self.text.replace(old, new), encoding="utf-8")

    def line_of(self, words):
        return next(line for line in self.lines if words in line) + "\n"


def test_first_writing(book):
    assert book.think() == (0, 0)
    assert book.text == f"{TITLE}\n\n{KEY_RESULTS}\n\n{DECISIONS}\n"


def test_a_line_added_by_hand_is_kept_and_stamped(book):
    book.says("one")
    book.think()
    book.file.write_text(book.text + "- try a larger batch\n", encoding="utf-8")
    assert book.think() == (1, 0)
    assert STAMP.match(book.line_of("try a larger batch"))
    for n in range(3):
        book.says(f"later {n}")
        assert book.think() == (0, 0)
    assert book.has("try a larger batch") == 1


@pytest.mark.parametrize("gone", ["one", "two", "three"])
def test_a_removed_line_stays_away(book, gone):
    """The newest one too: the file then looks as it did one rendering earlier."""
    for words in ("one", "two", "three"):
        book.says(words)
        book.think()
    book.edit(book.line_of(gone), "")
    assert book.think() == (0, 1)
    for n in range(6):
        book.says(f"later {n}")
        book.think()
        assert not book.has(gone)
    assert book.has("later") == 6


def test_a_removal_is_noticed_once(book):
    book.says("one")
    book.says("two")
    book.think()
    book.edit(book.line_of("two"), "")
    assert book.think() == (0, 1)
    assert book.think() == (0, 0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_edited_line_is_respected(book, place):
    lines = ["two", "three"]
    lines.insert(place, "lr above 0.1 diverges")
    for words in lines:
        book.says(words)
    book.think()
    book.edit("lr above 0.1 diverges", "lr above 0.3 diverges")
    assert book.think() == (1, 1)
    for n in range(3):
        book.says(f"later {n}")
        book.think()
        assert book.has("above 0.3") == 1
        assert not book.has("above 0.1")


def test_everything_removed_stays_away(book):
    for n in range(4):
        book.says(f"line {n}")
    book.think()
    book.file.write_text("", encoding="utf-8")
    assert book.think() == (0, 4)
    book.says("new")
    book.think()
    assert len(book.lines) == 1


def test_a_missing_file_is_no_edit(book):
    book.says("one")
    book.think()
    book.file.unlink()
    assert book.think() == (0, 0)
    assert book.has("one") == 1


def test_a_kill_between_commit_and_rename_loses_nothing(book, monkeypatch):
    book.says("one")
    book.think()
    book.says("two")

    def killed(path, text):
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        book.think()
    monkeypatch.undo()
    assert not book.has("two")
    assert book.think() == (0, 0)
    assert book.has("one") == book.has("two") == 1


def test_a_kill_after_the_rename_loses_nothing(book, monkeypatch):
    book.says("one")
    book.think()
    book.says("two")
    real = notebook.atomic_write

    def killed(path, text):
        real(path, text)
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "atomic_write", killed)
    with pytest.raises(KeyboardInterrupt):
        book.think()
    monkeypatch.undo()
    assert book.has("two")
    assert book.think() == (0, 0)
    assert book.has("one") == book.has("two") == 1


def test_an_old_version_put_back_is_no_deletion(book):
    """A stale editor buffer, or a backup, from up to five renderings ago, with a line of the human's own."""
    book.says("one")
    book.think()
    old = book.text
    for words in ("two", "three"):
        book.says(words)
        book.think()
    book.file.write_text(old + "mine\n", encoding="utf-8")
    assert book.think() == (1, 0)
    assert [book.has(w) for w in ("one", "two", "three", "mine")] == [1, 1, 1, 1]


@pytest.mark.parametrize("text", [t for t in ABSURD if t.strip("# ")])
def test_absurd_lines_by_hand_stay_within_the_caps(book, text):
    book.says("one")
    book.think()
    with open(book.file, "a", encoding="utf-8", errors="replace") as file:
        file.write(text + "\n")
    book.think()
    assert len(book.text) <= 2000
    assert book.think() == (0, 0)
    assert book.has("one") == 1


@pytest.mark.parametrize("text", ["#", "# #", "-", "*"])
def test_marks_without_words_by_hand_settle_down(book, text):
    book.think()
    book.file.write_text(f"{book.text}{text}\n", encoding="utf-8")
    book.think()
    assert book.think() == (0, 0)


@pytest.mark.parametrize("text", ["", "#", "\n\n", "  "])
def test_a_decision_without_words_is_not_taken_for_an_edit(book, text):
    book.says(text)
    book.think()
    assert book.think() == (0, 0)


def test_the_best_so_far_stays_through_a_long_campaign(book):
    book.best = book.says("Exp001: the best one (new best!)", "milestone")
    for n in range(260):
        book.says(f"Exp{n + 2:03d}: " + "something else " * 20, "milestone")
    book.think()
    assert book.has("the best one") == 1
    assert book.has("Exp261") == 1


def test_the_best_so_far_stays_when_its_line_was_edited(book):
    book.best = book.says("Exp001: the best one (new best!)", "milestone")
    book.think()
    book.edit("the best one", "the best one, with warm-up")
    for n in range(30):
        book.says(f"Exp{n + 2:03d}: " + "something else " * 20, "milestone")
        book.think()
    assert book.has("the best one, with warm-up") == 1


def test_a_best_line_that_was_removed_stays_away(book):
    book.best = book.says("Exp001: the best one (new best!)", "milestone")
    book.says("Exp002: another", "milestone")
    book.think()
    book.edit(book.line_of("the best one"), "")
    for n in range(3):
        book.says(f"later {n}")
        book.think()
    assert not book.has("the best one")


HANDS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["milestone", "decision"]), TEXTS),
        st.tuples(st.just("add"), TEXTS, st.just("")),
        st.tuples(st.just("remove"), st.integers(0, 30), st.just("")),
        st.tuples(st.just("restart"), st.just(""), st.just("")),
    ),
    max_size=14,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HANDS)
def test_any_order_of_writing_and_editing_keeps_the_file_in_order(tmp_path_factory, hands):
    book = Book(tmp_path_factory.mktemp("book"))
    try:
        book.think()
        for hand, what, more in hands:
            if hand == "say":
                book.says(more, what)
            elif hand == "add":
                with open(book.file, "a", encoding="utf-8", errors="replace") as file:
                    file.write(f"{what}\n")
            elif hand == "remove":
                lines = book.text.split("\n")
                book.file.write_text("\n".join(lines[: what + 3] + lines[what + 4 :]), encoding="utf-8")
            else:
                book.notebook = Notebook(book.ledger, str(book.file))
            book.think()
            assert len(book.text) <= 2000
            sections(book.text)
    finally:
        book.close()


# --- a line of Key Results


def outcome(**facts):
    known = {
        "state": RunState.FINISHED, "exit_code": 0, "signal": None, "fault": Fault.NONE, "exception": None, "reason": "",
        "started_at": None, "ended_at": None, "duration_s": 1.0, "value": 0.9, "value_note": "", "read_as": "acc",
    }  # fmt: skip
    return Outcome(**{**known, **facts})


def line(title="larger batch", words="", result=Result.IMPROVED, target=None, **facts):
    experiment = ExperimentRow(3, 3, title, "", "", None, "")
    return key_result(experiment, outcome(**facts), Objective("acc", "max", target), result, words)


def test_a_key_result_reads_as_the_contract_says():
    assert line() == "Exp003: larger batch, acc=0.9 (new best!)"
    assert line(target=0.9) == "Exp003: larger batch, acc=0.9 (target reached!)"
    assert line(result=Result.NOT_IMPROVED) == "Exp003: larger batch, acc=0.9"
    assert line(words="as hoped") == "Exp003: larger batch, acc=0.9; as hoped (new best!)"


def test_words_cannot_claim_what_the_numbers_do_not_say():
    """The harness writes what is true at the end of the line; a run that does not count has no value."""
    failed = line(words="x", result=Result.FAILED, state=RunState.FAILED, exit_code=1)
    assert "acc=" not in failed
    assert not failed.endswith("!)")


@given(TEXTS, TEXTS)
def test_title_and_words_never_push_out_what_the_harness_says(title, words):
    entry = stamped(AT, line(title=title, words=words))
    assert entry.endswith("(new best!)")
    assert "acc=0.9" in entry
