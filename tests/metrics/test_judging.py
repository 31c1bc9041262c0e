"""AUC, calibration and errors at thresholds against counts in plain Python."""

from __future__ import annotations

from math import exp, isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acemath.errors import UserError
from acemath.metrics.judging import at_threshold, auc, calibration

NAN = float("nan")
scored = st.lists(st.tuples(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]), st.booleans()), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(scored)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    """Every pair of a right and a wrong response, ties a half."""
    scores, correct = [s for s, _ in rows], [c for _, c in rows]
    pairs = [(a > b) + 0.5 * (a == b) for a, x in rows if x for b, y in rows if not y]
    found = auc(scores, correct)
    assert isnan(found) if not pairs else found == pytest.approx(sum(pairs) / len(pairs), rel=1e-15)


def test_auc_at_its_edges() -> None:
    """Without both verdicts it is undefined; what the judge did not score ranks last; a constant judge has a half."""
    assert isnan(auc([1.0, 2.0], [True, True])) and isnan(auc([], []))
    assert auc([NAN, 1.0], [True, False]) == 0.0
    assert auc([3.0] * 7, [True] * 3 + [False] * 4) == 0.5
    with pytest.raises(UserError, match="2 scores for 1 verdicts"):
        auc([1.0, 2.0], [True])


@settings(max_examples=60, deadline=None)
@given(scored)
def test_calibration_by_hand(rows: list[tuple[float, bool]]) -> None:
    """Brier, the bins and the expected calibration error, worked out in plain Python."""
    chances = [(1 / (1 + exp(-s)), float(c)) for s, c in rows]
    found = calibration([s for s, _ in rows], [c for _, c in rows], bins=4)
    assert found.brier == pytest.approx(sum((p - y) ** 2 for p, y in chances) / len(chances))
    error = 0.0
    for at, part in enumerate(found.bins):
        mine = [(p, y) for p, y in chances if min(int(4 * p), 3) == at]
        assert part.responses == len(mine) and (part.low, part.high) == (at / 4, (at + 1) / 4)
        if mine:
            predicted, right = (sum(column) / len(mine) for column in zip(*mine, strict=True))
            assert (part.predicted, part.right) == pytest.approx((predicted, right))
            error += len(mine) * abs(predicted - right) / len(chances)
        else:
            assert isnan(part.predicted) and isnan(part.right)
    assert found.expected_error == pytest.approx(error)


def test_calibration_at_its_edges() -> None:
    """Huge rewards do not overflow, missing ones are counted, nothing at all is undefined."""
    found = calibration([1e6, -1e6, NAN], [True, False, True])
    assert (found.brier, found.expected_error, found.responses, found.unscored) == (0.0, 0.0, 2, 1)
    nothing = calibration([NAN], [True])
    assert isnan(nothing.brier) and isnan(nothing.expected_error) and nothing.responses == 0
    with pytest.raises(UserError, match="over 0 bins"):
        calibration([1.0], [True], bins=0)


def test_thresholds() -> None:
    """A score at the threshold is accepted, one that is missing never; an empty rate is undefined."""
    scores, correct = [0.0, 1.0, 2.0, NAN], [False, False, True, True]
    found = at_threshold(scores, correct, 1.0)
    assert (found.accepted, found.false_positive_rate, found.recall, found.precision) == (2, 0.5, 0.5, 0.5)
    none = at_threshold(scores, correct, 9.0)
    assert (none.false_positive_rate, none.recall) == (0.0, 0.0) and isnan(none.precision)
    assert isnan(at_threshold([1.0], [True], 0.0).false_positive_rate)
