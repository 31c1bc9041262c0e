"""The report's section of what was chosen and compared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from acemath.report.choices import choices_section


def cell(value: float, problems: int = 20) -> dict[str, Any]:
    """An estimate as the tables hold it."""
    return {"value": value, "low": value - 1, "high": value + 1, "problems": problems}


def section(**tables: Any) -> str:
    """The section of some tables."""
    return choices_section(SimpleNamespace(headline="math", tables=tables))  # type: ignore[arg-type]


def test_it_names_what_validation_chose_with_every_number_behind_it() -> None:
    """The selector, its validation number beside the others', what it gives on the test, and paired differences."""
    choice = {
        "benchmark": "val <1>",
        "validation": {"maj@8": cell(50, 150), "rm@8": cell(61.25, 150)},
        "chosen": "rm@8",
        "test": cell(58),
        "differences": {"maj@8": cell(7)},
    }
    page = section(choice=choice)
    assert "val &lt;1&gt;, 150 problems" in page and "61.2 (60.2 to 62.2)</td><td>chosen" in page
    assert "rm@8 on the test minus" in page and "+7.0 (+6.0 to +8.0)" in page


def test_limits_policies_and_parts_have_a_table_each() -> None:
    """Problems without one of them, such as a run of one policy, have no empty headings."""
    pairs = [{"minus": "base", "measure": "greedy", **cell(-3)}]
    lengths = [{"responses": "greedy-base", "limit": 400, "cut": 12.5, "tokens": 274.4, **cell(27)}]
    parts = [{"by": "steps", "part": "7 or more", "measure": "rm@8", **cell(11, 9)}]
    page = section(**{"between policies": pairs, "lengths": lengths, "parts": parts})
    assert "math minus" in page and "-3.0 (-4.0 to -2.0)" in page
    assert "<td>400</td>" in page and "<td>12.5</td><td>274</td>" in page
    assert "<td>7 or more</td><td>9</td><td>11.0</td>" in page and "By mean length" not in page
    assert section() == ""
