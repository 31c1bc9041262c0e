"""Amounts: a value with words before it and a unit behind it."""

from __future__ import annotations

import re
from fractions import Fraction

from acemath.grade.base.nodes import Node, letter, number, symbol
from acemath.grade.read.cursor import Unreadable
from acemath.grade.read.parse import parse_tokens
from acemath.grade.read.tokens import Token
from acemath.grade.read.units import parse_unit
from acemath.grade.read.vocabulary import LEADS, RELATIONS, SCALE_WORDS

_NOT_LEADS = frozenset(
    "less more least most greater under over not before after between except but no without than fewer".split()
)
_NEGATIVE = ("minus", "negative")
_SHORT_UNITS = frozenset("m s g h L l J N V W Omega".split())
_OF_NUMBERS = frozenset("- / times cdot ^ { }".split())
_UNIT_SIGNS = frozenset("/ ( ) ^ { } . cdot - frac Omega".split())
_CURRENCIES = {"USD": "dollars", "€": "euros", "£": "gbp", "¥": "yen"}
_FACTOR = re.compile(r"([A-Za-z]{1,3})(?:\^(-?[0-9]))?|(/)")
_UNIT_POWER, _UNIT_JOINS = re.compile(r"\s*\^\s*\{?\s*(-?)\s*([0-9])\s*\}?"), re.compile(r"(?<!\^)[-.]|\bcdot\b")
_PERCENT = re.compile(r"(?:percent|pct|percents|percentage|per cent)\b")


def expression(tokens: list[Token]) -> Node | None:
    """The tree of some tokens, with a short unit behind a number as such; None where it cannot be read."""
    if not tokens:
        return None
    try:
        tree = parse_tokens(tokens)
    except Unreadable:
        return None
    if tree.kind == "rel" and tree.value == ("=",):  # `R = 3 \Omega`
        places = [i for i, t in enumerate(tokens, 1) if t.text == "="]
        value = lettered(tokens[places[0] :]) if len(places) == 1 else None
        return tree if value is None else Node("rel", (tree.args[0], value), tree.value)
    return lettered(tokens) or tree if tree.kind in ("mul", "pow", "div") else tree


def lettered(tokens: list[Token]) -> Node | None:
    """`66.6 m`, `15 m^2`, `9 m/s^2`, `2h 30m`, where no mark says that m is a unit; None for anything else."""
    end = _unit_start(tokens)
    if end == len(tokens) or parse_unit(_text(tokens[end:])) is None:
        return _several(tokens)
    value = expression(tokens[:end])
    return None if value is None else Node("quantity", (value,), _text(tokens[end:]))


def _text(tokens: list[Token]) -> str:
    """The words and signs with spaces between them, letters that stand together as one word."""
    parts = (t.text if t.kind == "letter" and not t.spaced else f" {t.text}" for t in tokens)
    return "".join(parts).strip()


def amount(tokens: list[Token]) -> Node | None:
    """Words, a value, words: those before are dropped or name the value, those behind are its unit."""
    currency = next((_CURRENCIES[t.text] for t in tokens if t.text in _CURRENCIES), "")
    if not any(_is_word(t) and t.text not in _CURRENCIES for t in tokens):
        tokens = [t for t in tokens if t.text not in _CURRENCIES]
    start = 0
    while start < len(tokens) and (_is_word(tokens[start]) or start and tokens[start].text == "."):
        start += 1
    before = [t.text.lower() for t in tokens[:start]]
    if set(before) & _NOT_LEADS:
        return None
    said = [w for w in before if w not in LEADS and w not in _NEGATIVE and w.upper() not in _CURRENCIES]
    sign = tokens[start].text if start < len(tokens) else ""
    operator = "=" if sign == ":" else RELATIONS.get(sign)
    if operator in ("=", "<", ">", "<=", ">="):
        behind = tokens[start + 1 :]
        value = _measured(behind[1:] if behind and behind[0].text in _CURRENCIES else behind, False, currency)
        if value is None or operator == "=" and not said:
            return value
        if operator == "=":
            return Node("rel", (Node("text", (), " ".join(said)), value), ("=",))
        return Node("rel", (symbol("?"), value), (operator,))
    last = tokens[start - 1].text if start and sign.isdigit() and not tokens[start].spaced else ""
    if len(said) > 3 or last.isascii() and last.isalpha() and not last[1:].islower():  # `CuCl2` is a formula
        return None
    value = _measured(tokens[start:], bool(before) and before[-1] in _NEGATIVE, currency)
    return Node("rel", (Node("text", (), " ".join(said)), value), ("=",)) if value and said else value


def _is_word(token: Token) -> bool:
    return token.kind in ("word", "text")


