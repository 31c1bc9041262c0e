"""Amounts: a value with words before it and a unit behind it."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import reduce

from acemath.grade.base.nodes import Node, number, symbol
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.parse import parse_tokens
from acemath.grade.read.tokens import Token
from acemath.grade.read.units import parse_unit
from acemath.grade.read.vocabulary import LEADS, SCALE_WORDS

_NOT_LEADS = frozenset(
    "less more least most greater under over not before after between except but no without than fewer".split()
)
_NEGATIVE = ("minus", "negative")
_SHORT_UNITS = frozenset("m s g h L l J N V W A".split())
_BOUNDS = ("or more", "or less", "or fewer", "more", "less")
_FRACTION = re.compile(r"frac\{([A-Za-z]+)\}\{([A-Za-z]+(?:\^\d)?)\}")
_FACTORS = re.compile(r"([A-Za-z]{1,3})(?:/([A-Za-z]{1,3}))?")
_PERCENT = re.compile(r"(?:percent|pct|percents|percentage|per cent)\b")


def expression(tokens: list[Token]) -> Node | None:
    """The tree of some tokens, with a short unit behind a number as such; None where it cannot be read."""
    if not tokens:
        return None
    try:
        tree = parse_tokens(tokens)
    except Unreadable:
        return None
    unit = spaced_unit(tokens) if tree.kind in ("mul", "pow", "div") else None
    return unit or tree


def spaced_unit(tokens: list[Token]) -> Node | None:
    """`66.6 m`, `15 m^2` and `9 m/s^2`, where no mark says that m is a unit: only behind a space and a plain number."""
    rate = _spaced_rate(tokens) or _fraction_of_units(tokens)
    if rate is not None:
        return rate
    power = 1
    if len(tokens) > 5 and tokens[-1].text == "}":
        power = 5
    elif len(tokens) > 3 and tokens[-2].text == "^":
        power = 3
    at = len(tokens) - power
    if at < 1 or tokens[at].kind != "letter" or tokens[at].text not in _SHORT_UNITS:
        return None
    if power == 1 and not tokens[at].spaced and tokens[at].text != "g":
        return None
    if tokens[at - 1].kind != "num" or any(t.kind != "num" for t in tokens[1:at]):
        return None
    return _with_unit(tokens, at)


def _spaced_rate(tokens: list[Token]) -> Node | None:
    if len(tokens) < 4 or tokens[0].kind != "num" or not tokens[1].spaced or tokens[1].kind == "op":
        return None
    return _with_unit(tokens, 1) if any("/" in t.text for t in tokens) else None


def _fraction_of_units(tokens: list[Token]) -> Node | None:
    r"""`60 \frac{\text{km}}{\text{h}}`, behind a space."""
    at = next((i for i, t in enumerate(tokens) if t.text == "frac" and t.spaced and i), 0)
    match = _FRACTION.fullmatch("".join(t.text for t in tokens[at:])) if at else None
    return None if match is None else _with_unit(tokens[:at] + [Token("word", f"{match[1]}/{match[2]}")], at)


def _with_unit(tokens: list[Token], at: int) -> Node | None:
    """The amount whose unit begins at a place; None where the rest names no unit."""
    unit = "".join(t.text for t in tokens[at:] if t.text not in "{}")
    value = expression(tokens[:at]) if parse_unit(unit) is not None else None
    return None if value is None else Node("quantity", (value,), unit)


def amount(tokens: list[Token]) -> Node | None:
    """Words, a value, words: those before are dropped or name the value, those behind are its unit."""
    start = 0
    while start < len(tokens) and (_is_word(tokens[start]) or start and tokens[start].text == "."):
        start += 1
    before = [t.text.lower() for t in tokens[:start]]
    if set(before) & _NOT_LEADS:
        return None
    said = [w for w in before if w not in LEADS and w != "usd" and w not in _NEGATIVE]
    if start < len(tokens) and tokens[start].text in ("=", ":"):
        rest = tokens[start + 1 :]
        currency = any(t.text.lower() == "usd" for t in tokens)
        value = _measured(rest[1:] if rest and rest[0].text == "USD" else rest, False, currency)
        if value is None or not said:
            return value
        return Node("rel", (Node("text", (), " ".join(said)), value), ("=",))
    if len(said) > 3:
        return None
    return _measured(tokens[start:], bool(before) and before[-1] in _NEGATIVE, "usd" in before)


def _is_word(token: Token) -> bool:
    return token.kind in ("word", "text")


def _measured(tokens: list[Token], negative: bool, currency: bool) -> Node | None:
    """A value and the unit behind it."""
    if rate := _fraction_of_units(tokens):
        return rate
    end = _unit_start(tokens)
    value = expression(tokens[:end])
    if value is None:
        return _joined_amounts(tokens)
    unit = " ".join(t.text for t in tokens[end:])
    doubtful = value.kind in ("sym", "const") or "-" in unit and "^" in unit
    if unit and doubtful and parse_unit(unit) is None:
        return None
    if unit.strip().lower() in _BOUNDS:
        return None
    if negative:
        value = Node("neg", (value,))
    first, *others = unit.split() or [""]
    if scale := SCALE_WORDS.get(first.lower()):
        value, unit = Node("mul", (value, number(scale))), " ".join(others)
    if _PERCENT.match(unit.lower().replace("\\", "").strip()):
        return Node("pct", (value,))
    if currency:
        unit = f"dollars {unit}" if unit.startswith(("per ", "/ ")) else unit or "dollars"
    return Node("quantity", (value,), unit) if unit else value


def _unit_start(tokens: list[Token]) -> int:
    """Where the words behind the value begin."""
    end = len(tokens)
    while end and _part_of_unit(tokens, end - 1):
        end -= 1
    while end < len(tokens) and not _is_word(tokens[end]) and tokens[end].text not in ("per", "(", "/"):
        end += 1
    return end


def _part_of_unit(tokens: list[Token], index: int) -> bool:
    token = tokens[index]
    if _is_word(token):
        return True
    earlier = any(map(_is_word, tokens[:index]))
    if token.kind == "num":
        power = index - (2 if tokens[index - 1].text == "-" else 1)
        return earlier and power > 0 and tokens[power].text in ("^", "{")
    last = index + 1 == len(tokens)
    if token.kind == "letter":
        return earlier or not last and tokens[index - 1].text == "/"
    if token.text in ("/", "("):
        return earlier or not last and tokens[index + 1].kind == "word"
    return earlier and token.text in ("^", ")", "{", "}", ".", "cdot", "-")


def _joined_amounts(tokens: list[Token]) -> Node | None:
    """`5 feet 3 inches`, `2 hours 30 minutes`: several amounts of one kind make one."""
    parts: list[list[Token]] = []
    for token in tokens:
        if token.kind == "letter" and token.text in _SHORT_UNITS and parts and parts[-1][-1].kind == "num":
            token = Token("word", token.text, True)
        if token.kind == "num" and (not parts or _is_word(parts[-1][-1])):
            parts.append([])
        if not parts:
            return None
        parts[-1].append(token)
    if len(parts) < 2 or any(len(p) < 2 or not all(map(_is_word, p[1:])) for p in parts):
        return None
    return compound(
        [Node("quantity", (expression(p[:1]) or number(0),), " ".join(t.text for t in p[1:])) for p in parts]
    )


def compound(nodes: list[Node]) -> Node | None:
    """Amounts of one dimension, largest unit first, as one amount in the last unit."""
    if not all(n.kind == "quantity" and n.args[0].kind == "num" for n in nodes):
        return None
    units = [parse_unit(n.value) for n in nodes]
    last = units[-1]
    if last is None:
        return None
    total, size = Fraction(0), None
    for node, unit in zip(nodes, units, strict=True):
        if unit is None or unit.dims != last.dims or size is not None and unit.size >= size:
            return None
        size = unit.size
        total += node.args[0].value[0] * unit.size / last.size
    return Node("quantity", (number(total),), nodes[-1].value)


def unit_product(quantity: Node) -> Node | None:
    """An amount whose unit is one to three letters, or two such, as an expression: `2mg` as 2·m·g; None for others."""
    match = _FACTORS.fullmatch(quantity.value)
    if match is None:
        return None
    product = reduce(lambda x, y: Node("mul", (x, symbol(y))), match[1], quantity.args[0])
    return reduce(lambda x, y: Node("div", (x, symbol(y))), match[2] or "", product)
