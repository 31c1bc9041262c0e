"""The charts' axes."""

from __future__ import annotations

import pytest

from acemath.report.svg import bars, lines, ticks


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


def test_a_name_keeps_its_colour() -> None:
    """The same name has the same colour in bars, lines and legend, wherever it stands in them."""
    colours = {"rm": 5, "greedy": 7}
    drawn = lines("t", {"rm": [(1, 2.0), (2, 3.0)], "b": [(1, 1.0), (2, 2.0)]}, "k", colours=colours)
    assert (
        drawn.count("line c5") == drawn.count("swatch c5") == 1 and "line c1" in drawn and "c0" not in drawn
    )
    assert 'class="bar c7"' in bars("t", [("greedy", 50.0, 40.0, 60.0)], "b", colours)
