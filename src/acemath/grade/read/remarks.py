r"""Remarks beside an answer, which are removed: where it holds, why, what its letters mean.

`f(x) = 1/x \text{ for all } x > 0` states `f(x) = 1/x`; `y = Ae^x, where A is a constant` states `y = Ae^x`.
A remark goes only behind a value, and a condition only where the answer has a single one: `x for x > 0, -x for
x < 0` is a function given by cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import COMPARED, UNEQUAL

_OPEN = frozenset(("(", "[", "{", "langle", "lfloor", "lceil"))
_CLOSE = frozenset((")", "]", "}", "rangle", "rfloor", "rceil"))
_QUANTIFIED = frozenset([*(("for", word) for word in "all any every each some arbitrary".split()), ("with", "multiplicity")])
_MEANT = frozenset("= , integer integers constant constants real positive arbitrary".split())
_SAID = _MEANT - {"=", ","} | frozenset("is are be being a an any some all every each for where with natural number numbers nonnegative".split())
_OTHERS = frozenset("or maybe perhaps possibly possible also other another alternatively either otherwise unless".split())
_REASONS = frozenset(("since", "because"))
_SO = re.compile(
    r"=>(?=[^,;]*=)|\\(?:Rightarrow|implies|Longrightarrow)(?![A-Za-z])|(?<=[\w)}\]])\s*[,;.]?\s*(?:\\text\s*\{\s*[,;.]?\s*)?"
    r"\b(?:so|thus|hence|therefore|which\s+(?:gives|means))\b(?:\s+that)?\s*,?\s*\}?\s*(?=.*\d|.*=)"
)


def conclusion(text: str) -> str:
    """What stands behind the last implication sign or "so" of a calculation; a lone `=>` may mean ≥ and stays."""
    return _SO.split(text)[-1].strip() or text if "=" in text or "implies" in text or "Rightarrow" in text else text


def turn(token: Token) -> int:
    """1 for an opening bracket, -1 for a closing one, 0 for anything else."""
    return (token.kind == "begin" or token.text in _OPEN) - (token.kind == "end" or token.text in _CLOSE)


def _outside(tokens: list[Token]) -> Iterator[int]:
    """The places outside brackets behind the first value."""
    depth, valued = 0, False
    for index, token in enumerate(tokens):
        if depth == 0 and valued:
            yield index
        depth += turn(token)
        valued = valued or token.kind in ("num", "letter", "cmd")


def without_remarks(tokens: list[Token]) -> list[Token]:
    """An answer up to its explanation, its single condition, or what its letters mean; the whole one where that names another value."""
    conditions = sum(t.kind == "word" and t.text.lower() in ("for", "if", "when") for t in tokens)
    places = (i for i in _outside(tokens) if tokens[i].kind == "word" or tokens[i].text == "(")
    at = next((i for i in places if _begins_remark(tokens[i:], conditions)), len(tokens))
    if not _OTHERS.isdisjoint(t.text.lower() for t in tokens[at:]) and any(t.kind == "num" for t in tokens[at:]):
        return tokens
    kept = tokens[:at]
    while at < len(tokens) and kept and kept[-1].text in (",", ";", "quad", "."):
        kept.pop()
    return kept


def without_quantifier(tokens: list[Token]) -> list[Token]:
    r"""One item of a list without its `for all x > 0`, `\forall x` or `with multiplicity 2`."""
    return tokens[: next((i for i in _outside(tokens) if _quantified(tokens[i : i + 2])), len(tokens))]


def _quantified(tokens: list[Token]) -> bool:
    words = tuple(t.text.lower() for t in tokens)
    return words[:1] == ("forall",) or words[:2] in _QUANTIFIED


def _begins_remark(tokens: list[Token], conditions: int) -> bool:
    """Whether the rest of an answer only explains or limits it: a bracket with words, a reason, `where …`, `for x > 0`."""
    first, *following = tokens
    word = first.text.lower() if first.kind == "word" else ""
    if first.text == "(":
        texts, words = [t.text.lower() for t in following], sum(t.kind == "word" for t in following)
        limits = texts[:1] and texts[0] in _REASONS or texts[1:2] == ["in"]  # `k\\pi (k \\in \\mathbb{Z})`
        return texts[-1:] == [")"] and "(" not in texts and bool(limits or first.spaced and words > 1)
    if word in _REASONS or word == "where":
        return True
    if conditions > 1 or len(following) < 2:
        return False
    return word in ("for", "with") and _tells(following)


def _tells(tokens: list[Token]) -> bool:
    """Whether `for …` or `with …` goes on with what a letter is, or where a bound is reached, and with no other value."""
    letter, what = tokens[0], tokens[1].text.lower()
    if what in COMPARED and letter.kind == "letter":
        last = tokens[max((i for i, t in enumerate(tokens) if t.text in (",", ";")), default=-1) + 1 :]
        return any(t.kind == "word" or t.text in COMPARED for t in last)  # not `2 for n > 0, 3`
    return letter.text.lower() == "equality" or letter.kind == "letter" and what in _MEANT


def without_conditions(items: list[list[Token]]) -> list[list[Token]]:
    r"""The items of an answer without those that limit others: `x = k\pi, k \in \mathbb{Z}` states `x = k\pi`.

    Where each of several values has its own condition, it is a function given by cases: `2t, t < 0, t^2, t >= 0`.
    """
    kept: list[list[Token]] = []
    limits: list[list[Token]] = []
    for item in items:
        (limits if kept and _limits(item, kept) else kept).append(item)
    by_cases = len(kept) == len(limits) > 1 and all(any(t.text in COMPARED for t in item) for item in limits)
    return items if by_cases else kept


def _declares(item: list[Token]) -> bool:
    """Whether an item only says what a letter is: `k is an integer`, `any integer n`, `C_1 and C_2 constants`."""
    words = {t.text.lower() for t in item if t.kind != "letter"}
    return words <= _SAID and not _MEANT.isdisjoint(words) and any(t.kind == "letter" for t in item)


def _limits(item: list[Token], kept: list[list[Token]]) -> bool:
    texts = [t.text for t in item]
    if "in" in texts and ("mathbb" in texts or "Z" in texts) and texts[-1] in ("}", "Z", "N") or _declares(item):
        return True
    if any(t.text in COMPARED for k in kept for t in k):
        return False
    # `(x+1)/(x-1), x ≠ 1`: where it is defined; `n = 2^k, k >= 0`: the k that are meant
    meant = len(item) > 2 and item[0].kind == "letter" and texts[1] in COMPARED and any(t.text == texts[0] for k in kept for t in k[1:])
    return meant or not UNEQUAL.isdisjoint(texts)
