"""A run's report: one HTML file with its numbers, charts and examples, which needs no network."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Any

from acemath.benchmarks.tables import HEADLINE, STANDARD, measure
from acemath.report.choices import choices_section
from acemath.report.data import Points, ReportData
from acemath.report.data_section import data_section
from acemath.report.formulas import drawn
from acemath.report.parts import figure, table
from acemath.report.svg import bars, histogram, lines

BEFORE = "reward model before training"
# A selector has one colour on the whole page; so does "greedy", which is not a selector.
COLOURS = {
    name: number for number, name in enumerate((*(s for s in STANDARD if s != BEFORE), "greedy", BEFORE))
}


def _measures(data: ReportData) -> dict[str, int]:
    """The headline's measures and the colours of their selectors."""
    named = {measure(selector, data.k): COLOURS[selector] for selector in HEADLINE}
    return {name: colour for name, colour in named.items() if name in data.tables["headline"]}


def _headline(data: ReportData) -> str:
    head = data.tables["headline"]
    greedy = data.tables["policies"][data.headline]["greedy"]
    measures = _measures(data)
    rows = [("greedy", greedy)] + [(label, head[label]) for label in measures]
    picture = bars(
        "Accuracy in percent",
        [(n, v["value"], v["low"], v["high"]) for n, v in rows],
        "",
        COLOURS | measures,
    )
    mean = f", unweighted mean of {data.benchmarks} benchmarks" if data.benchmarks > 1 else ""
    caption = (
        f"Policy {data.headline!r} on {greedy['problems']:,} held-out problems{mean}, with 95 % "
        "intervals over problems; differences are paired. pass@1 is the mean of its samples: a random pick."
    )
    mine, before = measure("reward model", data.k), measure(BEFORE, data.k)
    notes = list(data.notes)
    if before in head:
        gain = data.tables["differences"][before]
        verdict = "" if gain["low"] > 0 else " The gain is not significant."
        notes.append(
            f"{before} ranks with the reward model before its first step, which knows right from wrong only by pre-training. "
            f"The difference between {mine} and {before} is what training the reward model added.{verdict}"
        )
    differences = [
        [other, f"{d['value']:+.1f}", f"{d['low']:+.1f} to {d['high']:+.1f}"]
        for other, d in data.tables["differences"].items()
    ]
    words = "".join(f"<p>{escape(text)}</p>" for text in notes)
    compared = table([f"{mine} minus", "points", "95 % interval"], differences)
    return f'<h2 id="headline">Headline</h2>{figure(picture, caption)}{words}{compared}'


def _curves(data: ReportData) -> str:
    parts = []
    for name, policy in data.tables["policies"].items():
        series = {
            measure(s, "k"): [(k, e["value"]) for k, e in zip(policy["ks"], policy["curves"][s], strict=True)]
            for s in STANDARD
            if s in policy["curves"]
        }
        colours = {measure(s, "k"): COLOURS[s] for s in STANDARD}
        parts.append(
            figure(
                lines(
                    f"{name}: accuracy over k", series, "k responses to pick from", even=True, colours=colours
                ),
                f"{name}: n = {policy['n']} responses a problem, exact over all subsets.",
            )
        )
    return f'<h2 id="curves">From one response to many</h2><div class="grid-2">{"".join(parts)}</div>'


def _bench(data: ReportData) -> str:
    bench = data.tables["rewardbench"]
    names = list(dict.fromkeys(r["benchmark"] for r in bench["rows"]))
    by_selector: dict[str, dict[str, Any]] = {}
    for row in bench["rows"]:
        by_selector.setdefault(row["selector"], {})[row["benchmark"]] = row
    rows = [
        [measure(s, bench["k"]), *(f"{cells[b]['value']:.1f}" for b in names)]
        for s, cells in by_selector.items()
    ]
    free = [i for i, s in enumerate(by_selector) if s != "oracle"]
    best = {c: max(free, key=lambda i: float(rows[i][c])) for c in range(1, len(names) + 1)}
    count = by_selector["random"]["average"]["problems"]
    words = f"One of {bench['k']} responses drawn from {', '.join(bench['policies'])} together, {count:,} problems; percent right, as Table 6 of the paper. The best short of the oracle (pass@{bench['k']}) is bold."
    return f'<h2 id="rewardbench">RewardBench</h2><p>{escape(words)}</p>{table(["measure", *names], rows, best)}{_published(data)}'


def _published(data: ReportData) -> str:
    """The paper's numbers beside the run's; nothing if the paper has none for the recipe's models."""
    if not data.published:
        return ""
    rows = [
        [
            f"{c.paper.measure} of {c.paper.name}", c.paper.benchmark, f"{c.value:.1f} ({c.low:.1f} to {c.high:.1f})",
            f"{c.paper.value:.1f}", f"{c.problems:,} / {c.paper.problems or c.problems:,}",
            "outside the interval" if c.outside else "inside",
        ]
        for c in data.published
    ]  # fmt: skip
    settings = dict.fromkeys(f"{c.paper.table}: {c.paper.setting}." for c in data.published)
    words = f"The run's numbers with 95 % intervals, and those that the paper prints. {' '.join(settings)}"
    head = ["measure", "benchmark", "this run", "the paper", "problems here / there", "the paper's number is"]
    return f"<h3>Beside the paper</h3><p>{escape(words)}</p>{table(head, rows)}"


