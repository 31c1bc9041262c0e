r"""What stands beside an answer without being a part of it: where it holds, why, what its letters mean.

`f(x) = 1/x \text{ for all } x > 0` states `f(x) = 1/x`; `y = Ae^x, where A is a constant` states `y = Ae^x`.
A remark goes only behind a value, and a condition only where the answer has a single one: `x for x > 0, -x for
x < 0` is a function given by cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from acemath.grade.read.tokens import Token

_QUANTIFIERS = frozenset(("all", "any", "every", "each", "some", "arbitrary"))
_RELATIONS = frozenset(
    (
        "<",
        ">",
        "=",
        "<=",
        ">=",
        "le",
        "ge",
        "leq",
        "geq",
        "leqslant",
        "geqslant",
        "ne",
        "neq",
        "in",
        "lt",
        "gt",
    )
)
_REASONS = frozenset(("since", "because"))
_IMPLIES = re.compile(r"=>|\\(?:Rightarrow|implies|Longrightarrow)(?![A-Za-z])")
_SO = re.compile(
    r"(?<=[\w)}\]])\s*[,;.]?\s*(?:\\text\s*\{\s*[,;.]?\s*)?\b(?:so|thus|hence|therefore|which\s+(?:gives|means))\b"
    r"(?:\s+that)?\s*,?\s*\}?\s*(?=.*\d|.*=)"
)

Turn = Callable[[Token], int]


def conclusion(text: str) -> str:
    """What stands behind the last implication sign or "so"; a lone `=>` may mean ≥ and stays."""
    if "=>" in text and text.count("=") >= 3 or "Rightarrow" in text or "implies" in text:
        text = _IMPLIES.split(text)[-1].strip() or text
    if "=" in text and _SO.search(text):
        return _SO.split(text)[-1].strip() or text
    return text


def without_remarks(tokens: list[Token], turn: Turn) -> list[Token]:
    """An answer up to its explanation, its single condition, or what its letters mean."""
    tokens = _without_leading_quantifier(tokens, turn)
    if not any(t.kind == "word" for t in tokens):
        return tokens
    conditions = sum(t.kind == "word" and t.text.lower() in ("for", "if", "when") for t in tokens)
    depth = 0
    for index, token in enumerate(tokens):
        if depth == 0 and index and _valued(tokens[:index]) and _begins_remark(tokens, index, conditions):
            return _without_comma(tokens[:index])
        depth += turn(token)
    return tokens


def without_quantifier(tokens: list[Token], turn: Turn) -> list[Token]:
    r"""One item of a list without its `for all x > 0` or `\forall x`."""
    depth = 0
    for index, token in enumerate(tokens):
        if depth == 0 and index and _quantified(tokens, index) and _valued(tokens[:index]):
            return tokens[:index]
        depth += turn(token)
    return tokens


def _without_leading_quantifier(tokens: list[Token], turn: Turn) -> list[Token]:
    r"""`\forall x > 0, f(x) = 1/x` and `for all x, f(x) = 1/x` without their first part."""
    if not tokens or not _quantified(tokens, 0):
        return tokens
    depth = 0
    for index, token in enumerate(tokens):
        depth += turn(token)
        if depth == 0 and token.text in (",", ":") and index + 2 < len(tokens):
            return tokens[index + 1 :]
    return tokens


def _quantified(tokens: list[Token], index: int) -> bool:
    token = tokens[index]
    if token.kind == "cmd" and token.text == "forall":
        return True
    return _is(token, "for") and index + 2 < len(tokens) and tokens[index + 1].text.lower() in _QUANTIFIERS


def _begins_remark(tokens: list[Token], index: int, conditions: int) -> bool:
    token = tokens[index]
    if token.kind == "op" and token.text == "(":
        reason = index + 1 < len(tokens) and tokens[index + 1].text.lower() in _REASONS
        return reason or token.spaced and _explanation(tokens[index:])
    if token.kind != "word":
        return False
    word = token.text.lower()
    if word in _REASONS or word == "where":
        return True
    if word not in ("for", "with") or conditions > 1 or index + 2 >= len(tokens):
        return False
    following = tokens[index + 1 :]
    if word == "with" and following[0].text.lower() in ("multiplicity", "equality"):
        return True
    return following[0].kind == "letter" and (
        following[1].text in _RELATIONS
        or following[1].text == ","
        or following[1].kind == "word"
        and following[1].text.lower() in ("integer", "constant", "real", "positive", "arbitrary")
    )


def _explanation(tokens: list[Token]) -> bool:
    """Whether these tokens are one bracket with several words in it."""
    if tokens[-1].text != ")" or any(t.text == "(" for t in tokens[1:]):
        return False
    return sum(t.kind == "word" for t in tokens) >= 2


def _valued(tokens: list[Token]) -> bool:
    return any(t.kind in ("num", "letter", "cmd") for t in tokens)


def _without_comma(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].text in (",", ";", "quad", "."):
        tokens = tokens[:-1]
    return tokens


def _is(token: Token, word: str) -> bool:
    return token.kind == "word" and token.text.lower() == word
