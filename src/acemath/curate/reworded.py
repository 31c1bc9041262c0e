"""Benchmark problems told in other words: the last tier of decontamination, reported and not dropped by default.

A prompt and a problem are compared by what they are about (`features.py`), each number, formula and stem weighted by how
rare it is among the benchmarks (inverse document frequency). Their numbers must agree, all or nearly all; the more
surely they do, the less of the rest has to. All limits are our choice, made on problems that were reworded by hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from itertools import chain

from acemath.curate.features import Reading, is_number, is_run

RARE = 16  # benchmark problems at most that hold a feature by which candidates meet
LEFT = 2  # numbers at least that must be left for one to be added or missing
FEW = 8  # problems at most with the same numbers that are worth a look without any rare word in common
ROUGH = 0.34  # of two texts' features, that they share
BRIEF = 32  # tokens at most of a text whose runs of signs are looked for too
CANDIDATES = 4  # compared in full
LEAST = 12.0  # weight that two texts must share at all: two or three rare words
PROBLEMS = 1000  # fewer benchmark problems than this say little about what is rare; weights are as if they were so many
FORMULA = 0.5  # of a run of formula signs, beside a word's weight
SAME, MOST, HALF = 0.999, 0.9, 0.7  # how far two texts' numbers agree


def needed(agreement: float | None, weight: float) -> float:
    """How alike two texts must be, by how far their numbers agree (None: neither has any) and what those weigh."""
    if agreement is None:
        return 0.5
    if agreement > SAME:
        return max(0.36, 0.6 - 0.022 * weight)
    if agreement >= MOST:
        return max(0.42, 0.62 - 0.014 * weight)
    return 0.66 if agreement >= HALF else math.inf


def common_number(number: str) -> float:
    """The weight at most of a number: a small one is in every second problem, however few problems are known."""
    value = int(number) if len(number) <= 6 else 999_999
    return (
        2.0 if value <= 10 else 3.0 if value <= 20 else 4.0 if value <= 100 or value % 100 == 0 else math.inf
    )


def _near_sets(numbers: frozenset[str]) -> list[frozenset[str]]:
    """All of some numbers; and all but one of them."""
    if len(numbers) <= LEFT:
        return [numbers]
    return [numbers, *(numbers - {number} for number in numbers)]


class Rewordings:
    """An index of benchmark problems by what they are about."""

    def __init__(self, problems: Sequence[Reading]) -> None:
        self.features = [problem.features() for problem in problems]
        self.numbers = [problem.numbers for problem in problems]
        counts = Counter(chain.from_iterable(self.features))
        self._among = max(PROBLEMS, len(self.features))
        self.weights = {feature: self._weight(feature, count) for feature, count in counts.items()}
        self.sizes = [sum(not is_run(feature) for feature in features) for features in self.features]
        self._totals = [self._sum(features) for features in self.features]
        self.places: dict[str, list[int]] = {}  # by rare feature
        by_numbers: dict[frozenset[str], set[int]] = {}
        for place, features in enumerate(self.features):
            for feature in features:
                if counts[feature] <= RARE:
                    self.places.setdefault(feature, []).append(place)
            for numbers in _near_sets(self.numbers[place]):
                by_numbers.setdefault(numbers, set()).add(place)
        self.by_numbers = {key: frozenset(places) for key, places in by_numbers.items()}

    def find(self, text: Reading) -> tuple[int, float] | None:
        """The problem that a text rewords and how alike they are (0 to 1), or None."""
        features: frozenset[str] | None = None
        best: tuple[float, int] | None = None
        for place in self._candidates(text):
            features = features or text.features()
            alike = self.alike(features, text.numbers, place)
            if alike is not None and (best is None or alike > best[0]):
                best = alike, place
        return None if best is None else (best[1], best[0])

    def _candidates(self, text: Reading) -> Sequence[int]:
        """Problems whose numbers agree and that share words, those with most rare words in common first."""
        groups = list(filter(None, map(self.by_numbers.get, _near_sets(text.numbers))))
        if not groups:
            return ()
        # A short text may be a formula alone: its runs of signs are looked for too.
        said = text.features() if len(text.said) <= BRIEF else text.plain()
        votes = Counter(chain.from_iterable(map(self.places.__getitem__, said & self.places.keys())))
        voted = set(votes)
        met = set().union(*map(voted.__and__, groups))
        # So many problems have few numbers that a rare word must tell them apart, unless they are the very same.
        same = self.by_numbers.get(text.numbers, frozenset())
        if len(same) <= FEW:
            met |= same
        least = 0 if text.numbers else 2
        ranked = sorted((-votes[place], place) for place in met if votes[place] >= least)
        return [place for _, place in ranked if self._resembles(said, place)][:CANDIDATES]

    def _resembles(self, said: Set[str], place: int) -> bool:
        """Whether a text and a problem share enough, unweighted, to be compared in full."""
        theirs = self.features[place]
        return len(said & theirs) >= max(3, ROUGH * (len(said) + self.sizes[place]) / 2)

    def alike(self, features: frozenset[str], numbers: frozenset[str], place: int) -> float | None:
        """The share of weight that a text and a problem have in common, where it is enough."""
        shared = self._sum(features & self.features[place])
        if shared < LEAST:
            return None
        alike = 2 * shared / (self._sum(features) + self._totals[place])
        theirs = self.numbers[place]
        weight = self._sum(numbers & theirs)
        every = self._sum(numbers) + self._sum(theirs)
        return alike if alike >= needed(2 * weight / every if every else None, weight) else None

    def _sum(self, features: Iterable[str]) -> float:
        return math.fsum(self.weights.get(feature) or self._weight(feature, 0) for feature in features)

    def _weight(self, feature: str, count: int) -> float:
        """Of a feature that `count` problems hold. One, which is a word as often as a number, weighs little."""
        weight = math.log((self._among + 1) / (count + 0.5))
        if not is_number(feature):
            return FORMULA * weight if is_run(feature) else weight
        return 0.3 * weight if feature == "#1" else min(weight, common_number(feature[1:]))
