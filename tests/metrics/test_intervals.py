"""Intervals of many columns against a plain bootstrap, and who beats whom."""

from __future__ import annotations

import numpy as np
import pytest

from acemath.errors import UserError
from acemath.metrics import average, estimate, estimates, who_beats_whom
from acemath.metrics import intervals as module

NAN = float("nan")


def _plain(samples: list[np.ndarray], draws: int) -> tuple[float, float]:
    """The percentile bootstrap as it is usually written."""
    rng = np.random.default_rng(0)
    means = [s[rng.integers(0, len(s), (draws, len(s)))].mean(axis=1) for s in samples]
    return tuple(np.quantile(np.mean(means, axis=0), [0.025, 0.975]))


@pytest.mark.parametrize("chunk", [1, 700, 10**9])
def test_equal_to_a_plain_bootstrap(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Counting how often each problem is drawn gives the same interval, in chunks of any size."""
    monkeypatch.setattr(module, "CHUNK", chunk)
    rng = np.random.default_rng(5)
    a, b = rng.random((40, 3)), rng.random((15, 3))
    for column, found in enumerate(estimates([a, b], draws=60)):
        assert found.value == pytest.approx((a[:, column].mean() + b[:, column].mean()) / 2)
        assert (found.low, found.high) == pytest.approx(_plain([a[:, column], b[:, column]], 60), abs=1e-12)
        assert (found.problems, found.undefined) == (55, 0)


def test_each_column_leaves_out_its_own_undefined_problems() -> None:
    """Columns with holes are the estimates of what is left; a benchmark without any leaves the average undefined."""
    values = np.array([[1.0, NAN, NAN], [0.0, 1.0, NAN], [1.0, 0.0, NAN]])
    full, holes, nothing = estimates([values])
    assert full == estimate([1.0, 0.0, 1.0]) and holes == estimate([NAN, 1.0, 0.0])
    assert not nothing.defined and (nothing.problems, nothing.undefined) == (0, 3)
    mixed = estimates([values, np.array([[1.0, 1.0, 1.0]])])
    assert [e.defined for e in mixed] == [True, True, False]
    assert mixed[1] == average([[NAN, 1.0, 0.0], [1.0]])
    assert not average([]).defined


def test_who_beats_whom() -> None:
    """A clear difference has a winner, noise has none, and each pair stands once."""
    rng = np.random.default_rng(0)
    base = (rng.random(300) < 0.5).astype(float)
    better = np.minimum(base + (rng.random(300) < 0.2), 1.0)
    other = (rng.random(300) < 0.5).astype(float)
    found = who_beats_whom({"base": base, "better": better, "other": other}, ["b"] * 300)
    assert [(c.a, c.b) for c in found] == [("base", "better"), ("base", "other"), ("better", "other")]
    assert [c.winner for c in found] == ["better", None, None if found[2].difference.low <= 0 else "better"]
    assert found[0].difference.value == pytest.approx((base - better).mean())
    assert who_beats_whom({"alone": base}, ["b"] * 300) == []
    assert who_beats_whom({"a": [0.1 + 0.2] * 5, "b": [0.3] * 5}, ["b"] * 5)[0].winner is None, "rounding wins nothing"
    undefined = who_beats_whom({"a": [NAN], "b": [1.0]}, ["b"])[0]
    assert undefined.winner is None and not undefined.difference.defined
    with pytest.raises(UserError, match="a has 1 values for 2 problems"):
        who_beats_whom({"a": [1.0], "b": [1.0]}, ["x", "x"])
