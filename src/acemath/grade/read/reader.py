"""From the text of an answer to a tree: words, units, currencies and lists around the expressions.

The parser knows mathematics; people write "about 5 cm", "two and a half hours", "x = 2 or x = 3". This module
splits an answer into its items, takes the words off each, and hands the rest to the parser. What is not
mathematics becomes a `text` node.
"""

from __future__ import annotations

import re
from functools import lru_cache

from acemath.grade.base.nodes import Node, substitute, symbols
from acemath.grade.read import phrases
from acemath.grade.read.amounts import amount, compound, expression, lettered
from acemath.grade.read.phrases import meaning, phrase
from acemath.grade.read.remarks import (
    conclusion,
    turn,
    without_conditions,
    without_quantifier,
    without_remarks,
)
from acemath.grade.read.tokens import Token, tokenize
from acemath.grade.read.vocabulary import COMPARED

_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,]|\.\d{4})")
_EXPLAINING = frozenset("because since it they the this that there as".split())
_SETS = frozenset(("(", "[", "{", "emptyset", "varnothing", "oslash", "mathbb"))  # how a set begins
_VERDICTS = frozenset(["yes", "no", "true", "false"])


@lru_cache(maxsize=4096)
def read(text: str, thousands: bool = True) -> Node:
    """The tree of an answer as `clean_latex` gives it. Never fails on odd text: what cannot be read is a `text` node.

    Raises `TooHard` where a limit is exceeded.
    """
    text = conclusion(text)
    if thousands:
        text = _SPACED_THOUSANDS.sub(lambda m: m.group().replace(" ", ""), text)
    tokens = _said_again(tokenize(text, thousands))
    stated = without_remarks(tokens)
    groups = _split(stated, (";",), ())
    if len(groups) > 1:
        by_cases = all(any(t.text in COMPARED for t in g) for g in groups)  # `-t, t < 0; t, t >= 0`
        return Node("list", tuple(_commas(g, by_cases) for g in groups if g), ";")
    return _with_values(_commas(groups[0]), tokens[len(stated) :])


def _said_again(tokens: list[Token]) -> list[Token]:
    """The set behind a colon where the same is said before it: `-3 <= m <= 5 : [-3, 5]`, `no solution : \\emptyset`."""
    first, *sets = _split(tokens, (":",), ())
    if len(sets) != 1 or not sets[0] or sets[0][0].text not in _SETS:
        return tokens
    return sets[0] if any(t.text in COMPARED for t in first) or meaning(phrase(first)) else tokens


def _with_values(tree: Node, remark: list[Token]) -> Node:
    """`y = ax^2, where a = 3`: a tree with the values of its letters."""
    at = next((i for i, t in enumerate(remark, 1) if t.kind == "word" and t.text.lower() == "where"), len(remark))
    given = expression(remark[at:]) or tree
    values = given.args if given.kind == "list" else (given,)
    if given is tree or any(v.kind != "rel" or v.value != ("=",) or symbols(v.args[-1]) for v in values):
        return tree
    known = {v.args[0]: v.args[1] for v in values if v.args[0] not in tree.args[:1]}
    return substitute(tree, known) if len(known) == len(values) else tree  # `where x = 3 or x = 5` tells nothing


def _commas(tokens: list[Token], by_cases: bool = False) -> Node:
    """Items with commas between them, without the conditions that limit others unless they tell cases apart."""
    fixed = meaning(phrase(tokens)) or _verdict(tokens)
    if fixed is not None:
        return fixed
    said = {t.text.lower() for t in tokens if t.kind == "word"}
    spelled = phrases.date(tokens) or (phrases.whole(tokens) if said else None)
    if spelled is not None:
        return spelled
    items = [t for t in _split(tokens, (",",), ("and", "or")) if t]
    if len(items) < 2:
        return _item(items[0]) if items else Node("text", (), phrase(tokens))
    kept = items if by_cases else without_conditions(items)
    nodes = [meaning(phrase(item)) or _item(item) for item in kept]
    if all(n.kind == "text" for n in nodes) and not any(t.text == "," for t in tokens):
        return Node("text", (), phrase(tokens))
    if len(nodes) == 1:
        return nodes[0]
    joined = "or" if "or" in said else "and" if "and" in said else ","
    return compound(nodes) or Node("list", tuple(nodes), joined)


def _verdict(tokens: list[Token]) -> Node | None:
    """`Yes, it is continuous` or `No. They are not.` as its first word: what follows explains."""
    first = phrase(tokens[:1])
    if first not in _VERDICTS or len(tokens) < 4 or tokens[1].text not in (",", "."):
        return None
    explains = tokens[2].text.lower() in _EXPLAINING
    plain = all(t.kind in ("word", "letter", "op", "text") for t in tokens)
    if not (explains or plain) or _VERDICTS & {t.text.lower() for t in tokens[2:]}:
        return None  # answers to several questions: `yes, no, yes`
    return meaning(first)


def _split(tokens: list[Token], signs: tuple[str, ...], words: tuple[str, ...]) -> list[list[Token]]:
    if {t.text.lower() for t in tokens}.isdisjoint((*signs, *words)):
        return [tokens]
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += turn(token)
        separates = (
            token.kind == "op" and token.text in signs or token.kind == "word" and token.text.lower() in words
        )
        if depth <= 0 and separates:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _item(tokens: list[Token]) -> Node:
    """One item: an expression, an amount with a unit, or words."""
    tokens = without_quantifier(tokens)
    if any(t.kind in ("word", "text") for t in tokens):
        for rule in _READINGS:
            found = rule(tokens)
            if found is not None:
                return found
    tree = expression(tokens)
    return _point(tree) if tree else lettered(tokens) or _stated(tokens) or Node("text", (), phrase(tokens))


def _point(tree: Node) -> Node:
    """`P(3, 4)`, read as a product, as `P = (3, 4)`."""
    named = tree.kind == "mul" and tree.args[1].kind == "tuple" and tree.args[0].kind == "sym" and tree.args[0].value.isupper()
    return Node("rel", tree.args, ("=",)) if named else tree


def _stated(tokens: list[Token]) -> Node | None:
    """`4 ⋄ 3 = 25 + 6 = 31`, of which one side cannot be read, as the equation of its words and its last side."""
    sides = _split(tokens, ("=",), ())
    head = [t for side in sides[:-1] for t in side]
    if len(sides) < 2 or not head or any(t.kind == "word" or t.text in COMPARED for t in head):
        return None
    value = expression(sides[-1])
    return None if value is None else Node("rel", (Node("text", (), phrase(head)), value), ("=",))


def _chain(tokens: list[Token]) -> Node | None:
    """`50 mm = 5 cm`: a chain of amounts."""
    sides = [amount(side) or lettered(side) for side in _split(tokens, ("=",), ())] if "=" in {t.text for t in tokens} else []
    amounts = [s for s in sides if s is not None and s.kind == "quantity" and s.args[0].kind not in ("rel", "list")]
    return Node("rel", tuple(amounts), ("=",) * (len(sides) - 1)) if len(amounts) == len(sides) and len(set(amounts)) > 1 else None


_READINGS = (phrases.excepted, phrases.date, phrases.number_words, _chain, amount)
