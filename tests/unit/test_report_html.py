"""report.html from a ledger that the test has filled: what it says, what it never does, and what becomes of strange words."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from auto_experiment.ledger.rows import Phase
from auto_experiment.objective import Objective
from auto_experiment.records.lesson import Result
from auto_experiment.records.observation import Fault, Series
from auto_experiment.records.plan import Action, Plan
from auto_experiment.records.run import RunState
from auto_experiment.records.usage import Usage
from auto_experiment.redact import Redactor
from auto_experiment.report import drawing, facts
from auto_experiment.report.curves import POINTS, losses
from auto_experiment.report.drawing import Figures, drawn
from auto_experiment.report.facts import gather
from auto_experiment.report.html import write_html
from auto_experiment.report.importance import importance
from auto_experiment.report.markup import el, words
from auto_experiment.report.page import page
from auto_experiment.report.parameters import LEAST
from auto_experiment.report.svg import tidy
from campaign import Campaign

VOID = {"meta", "br", "hr", "col"}


class Read(HTMLParser):
    """The page as a browser takes it: its elements, its text, and whether it is nested as it should be."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.said, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag not in ("a", "span", "strong"):
            self.said.append(" ")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.said).append(data)

    @property
    def text(self):
        return " ".join("".join(self.said).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path)
    yield made
    made.close()


def html(campaign, figures=None, **kw):
    return page(gather(campaign.project, campaign.ledger, None), figures or Figures({}), **kw)


def read(campaign, **kw):
    return Read(html(campaign, **kw))


# -- what it says -----------------------------------------------------------------------------------------------------


def test_before_any_run(campaign):
    campaign.objective = None
    text = read(campaign).text
    assert "No objective is known yet." in text
    assert "Nothing has been tried yet." in text


def test_the_answer_comes_first(campaign):
    campaign.stands()
    campaign.experiment(0.6, title="the first", params={"--lr": 0.1}, command="t --lr 0.1")
    campaign.experiment(0.8, title="the winner", params={"--lr": 0.01}, command="t --lr 0.01", result=Result.IMPROVED)
    campaign.experiment(0.7, params={"--lr": 0.3}, command="t --lr 0.3")
    campaign.experiment(None, state=RunState.FAILED, exit_code=1, result=Result.FAILED)
    said = read(campaign).text
    answer = said[: said.index("Progress")]
    assert "Best acc 0.8" in answer
    assert "From exp002/run01: the winner." in answer
    assert "target not reached" in answer
    assert "One run with one seed: a lead, not a confirmed improvement." in answer
    assert "4 experiments" in answer
    assert "1 improved on the best before, 2 did not, 1 failed" in answer
    assert "Varied: lr." in answer
    assert "The first value was 0.6 (exp001): +0.2." in answer
    assert "The next best setting has 0.7 (exp003)." in answer


def test_repeats_of_a_setting_say_how_sure_a_value_is(campaign):
    campaign.stands()
    for value in (0.80, 0.82, 0.81):
        campaign.experiment(value)
    with campaign.ledger.transaction() as tx:
        tx._db.execute("UPDATE experiment SET fingerprint = 'same'")
    text = read(campaign).text
    assert "This setting was trained 3 times: 0.8 to 0.82." in text
    assert "Repeats differ by about 0.01 (standard deviation; one setting was trained more than once)." in text


@pytest.mark.parametrize(
    ("direction", "best", "reached"), [("max", "0.9", "target reached"), ("min", "0.2", "target reached")]
)
def test_better_is_what_the_objective_says(campaign, direction, best, reached):
    campaign.stands(Objective("acc", direction, 0.85 if direction == "max" else 0.3))
    for value in (0.5, 0.9, 0.2):
        campaign.experiment(value)
    found = read(campaign)
    assert f"Best acc {best} " in found.text
    assert reached in found.text
    rows = html(campaign).split("<tr")
    good = next(row for row in rows if 'class="best"' in row)
    assert f">{best}<" in good


def test_all_failed(campaign):
    campaign.stands()
    for _ in range(3):
        campaign.experiment(None, state=RunState.FAILED, exit_code=1, fault=Fault.EXCEPTION, exception="ValueError: x",
                            reason="exit status 1: ValueError: x", result=Result.FAILED)  # fmt: skip
    text = read(campaign, figures=drawn(gather(campaign.project, campaign.ledger, None))).text
    assert "No run gave a value that counts." in text
    assert "3 attempts went wrong (exception 3)." in text
    assert "there is nothing to draw" in text


