"""From the text of an answer to a tree: words, units, currencies and lists around the expressions.

The parser knows mathematics; people write "about 5 cm", "two and a half hours", "x = 2 or x = 3". This module
splits an answer into its items, takes the words off each, and hands the rest to the parser. What is not
mathematics becomes a `text` node.
"""

from __future__ import annotations

import re
from functools import lru_cache

from acemath.grade.base.nodes import Node
from acemath.grade.base.text import clean_latex
from acemath.grade.read import phrases
from acemath.grade.read.amounts import amount, compound, expression, spaced_unit
from acemath.grade.read.phrases import meaning, phrase
from acemath.grade.read.remarks import conclusion, without_quantifier, without_remarks
from acemath.grade.read.tokens import Token, tokenize

_OPEN = frozenset(("(", "[", "{", "\\{", "{", "langle", "lfloor", "lceil"))
_CLOSE = frozenset((")", "]", "}", "\\}", "rangle", "rfloor", "rceil"))
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,]|\.\d{4})")


@lru_cache(maxsize=4096)
def read(answer: str, thousands: bool = True) -> Node:
    """The tree of an answer. Never fails on odd text: what cannot be read is a `text` node.

    Raises `TooHard` where a limit is exceeded.
    """
    text = conclusion(clean_latex(answer))
    if thousands:
        text = _SPACED_THOUSANDS.sub(lambda m: m.group().replace(" ", ""), text)
    tokens = tokenize(text, thousands)
    return _sequence(_strip_group(without_remarks(tokens, _turn)), text)


def _strip_group(tokens: list[Token]) -> list[Token]:
    """`{1, 2}` in plain braces prints as `1, 2`."""
    while (
        len(tokens) > 2
        and tokens[0].text == "{"
        and tokens[0].kind == "op"
        and _closes(tokens, 0) == len(tokens) - 1
    ):
        tokens = tokens[1:-1]
    return tokens


def _closes(tokens: list[Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += _turn(tokens[index])
        if depth == 0:
            return index
    return -1


def _turn(token: Token) -> int:
    if token.kind not in ("op", "cmd", "begin", "end"):
        return 0
    if token.kind == "begin" or token.text in _OPEN:
        return 1
    return -1 if token.kind == "end" or token.text in _CLOSE else 0


def _sequence(tokens: list[Token], raw: str) -> Node:
    groups = _split(tokens, (";",), ())
    if len(groups) > 1:
        return Node("list", tuple(_commas(g, raw) for g in groups if g), ";")
    return _commas(tokens, raw)


def _commas(tokens: list[Token], raw: str) -> Node:
    fixed = meaning(phrase(tokens))
    if fixed is not None:
        return fixed
    if words_said := _verdict(tokens):
        return words_said
    spelled = phrases.whole(tokens) if any(t.kind == "word" for t in tokens) else None
    if spelled is not None:
        return spelled
    if len(tokens) > 3 and tokens[0].text.lower() == "both":
        tokens = tokens[1:]
    items = [t for t in _split(tokens, (",",), ("and", "or")) if t]
    words = {t.text.lower() for t in tokens if t.kind == "word"} & {"and", "or"}
    if len(items) > 1:
        items = _without_conditions(items)
        nodes = [_item(item) for item in items]
        if all(n.kind == "text" for n in nodes) and not any(t.text == "," for t in tokens):
            return Node("text", (), phrase(tokens))
        if len(nodes) == 1:
            return nodes[0]
        measured = compound(nodes)
        if measured is not None:
            return measured
        return Node("list", tuple(nodes), "or" if "or" in words else "and" if "and" in words else ",")
    return _item(items[0]) if items else Node("text", (), "")


def _verdict(tokens: list[Token]) -> Node | None:
    """`Yes, it is continuous` as its yes: what follows the comma explains."""
    first = phrase(tokens[:1])
    if first not in ("yes", "no", "true", "false") or len(tokens) < 4 or tokens[1].text != ",":
        return None
    explains = tokens[2].text.lower() in _EXPLAINING
    plain = all(t.kind in ("word", "letter", "op", "text") for t in tokens)
    if not (explains or plain) or _ANSWERS & {t.text.lower() for t in tokens[2:]}:
        return None
    return meaning(first)


_EXPLAINING = frozenset(("because", "since", "it", "they", "the", "this", "that", "there", "as"))


_ANSWERS = frozenset(("yes", "no", "true", "false"))  # of several questions: `yes, no, yes`
_UNEQUAL = frozenset(("neq", "ne", "!=", "≠"))
_RELATED = _UNEQUAL | {
    "<",
    ">",
    "<=",
    ">=",
    "le",
    "ge",
    "leq",
    "geq",
    "leqslant",
    "geqslant",
    "in",
    "lt",
    "gt",
}


def _without_conditions(items: list[list[Token]]) -> list[list[Token]]:
    r"""`x = k\pi, k \in \mathbb{Z}` without its second part: it says what k is, not what the answer is."""
    kept: list[list[Token]] = []
    for item in items:
        texts = [t.text for t in item]
        if (
            kept
            and "in" in texts
            and texts[-1] in ("}", "Z", "N", "integer")
            and ("mathbb" in texts or "Z" in texts)
        ):
            continue
        if (
            kept
            and texts
            and texts[0].lower() in ("where", "for", "with")
            and (
                "in" in texts
                or "integer" in texts[-1]
                or texts[1:2]
                and texts[1].lower() in ("all", "any", "every")
            )
        ):
            continue
        if kept and _limits_parameter(item, kept):
            continue
        if kept and set(texts) & _UNEQUAL and not any({t.text for t in k} & _RELATED for k in kept):
            continue  # `(x+1)/(x-1), x ≠ 1`: where the expression is defined
        kept.append(item)
    return kept


def _limits_parameter(item: list[Token], kept: list[list[Token]]) -> bool:
    """Whether `k >= 0` stands behind `n = 2^k`: it says which k are meant."""
    if len(item) < 3 or item[0].kind != "letter" or item[1].text not in _RELATED:
        return False
    if any({t.text for t in k} & _RELATED for k in kept):
        return False
    return any(t.text == item[0].text for k in kept for t in k[1:])


def _split(tokens: list[Token], signs: tuple[str, ...], words: tuple[str, ...]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += _turn(token)
        separates = depth <= 0 and (
            token.kind == "op" and token.text in signs or token.kind == "word" and token.text.lower() in words
        )
        if separates:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _item(tokens: list[Token]) -> Node:
    """One item: an expression, an amount with a unit, or words."""
    if len(tokens) > 2 and tokens[0].text in ("max", "min") and tokens[1].text == "=":
        tokens = tokens[2:]
    words = phrase(tokens)
    fixed = meaning(words)
    if fixed is not None:
        return fixed
    if any(t.kind in ("word", "text") or t.text == "forall" for t in tokens):
        tokens = without_quantifier(tokens, _turn)
        for rule in _READINGS:
            found = rule(tokens)
            if found is not None:
                return found
    return expression(tokens) or spaced_unit(tokens) or Node("text", (), words)


_READINGS = (
    phrases.ratio, phrases.excepted, phrases.money, phrases.date, phrases.number_words, phrases.bounded, amount,
)  # fmt: skip
