"""What a report shows, as plain data; the pipeline fills it from a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acemath.benchmarks.published import Comparison
from acemath.records import Response

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Item:
    """One problem of the browser. `outcome` says what was right: the pick of the reward model, of the majority, of both or of neither."""

    benchmark: str
    prompt: str
    answer: str
    outcome: str
    candidates: Sequence[Response]


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything on the page."""

    name: str
    subtitle: str
    notes: Sequence[str]  # about the benchmarks: their split, and what was chosen on it
    headline: str  # the policy that the headline shows
    k: int
    benchmarks: int
    tables: Mapping[str, Any]
    funnel: Sequence[Mapping[str, Any]]  # records of `curate.funnel.Step`
    teachers: Mapping[str, Mapping[str, float]]  # those that cross-check: answers, shares that agree
    blends: Mapping[str, Mapping[str, Any]]  # as `curate.blend.blend_facts` counts them
    sft_curves: Mapping[str, Points]
    reward_loss: Points
    pair_accuracy: Points
    held_out: str  # what pair accuracy was measured on, and its caveats
    right_rewards: Sequence[float]
    wrong_rewards: Sequence[float]
    items: Sequence[Item]
    stages: Sequence[Sequence[str]]
    facts: Mapping[str, str]
    recipe: str
    published: Sequence[Comparison] = ()  # the paper's numbers for the recipe's models, beside the run's