def test_a_diverged_run(campaign):
    campaign.stands()
    series = (Series("acc", 2, math.nan, None, None, None, None, None, bad=2),)
    campaign.experiment(None, fault=Fault.NAN, series=series, state=RunState.STOPPED, exit_code=None, signal=15,
                        reason="nan rule: acc", result=Result.FAILED, points=[("acc", 1, math.nan), ("acc", 2, math.inf)])  # fmt: skip
    campaign.experiment(0.5, points=[("acc", 1, math.nan), ("acc", 2, 0.4), ("acc", 3, 0.5)])
    gathered = gather(campaign.project, campaign.ledger, None)
    (curve,) = gathered.curves
    assert curve.objective.y == (None, 0.4, 0.5)
    json.dumps(drawing.request(gathered), allow_nan=False)
    assert "nan rule: acc" in read(campaign).text


def test_a_value_that_does_not_count_is_in_parentheses(campaign):
    campaign.stands()
    campaign.experiment(0.99, state=RunState.FAILED, exit_code=1, reason="exit status 1", result=Result.FAILED)
    text = read(campaign).text
    assert "(0.99)" in text
    assert "No run gave a value that counts." in text


@pytest.mark.parametrize(("usd", "shown"), [(0.009, "$0.0090"), (None, "cost unknown")])
def test_what_the_model_cost(campaign, usd, shown):
    campaign.stands()
    campaign.experiment(0.5)
    assert "No language model was asked" in read(campaign).text
    with campaign.ledger.transaction() as tx:
        call = tx.model_call(1, "think", "m", None)
        tx.model_answered(call, "m", Usage(1000, 20, 300, 40), usd, "ok: tools")
    text = read(campaign).text
    assert shown in text
    assert "Calls while a training ran: 0." in text
    assert ("unknown" in text) == (usd is None)


def test_what_changed_in_a_command_is_told_where_there_is_no_search_space(campaign):
    """As with a model: an experiment with another command is not "the command as it stands"."""
    campaign.stands()
    for command in ("python t.py", "python t.py --lr 0.3", "python t.py --lr 0.1 --amp", "python t.py"):
        campaign.experiment(0.5, command=command)
    assert [row.changed for row in gather(campaign.project, campaign.ledger, None).rows] == [
        "the command as it stands", "new: --lr 0.3", "new: --lr 0.1, --amp", "nothing in the command",
    ]  # fmt: skip


def test_what_changed_is_told_against_what_it_started_from(campaign):
    campaign.stands()
    campaign.experiment(0.5, params={"--lr": 0.1, "--width": 16})
    campaign.experiment(0.4, params={"--lr": 0.2, "--width": 16})
    campaign.experiment(0.6, params={"--lr": 0.1, "--width": 32})
    rows = gather(campaign.project, campaign.ledger, None).rows
    assert [row.changed for row in rows] == ["lr = 0.1, width = 16", "lr 0.1 → 0.2", "width 16 → 32"]
    assert [row.delta for row in rows] == [None, pytest.approx(-0.1), pytest.approx(0.1)]


def test_an_experiment_that_is_not_over(campaign):
    campaign.stands()
    plan = Plan(Action.EXPERIMENT, title="wider", hypothesis="h", success_criteria="s", task="make it wider")
    with campaign.ledger.transaction() as tx:
        cycle = tx.cycle()
        tx.plan(cycle, plan, "")
        tx.experiment(cycle, plan, "")
        tx.phase(cycle, Phase.EXECUTE)
        tx.event("dispatch", cycle=cycle, number=1)
    text = read(campaign).text
    assert "code: make it wider" in text
    assert "not finished code agent at work" in text


def test_the_change_of_the_code_is_shown_folded(campaign):
    campaign.stands()
    name = campaign.experiment(0.5)
    with campaign.ledger.transaction() as tx:
        tx.event(
            "code", experiment=1, cycle=1, base="current", **{"from": "a" * 40}, saved="a" * 40, skipped=[], lay=""
        )
        tx._db.execute("UPDATE attempt SET tree = ?", ("b" * 40,))
    asked = []

    def diff(old, new):
        asked.append((old, new))
        return (), "--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-lr = <old>\n+lr = new\n"

    text = page(gather(campaign.project, campaign.ledger, diff), Figures({}))
    assert asked == [("a" * 40, "b" * 40)]
    assert '<span class="d">-lr = &lt;old&gt;</span>' in text
    assert '<span class="a">+lr = new</span>' in text
    assert f'id="{name}"' in text


