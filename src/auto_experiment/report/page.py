"""Facts and figures -> one HTML page that stands alone: no file, font or script from elsewhere, and a policy that would
forbid one. Every text is escaped by ``markup``; nothing here reads the ledger."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any

from auto_experiment.clock import human
from auto_experiment.redact import Redact, nothing
from auto_experiment.report.drawing import Figures
from auto_experiment.report.facts import Best, Detail, Facts, Row, RunFacts, short
from auto_experiment.report.markup import Html, el, fit, join, lines, raw, words
from auto_experiment.views.status import spent
from auto_experiment.views.terminal import counted
from auto_experiment.views.terminal import short as brief

_TITLE, _TEXT, _COMMAND = 300, 2_000, 4_000  # characters
_PRINTED = 60  # experiments: the details of more would be hundreds of pages


def page(facts: Facts, figures: Figures, hide: Redact = nothing) -> str:
    """``hide``: takes secrets out of what is shown."""
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = [part for part in (section(facts, figures) for section in _SECTIONS) if part]
    nav = el("nav", *(el("a", title, href=f"#{name}") for name, title, _ in parts), aria_label="Sections")
    body = join(_head(facts), _answer(facts), nav, *(_section(*part) for part in parts))
    head = join(
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{words(facts.project, 100)}: report"),
        el("style", raw(style)),
    )
    text = join(el("head", head), el("body", raw(hide(el("main", body))), el("script", raw(script))))
    return f'<!doctype html>\n<html lang="en">{text}</html>\n'


def _file(name: str) -> str:
    return resources.files("auto_experiment.report").joinpath(name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


Part = tuple[str, str, Html]  # id, heading, what it holds


def _section(name: str, title: str, inner: Html) -> Html:
    return el("section", el("h2", title, id=name), inner)


# -- the answer -------------------------------------------------------------------------------------------------------


def _head(facts: Facts) -> Html:
    state = (
        "The campaign goes on." if facts.running else f"Last ended: {words(facts.ended, 200)}." if facts.ended else ""
    )
    written = f"Written {_when(facts.written_at)} by auto-experiment {facts.version}."
    return el(
        "header",
        el("h1", words(facts.project, 150)),
        el("p", words(facts.goal, 1_000), class_="goal"),
        el("p", f"{written} {state}", class_="meta"),
    )


def _answer(facts: Facts) -> Html:
    objective, best = facts.objective, facts.best
    if objective is None:
        return _box("Answer", "none yet", "No objective is known yet.", [_tried(facts)])
    if best is None:
        bar = f" that beats the brief's Current Best of {facts.bar:g}" if facts.bar is not None else ""
        said = f"No run gave a value that counts{bar}."
        return _box(f"Best {words(objective.metric, 60)}", "none", _verdict(facts), [said, _tried(facts)])
    run = el("a", best.run, href=f"#{best.experiment}")
    title = words(best.title, _TITLE)
    items = [
        join("From ", run, f": {title}" if title != best.run else "", "."),
        _sure(facts, best),
        _tried(facts),
        _compared(best),
    ]
    return _box(f"Best {words(objective.metric, 60)}", f"{best.value:g}", _verdict(facts), items)


def _box(heading: str, number: str, below: str | Html, items: Sequence[str | Html]) -> Html:
    left = el("div", el("h2", heading), el("div", number, class_="number"), el("div", below))
    return el(
        "section", left, el("ul", *(el("li", item) for item in items if item)), class_="answer", aria_label="Answer"
    )


def _verdict(facts: Facts) -> str | Html:
    objective = facts.objective
    if objective is None or objective.target is None:
        more = "higher" if objective and objective.direction == "max" else "lower"
        return el("span", f"no target; {more} is better", class_="meta")
    reached = objective.reached(facts.best.value if facts.best else None)
    word, kind = ("target reached", "yes") if reached else ("target not reached", "no")
    return join(el("span", word, class_=f"tag {kind}"), " ", el("span", f"target {objective.target:g}", class_="meta"))


def _sure(facts: Facts, best: Best) -> Html:
    tag = el("span", best.status, class_="tag " + ("yes" if best.status == "confirmed" else "open"))
    if len(best.same) > 1:
        low, high = min(best.same), max(best.same)
        said = f"This setting was trained {len(best.same)} times: {low:g} to {high:g}."
    elif best.status == "confirmed":
        said = "Fresh seeds have confirmed it."
    else:
        said = "One run with one seed: a lead, not a confirmed improvement."
    noise = facts.noise
    if noise is None:
        said += " No setting was trained twice, so how much a repeat would differ is not known."
    else:
        settings = "one setting was" if noise.settings == 1 else f"{noise.settings} settings were"
        said += (
            f" Repeats differ by about {noise.deviation:.3g} (standard deviation; {settings} trained more than once)."
        )
    return join(tag, f" {said}")


def _tried(facts: Facts) -> str:
    count = len(facts.rows)
    if not count:
        return "Nothing has been tried yet."
    told = [f"{facts.results[key]} {said}" for key, said in _RESULTS if facts.results.get(key)]
    text = f"{counted(count, 'experiment')}{_took(facts)}: {', '.join(told)}."
    names = list(dict.fromkeys(name for trial in facts.trials for name in trial.params))
    varied = [name for name in names if len({str(t.params.get(name)) for t in facts.trials}) > 1]
    if varied:
        more = f" and {len(varied) - 8} more" if len(varied) > 8 else ""
        text += f" Varied: {', '.join(words(name, 40) for name in varied[:8])}{more}."
    return text + (f" {counted(facts.coded, 'plan')} changed the code." if facts.coded else "")


_RESULTS = (
    ("improved", "improved on the best before"),
    ("not_improved", "did not"),
    ("inconclusive", "inconclusive"),
    ("failed", "failed"),
    ("", "not finished"),
)


def _took(facts: Facts) -> str:
    return f" in {human(facts.time.whole)}" if facts.time.whole > 0 else ""


def _compared(best: Best) -> str:
    parts = []
    if best.first and best.first[0] != best.experiment:
        parts.append(f"The first value was {best.first[1]:g} ({best.first[0]}): {best.value - best.first[1]:+.4g}.")
    if best.next_best:
        name, value = best.next_best
        parts.append(f"The next best setting has {value:g} ({name}).")
    return " ".join(parts)


# -- figures ----------------------------------------------------------------------------------------------------------


def _progress(facts: Facts, figures: Figures) -> Part | None:
    if not facts.rows:
        return None
    if figures.failed:
        return "progress", "Progress", _missing(f"The figures are missing: {figures.failed}. Everything else is here.")
    made = figures.made.get("objective")
    if made is None:
        return "progress", "Progress", el("p", "No experiment has a value that counts yet: there is nothing to draw.")
    shown = made if "failed" in made else None
    wide = _missing_figure("by experiment", shown) if shown else join(
        el("div", raw(made["svg"]["wide"]), class_="broad"), el("div", raw(made["svg"]["narrow"]), class_="narrow")
    )  # fmt: skip
    curves = [
        el("figure", _svg_of(figures, name), _caption(figures, name))
        for name in ("curves", "losses") if figures.made.get(name)
    ]  # fmt: skip
    below = join(el("h3", "The best runs as they trained"), el("div", *curves, class_="pair")) if curves else None
    none = (
        None
        if curves
        else el("p", "No best run stored two points of a metric: there are no learning curves.", class_="note")
    )
    return "progress", "Progress", join(el("figure", wide, _caption(figures, "objective")), below, none)


def _mattered(_facts: Facts, figures: Figures) -> Part | None:
    if figures.failed or not figures.made:
        return None
    parts: list[Html] = []
    made = figures.made.get("importance")
    if made and "too_few" in made:
        count, least = made["too_few"]
        finished = "training has" if count == 1 else "trainings have"
        parts.append(
            el("p", f"How much each parameter mattered is not shown: {count} {finished} a value that counts, and below "
               f"{least} such a ranking would be guessed.", class_="note")
        )  # fmt: skip
    elif made:
        parts.append(el("figure", _svg_of(figures, "importance"), _caption(figures, "importance"), class_="one"))
    scatter = figures.made.get("parameters")
    if scatter and "failed" in scatter:
        parts.append(_missing_figure("parameters", scatter))
    elif scatter:
        charts = (el("div", raw(svg)) for svg in scatter["svg"].values())
        parts.append(el("figure", el("div", *charts, class_="trio"), _caption(figures, "parameters")))
    drawn = scatter or (made and "too_few" not in made)
    return ("mattered", "What mattered", join(*parts)) if drawn else None


def _svg_of(figures: Figures, name: str) -> Html:
    made = figures.made[name]
    return _missing_figure(name, made) if "failed" in made else raw("".join(made["svg"].values()))


def _caption(figures: Figures, name: str) -> Html | None:
    text = figures.made[name].get("caption")
    return el("figcaption", text) if text else None


def _missing_figure(name: str, made: Mapping[str, Any]) -> Html:
    return _missing(f"This figure ({name}) could not be drawn: {made['failed']}")


def _missing(text: str) -> Html:
    return el("p", text, class_="missing")


# -- the table --------------------------------------------------------------------------------------------------------


def _experiments(facts: Facts, _figures: Figures) -> Part | None:
    if not facts.rows:
        return "experiments", "Experiments", el("p", "None yet.")
    asked = bool(facts.llm["calls"])
    metric = words(facts.objective.metric, 40) if facts.objective else "value"
    heads = [
        el("th", "", scope="col", aria_label="experiment"), el("th", "title", scope="col"),
        el("th", "what changed", scope="col", class_="far"), el("th", metric, scope="col", class_="n"),
        el("th", "difference", scope="col", class_="n", title="to the best before it"), el("th", "result", scope="col"),
        el("th", "decision", scope="col", class_="far"), el("th", "time", scope="col", class_="n far"),
    ]  # fmt: skip
    heads += [el("th", "USD", scope="col", class_="n far")] if asked else []
    detailed = {detail.row.number for detail in facts.details}
    best = facts.best.experiment if facts.best else ""
    rows = (
        _row(facts, row, linked=row.number in detailed, best=row.name == best, asked=asked)
        for row in facts.rows if row.number in facts.shown
    )  # fmt: skip
    table = el("table", el("thead", el("tr", *heads)), el("tbody", *rows), class_="sortable list")
    note = (
        "What changed: against the experiment that it started from, else against the best before it. Difference: to "
        "the best value before. A value in parentheses was reported by a run that failed or was cut short: "
        "it does not count."
    )
    return "experiments", "Experiments", join(el("div", table, class_="scroll"), el("p", note, class_="note"))


def _row(facts: Facts, row: Row, *, linked: bool, best: bool, asked: bool) -> Html:
    name = el("a", row.name, href=f"#{row.name}") if linked else row.name
    value = "" if row.value is None else f"{row.value:g}" if row.counts else f"({row.value:g})"
    delta = "" if row.delta is None else f"{row.delta:+.3g}" if row.delta else "0"
    good = row.delta is not None and facts.objective is not None and facts.objective.better(row.delta, 0.0)
    cells = [
        el("th", name, scope="row", data_v=row.number),
        el("td", words(row.title, 160), class_="words"),
        el("td", words(row.changed, 220) if row.changed != row.title else "", class_="words far dim"),
        el("td", value, class_="n", data_v=_key(row.value)),
        el("td", delta, class_="n yes" if good else "n dim", data_v=_key(row.delta)),
        el("td", _result(row)),
        el("td", words(row.decision.removeprefix(f"{row.name} ({row.title}): "), 200), class_="words far dim"),
        el("td", "" if row.duration_s is None else human(row.duration_s), class_="n far", data_v=_key(row.duration_s)),
    ]
    cells += [el("td", _usd(row.usd), class_="n far", data_v=_key(row.usd))] if asked else []
    return el("tr", *cells, class_="best" if best else None)


def _result(row: Row) -> Html:
    said = row.result.replace("_", " ") or "not finished"
    kind = {"improved": "yes", "failed": "no"}.get(row.result)
    ended = el("div", words(row.ended, 140), class_="dim why") if row.failed or not row.result else None
    return join(el("span", said, class_=f"set {kind or ''}".strip()), ended)


def _key(value: float | None) -> str:
    return "NaN" if value is None else repr(value)


# -- details ----------------------------------------------------------------------------------------------------------


def _details(facts: Facts, _figures: Figures) -> Part | None:
    if not facts.details:
        return None
    ordered = sorted(facts.details, key=lambda detail: detail.row.number)
    many = len(ordered) > _PRINTED
    left = (
        el("p", f"The details of {len(ordered):,} experiments are left out on paper.", class_="on-paper note")
        if many
        else None
    )
    inner = el("div", *(_detail(detail) for detail in ordered), class_="off-paper" if many else None)
    return "details", "Details of the experiments", join(left, inner)


def _detail(detail: Detail) -> Html:
    row = detail.row
    value = "" if row.value is None else f"{row.value:g}" if row.counts else f"({row.value:g})"
    said = " · ".join(filter(None, [value, row.result.replace("_", " ") or "not finished"]))
    summary = el(
        "summary", el("strong", row.name), f" {words(row.title, _TITLE)} ", el("span", said, class_="dim")
    )  # fmt: skip
    told = _pairs(
        ("hypothesis", words(detail.hypothesis, _TEXT)),
        ("success when", words(detail.success_criteria, _TEXT)),
        ("planned because", words(detail.reason, _TEXT)),
        ("started from", _base(detail)),
        ("parameters", _params(detail.params)),
        ("task", words(detail.task, _TEXT)),
        ("code", words(detail.change, _TITLE)),
        ("hypothesis is", detail.finding),
        ("lesson", words(" ".join(detail.notes), _TEXT)),
        ("decision", words(row.decision, _TEXT)),
        ("next", detail.next),
        ("cost", spent(dict(detail.llm)) if detail.llm.get("calls") else ""),
    )
    diff = (
        el("details", el("summary", "The change of the code"), el("div", _diff(detail.diff), class_="inside"))
        if detail.diff else None
    )  # fmt: skip
    inner = join(told, diff, *(_run(run) for run in detail.runs))
    return el("details", summary, el("div", inner, class_="inside", id=row.name))


def _base(detail: Detail) -> str | Html:
    return el("a", detail.base, href=f"#{detail.base}") if detail.base else ""


def _params(params: Mapping[str, Any]) -> str:
    return words(", ".join(f"{name} {short(value)}" for name, value in params.items()), _TEXT)


def _run(run: RunFacts) -> Html:
    how = "" if run.exit_code is None else f", exit status {run.exit_code}"
    how += "" if run.signal is None else f", signal {run.signal}"
    fault = f"{run.fault}: {run.exception}" if run.exception else run.fault
    told = _pairs(
        ("ended", words(f"{run.ended}{how}", _TEXT)),
        ("fault", "" if run.fault == "none" else words(fault, _TEXT)),
        ("value", "" if run.value is None else f"{run.value:g}"),
        ("began", _when(run.started_at) if run.started_at else ""),
        ("took", "" if run.duration_s is None else human(run.duration_s)),
        ("notes", words("; ".join(run.notes), _TEXT)),
        ("metrics", _metrics(run)),
    )
    return join(
        el("h3", f"{run.kind} {run.name}"),
        el("pre", lines(run.command, _COMMAND), class_="wrap"),
        told,
        el("p", "Last lines of its log:", class_="note") if run.tail else None,
        el("pre", "\n".join(lines(line, 300) for line in run.tail)) if run.tail else None,
    )


def _metrics(run: RunFacts) -> str:
    told = (f"{words(name, 60)} {brief(final)}" for name, final, _, _ in run.metrics)
    return words(", ".join(told), _TEXT)


def _diff(text: str) -> Html:
    return el("pre", *(_diff_line(line) for line in fit(text).split("\n")))


def _diff_line(line: str) -> Html:
    kind = "h" if line.startswith(("@@", "diff ", "index ", "+++", "---")) else {"+": "a", "-": "d"}.get(line[:1])
    return join(el("span", line[:1_000], class_=kind) if kind else line[:1_000], "\n")


# -- time and money ---------------------------------------------------------------------------------------------------


def _time(facts: Facts, _figures: Figures) -> Part | None:
    spent_on, whole = facts.time, facts.time.whole
    if whole <= 0:
        return None
    rows = [_time_row(name, took, whole, idle=False) for name, took in spent_on.phases if took > 0]
    rows += [_time_row(f"idle: {cause}", took, whole, idle=True) for cause, took in spent_on.idle if took > 0]
    head = el("tr", *(el("th", word, scope="col", class_=kind) for word, kind in _TIME_HEADS))
    rest = [f"Idle {human(spent_on.idle_s)} of {human(whole)}."]
    if spent_on.pauses:
        rest.append(
            f"The median pause between two trainings was {human(sorted(spent_on.pauses)[len(spent_on.pauses) // 2])}."
        )
    rest.append(f"{facts.gpu_s / 3600:.2f} GPU hours." if facts.gpu_s else "No GPU was reserved for a run.")
    table = el("table", el("thead", head), el("tbody", *rows), class_="short")
    return (
        "time",
        "Time and money",
        join(el("div", table, class_="scroll"), el("p", " ".join(rest), class_="note"), _money(facts)),
    )


_TIME_HEADS = (("what for", None), ("time", "n"), ("share", "n"), ("", "bar"))


def _time_row(name: str, took: float, whole: float, *, idle: bool) -> Html:
    share = took / whole
    bar = el(
        "svg", el("rect", width=100, height=8, rx=2, class_="back"),
        el("rect", width=f"{100 * share:.1f}", height=8, rx=2, class_="idle" if idle else None),
        viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true",
    )  # fmt: skip
    cells = (
        el("td", name), el("td", human(took), class_="n"), el("td", f"{share:.1%}", class_="n"),
        el("td", bar, class_="bar"),
    )  # fmt: skip
    return el("tr", *cells)


def _money(facts: Facts) -> Html:
    if not facts.llm["calls"]:
        return el("p", "No language model was asked: nothing was spent on one.")
    told = spent(dict(facts.llm), facts.llm_unsettled)
    names = (
        ("what for", None),
        ("calls", "n"),
        ("tokens in", "n"),
        ("from the cache", "n"),
        ("tokens out", "n"),
        ("USD", "n"),
    )
    rows = (
        el("tr", el("td", str(row["purpose"])),
           *(el("td", f"{row[name]:,}", class_="n") for name in ("calls", "sent", "cached", "output")),
           el("td", _usd(row["usd"]), class_="n"))
        for row in facts.llm_by_purpose
    )  # fmt: skip
    head = el("thead", el("tr", *(el("th", word, scope="col", class_=kind) for word, kind in names)))
    return join(
        el("h3", "The language model"),
        el("p", f"{told[0].upper()}{told[1:]}."),
        el("div", el("table", head, el("tbody", *rows), class_="short"), class_="scroll"),
        el("p", f"Calls while a training ran: {facts.calls_while_training}.", class_="note"),
    )


def _usd(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:.4f}"


# -- failures, provenance, what is not shown --------------------------------------------------------------------------


def _failures(facts: Facts, _figures: Figures) -> Part | None:
    if not facts.failures:
        return ("failures", "Failures", el("p", "None.")) if facts.rows else None
    detailed = {detail.row.name for detail in facts.details}
    names = (("attempt", None), ("state", None), ("exit", "n"), ("signal", "n"), ("fault", None), ("cause", None))
    rows = (
        el("tr",
           el("td", el("a", f.attempt, href=f"#{f.experiment}") if f.experiment in detailed else f.attempt),
           el("td", f.state), el("td", "" if f.exit_code is None else str(f.exit_code), class_="n"),
           el("td", "" if f.signal is None else str(f.signal), class_="n"),
           el("td", "" if f.fault == "none" else f.fault.replace("_", " ")),
           el("td", words(f.why, 300), class_="words"))
        for f in facts.failures
    )  # fmt: skip
    head = el("thead", el("tr", *(el("th", word, scope="col", class_=kind) for word, kind in names)))
    counts: dict[str, int] = {}
    for failure in facts.failures:
        cause = failure.fault.replace("_", " ") if failure.fault != "none" else failure.state
        counts[cause] = counts.get(cause, 0) + 1
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(counts.items(), key=lambda item: -item[1]))
    said = f"{counted(facts.failure_count, 'attempt')} went wrong ({causes})."
    return (
        "failures",
        "Failures",
        join(el("p", said), el("div", el("table", head, el("tbody", *rows)), class_="scroll")),
    )


def _provenance(facts: Facts, _figures: Figures) -> Part | None:
    objective, best = facts.objective, facts.best
    read = ", ".join(f"{words(name, 60)} ({counted(count, 'training')})" for name, count in facts.read_as.items())
    how = f"the {objective.select} value of a run, read from what the training printed or wrote" if objective else ""
    told = _pairs(
        ("objective", words(f"{objective}", 200) if objective else ""),
        ("value", how),
        ("read as", read),
        ("scale", words(facts.said, _TEXT)),
        ("code of the best run", f"tree {best.tree}" if best and best.tree else "not recorded" if best else ""),
        ("program", words(", ".join(facts.programs), _TEXT)),
        ("machine", words(", ".join(facts.machines), _TITLE)),
        ("GPUs of a run", f"{facts.gpus}" if facts.gpus else ""),
        ("auto-experiment", ", ".join(facts.versions)),
        ("began", _when(facts.started_at) if facts.started_at else ""),
    )
    if best is None:
        return "provenance", "Where the numbers come from", told
    repeat = join(
        el("h3", "To repeat the best run"), el("pre", "\n".join(lines(x, _COMMAND) for x in best.repeat), class_="wrap")
    )
    return "provenance", "Where the numbers come from", join(told, repeat)


def _unshown(facts: Facts, figures: Figures) -> Part | None:
    found = [*(f"{line}." for line in facts.gone), *facts.caveats]
    if figures.failed:
        found.insert(0, f"No figures: {figures.failed}.")
    if not found:
        return "limits", "What to know", el("p", "Nothing was left out, switched off or unreadable.")
    return (
        "limits",
        "What to know, and what is not shown",
        el("ul", *(el("li", words(x, 900)) for x in found), class_="plain"),
    )


_SECTIONS: Sequence[Callable[[Facts, Figures], Part | None]] = (
    _progress, _mattered, _experiments, _failures, _time, _provenance, _unshown, _details,
)  # fmt: skip


# -- words ------------------------------------------------------------------------------------------------------------


def _pairs(*pairs: tuple[str, str | Html]) -> Html:
    shown = [(name, value) for name, value in pairs if value]
    return (
        el("dl", *(child for name, value in shown for child in (el("dt", name), el("dd", value)))) if shown else raw("")
    )


def _when(text: str) -> str:
    """ "2026-11-23 07:05 UTC"."""
    return f"{text[:10]} {text[11:16]} UTC"
