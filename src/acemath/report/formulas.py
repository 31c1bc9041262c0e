"""LaTeX formulas in texts, drawn as MathML for the report and the viewer.

The text may be hostile. A formula becomes a tree in which only known elements and attributes are left, and all text in it
is text: a `\\href` or a `<script>` in a formula does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape, unescape
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element

LONGEST = 2000  # characters of a formula; a longer one stays text
DEEPEST = 60  # elements inside each other
MOST = 1000  # formulas of a text that are drawn; further ones stay text
_ARGUMENT = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_FORMULA = re.compile(
    # No pattern looks further than the next opening of its kind, or a bounded way: a hostile text must not take long.
    r"\$\$(?P<block>[^$]+)\$\$|\\\[(?P<display>(?:(?!\\[\[\]]).)+)\\\]|\\\((?P<inline>(?:(?!\\[()]).)+)\\\)"
    # One dollar opens before a sign and closes behind one, not before a digit: "$5 and $7" is money.
    r"|(?<![\\$])\$(?P<dollar>(?![\s$])(?:\\.|[^$\\\n])+?)(?<!\s)\$(?![\d$])"
    r"|\\begin\{(?P<name>(?:align|aligned|equation|gather|cases|array|[pbvV]?matrix)\*?)\}.{1,2000}?\\end\{(?P=name)\}"
    rf"|\\(?:boxed|d?frac{_ARGUMENT}){_ARGUMENT}",
    re.DOTALL,
)
_ELEMENTS = frozenset(
    "math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup mtable mtd mtext "
    "mtr munder munderover".split()
)
_ATTRIBUTES = frozenset(
    "accent columnalign columnlines depth display displaystyle fence form height largeop linethickness lspace mathvariant "
    "maxsize minsize movablelimits notation rowlines rowspacing rspace scriptlevel separator stretchy symmetric width".split()
)
Tree = list[Any]  # [element, {attribute: value}, [children: trees or texts]]


def formulas_in(text: str) -> Iterator[tuple[str, Tree | None]]:
    """The text in pieces: each as it stands, with the tree of its MathML if it is a formula that can be drawn."""
    at = 0
    for match in islice(_FORMULA.finditer(text), MOST):
        if match.start() > at:
            yield text[at : match.start()], None
        inner = next(
            (found for found in match.group("block", "display", "inline", "dollar") if found), match.group()
        )
        block = match["block"] is not None or match["display"] is not None
        yield match.group(), formula(inner, block)
        at = match.end()
    if at < len(text):
        yield text[at:], None


@lru_cache(maxsize=4096)
def formula(latex: str, block: bool = False) -> Tree | None:
    """The MathML of one formula; None if it cannot be converted, is too long or too deep."""
    from latex2mathml.converter import convert_to_element

    if len(latex) > LONGEST:
        return None
    try:
        return _tree(convert_to_element(latex.strip(), display="block" if block else "inline"), DEEPEST)
    except Exception:  # noqa: BLE001  (the converter raises many kinds on model text; the text is shown instead)
        return None


def _tree(element: Element, depth: int) -> Tree:
    """An element and what is in it. ValueError for an element that is not known, or too deep."""
    if element.tag not in _ELEMENTS or depth == 0:
        raise ValueError(f"{element.tag} is not drawn")
    given = {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES}
    inside: list[Any] = [unescape(element.text)] if element.text else []
    return [element.tag, given, inside + [_tree(child, depth - 1) for child in element]]


def drawn(text: str) -> str:
    """Text as HTML, with its formulas as MathML. A formula that cannot be drawn stays plain text."""
    return "".join(escape(piece) if tree is None else _html(tree) for piece, tree in formulas_in(text))


def _html(tree: Tree | str) -> str:
    if isinstance(tree, str):
        return escape(tree)
    name, given, inside = tree
    attributes = "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    return f"<{name}{attributes}>{''.join(map(_html, inside))}</{name}>"
