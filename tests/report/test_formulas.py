"""Formulas in texts: which are found, what they become, and that hostile ones stay text."""

from __future__ import annotations

import re

import pytest

from acemath.report.formulas import LONGEST, drawn, formula, formulas_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("So $x^2$ and \\(y\\).", ["$x^2$", "\\(y\\)"]),
        ("\\[a+b\\] then $$c$$", ["\\[a+b\\]", "$$c$$"]),
        ("It is \\boxed{\\frac{1}{2}}, or \\frac{3}{4}.", ["\\boxed{\\frac{1}{2}}", "\\frac{3}{4}"]),
        ("\\begin{pmatrix}1 & 2\\\\3 & 4\\end{pmatrix}", ["\\begin{pmatrix}1 & 2\\\\3 & 4\\end{pmatrix}"]),
        ("It costs $5 and $7 in all, \\$3 more.", []),
        ("a < b & \\frac{1", []),
        ("$ x $ and $", []),
    ],
)
def test_formulas_are_found(text: str, found: list[str]) -> None:
    """The pieces are the text, and those with a tree its formulas; money is none."""
    pieces = list(formulas_in(text))
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, tree in pieces if tree is not None] == found


def test_text_outside_and_inside_a_formula_is_escaped() -> None:
    """Markup in a formula is text, an address in it is dropped, and only known elements are left."""
    for hostile in (
        "\\boxed{\\text{<img src=x onerror=alert(1)>}}",
        "$\\text{</math><script>alert(1)</script>}$",
        "\\(\\href{javascript:alert(1)}{x}\\)",
        "\\frac{<b onclick=x>}{\\style{color:red}{y}}",
        '$\\mathrm{"><svg/onload=alert(1)>}$',
    ):
        page = drawn(hostile)
        assert "<math" in page
        assert set(re.findall(r"<([a-z]+)", page)) <= {
            "math",
            "mrow",
            "menclose",
            "mtext",
            "mi",
            "mo",
            "mn",
            "mfrac",
            "mspace",
        }
        assert not re.search(r"<[^>]*(?:href|onerror|onclick|onload|style)=", page)
    assert drawn("<b>&") == "&lt;b&gt;&amp;"


def test_what_cannot_be_drawn_stays_text() -> None:
    """Too long, too deep or broken: the source is shown."""
    assert formula("x" * (LONGEST + 1)) is None
    assert formula("\\sqrt{" * 200 + "x" + "}" * 200) is None
    deep = "$" + "\\sqrt{" * 200 + "x" + "}" * 200 + "$"
    assert drawn(deep) == deep


@pytest.mark.parametrize(
    "part",
    ["\\[", "\\(", "$", "$$", "\\begin{align}", "\\boxed{", "\\frac{{{", "{", "\\boxed{a}", "$x$ ", "\\["],
)
def test_a_hostile_text_does_not_take_long(part: str) -> None:
    """A hundred thousand characters of openings end in a moment, where a careless pattern would take hours."""
    text = part * (100_000 // len(part))
    assert "".join(piece for piece, _ in formulas_in(text)) == text