def _measured(tokens: list[Token], negative: bool, currency: str) -> Node | None:
    """A value and the unit behind it."""
    if joined := _several(tokens):
        return joined
    end = _unit_start(tokens)
    value, unit = expression(tokens[:end]), _text(tokens[end:])
    if value is None or currency and value.kind in ("rel", "list", "quantity"):
        return value
    doubtful = all(t.kind == "letter" for t in tokens[:end]) or value.kind == "const" or "-" in unit and "^" in unit
    if unit and doubtful and parse_unit(unit) is None or unit.lower() in ("more", "less"):
        return None
    if negative:
        value = Node("neg", (value,))
    first, *others = unit.split() or [""]
    if scale := SCALE_WORDS.get(first.lower()):
        value, unit = Node("mul", (value, number(scale))), " ".join(others)
    if _PERCENT.match(unit.lower().replace("\\", "").strip()):
        return Node("pct", (value,))
    if currency:
        unit = f"{currency} {unit}" if unit.startswith(("per ", "/ ")) else currency if parse_unit(unit) is None else unit
    if not unit or value.kind == "rel":
        return Node("quantity", (value,), unit) if unit else value
    return Node("deg", (value,)) if unit.lower() in ("degrees", "degree", "deg") else Node("quantity", (value,), unit)


def _unit_start(tokens: list[Token]) -> int:
    """Where the words or the letters of a unit begin behind a value; the number of tokens where nowhere."""
    return next((i for i in range(len(tokens)) if _begins_unit(tokens, i)), len(tokens))


def _begins_unit(tokens: list[Token], at: int) -> bool:
    """Whether everything from a place on is a unit: words, known or not, or letters behind a number that name a known one."""
    token, rest = tokens[at], tokens[at:]
    if _is_word(token) or token.text in ("/", "(") and len(rest) > 1 and _is_word(rest[1]):
        return all(_part_of_unit(tokens, index) for index in range(at, len(tokens)))
    if token.text == "frac":
        marked = at > 0 and (token.spaced or len(rest) > 2 and _is_word(rest[2]))
    elif (token.kind == "letter" or token.text == "Omega") and at and all(t.kind == "num" or t.text in _OF_NUMBERS for t in tokens[:at]):
        texts = [t.text for t in rest]
        marked = "/" in texts or token.text in _SHORT_UNITS and not any(t.kind == "letter" for t in rest[1:])
        marked = marked and (token.spaced or texts == ["g"] or "^" in texts)
    else:
        marked = False
    return marked and all(_part_of_unit(tokens, index) for index in range(at, len(tokens))) and parse_unit(_text(rest)) is not None


def _part_of_unit(tokens: list[Token], at: int) -> bool:
    """Whether a token can stand in a unit: numbers only as exponents."""
    token = tokens[at]
    if token.kind == "num":
        return [t.text for t in tokens[max(at - 3, 0) : at] if t.text not in ("{", "-")][-1:] == ["^"]
    return _is_word(token) or token.kind == "letter" or token.text in _UNIT_SIGNS


def _several(tokens: list[Token]) -> Node | None:
    """`5 feet 3 inches`, `2 hours 30 minutes`, `2h 30m`: several amounts of one kind make one."""
    parts: list[list[Token]] = []
    for token in tokens:
        if token.kind == "num":
            parts.append([])
        elif not parts or not (_is_word(token) or token.text in _SHORT_UNITS):
            return None
        parts[-1].append(token)
    if len(parts) < 2 or any(len(p) < 2 for p in parts):
        return None
    return compound([Node("quantity", (expression(p[:1]) or number(0),), _text(p[1:])) for p in parts])


def compound(nodes: list[Node]) -> Node | None:
    """Amounts of one dimension, largest unit first, as one amount in the last unit."""
    if not all(n.kind == "quantity" and n.args[0].kind == "num" for n in nodes):
        return None
    names = [n.value for n in nodes]
    names = [names[0], *("min" if n == "m" and before == "h" else n for before, n in zip(names, names[1:], strict=False))]
    units = [unit for name in names if (unit := parse_unit(name))]
    if len(units) < len(nodes) or any(
        a.dims != b.dims or a.size <= b.size for a, b in zip(units, units[1:], strict=False)
    ):
        return None
    sizes = (n.args[0].value[0] * unit.size / units[-1].size for n, unit in zip(nodes, units, strict=True))
    return Node("quantity", (number(sum(sizes, Fraction(0))),), names[-1])


def unit_product(quantity: Node) -> Node | None:
    """An amount with its unit read as letters: `2mg` as 2·m·g, `9 m/s^2` as 9·m·s^-2. None where the unit is a word."""
    product, sign = quantity.args[0], 1
    for factor in map(_FACTOR.fullmatch, _UNIT_JOINS.sub(" ", _UNIT_POWER.sub(r"^\1\2", quantity.value)).replace("/", " / ").split()):
        if factor is None:
            return None
        if factor[3]:
            sign = -1
            continue
        *others, last = map(letter, factor[1])
        power = sign * int(factor[2] or 1)
        for base, exponent in (*((base, sign) for base in others), (last, power)):
            product = Node("mul", (product, base if exponent == 1 else Node("pow", (base, number(exponent)))))
    return product
