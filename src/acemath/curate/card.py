"""The card of an exported data set: its contents, sources, licences, and the result of decontamination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from acemath.curate.licences import non_commercial

# The hub's names of licences. Any other licence, or a mixture, is "other".
_HUB_NAMES = frozenset(
    [
        "apache-2.0",
        "mit",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "odc-by",
        "bsd-3-clause",
    ]
)
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The contents of a card. `blends` holds the `blend_facts` of each blend."""

    name: str
    blends: Mapping[str, Mapping[str, Any]]
    benchmarks: Mapping[str, int]  # name: problems
    hits: Mapping[str, int]  # kind of hit: exported prompts that have one
    dropped: Mapping[str, int]  # reason of decontamination: prompts that curation dropped
    rule: Mapping[str, Any]  # the settings of decontamination
    teachers: Mapping[str, str]
    funnel: Sequence[Mapping[str, Any]]


def card(facts: CardFacts) -> str:
    """The README.md of the exported folder: the hub's header, then tables."""
    licences: Counter[str] = Counter()
    for blend in facts.blends.values():
        licences.update(blend["licences"])
    total = sum(blend["conversations"] for blend in facts.blends.values())
    parts = [
        f"---\n{yaml.safe_dump(_header(facts, licences, total), sort_keys=False)}---\n",
        f"# {facts.name}\n",
        f"{total:,} conversations in {len(facts.blends)} blends, made with acemath after the recipe of AceMath "
        "(arXiv 2412.15084). Each row has `messages` (user turn, response), `problem_id`, `source`, `license` and `pool`.\n",
        _code(next(iter(facts.blends), "")),
        _counts(facts),
        _licences(licences),
        _decontamination(facts),
        _funnel(facts),
    ]
    return "\n".join(parts)


def _header(facts: CardFacts, licences: Counter[str], total: int) -> dict[str, Any]:
    names = [name.lower() for name in licences]
    one = names[0] if len(names) == 1 and names[0] in _HUB_NAMES else "other"
    header: dict[str, Any] = {"license": one}
    if one == "other":
        header["license_name"] = "mixed"
    return {
        **header,
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["math", "sft", "acemath"],
        "size_categories": [next((name for limit, name in _SIZES if total < limit), "n>10M")],
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": f"{name}/*.parquet"}],
                **({"default": True} if at == 0 else {}),
            }
            for at, name in enumerate(facts.blends)
        ],
    }


def _code(blend: str) -> str:
    return (
        "```python\nfrom datasets import load_dataset\n\n"
        f'rows = load_dataset("THIS_REPOSITORY", "{blend}", split="train")\n```\n'
    )


def _counts(facts: CardFacts) -> str:
    lines = ["## Blends\n", "| blend | conversations | by pool | by source |", "|---|---|---|---|"]
    for name, blend in facts.blends.items():
        lines.append(
            f"| {_cell(name)} | {blend['conversations']:,} | {_each(blend['pools'])} | {_each(blend['sources'])} |"
        )
    written = ", ".join(f"{_cell(model)} ({role})" for role, model in facts.teachers.items())
    return "\n".join([*lines, f"\nResponses: {written}.\n"])


def _licences(licences: Counter[str]) -> str:
    lines = ["## Licences of the prompts\n", "| licence | conversations |", "|---|---|"]
    lines += [f"| {_cell(name)} | {count:,} |" for name, count in sorted(licences.items())]
    if forbidding := non_commercial(licences):
        lines.append(
            f"\n**{', '.join(map(_cell, forbidding))} forbid commercial use**, also of models trained on these rows."
        )
    lines.append("\nThe terms of the models that wrote the responses also apply.\n")
    return "\n".join(lines)


def _decontamination(facts: CardFacts) -> str:
    leaks = facts.hits.get("leak", 0)
    total = sum(facts.benchmarks.values())
    lines = [
        "## Decontamination\n",
        f"Against {total:,} problems of {_each(facts.benchmarks)}.",
        f"Curation dropped {_each(facts.dropped) or 'no prompt'}. The prompts of this export were checked again: "
        f"**{leaks:,} leak** ({facts.rule['ngram']} words in a row and, for math, a longest common subsequence over "
        f"{facts.rule['lcs']:.0%}).",
    ]
    others = {kind: count for kind, count in facts.hits.items() if kind != "leak"}
    if others:
        lines.append(
            f"Other hits, which stay unless the recipe drops them: {_each(others)}."
        )
    return "\n".join([*lines, ""])


def _funnel(facts: CardFacts) -> str:
    lines = ["## From seeds to blends\n", "| step | rows in | rows out | dropped |", "|---|---|---|---|"]
    for step in facts.funnel:
        lines.append(
            f"| {_cell(step['name'])} | {step['rows_in']:,} | {step['rows_out']:,} | {_each(step['drops'])} |"
        )
    return "\n".join([*lines, ""])


def _each(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_cell(name)} {count:,}" for name, count in counts.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
