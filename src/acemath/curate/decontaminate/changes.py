"""The changes that the self-test of decontamination makes to copies of benchmark problems.

Each takes a text and a random generator and returns the changed text, or None if the text has nothing to change (no
number, no variable, no LaTeX).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Literal

Change = Literal[
    "re-wrapped",
    "LaTeX spacing",
    "casing",
    "one sentence added",
    "renamed variables",
    "changed numbers",
    "paraphrase",
]
Changed = Callable[[str, random.Random], str | None]

_MATH = re.compile(r"\$\$.+?\$\$|\$[^$]+\$|\\\[.+?\\\]|\\\(.+?\\\)", re.DOTALL)
_PROSE = re.compile(r"(?<![\\A-Za-z])[a-z]{3,} [a-z]{3,} [a-z]{2,}")
_COMMAND = re.compile(r"(\\[A-Za-z]+)")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z$\\])")
_VARIABLE = re.compile(r"(?<![\\A-Za-z'’{])(?:[A-Z]{1,4}|[a-z]{1,2})(?![A-Za-z{*])")
_LONE = re.compile(r"(?<![A-Za-z'’\\])[b-hj-zB-HJ-Z](?![A-Za-z'’.])")
_TWO = "of to in is it at by on if as an be or do so no cm mm km kg ft st nd rd th"
_NO_VARIABLES = frozenset(_TWO.split())
_DIGITS = re.compile(r"\d+")
_SPACES = ("\n", "\n", "  ", " \n    ", "\t", "\r\n", "\u00a0")
_SENTENCES = (
    "Show your work.",
    "Explain each step of your solution.",
    "Give your answer as a single number.",
    "Please reason step by step before you answer.",
    "This question was set in a school test last year.",
    "Answer the following question.",
    "Here is a problem for you to solve.",
    "Write the final answer in a box.",
    "Use no calculator for this one.",
    "Check your result before you hand it in.",
    "My teacher gave us this for homework today.",
    "The weather outside was warm and sunny that day.",
)
_SYNONYMS = {
    "find": "determine", "compute": "work out", "calculate": "work out", "determine": "find", "evaluate": "find",
    "how many": "what number of", "what is": "give", "total": "overall", "each": "every", "buys": "purchases",
    "bought": "purchased", "sells": "trades away", "sold": "traded away", "has": "owns", "had": "owned",
    "makes": "earns", "gets": "receives", "got": "received", "gave": "handed", "gives": "hands", "uses": "needs",
    "needs": "requires", "wants": "would like", "costs": "is priced at", "cost": "price", "money": "cash",
    "children": "kids", "people": "persons", "students": "pupils", "friends": "pals", "begins": "starts",
    "starts": "begins", "ends": "finishes", "then": "after that", "also": "in addition", "if": "supposing",
    "when": "at the time that", "largest": "greatest", "smallest": "least", "greatest": "largest", "least": "smallest",
    "positive": "greater than zero", "such that": "so that", "let": "take", "suppose": "assume", "given": "known",
    "number": "count", "value": "amount", "sum": "total", "show": "display", "following": "next", "which": "what",
    "because": "since", "always": "at all times", "big": "large", "small": "little", "fast": "quickly", "trip": "journey",
}  # fmt: skip
_SYNONYM = re.compile(r"\b(?:" + "|".join(sorted(_SYNONYMS, key=len, reverse=True)) + r")\b", re.IGNORECASE)


def re_wrapped(text: str, rng: random.Random) -> str | None:
    """Other white space between the same words."""
    parts = text.split()
    if len(parts) < 2:
        return None
    joined = parts[0]
    for part in parts[1:]:
        joined += (rng.choice(_SPACES) if rng.random() < 0.3 else " ") + part
    return joined if joined != text else parts[0] + "\n" + " ".join(parts[1:])


def latex_spacing(text: str, rng: random.Random) -> str | None:
    """Formulas with other spacing and formatting commands."""
    pieces, changed = _split(text), False
    for number, (piece, math) in enumerate(pieces):
        if math:
            new = _respaced(piece, rng)
            changed |= new != piece
            pieces[number] = (new, math)
    return "".join(piece for piece, _ in pieces) if changed else None


def casing(text: str, rng: random.Random) -> str | None:
    """The text in lower case, or its prose in upper case or title case."""
    style = rng.choice((str.lower, str.upper, str.title))
    if style is str.lower:
        changed = text.lower()
    else:
        changed = "".join(
            piece if math else "".join(p if p.startswith("\\") else style(p) for p in _COMMAND.split(piece))
            for piece, math in _split(text)
        )
    return changed if changed != text else None


def sentence_added(text: str, rng: random.Random) -> str | None:
    """A sentence before or after the problem."""
    sentence = rng.choice(_SENTENCES)
    return f"{sentence} {text}" if rng.random() < 0.5 else f"{text} {sentence}"


def renamed_variables(text: str, rng: random.Random) -> str | None:
    """Every variable and point renamed consistently."""
    names: dict[str, str] = {}
    pools = {upper: list(_letters(upper)) for upper in (False, True)}
    for pool in pools.values():
        rng.shuffle(pool)
    used = {letter for piece, math in _split(text) for name in _names(piece, math) for letter in name}
    for letter in sorted(used):
        pool = pools[letter.isupper()]
        names[letter] = next((new for new in pool if new not in used), pool[-1])
        pool.remove(names[letter])
    if not names:
        return None

    def rename(found: re.Match[str]) -> str:
        return found[0] if found[0] in _NO_VARIABLES else "".join(names.get(c, c) for c in found[0])

    return "".join((_VARIABLE if math else _LONE).sub(rename, piece) for piece, math in _split(text))


def changed_numbers(text: str, rng: random.Random) -> str | None:
    """Every number replaced by one of as many digits."""

    def change(found: re.Match[str]) -> str:
        first = rng.choice([d for d in "123456789" if d != found[0][0]])
        return first + "".join(rng.choice("0123456789") for _ in found[0][1:])

    changed = _DIGITS.sub(change, text)
    return changed if changed != text else None


def paraphrase(text: str, rng: random.Random) -> str | None:
    """Synonyms for common words, with the last sentence moved to the front."""
    sentences = [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
    moved = " ".join([sentences[-1], *sentences[:-1]]) if sentences else text
    changed = "".join(
        piece if math else _SYNONYM.sub(lambda found: _SYNONYMS[found[0].lower()], piece)
        for piece, math in _split(moved)
    )
    return changed if changed.split() != text.split() else None


CHANGES: dict[Change, Changed] = {
    "re-wrapped": re_wrapped,
    "LaTeX spacing": latex_spacing,
    "casing": casing,
    "one sentence added": sentence_added,
    "renamed variables": renamed_variables,
    "changed numbers": changed_numbers,
    "paraphrase": paraphrase,
}


def _split(text: str) -> list[tuple[str, bool]]:
    """The pieces of a text, and whether each is a formula. Prose between two dollar signs is not: they are amounts of money."""
    pieces, end = [], 0
    for found in _MATH.finditer(text):
        pieces.append((text[end : found.start()], False))
        pieces.append((found[0], _PROSE.search(found[0]) is None))
        end = found.end()
    return [*pieces, (text[end:], False)]


def _respaced(formula: str, rng: random.Random) -> str:
    """A formula with other spacing and formatting commands."""
    space = rng.choice(("", " ", "\\,", "\\; "))
    changed = re.sub(
        r"(?<![\\{^_&<>=])\s*([+=<>])\s*(?![=>])", lambda found: space + found[1] + space, formula
    )
    if rng.random() < 0.5:
        changed = re.sub(r"\\d?frac(?![a-z])", r"\\dfrac" if rng.random() < 0.5 else r"\\tfrac", changed)
    if rng.random() < 0.5 and changed.count("(") == changed.count(")") and "\\(" not in changed:
        changed = re.sub(r"(?<!\\left)\(", r"\\left(", re.sub(r"(?<!\\right)\)", r"\\right)", changed))
    if changed.startswith("$") and not changed.startswith("$$") and rng.random() < 0.5:
        changed = f"\\({changed[1:-1]}\\)"
    return changed if changed != formula else f"{formula[0]} {formula[1:-1]} {formula[-1]}"


def _letters(upper: bool) -> str:
    return "ABCDEFGHJKLMNPQRSTUVWXYZ" if upper else "abcdfghjkmnpqrstuvwxyz"


def _names(piece: str, math: bool) -> list[str]:
    found = (_VARIABLE if math else _LONE).findall(piece)
    return [name for name in found if name not in _NO_VARIABLES]
