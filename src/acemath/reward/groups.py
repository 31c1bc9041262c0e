"""Groups of six: score-sorted sampling of right and wrong responses (paper, section 4.1)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acemath.records import Group, Problem, Response
from acemath.reward.settings import GroupSettings


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """What became of the problems, and how long right and wrong responses are (words, mean).

    Length confounds: a reward model learns it where right responses are longer or shorter than wrong ones.
    `offered_*` are over all distinct candidates of mixed problems, the others over what was chosen.
    """

    problems: int
    groups: int
    all_right: int
    all_wrong: int
    few: int  # mixed, but with fewer distinct responses than a group holds
    words_right: float
    words_wrong: float
    offered_right: float
    offered_wrong: float


def choose(
    problem: Problem,
    responses: Sequence[Response],
    ranks: Mapping[str, float] | None,
    settings: GroupSettings,
    seed: int,
) -> Group | None:
    """One problem's group, or None where its responses are all right, all wrong, or too few.

    Equal texts count once. `ranks` scores each text with another reward model: right ones are drawn among its
    `pool` best, wrong ones among its `pool` worst, which leaves out likely mistakes of the grader. As balanced
    as the pools allow.
    """
    rng = random.Random(f"{seed}:{problem.id}")
    distinct = {r.text: r for r in sorted(responses, key=lambda r: (r.model, r.sample), reverse=True)}
    right = sorted((r for r in distinct.values() if r.correct), key=lambda r: r.text)
    wrong = sorted((r for r in distinct.values() if not r.correct), key=lambda r: r.text)
    if not right or not wrong or len(distinct) < settings.size:
        return None
    if settings.by == "rank" and ranks is not None:
        right.sort(key=lambda r: -ranks[r.text])
        wrong.sort(key=lambda r: ranks[r.text])
        right, wrong = right[: settings.pool], wrong[: settings.pool]
    if rng.random() < settings.style_share:
        right, wrong = _short_forms(right, wrong, settings.size)
    half = settings.size // 2
    take_right = min(len(right), max(half, settings.size - len(wrong)))
    take_wrong = min(len(wrong), settings.size - take_right)
    if take_right + take_wrong < settings.size:
        return None  # the pools are smaller than a group
    chosen = rng.sample(right, take_right) + rng.sample(wrong, take_wrong)
    rng.shuffle(chosen)
    return Group(
        problem.id,
        problem.prompt,
        tuple(r.text for r in chosen),
        tuple(int(r.correct) for r in chosen),
        tuple(r.model for r in chosen),
    )


def _short_forms(
    right: list[Response], wrong: list[Response], size: int
) -> tuple[list[Response], list[Response]]:
    """The shorter half of both, where that still fills a group: a reward model must not judge by length."""
    counts = sorted(len(r.text.split()) for r in (*right, *wrong))
    limit = counts[(len(counts) - 1) // 2]
    short = [[r for r in side if len(r.text.split()) <= limit] for side in (right, wrong)]
    enough = all(short) and len(short[0]) + len(short[1]) >= size
    return (short[0], short[1]) if enough else (right, wrong)


def make_groups(
    problems: Sequence[Problem],
    responses: Mapping[str, Sequence[Response]],
    ranks: Mapping[str, Mapping[str, float]],
    settings: GroupSettings,
    seed: int,
) -> tuple[list[Group], GroupCounts]:
    """Groups for all problems that allow one, with counts of those that do not."""
    groups: list[Group] = []
    all_right = all_wrong = few = 0
    words: dict[int, list[int]] = {0: [], 1: []}  # by label
    offered: dict[int, list[int]] = {0: [], 1: []}
    for problem in problems:
        mine = responses.get(problem.id, ())
        if len({r.correct for r in mine}) == 2:
            for text, right in {r.text: r.correct for r in mine}.items():
                offered[int(right)].append(len(text.split()))
        group = choose(problem, mine, ranks.get(problem.id), settings, seed)
        if group is not None:
            groups.append(group)
            for text, label in zip(group.responses, group.labels, strict=True):
                words[label].append(len(text.split()))
        elif all(r.correct for r in mine):
            all_right += 1
        elif not any(r.correct for r in mine):
            all_wrong += 1
        else:
            few += 1
    means = [sum(of[label]) / max(1, len(of[label])) for of in (words, offered) for label in (1, 0)]
    return groups, GroupCounts(len(problems), len(groups), all_right, all_wrong, few, *means)
