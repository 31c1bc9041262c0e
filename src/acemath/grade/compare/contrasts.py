"""Words that contradict each other: `a gain of 5` is not `a loss of 5`, whatever the numbers say."""

from __future__ import annotations

import re

_ROWS = """
increasing decreasing|increase decrease|increases decreases|increased decreased|gain loss|profit loss|clockwise counterclockwise
left right|north south|east west|up down|upward downward|above below|even odd|maximum minimum|max min|convex concave|before after
converges diverges|convergent divergent|rational irrational|prime composite|inside outside|upper lower|true false|yes no
acute obtuse|rising falling|earlier later|older younger|faster slower|taller shorter|heavier lighter|possible impossible
dependent independent|consistent inconsistent|sufficient insufficient|finite infinite|bounded unbounded|continuous discontinuous
linear nonlinear|positive negative|horizontal vertical|parallel perpendicular|deposit withdrawal|forward backward
"""
_PAIRS = [frozenset(pair.split()) for row in _ROWS.strip().splitlines() for pair in row.split("|")]
_NEGATIONS = frozenset(("not", "non", "neither", "nor", "cannot", "never"))
_WORD = re.compile(r"(?<![\\A-Za-z])[a-z]{2,16}(?![A-Za-z])")


def contradict(a: str, b: str) -> bool:
    """Whether one text has a word and the other only its opposite."""
    one, other = (set(_WORD.findall(text.lower())) for text in (a, b))
    told = not _NEGATIONS & (one | other)
    return told and any(pair & one and pair & other and not pair & one & other for pair in _PAIRS)
