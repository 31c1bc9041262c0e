"""Reworded benchmark problems.

A prompt and a problem are compared by their features (`features.py`): numbers, formulas and stems, each weighted by how
rare it is among the benchmark problems (inverse document frequency). The score (`alike`) is the Dice coefficient of their
numbers plus that of their stems, with a bonus for the weight of common numbers and a penalty if little is shared at all.
If both have an answer, an equal one lowers the limit and another one raises it. All constants are our choice, fitted to
problems that were reworded by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, filterfalse
from typing import NamedTuple

from acemath.curate.decontaminate.features import Reading, is_run
from acemath.grade import equal

# Candidates: problems that share at least MEETINGS features that at most RARE problems have.
RARE, MEETINGS = 76, 2
# The score of a candidate.
MIN_AGREEMENT = 0.55  # a candidate whose numbers have a smaller Dice coefficient is no rewording
NUMBERLESS = 0.75  # that coefficient if neither text has a number
NUMBERS = 1.2  # its factor in the score; the coefficient of the stems has 1
BONUS, BONUS_LIMIT = 0.02, 20.0  # per unit of weight of the common numbers, up to a weight
PENALTY, PENALTY_LIMIT = 0.5, 30.0  # if no weight is shared; falls to 0 at this shared weight, three or four rare words
# The limit of the score, for PROBLEMS benchmark problems; LIMIT_GROWTH is added for each factor of e in their number,
# because one of many problems is more likely to be similar by chance.
LIMIT, LIMIT_GROWTH = 1.355, 0.085
# Added to the limit if both texts have an answer. Almost all rewordings keep the answer, and about one in forty other
# candidates among training prompts has the same. Another answer may be a wrong label, so it counts for less.
SAME_ANSWER, OTHER_ANSWER = -0.2, 0.12
# Weights.
PROBLEMS = 1000  # with fewer benchmark problems, weights are computed as if there were this many
UNKNOWN = 7.6  # the weight of a word that no problem has, for any number of problems
FORMULA = 0.5  # the factor of a run of formula signs


class Shared(NamedTuple):
    """The weight of the numbers and stems that a text and a problem have in common, and the sum of both texts' weights."""

    numbers: float
    stems: float
    all_numbers: float
    all_stems: float


def alike(shared: Shared) -> float:
    """The score of two texts, up to 2.6; 0 if neither has words."""
    numbers, stems, all_numbers, all_stems = shared
    agreement = 2 * numbers / all_numbers if all_numbers else NUMBERLESS
    if not all_stems:
        return 0.0
    penalty = PENALTY * max(0.0, 1 - (numbers + stems) / PENALTY_LIMIT)
    return NUMBERS * agreement + 2 * stems / all_stems + BONUS * min(numbers, BONUS_LIMIT) - penalty


def _most_weight(number: str) -> float:
    """The most that a number may weigh. Small numbers are common, even if few of the known problems have them."""
    value = int(number) if len(number) <= 6 else 999_999
    return (
        2.0 if value <= 10 else 3.0 if value <= 20 else 4.0 if value <= 100 or value % 100 == 0 else math.inf
    )


class Rewordings:
    """An index of benchmark problems by their features."""

    def __init__(self, problems: Sequence[Reading], answers: Sequence[str]) -> None:
        self._answers = answers
        self.stems = [problem.stems() for problem in problems]
        self.numbers = [problem.numbers() for problem in problems]
        counts = Counter(
            chain.from_iterable(
                chain(stems, {number for number, _ in numbers})
                for stems, numbers in zip(self.stems, self.numbers, strict=True)
            )
        )
        self._among = max(PROBLEMS, len(self.stems)) + 1
        self.limit = LIMIT + LIMIT_GROWTH * math.log(max(PROBLEMS, len(self.stems)) / PROBLEMS)
        self._weights = {feature: self._weight(feature, count) for feature, count in counts.items()}
        self.stem_totals = [math.fsum(map(self.weight, stems)) for stems in self.stems]
        self.number_totals = [math.fsum(self.weight(n) for n, _ in numbers) for numbers in self.numbers]
        self.places: dict[str, list[int]] = {}  # by rare feature
        for place, (stems, numbers) in enumerate(zip(self.stems, self.numbers, strict=True)):
            for feature in chain(filterfalse(is_run, stems), {number for number, _ in numbers}):
                if counts[feature] <= RARE:
                    self.places.setdefault(feature, []).append(place)

    def find(self, text: Reading, answer: str = "") -> tuple[int, float] | None:
        """The problem that a text rewords and the share of both texts' weight that they have in common; or None."""
        rivals = []
        for place, shared in self._candidates(text):
            found = alike(shared)
            if found >= self.limit + SAME_ANSWER:
                rivals.append((-found, place, shared))
        for found, place, (common, words, all_numbers, all_words) in sorted(rivals):
            if -found >= self.limit + self._answer_offset(answer, place):
                return place, 2 * (common + words) / (all_numbers + all_words)
        return None

    def _candidates(self, text: Reading) -> Iterator[tuple[int, Shared]]:
        """The problems that share enough rare features and numbers with a text, and what they share."""
        own_stems, own_numbers = text.stems(), text.numbers()
        stems = {stem: self.weight(stem) for stem in own_stems}
        numbers = {item: self.weight(item[0]) for item in own_numbers}
        held = chain(stems, {number for number, _ in numbers})
        met = Counter(chain.from_iterable(map(self.places.__getitem__, self.places.keys() & held)))
        all_stems, all_numbers = math.fsum(stems.values()), math.fsum(numbers.values())
        for place in [place for place, count in met.items() if count >= MEETINGS]:
            every = all_numbers + self.number_totals[place]
            common = math.fsum(map(numbers.__getitem__, own_numbers & self.numbers[place]))
            if every and 2 * common < MIN_AGREEMENT * every:
                continue
            words = math.fsum(map(stems.__getitem__, own_stems & self.stems[place]))
            yield place, Shared(common, words, every, all_stems + self.stem_totals[place])

    def _answer_offset(self, answer: str, place: int) -> float:
        """What the answers add to the limit: 0 if one is unknown."""
        if not answer or not self._answers[place]:
            return 0.0
        status = equal(answer, self._answers[place]).status
        return SAME_ANSWER if status == "correct" else OTHER_ANSWER if status == "wrong" else 0.0

    def weight(self, feature: str) -> float:
        """The weight of a feature: higher if fewer benchmark problems have it."""
        return self._weights.get(feature) or self._weight(feature, 0)

    def _weight(self, feature: str, count: int) -> float:
        weight = UNKNOWN * math.log(self._among / (count + 0.5)) / math.log(self._among / 0.5)
        if feature[0] == "#" and feature[1:].isdigit():
            return min(weight, _most_weight(feature[1:]))
        return FORMULA * weight if is_run(feature) else weight
