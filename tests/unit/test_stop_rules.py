"""The rules that end a run early: each on a log that is fed piece by piece, with a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_experiment.records.plan import StopWhen
from auto_experiment.watch.activity import Activity
from auto_experiment.watch.metrics.reader import LogReader
from auto_experiment.watch.stop_rules import (
    DRY_RUN_RULE,
    HANG_RULE,
    NAN_RULE,
    STOP_WHEN_RULE,
    Hang,
    NonFiniteObjective,
    StopWhenMetric,
    TwoSteps,
)


def verdicts(rule, *pieces, reader=None):
    """What the rule says after each piece of log."""
    reader = reader or LogReader()
    rule.begin(0.0)
    said = []
    for number, piece in enumerate(pieces):
        points = reader.feed(piece.encode())
        said.append(rule.check(float(number), reader, heard=bool(piece), points=points))
    return said


def first(rule, *pieces):
    """(number of the piece after which it ended the run, the sentence); None when it did not."""
    return next(((n, said) for n, said in enumerate(verdicts(rule, *pieces)) if said), None)


# --- the NaN rule


@pytest.mark.parametrize("word", ["nan", "NaN", "inf", "-inf", "Infinity"])
def test_nan_rule_names_itself_and_the_metric(word):
    number, said = first(NonFiniteObjective("val_acc"), "step 1 val_acc=0.5\n", f"step 2 val_acc={word}\n")
    assert number == 1
    assert said.startswith(NAN_RULE)
    assert "val_acc" in said


def test_nan_rule_is_about_the_objective_alone():
    assert first(NonFiniteObjective("val_acc"), "step 1 val_acc=0.5 grad_norm=nan\n", "step 2 val_acc=0.6\n") is None


def test_nan_rule_sees_a_nan_that_was_followed_by_numbers_in_one_piece():
    assert first(NonFiniteObjective("val_acc"), "step 1 val_acc=nan\nstep 2 val_acc=0.5\n")


def test_nan_rule_reads_the_name_as_the_objective_is_read():
    _, said = first(NonFiniteObjective("accuracy"), "step 1 train_acc=nan val_acc=0.1\n", "step 2 val_acc=nan\n")
    assert "val_acc" in said


def test_nan_rule_and_stop_when_read_what_stands_beside_the_validation():
    rows = ("epoch train_loss valid_loss accuracy\n1 0.5 0.4 0.8\n", "2 0.5 0.4 nan\n")
    assert "accuracy" in first(NonFiniteObjective("validation accuracy"), *rows)[1]
    assert first(StopWhenMetric(StopWhen("validation accuracy", above=0.7)), *rows)[0] == 0


def test_nan_rule_on_an_empty_log_is_silent():
    assert first(NonFiniteObjective("val_acc"), "", "") is None


# --- stop_when


@pytest.mark.parametrize(
    ("rule", "pieces", "wanted"),
    [
        (StopWhen("loss", above=10), ["step 1 loss=5\n", "step 2 loss=11\n"], 1),
        (StopWhen("loss", above=10), ["step 1 loss=10\n", "step 2 loss=9\n"], None),
        (StopWhen("acc", below=0.2), ["step 1 acc=0.5\n", "step 2 acc=0.1\n"], 1),
        (StopWhen("acc", below=0.2), ["step 1 acc=0.2\n"], None),
        (StopWhen("loss", above=10, after=3), ["step 1 loss=99\n", "step 2 loss=99\n", "step 3 loss=99\n"], 2),
        (StopWhen("loss", above=10, after=3), ["step 1 loss=99\n", "step 3 loss=1\n"], None),
        (StopWhen("loss", above=10), ["step 1 loss=nan\n"], None),
        (StopWhen("loss", above=10), ["step 1 loss=inf\n"], 0),
        (StopWhen("other", above=10), ["step 1 loss=99\n"], None),
        (StopWhen("loss", below=0), ["step 1 loss=-1\n"], 0),
    ],
)
def test_stop_when(rule, pieces, wanted):
    found = first(StopWhenMetric(rule), *pieces)
    assert (found and found[0]) == wanted if wanted is not None else found is None
    if found:
        assert found[1].startswith(STOP_WHEN_RULE)
        assert rule.metric in found[1]


def test_stop_when_says_bound_and_value():
    _, said = first(StopWhenMetric(StopWhen("val_loss", above=10, after=2)), "step 2 val_loss=12.5\n")
    assert "above 10" in said
    assert "12.5" in said


def test_a_value_is_judged_once():
    """A rule that held back must not fire later on the same old value."""
    rule = StopWhenMetric(StopWhen("loss", above=10))
    reader = LogReader()
    rule.begin(0.0)
    reader.feed(b"step 1 loss=5\n")
    assert rule.check(0.0, reader, heard=True) == ""
    assert rule.check(9.0, reader, heard=False) == ""
    assert rule.next_look() is None


@pytest.mark.parametrize("pieces", [["step 1 loss=5\n", "step 2 loss=99\n", "step 3 loss=5\n"]])
def test_stop_when_does_not_depend_on_how_the_log_arrives(pieces):
    rule = StopWhen("loss", above=10)
    assert bool(first(StopWhenMetric(rule), *pieces)) == bool(first(StopWhenMetric(rule), "".join(pieces)))


# --- the hang rule


class Pretended:
    """A probe that says what the test tells it to, and remembers how often it was asked."""

    def __init__(self, *, busy=False, quiet=0.0):
        self.seen, self.quiet, self.looks, self.testified = Activity(busy=busy, words="idle"), quiet, 0, []

    def look(self):
        self.looks += 1
        return self.seen

    def quiet_s(self):
        return self.quiet

    def testify(self, why):
        self.testified.append(why)
        return "/runs/a1/hang.txt"


class Watched:
    """A training under the hang rule, with a clock that the test moves."""

    def __init__(self, timeout=None, **probe):
        self.probe, self.reader, self.now, self.step = Pretended(**probe), LogReader(), 0.0, 0
        self.rule = Hang(timeout, self.probe)
        self.rule.begin(0.0)

    def say(self, text):
        points = self.reader.feed(text.encode() + b"\n")
        return self.rule.check(self.now, self.reader, heard=True, points=points)

    def silent(self, seconds):
        """Time passes, with every look that the rule wants. Its verdict, or ""."""
        end = self.now + seconds
        while self.rule.next_look() <= end:
            self.now = self.rule.next_look()
            if said := self.rule.check(self.now, self.reader, heard=False):
                return said
        self.now = end
        return ""

    def away(self, seconds):
        """Time passes in which nobody looks; then one look."""
        self.now += seconds
        return self.rule.check(self.now, self.reader, heard=False)

    def steps(self, count, gap):
        for _ in range(count):
            assert self.silent(gap) == ""
            self.step += 1
            assert self.say(f"step {self.step} loss={1 / self.step:.3f}") == ""

    def found(self, limit=1e6):
        """After how many seconds of silence it is found."""
        start = self.now
        assert self.silent(limit), "was not found"
        return self.now - start


def running(*, gap=60.0, steps=20, **how):
    run = Watched(**how)
    run.say("start")
    run.steps(steps, gap)
    return run


def test_hang_never_before_the_first_output():
    assert Watched(1.0).silent(1e4) == ""


def test_hang_with_a_fixed_limit():
    run = running(timeout=100.0, gap=5.0)
    said = run.silent(1000)
    assert said.startswith(HANG_RULE)
    assert "monitor.hang_timeout" in said
    assert "limit 1m40s" in said
    assert run.probe.testified
    assert "/runs/a1/hang.txt" in said


@pytest.mark.parametrize("busy", [True, False])
def test_a_fixed_limit_holds_whatever_the_processes_do(busy):
    assert running(timeout=100.0, gap=5.0, busy=busy).found() == pytest.approx(100, abs=21)


def test_output_in_time_keeps_it_alive():
    running(timeout=5.0, gap=4.0, steps=50)


def test_an_idle_run_is_found_after_ten_minutes():
    assert running().found() == pytest.approx(600, abs=61)


def test_a_run_that_works_in_silence_is_given_two_hours():
    assert running(busy=True).found() == pytest.approx(7200, abs=61)


def test_the_first_step_has_a_budget_of_its_own():
    for busy, limit in ((False, 5400), (True, 10800)):
        run = Watched(busy=busy)
        run.say("loading")
        assert run.found() == pytest.approx(limit, abs=61)


def test_a_pause_that_the_last_line_announces_has_a_budget_of_its_own():
    run = running()
    run.say("Evaluating on the validation set")
    assert run.found() == pytest.approx(3600, abs=61)
    run = running()
    run.say("step 99 val_loss=0.3")  # a result, no announcement
    assert run.found() == pytest.approx(600, abs=61)


def test_hang_learns_the_runs_own_pace():
    assert running(gap=3600.0, steps=4).found() == pytest.approx(3 * 3600, abs=61)


def test_the_longest_pause_so_far_is_no_hang_the_second_time():
    run = running()
    run.probe.seen = Activity(busy=True)
    run.steps(1, 3600.0)
    run.probe.seen = Activity(busy=False)
    run.steps(5, 60.0)
    assert run.found() == pytest.approx(7200, abs=61)


@given(st.lists(st.floats(0.001, 100.0), min_size=1, max_size=50))
def test_a_quick_run_is_given_ten_minutes_at_least(gaps):
    run = Watched()
    run.say("x")
    for gap in gaps:
        run.steps(1, gap)
    assert run.silent(540.0) == ""


def test_a_file_that_grows_in_out_is_a_sign_of_life():
    run = running()
    run.probe.seen = Activity(wrote=True, busy=False)
    assert run.silent(1e5) == ""
    run.probe.seen = Activity(busy=False)
    assert run.found() == pytest.approx(600, abs=61)


def test_a_log_that_grew_unread_is_no_silence():
    run = running()
    run.silent(61)
    run.probe.seen = Activity(logged=True, busy=False)
    run.silent(61)
    run.probe.seen = Activity(busy=False)
    assert run.silent(1000) == ""
    run.steps(1, 60.0)
    assert run.found() < 3000


@pytest.mark.parametrize("timeout", [None, 300.0])
def test_f06_a_suspension_is_not_silence(timeout):
    run = running(timeout=timeout)
    limit = timeout or 600.0
    for _ in range(20):
        assert run.away(10 * limit) == ""
    assert run.silent(limit / 2) == ""
    assert run.found(10 * limit) <= limit


def test_f06_a_suspension_is_not_the_runs_own_pace():
    run = running()
    run.away(30 * 86400.0)
    run.steps(3, 60.0)
    assert run.found() == pytest.approx(600, abs=61)


def test_f15_time_in_which_somebody_stopped_the_training_is_not_silence():
    run = running()
    words = "the training is stopped (pid 7, state T) by somebody; `kill -CONT 7` continues it"
    run.probe.seen = Activity(busy=False, stopped=words)
    assert run.silent(1e5) == ""
    assert run.rule.notices() == [words]
    run.probe.seen = Activity(busy=False)
    assert run.silent(540.0) == ""
    assert ["goes on" in text for text in run.rule.notices()] == [True]
    assert run.silent(200.0)
    assert run.rule.notices() == []


def test_f15_a_stop_before_the_first_output_is_told_too():
    run = Watched()
    run.probe.seen = Activity(stopped="the training is stopped")
    run.silent(100)
    assert run.rule.notices() == ["the training is stopped"]


def test_a_watchdog_that_repeats_itself_is_no_sign_of_life():
    run = running()
    for _ in range(200):
        run.silent(60)
        if said := run.say("still waiting for rank 3"):
            break
    assert "the same words" in said
    assert run.now == pytest.approx(20 * 60 + 7200, abs=200)


def test_words_that_change_are_a_sign_of_life():
    run = running()
    for second in range(500):
        assert run.silent(60) == ""
        assert run.say(f"chunk {second} is done") == ""


def test_files_that_change_beneath_words_that_repeat_are_a_sign_of_life():
    """It talks so often that it is never silent for a look: samples are written, and each time that is said."""
    run = running()
    run.probe.seen = Activity(wrote=True, busy=True)
    for _ in range(1000):
        assert run.silent(30) == ""
        assert run.say("sampling") == ""
    assert run.probe.looks <= 1000 / 2
    run.probe.seen = Activity(busy=True)
    start = run.now
    while not run.say("sampling"):
        run.silent(30)
        assert run.now - start < 4 * 3600
    assert run.now - start == pytest.approx(2 * 3600, abs=100)


CLOCKS = [
    "\r 75%|#######5  | 30/40 [{m}:07<{s}:00, {m}.41s/it]",
    "2026-11-24 {h}:{m:02d}:{s:02d},123 WARNING still waiting for rank 3",
    "[2026-11-24T{h}:{m:02d}:{s:02d}.5Z] still waiting",
    "I1124 {h}:{m:02d}:{s:02d}.123456 140 watchdog.cc:33] still waiting",
    "[{h}:{m:02d}:{s:02d}] still waiting",
]


@pytest.mark.parametrize("words", CLOCKS)
def test_a_clock_that_moves_within_repeated_words_is_no_news(words):
    run = running()
    start, said = run.now, ""
    while not said:
        assert run.now - start < 4 * 3600
        run.silent(30)
        passed = int(run.now - start)
        said = run.say(words.format(h=10 + passed // 3600, m=passed // 60 % 60, s=passed % 60))
    assert "the same words" in said
    assert run.now - start == pytest.approx(2 * 3600, abs=100)


@pytest.mark.parametrize(
    "words", ["12:00:00 {n} files are checked", "Evaluating:  3%|# | {n}/9999 [07:00<09:00, 1.2it/s]"]
)
def test_any_other_number_that_moves_may_be_progress(words):
    run = running()
    for number in range(1000):
        run.silent(30)
        assert run.say(words.format(n=number)) == ""


def test_repeated_words_within_slow_epochs_are_no_hang():
    run = Watched(busy=True)
    for epoch in range(1, 5):
        for _ in range(100):
            assert run.silent(240) == ""
            assert run.say("another chunk is done") == ""
        assert run.say(f"epoch {epoch} loss=0.5") == ""


def test_a_replayed_log_teaches_no_pace():
    """An adoption reads the whole log at once; the pauses in it are not seen, and none are made up."""
    run = Watched()
    for step in range(1, 300):
        run.now += 0.01
        run.say(f"epoch {step} loss={1 / step:.3f}")
    assert run.silent(3600.0) == ""  # an hour between lines is usual for this run, for all we know
    assert run.say("epoch 300 loss=0.1") == ""
    assert run.found() == pytest.approx(3 * 3600, abs=121)


def test_the_silence_before_an_adoption_counts_for_the_pace_and_for_no_verdict():
    run = Watched(quiet=50 * 60.0)
    run.rule.begin(0.0)
    run.reader.feed(b"epoch 1 loss=1\nepoch 2 loss=0.9\n")
    run.rule.check(0.0, run.reader, heard=True)
    assert run.silent(600.0) == ""
    run.say("epoch 3 loss=0.8")
    assert run.found() > 7200 - 61


def test_a_new_attempt_begins_anew():
    run = running()
    run.rule.begin(run.now)
    run.reader = LogReader()
    assert run.silent(1e5) == ""


def test_a_training_that_cannot_be_seen_is_given_the_long_limit():
    rule, reader = Hang(None), LogReader()
    rule.begin(0.0)
    reader.feed(b"step 1 loss=1\n")
    assert rule.check(0.0, reader, heard=True) == ""
    now, said = 0.0, ""
    while not said:
        now = rule.next_look()
        said = rule.check(now, reader, heard=False)
    assert now == pytest.approx(10800, abs=61)


# --- the dry run


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        (["step 1/9 loss=1\n", "step 2/9 loss=1\n"], 1),
        (["epoch 1\n", "epoch 2\n"], 1),
        (["loss=1.0\n", "loss=0.9\n"], 1),
        (["step 1/9 loss=1\n", "saved a file\n"], None),
        (["hello\n", "world\n"], None),
    ],
)
def test_two_steps(pieces, wanted):
    found = first(TwoSteps(), *pieces)
    assert found == (None if wanted is None else (wanted, f"{DRY_RUN_RULE}: two steps seen"))


def test_a_nan_ends_the_dry_run_at_once():
    number, said = first(TwoSteps(), "step 1/9 loss=nan\n", "step 2/9 loss=nan\n")
    assert number == 0
    assert "loss" in said
    assert "NaN" in said
