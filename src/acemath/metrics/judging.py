"""What the scores of a judge are worth beside its picks: AUC, calibration, and errors at thresholds.

Scores are rewards, higher for better; nan means that the judge gave none. What cannot be computed is nan: an AUC needs a
right and a wrong response, a rate needs something to be a rate of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from acemath.errors import UserError

Floats = NDArray[np.float64]


def auc(scores: Sequence[float] | Floats, correct: Sequence[bool] | Floats) -> float:
    """The probability that a random right response scores above a random wrong one; exact, ties count half.

    nan without a right or without a wrong response. A score of nan ranks below all others.
    """
    values, right = _arrays(scores, correct)
    values = np.where(np.isnan(values), -np.inf, values)
    rights, wrongs = int(right.sum()), int((~right).sum())
    if not rights or not wrongs:
        return nan
    kinds, where = np.unique(values, return_inverse=True)
    up, down = (np.bincount(where[side], minlength=len(kinds)) for side in (right, ~right))
    below = np.cumsum(down) - down  # whole numbers, so that the sum is exact
    return float((2 * up * below + up * down).sum()) / (2 * rights * wrongs)


@dataclass(frozen=True, slots=True)
class Bin:
    """Responses whose probability of being right, by the judge, lies in low … high (high only in the last bin)."""

    low: float
    high: float
    responses: int
    predicted: float  # mean probability; nan without responses
    right: float  # the share that is right; nan without responses


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well sigmoid(reward) is the probability of being right."""

    brier: float  # mean squared difference between the probability and the verdict
    expected_error: float  # mean over responses of |predicted - right| of their bin: the expected calibration error
    bins: tuple[Bin, ...]
    responses: int
    unscored: int  # responses without a score, which are left out


def calibration(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | Floats, bins: int = 10
) -> Calibration:
    """Calibration of sigmoid(score) over bins of equal width. UserError for less than one bin."""
    if bins < 1:
        raise UserError(f"calibration over {bins} bins; give 1 or more")
    values, right = _arrays(scores, correct)
    scored = ~np.isnan(values)
    chance = np.exp(-np.logaddexp(0.0, -values[scored]))
    truth = right[scored].astype(float)
    place = np.minimum((chance * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    predicted, observed = (
        np.bincount(place, part, bins) / np.where(count, count, np.nan) for part in (chance, truth)
    )
    total = len(truth)
    return Calibration(
        float(((chance - truth) ** 2).mean()) if total else nan,
        float(np.nansum(count * abs(predicted - observed)) / total) if total else nan,
        tuple(
            Bin(at / bins, (at + 1) / bins, int(count[at]), float(predicted[at]), float(observed[at]))
            for at in range(bins)
        ),
        total,
        len(values) - total,
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """A judge as a verifier that accepts scores of at least `threshold`."""

    threshold: float
    accepted: int
    false_positive_rate: float  # accepted wrong responses / all wrong ones
    recall: float  # accepted right responses / all right ones
    precision: float  # right responses / all accepted ones


def at_threshold(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | Floats, threshold: float
) -> Threshold:
    """Errors of the judge at one threshold of its scores. A score of nan is not accepted."""
    values, right = _arrays(scores, correct)
    accepted = values >= threshold
    both, taken = int((accepted & right).sum()), int(accepted.sum())
    return Threshold(
        threshold,
        taken,
        _rate(taken - both, int((~right).sum())),
        _rate(both, int(right.sum())),
        _rate(both, taken),
    )


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _arrays(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    values, right = np.asarray(scores, float), np.asarray(correct, float) > 0
    if values.shape != right.shape:
        raise UserError(f"{values.size} scores for {right.size} verdicts; each response needs one of each")
    return values, right