def _gain(points: Points) -> str:
    """Pair accuracy before training and at its best, in words; empty if it was not measured before training."""
    if not points or points[0][0] != 0:
        return ""
    step, best = max(points, key=lambda point: point[1])
    return f": {100 * points[0][1]:.1f} % before training, {100 * best:.1f} % at best, at step {step:.0f}"


def _training(data: ReportData) -> str:
    sft = figure(lines("Training loss of the stages", data.sft_curves, "step"), "Loss on response tokens.")
    reward = figure(
        lines("Reward model: loss", {"loss": data.reward_loss}, "step"), "Listwise Bradley-Terry loss."
    )
    pairs = figure(
        lines("Held-out pair accuracy", {"pair accuracy": data.pair_accuracy}, "step"),
        f"Share of held-out right-wrong pairs in the right order{_gain(data.pair_accuracy)}; {escape(data.held_out)}.",
    )
    return f'<h2 id="training">Training</h2><div class="grid-2">{sft}{reward}{pairs}</div>'


def _scores(data: ReportData) -> str:
    hist = figure(
        histogram(
            "Rewards of right and wrong responses",
            {"right": data.right_rewards, "wrong": data.wrong_rewards},
            "reward",
        ),
        "Share of responses in each bin, in percent.",
    )
    levels = data.tables["levels"]
    measures = _measures(data)
    series = {n: [(row["level"], row[n]) for row in levels] for n in measures}
    by_level = figure(
        lines("Accuracy by level", series, "level of difficulty", even=True, colours=measures),
        "Headline policy, percent right of the problems of a level, all benchmarks together.",
    )
    return f'<h2 id="scores">Scores and levels</h2><div class="grid-2">{hist}{by_level}</div>'


def _browser(data: ReportData) -> str:
    entries = []
    for item in data.items:
        candidates = "".join(
            f'<div class="candidate {"correct" if c.correct else "wrong"}"><span class="tag">{escape(str(c.status))}'
            f" · reward {c.reward if c.reward is None else f'{c.reward:+.2f}'} · answer {escape(str(c.extracted))} · {escape(str(c.reason))}</span>"
            f"<pre>{drawn(c.text)}</pre></div>"
            for c in item.candidates
        )
        entries.append(
            f'<details data-benchmark="{escape(item.benchmark)}" data-outcome="{item.outcome}"><summary>{escape(item.prompt)} '
            f'<span class="tag">{escape(item.benchmark)} · {escape(item.outcome)}</span></summary>'
            f"<div><p>Reference: {drawn(item.answer)}</p>{candidates}</div></details>"
        )
    benchmarks = "".join(
        f"<option>{escape(b)}</option>" for b in dict.fromkeys(i.benchmark for i in data.items)
    )
    outcomes = "".join(f"<option>{escape(o)}</option>" for o in dict.fromkeys(i.outcome for i in data.items))
    # The report is one file: the viewer shows the others.
    every = data.tables["policies"][data.headline]["greedy"]["problems"]
    words = (
        f"{len(data.items):,} of {every:,} problems, as many of each outcome as there is room for, each candidate once, best "
        "reward first. acemath view shows all problems and responses."
    )
    filters = (
        f'<div class="filters"><label>benchmark <select id="by-benchmark"><option value="">all</option>{benchmarks}</select></label>'
        f'<label>outcome <select id="by-outcome"><option value="">all</option>{outcomes}</select></label></div>'
    )
    return f'<h2 id="problems-title">Problems and their candidates</h2><p>{words}</p>{filters}<div id="problems">{"".join(entries)}</div>'


def _facts(data: ReportData) -> str:
    times = table(["stage", "what came of it", "seconds"], data.stages)
    facts = table(["", ""], [[k, v] for k, v in data.facts.items()])
    return f'<h2 id="facts">How it was made</h2>{facts}<h3>Stages</h3>{times}<details><summary>The recipe</summary><div><pre>{escape(data.recipe)}</pre></div></details>'


def render(data: ReportData) -> str:
    """The whole page as one string."""
    home = resources.files("acemath.report")
    style, script = ((home / name).read_text() for name in ("style.css", "script.js"))
    parts = {
        "headline": "Headline",
        "choices": "Choices",
        "curves": "Curves",
        "rewardbench": "RewardBench",
        "data": "Data",
        "training": "Training",
        "scores": "Scores",
        "problems-title": "Problems",
        "facts": "Facts",
    }
    body = "".join(
        f(data)
        for f in (
            _headline,
            choices_section,
            _curves,
            _bench,
            data_section,
            _training,
            _scores,
            _browser,
            _facts,
        )
    )
    nav = "".join(f'<a href="#{key}">{name}</a>' for key, name in parts.items() if f'id="{key}"' in body)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>acemath: {escape(data.name)}</title><style>{style}</style></head><body><main>'
        f'<h1>acemath: {escape(data.name)}</h1><p class="soft">{escape(data.subtitle)}</p><nav aria-label="Sections">{nav}</nav>{body}</main><script>{script}</script></body></html>'
    )
