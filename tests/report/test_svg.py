"""The charts' axes."""

from __future__ import annotations

import pytest

from acemath.report.svg import lines, ticks


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (5.9, 33.3, [0, 10, 20, 30, 40]),
        (-8.9, 5.6, [-10, -5, 0, 5, 10]),
        (0.7, 0.71, [0.7, 0.702, 0.704, 0.706, 0.708, 0.71]),
        (3, 3, [3, 4]),
        (0, 0, [0, 0.2]),
    ],
)
def test_marks_are_round_and_enclose(low: float, high: float, marks: list[float]) -> None:
    """Steps of 1, 2 or 5, no mark far outside what is drawn."""
    assert ticks(low, high) == pytest.approx(marks)


def test_lines_stay_inside_the_frame() -> None:
    """Percentages never get an axis below zero, and every point lies on the drawing."""
    drawn = lines("t", {"a": [(1, 6.0), (8, 33.3)], "b": [(1, 6.0), (8, 0.0)]}, "k", even=True)
    assert ">-" not in drawn and ">40<" in drawn and ">0<" in drawn
