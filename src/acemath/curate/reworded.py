"""Benchmark problems told in other words: the last tier of decontamination, reported and not dropped by default.

A prompt and a problem are compared by what they are about (`features.py`): numbers, formulas and stems, each weighted by
how rare it is among the benchmarks (inverse document frequency). How alike they are is the Dice coefficient of their
numbers plus that of their stems, and a little more the more their common numbers weigh. Where both have an answer, the
same one makes a rewording likelier and another one less so. All limits are our choice, made on problems that were
reworded by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, filterfalse
from typing import NamedTuple

from acemath.curate.features import Reading, is_run
from acemath.grade import equal

RARE = 76  # benchmark problems at most that hold a feature by which candidates meet …
MEETINGS = 2  # … and so many such features make a candidate
AGREEING = 0.55  # Dice coefficient of the numbers at least
NUMBERLESS = 0.75  # it counts as so much where neither text has a number
NUMBERS = 1.2  # what it counts beside the coefficient of the stems
ENOUGH = 1.355  # how alike a rewording is at least, among PROBLEMS problems; …
MORE = 0.085  # … the more there are, the likelier one is alike by chance: added each time that they are e times as many …
# … and added where both have an answer: the same, or another. Almost all rewordings keep the answer, and about one in
# forty other candidates among train prompts has the same. Another one may be a wrong label, so it counts for less.
SAME, OTHER = -0.2, 0.12
TELLING = 0.02  # for each unit of weight of common numbers, …
MOST = 20.0  # … up to so much
THIN = 0.5  # taken off where the common weight is nothing, less as it grows, …
FULL = 30.0  # … nothing from so much on: three or four rare words
PROBLEMS = 1000  # fewer benchmark problems than this say little about what is rare; weights are as if they were so many
UNKNOWN = 7.6  # weight of a word that no problem has, however many they are
FORMULA = 0.5  # of a run of formula signs, beside a word's weight


class Shared(NamedTuple):
    """The weight of what a text and a problem have in common, and of all that either has."""

    numbers: float
    stems: float
    all_numbers: float
    all_stems: float


def alike(shared: Shared) -> float:
    """How alike two texts are by what they share, up to 2.6; 0 where neither has words."""
    numbers, stems, all_numbers, all_stems = shared
    agreement = 2 * numbers / all_numbers if all_numbers else NUMBERLESS
    if not all_stems:
        return 0.0
    thin = THIN * max(0.0, 1 - (numbers + stems) / FULL)
    return NUMBERS * agreement + 2 * stems / all_stems + TELLING * min(numbers, MOST) - thin


def common_number(number: str) -> float:
    """The weight at most of a number: a small one is in every second problem, however few problems are known."""
    value = int(number) if len(number) <= 6 else 999_999
    return (
        2.0 if value <= 10 else 3.0 if value <= 20 else 4.0 if value <= 100 or value % 100 == 0 else math.inf
    )


class Rewordings:
    """An index of benchmark problems by what they are about."""

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
        self.enough = ENOUGH + MORE * math.log(max(PROBLEMS, len(self.stems)) / PROBLEMS)
        self._weights = {feature: self._weight(feature, count) for feature, count in counts.items()}
        self.stem_totals = [math.fsum(map(self.weight, stems)) for stems in self.stems]
        self.number_totals = [math.fsum(self.weight(n) for n, _ in numbers) for numbers in self.numbers]
        self.places: dict[str, list[int]] = {}  # by rare feature
        for place, (stems, numbers) in enumerate(zip(self.stems, self.numbers, strict=True)):
            for feature in chain(filterfalse(is_run, stems), {number for number, _ in numbers}):
                if counts[feature] <= RARE:
                    self.places.setdefault(feature, []).append(place)

    def find(self, text: Reading, answer: str = "") -> tuple[int, float] | None:
        """The problem that a text rewords, and the share of their weight that they have in common; or None."""
        rivals = []
        for place, shared in self._candidates(text):
            found = alike(shared)
            if found >= self.enough + SAME:
                rivals.append((-found, place, shared))
        for found, place, (common, words, all_numbers, all_words) in sorted(rivals):
            if -found >= self.enough + self._evidence(answer, place):
                return place, 2 * (common + words) / (all_numbers + all_words)
        return None

    def _candidates(self, text: Reading) -> Iterator[tuple[int, Shared]]:
        """The problems whose numbers agree and that have enough rare features in common with a text; what they share."""
        own_stems, own_numbers = text.stems(), text.numbers()
        stems = {stem: self.weight(stem) for stem in own_stems}
        numbers = {item: self.weight(item[0]) for item in own_numbers}
        held = chain(stems, {number for number, _ in numbers})
        met = Counter(chain.from_iterable(map(self.places.__getitem__, self.places.keys() & held)))
        all_stems, all_numbers = math.fsum(stems.values()), math.fsum(numbers.values())
        for place in [place for place, count in met.items() if count >= MEETINGS]:
            every = all_numbers + self.number_totals[place]
            common = math.fsum(map(numbers.__getitem__, own_numbers & self.numbers[place]))
            if every and 2 * common < AGREEING * every:
                continue
            words = math.fsum(map(stems.__getitem__, own_stems & self.stems[place]))
            yield place, Shared(common, words, every, all_stems + self.stem_totals[place])

    def _evidence(self, answer: str, place: int) -> float:
        """What the answers add to what is asked: 0 where one is not known."""
        if not answer or not self._answers[place]:
            return 0.0
        status = equal(answer, self._answers[place]).status
        return SAME if status == "correct" else OTHER if status == "wrong" else 0.0

    def weight(self, feature: str) -> float:
        """How much a feature says: the rarer among the benchmarks, the more."""
        return self._weights.get(feature) or self._weight(feature, 0)

    def _weight(self, feature: str, count: int) -> float:
        weight = UNKNOWN * math.log(self._among / (count + 0.5)) / math.log(self._among / 0.5)
        if feature[0] == "#" and feature[1:].isdigit():
            return min(weight, common_number(feature[1:]))
        return FORMULA * weight if is_run(feature) else weight
