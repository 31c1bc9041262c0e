"""A judge beyond its picks, over the records of a benchmark: AUC, calibration, thresholds, and what to be told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np

from acemath.benchmarks.tables import Record, benchmarks_of, voteless
from acemath.errors import UserError
from acemath.metrics.intervals import Estimate, estimate
from acemath.metrics.judging import Calibration, Threshold, at_threshold, auc, calibration
from acemath.records import LENGTH, STOP

PARTS = 10  # thresholds are the deciles of the rewards, and 0, where sigmoid is a half


@dataclass(frozen=True, slots=True)
class Quality:
    """A judge's scores on one benchmark. Shares are fractions of 1; what cannot be computed is nan."""

    benchmark: str
    problems: int
    responses: int
    right: float  # the share of right responses
    auc: float  # over all responses together
    auc_within: Estimate  # the mean over problems that have a right and a wrong response; the others are `undefined`
    calibration: Calibration
    thresholds: tuple[Threshold, ...]
    truncated: float  # the share of responses that were cut at a token limit; nan where this is not known
    unscored: int  # responses that the judge gave no score


def judge_quality(records: Sequence[Record], thresholds: Sequence[float] | None = None) -> list[Quality]:
    """The quality of the rewards in these records on each benchmark. UserError if a problem has none.

    `thresholds` are rewards; by default the deciles of each benchmark's rewards, and 0.
    """
    unscored = next((r for r in records if r.correct and not r.rewards), None)
    if unscored is not None:
        raise UserError(
            f"the responses to problem {unscored.problem_id!r} of {unscored.benchmark} have no rewards; score them (acemath score)"
        )
    return [
        _quality(name, [r for r in records if r.benchmark == name], thresholds)
        for name in benchmarks_of(records)
    ]


def _quality(name: str, records: Sequence[Record], thresholds: Sequence[float] | None) -> Quality:
    rewards = np.array([reward for r in records for reward in r.rewards])
    right = np.array([ok for r in records for ok in r.correct], float)
    scored = rewards[np.isfinite(rewards)]
    if thresholds is None:
        deciles = np.quantile(scored, np.linspace(0, 1, PARTS + 1)[1:-1]) if len(scored) else []
        thresholds = sorted({0.0, *map(float, deciles)})
    return Quality(
        name,
        len(records),
        len(right),
        float(right.mean()) if len(right) else nan,
        auc(rewards, right),
        estimate([auc(r.rewards, r.correct) for r in records]),
        calibration(rewards, right),
        tuple(at_threshold(rewards, right, threshold) for threshold in thresholds),
        truncated_share(records),
        int(np.isnan(rewards).sum()),
    )


def truncated_share(records: Sequence[Record]) -> float:
    """The share of responses that were cut at a token limit, of those whose finish reason is known; nan if none is."""
    known = [reason for r in records for reason in r.finish_reasons if reason]
    return sum(reason == LENGTH for reason in known) / len(known) if known else nan


def notices(records: Sequence[Record]) -> list[str]:
    """A line for each thing that spoils the numbers: constant or missing rewards, missing answers, cut responses, one problem."""
    found, cut = judge_notices(records), truncated_share(records)
    if silent := sum(ok and label < 0 for r in records for label, ok in zip(r.classes, r.correct, strict=True)):
        none = voteless(records)
        found.append(
            f"{silent:,} responses are right but have no answer (extracted or pred), so they win no vote"
            + (f"; no majority is measured, because {none[0]} has no right response with one" if none else "")
        )
    if cut > 0:
        found.append(f"{100 * cut:.1f} % of the responses were cut at a token limit; they count as wrong")
    others = Counter(reason for r in records for reason in r.finish_reasons if reason not in ("", STOP, LENGTH))
    for reason, count in sorted(others.items()):
        found.append(f"{count:,} responses have the finish reason {reason!r}, which is not complete; they count as wrong")
    sizes = Counter(r.benchmark for r in records)
    return found + [f"{name} has one problem, so its intervals have no width" for name, count in sizes.items() if count == 1]


def calibration_notices(records: Sequence[Record]) -> list[str]:
    """A line if the rewards look like probabilities: the calibration takes sigmoid(reward) for one."""
    rewards = [reward for r in records for reward in r.rewards if not isnan(reward)]
    if not rewards or min(rewards) < 0 or max(rewards) > 1:
        return []
    return [f"all rewards are between {min(rewards):g} and {max(rewards):g}, as probabilities are: the calibration of sigmoid(reward) says nothing then"]


def judge_notices(records: Sequence[Record]) -> list[str]:
    """The lines of `notices` about the rewards."""
    found = []
    rewards = [reward for r in records for reward in r.rewards]
    missing = sum(map(isnan, rewards))
    differing = [r for r in records if len(set(zip(r.lengths, r.classes, strict=True))) > 1]  # equal texts have equal rewards
    scored = [(r.problem_id, [reward for reward in r.rewards if not isnan(reward)]) for r in differing]
    several = [(name, mine) for name, mine in scored if len(mine) > 1]
    if several and all(len(set(mine)) == 1 for _, mine in several):
        name, mine = several[0]
        found.append(
            f"the judge is constant: it gives all different responses to a problem one reward (problem {name!r}: {mine[0]:g}), so its "
            "picks are random"
        )
    if missing:
        found.append(
            f"{missing:,} of {len(rewards):,} responses have no score from the judge; they rank below all others"
        )
    return found