# -- a page that stands alone -----------------------------------------------------------------------------------------

STRANGE = [
    "<script>alert(1)</script>",
    "</title></style></script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]> <![CDATA[ --> <!-- &amp; &#0; &lt;",
    "nul \x00 escape \x1b[31m bell \x07 \ud800 \ufffe",
    "right \u202e to left \u2066 isolate \u200f mark \ufeff",
    "javascript:alert(1) http://example.org/x.js url(http://example.org)",
    "{{7*7}} ${x} %s {0} $x^{2$ \\frac",
    "line one\nline two\r\n\u2028three\ttab",
    "x" * 100_000,
    "🧪 ö 漢字 " * 300,
]


def strange_campaign(campaign, text):
    campaign.goal, campaign.notices = text, (text,)
    campaign.stands()
    logged = text.encode("utf-8", "replace").decode()  # as a log is read
    flat = logged.replace("\0", "")  # no command can hold one
    command = "python t.py " + "'" + flat.replace("'", "") + "'"
    series = (Series(text, 2, 0.5, 2.0, 0.5, 2.0, 0.4, 1.0),)
    points = [(logged, 1, 0.4), (logged, 2, 0.5)]
    campaign.experiment(0.5, title=text, words=text, command=command, params={text: text}, series=series, points=points,
                        read_as=logged, notes=(text,), program=text, value_note=text)  # fmt: skip
    campaign.experiment(None, title=text, words=text, state=RunState.FAILED, exit_code=1, exception=text, reason=text,
                        fault=Fault.EXCEPTION, result=Result.FAILED, tail=(text,) * 3, value_note=text)  # fmt: skip
    with campaign.ledger.transaction() as tx:
        tx.event("directive", cycle=1, text=text, cut=0, answer=text)


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_strange_words_are_words(campaign, text):
    strange_campaign(campaign, text)
    made = html(campaign)
    found = Read(made)
    plain = {"html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "span", "div",
             "nav", "a", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "dl", "dt", "dd", "pre",
             "strong", "svg", "rect", "script"}  # fmt: skip
    assert {name for name, _ in found.elements} <= plain
    assert len(found.all("script")) == 1
    names = {name for _, attributes in found.elements for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("style", "src", "srcset", "srcdoc")}
    assert all(a["href"].startswith("#") for a in found.all("a"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200f\ufeff\ufffe\ud800-\udfff]", made)
    assert len(made) < 150_000, "a text of 100 kB is cut wherever it is shown"
    shown = words(text, 60).strip()
    if shown.isascii() and shown.isprintable() and len(shown) < 60:
        assert shown in found.text


def test_everything_it_points_to_is_in_it(whole):
    made = page(*whole)
    found = Read(made)
    assert len(set(found.ids)) == len(found.ids)
    targets = [a["href"] for a in found.all("a")] + [u["href"] for u in found.all("use")]
    assert len(targets) > 20
    assert {target.removeprefix("#") for target in targets} <= set(found.ids)
    for svg in (a for a in found.all("svg") if a.get("role") == "img"):
        assert set(svg["aria-labelledby"].split()) <= set(found.ids)
    assert not re.search(r"url\((?!#)|@import|<link|<img|<iframe|<object|http-equiv=\"refresh", made)


def test_the_policy_allows_its_own_style_and_script_alone(campaign):
    made = html(campaign)
    (policy,) = (m["content"] for m in Read(made).all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag in ("style", "script"):
        inner = made.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_secrets_in_commands_and_diffs_are_hidden(campaign):
    campaign.stands()
    campaign.experiment(0.5, command="python t.py --token hunter2hunter2")
    assert "hunter2" in html(campaign)
    assert "hunter2" not in html(campaign, hide=Redactor(["hunter2hunter2"]))


def test_long_campaigns_are_bounded_and_it_is_said(campaign, monkeypatch):
    for name, value in (("ROWS", 12), ("BEST_ROWS", 4), ("DETAILS", 6), ("BEST_DETAILS", 2)):
        monkeypatch.setattr(facts, name, value)
    campaign.stands()
    for n in range(30):
        campaign.experiment(0.9 - n / 100, title=f"number {n + 1}")
    found = read(campaign)
    rows = [f"exp{n:03d}" for n in (1, 2, 3, 4, *range(23, 31))]
    assert [n for n in rows if n in found.text] == rows
    assert "number 10" not in found.text
    assert [i for i in found.ids if re.fullmatch(r"exp\d+", i)] == [
        "exp001",
        "exp002",
        "exp027",
        "exp028",
        "exp029",
        "exp030",
    ]
    assert "Of 30 experiments the table has 12: the 4 best and the newest ones." in found.text
    assert "Details are given of 6 of 30 experiments" in found.text
    assert {a["href"] for a in found.all("a")} <= {f"#{name}" for name in found.ids}


# -- figures ----------------------------------------------------------------------------------------------------------


def curve(top):
    return [(name, step, value) for step in range(1, 21)
            for name, value in (("acc", top * (1 - 0.8**step)), ("val_loss", 1 - top * (1 - 0.8**step)), ("train_loss", 0.8**step))]  # fmt: skip


def summaries():
    return tuple(Series(name, 20, 0.5, 20.0, 0.6, 20.0, 0.1, 1.0) for name in ("acc", "val_loss", "train_loss"))


def filled(campaign, count=24):
    campaign.stands()
    for n in range(count):
        lr, width = 10 ** (-1 - (n * 7 % count) * 3 / count), 16 << (n % 4)
        value = 0.9 - 0.1 * abs(math.log10(lr) + 2.3) ** 2
        params = {"--lr": lr, "--width": width, "--optimizer": ("sgd", "adam")[n % 2], "--note": "$x^{<b>"}
        campaign.experiment(value, params=params, points=curve(value), series=summaries())
    campaign.experiment(None, state=RunState.FAILED, exit_code=1, result=Result.FAILED)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The facts and the figures of a campaign that has all of them."""
    made = Campaign(tmp_path_factory.mktemp("whole"))
    filled(made)
    gathered = gather(made.project, made.ledger, None)
    yield gathered, drawn(gathered)
    made.close()


def test_all_figures_are_drawn(whole):
    gathered, figures = whole
    assert figures.failed == ""
    assert {name: "failed" in made for name, made in figures.made.items()} == dict.fromkeys(figures.made, False)
    svgs = {f"{name} {variant}": svg for name, made in figures.made.items() for variant, svg in made["svg"].items()}
    assert len(svgs) == 8
    for svg in svgs.values():
        root = ET.fromstring(svg)
        assert root.find("title").text
        assert root.find("desc").text
        assert "style" not in {name for element in root.iter() for name in element.attrib}
        colours = {element.get(name) for element in root.iter() for name in ("fill", "stroke")} - {None, "none"}
        assert all(colour.startswith("var(--") for colour in colours), colours
    said = " ".join(ET.fromstring(svgs["objective wide"]).itertext())
    assert "acc (higher is better)" in said
    assert "failed, or no value that counts" in said
    assert "target" in said
    assert "val_loss (lower is better)" in " ".join(ET.fromstring(svgs["losses "]).itertext())
    assert figures.made["importance"]["sure"] == ["lr"]
    assert "On 24 finished trainings" in figures.made["importance"]["caption"]
    text = Read(page(gathered, figures)).text
    assert "Dashed: train_loss of" in text
    assert "missing" not in text


SCATTER = {"svg": {"lr": "<svg></svg>"}, "caption": "each point is one"}


def test_too_few_trainings_for_an_importance_are_told(campaign):
    campaign.stands()
    for n in range(5):
        campaign.experiment(0.5 + n / 10, params={"--lr": 0.1 * n})
    text = read(
        campaign,
        figures=Figures({"importance": {"svg": {}, "caption": "", "too_few": [5, LEAST]}, "parameters": SCATTER}),
    ).text
    assert f"is not shown: 5 trainings have a value that counts, and below {LEAST}" in text


@pytest.mark.parametrize("text", ["$x^{ <b>&amp;]]> nul\x00\x1b\ud800 \u202e", "y" * 5_000])
def test_strange_names_are_drawn(campaign, text):
    logged = text.encode("utf-8", "replace").decode()  # as a log is read
    campaign.stands(Objective(logged, "min"))
    for n in range(4):
        points = [(logged, 1, 0.4), (logged, 2, 0.5 + n)]
        campaign.experiment(0.5 + n, params={text: n, "kind": text + str(n)}, read_as=logged, points=points)
    figures = drawn(gather(campaign.project, campaign.ledger, None))
    assert figures.failed == ""
    assert [name for name, made in figures.made.items() if made and "failed" in made] == []
    assert Read(html(campaign, figures)).all("svg")


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("raise ImportError('no such library')", "ended with status 1: ImportError: no such library"),
        ("import os; os.abort()", "ended with signal 6"),
        ("import time; time.sleep(60)", "they were not drawn after 2 s"),
        ("print('no JSON'); import sys; sys.exit(0)", "gave no answer"),
    ],
)
def test_a_broken_library_costs_the_figures_alone(campaign, tmp_path, monkeypatch, library, words):
    campaign.stands()
    campaign.experiment(0.5)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "matplotlib.py").write_text(library, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path / "broken"), *__import__("sys").path]))
    monkeypatch.setattr(drawing, "PATIENCE_S", 2.0 if "2 s" in words else 60.0)
    path, failed = write_html(campaign.project, campaign.ledger)
    assert words in failed
    with open(path, encoding="utf-8") as file:
        text = Read(file.read()).text
    assert "The figures are missing" in text
    assert "Best acc 0.5" in text


def test_one_figure_that_fails_costs_no_other(campaign):
    campaign.stands()
    campaign.experiment(0.5)
    failed = {"failed": "ValueError: <x>"}
    whole = {"svg": {"wide": "<svg></svg>", "narrow": "<svg></svg>"}, "caption": "all of them"}
    text = read(
        campaign, figures=Figures({"objective": whole, "curves": failed, "importance": failed, "parameters": SCATTER})
    ).text
    assert "This figure (curves) could not be drawn: ValueError: <x>" in text
    assert "This figure (importance) could not be drawn" in text
    assert "all of them" in text
    assert "each point is one" in text


# -- the pieces -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "objective", "found"),
    [
        (["acc", "train_loss", "val_loss"], "acc", ["val_loss", "train_loss"]),
        (["acc", "loss", "val_loss"], "acc", ["val_loss", "loss"]),
        (["loss", "acc"], "acc", ["loss"]),
        (["val_loss", "train_loss"], "val_loss", ["train_loss"]),
        (["eval/nll", "train/nll", "lr"], "acc", ["eval/nll", "train/nll"]),
        (["glossary", "constraint", "acc"], "acc", []),
        ([], "acc", []),
    ],
)
def test_which_loss_is_drawn(names, objective, found):
    assert losses(names, objective) == found


def test_a_long_curve_is_thinned_and_keeps_its_ends(campaign):
    campaign.stands()
    campaign.experiment(0.5, points=[("acc", step, step / 1000) for step in range(900)])
    (found,) = gather(campaign.project, campaign.ledger, None).curves
    assert len(found.objective.x) == POINTS
    assert (found.objective.x[0], found.objective.x[-1], found.objective.unit) == (0, 899, "step")


def trials(count, direction="max"):
    sign = 1 if direction == "max" else -1
    for n in range(count):
        matters, does_not = (n * 37 % count) / count, (n * 53 % 61) / 61
        yield sign * -abs(matters - 0.4), {"matters": matters, "does not": does_not, "never varied": 1}


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_parameter_that_matters_is_found(direction):
    found = importance(list(trials(60, direction)), direction)
    assert found.trainings == 60
    assert [name for name, *_ in found.rows] == ["matters", "does not"]
    (_, share, chance), (_, other, _) = found.rows
    assert share > chance
    assert share > 5 * other
    assert share + other == pytest.approx(1)


def test_importance_of_few_trainings_or_of_one_parameter_is_not_told():
    assert importance(list(trials(LEAST - 1)), "max") is None
    assert importance([(value, {"matters": params["matters"]}) for value, params in trials(40)], "max") is None


def test_a_figure_may_hold_nothing_but_drawing():
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 1 1">'
    with pytest.raises(ValueError, match="script"):
        tidy(f"{head}<script>alert(1)</script></svg>", "x", "t", "d")
    made = tidy(
        f'{head}<style>* {{}}</style><defs><path id="p" d="M 0.12345 1" onload="x()" style="fill: #010104; cursor: none"/></defs>'
        '<g id="unused"><use xlink:href="#p" clip-path="url(#p)"/></g></svg>',
        "x",
        "a & b",
        "d",
    )  # fmt: skip
    assert 'id="x-p"' in made
    assert 'href="#x-p"' in made
    assert "url(#x-p)" in made
    assert 'fill="var(--accent)"' in made
    assert not any(word in made for word in ("unused", "cursor", "<style", "0.12345"))
    assert '<title id="x-t">a &amp; b</title>' in made


def test_an_element_escapes_what_is_not_html():
    assert el("p", "a < b", el("b", "&"), title='"x"', hidden=True, lang=None) == (
        '<p title="&quot;x&quot;" hidden>a &lt; b<b>&amp;</b></p>'
    )
