"""From the text of an answer to a tree: words, units, currencies and lists around the expressions.

The parser knows mathematics; people write "about 5 cm", "two and a half hours", "x = 2 or x = 3". This module
splits an answer into its items, takes the words off each, and hands the rest to the parser. What is not
mathematics becomes a `text` node.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from acemath.grade.cursor import Unreadable
from acemath.grade.nodes import Node, number
from acemath.grade.parse import parse_tokens
from acemath.grade.text import clean_latex
from acemath.grade.tokens import Token, tokenize
from acemath.grade.units import parse_unit
from acemath.grade.vocabulary import LEADS, MONTHS, NUMBER_WORDS, SCALE_WORDS, SYNONYMS

_OPEN = frozenset(("(", "[", "{", "\\{", "{", "langle", "lfloor", "lceil"))
_CLOSE = frozenset((")", "]", "}", "\\}", "rangle", "rfloor", "rceil"))
_BOUNDS = {
    "at least": ">=", "no less than": ">=", "at most": "<=", "no more than": "<=", "more than": ">", "greater than": ">",
    "less than": "<", "fewer than": "<", "over": ">", "under": "<", "above": ">", "below": "<",
}  # fmt: skip
_NOT_LEADS = frozenset(
    [
        "less",
        "more",
        "least",
        "most",
        "greater",
        "under",
        "over",
        "not",
        "before",
        "after",
        "between",
        "except",
        "no",
        "without",
        "than",
        "fewer",
    ]
)
_SHORT_UNITS = frozenset(["m", "s", "g", "h", "L", "l", "J", "N", "V", "W", "A"])
_MEANING = {
    "no solution": Node("set"), "infinite": Node("const", (), "inf"), "all real numbers": Node("named", (), "R"),
    "all integers": Node("named", (), "Z"), "all positive integers": Node("named", (), "Z+"),
}  # fmt: skip
_NOTHING = re.compile(
    r"(?:there (?:is|are|exists?) )?no (?:such )?.{0,40}\b(?:solutions?|exists?|roots?|values?)$"
)
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,]|\.\d{4})")


@lru_cache(maxsize=16384)
def read(answer: str, thousands: bool = True) -> Node:
    """The tree of an answer. Never fails on odd text: what cannot be read is a `text` node.

    Raises `TooHard` where a limit is exceeded.
    """
    text = clean_latex(answer)
    if thousands:
        text = _SPACED_THOUSANDS.sub(lambda m: m.group().replace(" ", ""), text)
    tokens = tokenize(text, thousands)
    return _sequence(_strip_group(tokens), text)


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
    meaning = _meaning(_phrase(tokens))
    if meaning is not None:
        return meaning
    items = [t for t in _split(tokens, (",",), ("and", "or")) if t]
    words = {t.text.lower() for t in tokens if t.kind == "word"} & {"and", "or"}
    if len(items) > 1:
        items = _without_conditions(items)
        nodes = [_item(item) for item in items]
        if all(n.kind == "text" for n in nodes) and not any(t.text == "," for t in tokens):
            return Node("text", (), _phrase(tokens))
        if len(nodes) == 1:
            return nodes[0]
        measured = _compound(nodes)
        if measured is not None:
            return measured
        return Node("list", tuple(nodes), "or" if "or" in words else "and" if "and" in words else ",")
    return _item(items[0]) if items else Node("text", (), "")


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
            and ("in" in texts or "integer" in texts[-1])
        ):
            continue
        kept.append(item)
    return kept


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


def _phrase(tokens: list[Token]) -> str:
    """The tokens as plain lower-case words."""
    parts: list[str] = []
    for token in tokens:
        if token.text in ("'", '"', "{", "}", ".", "?", "!", "@", "#", "`"):
            continue
        if parts and token.kind == "letter" and not token.spaced and len(token.text) == 1:
            parts[-1] += token.text.lower()
        else:
            parts.append(token.text.lower())
    words = [w for w in parts if w not in ("the", "a", "an") or len(parts) == 1]
    return " ".join(words)


def _item(tokens: list[Token]) -> Node:
    """One item: an expression, an amount with a unit, or words."""
    phrase = _phrase(tokens)
    meaning = _meaning(phrase)
    if meaning is not None:
        return meaning
    if not any(t.kind in ("word", "text") for t in tokens):
        return _expression(tokens) or _spaced_unit(tokens) or Node("text", (), phrase)
    if len(tokens) == 3 and tokens[1].text == "to" and tokens[0].kind == tokens[2].kind == "num":
        return _expression([tokens[0], Token("op", ":"), tokens[2]]) or Node("text", (), phrase)
    excepted = _excepted(tokens)
    if excepted is not None:
        return excepted
    dated = _date(tokens)
    if dated is not None:
        return dated
    value = _number_words(tokens)
    if value is not None:
        return value
    bounded = _bounded(tokens)
    if bounded is not None:
        return bounded
    return _amount(tokens) or _expression(tokens) or Node("text", (), phrase)


def _excepted(tokens: list[Token]) -> Node | None:
    """`all real numbers except 2` as a difference of sets."""
    for index, token in enumerate(tokens):
        if token.kind == "word" and token.text.lower() in ("except", "excluding", "besides"):
            base = _meaning(_phrase(tokens[:index]).removesuffix(" for"))
            left_out = _expression([t for t in tokens[index + 1 :] if t.text.lower() != "for"])
            if base is None or base.kind != "named" or left_out is None:
                return None
            if left_out.kind == "rel":
                left_out = left_out.args[-1]
            items = left_out.args if left_out.kind in ("list", "set") else (left_out,)
            return Node("minus", (base, Node("set", items)))
    return None


def _meaning(phrase: str) -> Node | None:
    """What a fixed phrase stands for; None for other words."""
    meaning = SYNONYMS.get(phrase) or ("no solution" if _NOTHING.match(phrase) else None)
    return None if meaning is None else _MEANING.get(meaning, Node("text", (), meaning))


def _date(tokens: list[Token]) -> Node | None:
    """`May 5`, `5 May`, `May 5 2026`: a month with a day and perhaps a year."""
    months = [MONTHS[t.text.lower()] for t in tokens if t.kind == "word" and t.text.lower() in MONTHS]
    numbers = [t.text for t in tokens if t.kind == "num"]
    if len(months) != 1 or not 1 <= len(numbers) <= 2 or len(tokens) - len(numbers) > 3:
        return None
    return Node("text", (), f"date {months[0]} {' '.join(sorted(numbers, key=len))}")


def _expression(tokens: list[Token]) -> Node | None:
    if not tokens:
        return None
    try:
        tree = parse_tokens(tokens)
    except Unreadable:
        return None
    unit = _spaced_unit(tokens) if tree.kind in ("mul", "pow") else None
    return unit or tree


def _spaced_unit(tokens: list[Token]) -> Node | None:
    """`66.6 m` and `15 m^2` without any mark that m is a unit: only behind a space and a plain number."""
    power = (
        3
        if len(tokens) > 3 and tokens[-2].text == "^"
        else 5
        if len(tokens) > 5 and tokens[-1].text == "}"
        else 1
    )
    at = len(tokens) - power
    if at < 1 or tokens[at].kind != "letter" or tokens[at].text not in _SHORT_UNITS:
        return None
    if (
        power == 1
        and not tokens[at].spaced
        or tokens[at - 1].kind != "num"
        or any(t.kind != "num" for t in tokens[1:at])
    ):
        return None
    value = _expression(tokens[:at])
    text = "".join(t.text for t in tokens[at:] if t.text not in "{}")
    return None if value is None or parse_unit(text) is None else Node("quantity", (value,), text)


def _number_words(tokens: list[Token]) -> Node | None:
    """`twelve`, `two hundred five`, `twenty-one`, `5 million`, with nothing else beside."""
    total, current, seen = Fraction(0), Fraction(0), False
    for token in tokens:
        word = token.text.lower()
        if token.kind == "num":
            current += Fraction(token.text.rstrip("."))
        elif word in NUMBER_WORDS:
            current += NUMBER_WORDS[word]
            seen = True
        elif word in SCALE_WORDS:
            scaled = (current or Fraction(1)) * SCALE_WORDS[word]
            total, current = (total, scaled) if word == "hundred" else (total + scaled, Fraction(0))
            seen = True
        elif word not in ("-", "and") and word != "USD".lower():
            return None
    return number(total + current) if seen else None


def _bounded(tokens: list[Token]) -> Node | None:
    """`at least 5` is an inequality, not the number 5."""
    words = []
    for token in tokens:
        if token.kind != "word":
            break
        words.append(token.text.lower())
    for length in (3, 2, 1):
        operator = _BOUNDS.get(" ".join(words[-length:])) if len(words) >= length else None
        if operator is not None:
            value = _amount(tokens[len(words) :]) or _expression(tokens[len(words) :])
            return None if value is None else Node("rel", (Node("sym", (), "?"), value), (operator,))
    if words[:1] == ["between"] and len(tokens) > 1:
        return Node("text", (), _phrase(tokens))
    return None


def _amount(tokens: list[Token]) -> Node | None:
    """Words, a value, words: the words before are dropped, those behind are the unit."""
    start = 0
    while start < len(tokens) and (
        tokens[start].kind in ("word", "text") or start and tokens[start].text == "."
    ):
        start += 1
    before = [t.text.lower() for t in tokens[:start]]
    if set(before) & _NOT_LEADS:
        return None
    negative = bool(before) and before[-1] in ("minus", "negative")
    currency = "usd" in before
    if start < len(tokens) and tokens[start].text in ("=", ":"):
        start += 1
        before = []
        while start < len(tokens) and tokens[start].text == "USD":
            start += 1
            currency = True
    elif [w for w in before if w not in LEADS and w not in ("usd", "minus", "negative")][3:]:
        return None
    end = _unit_start(tokens, start)
    value = _expression(tokens[start:end])
    if value is None:
        return _joined_amounts(tokens[start:])
    if (
        value.kind in ("sym", "const")
        and end < len(tokens)
        and parse_unit(" ".join(t.text for t in tokens[end:])) is None
    ):
        return None
    if negative:
        value = Node("neg", (value,))
    unit = " ".join(t.text for t in tokens[end:])
    if unit.strip().lower() in ("or more", "or less", "or fewer", "more", "less"):
        return None
    if unit and SCALE_WORDS.get(unit.split()[0].lower()):
        value = Node("mul", (value, number(SCALE_WORDS[unit.split()[0].lower()])))
        unit = " ".join(unit.split()[1:])
    if unit.lower().replace("\\", "").strip() in ("percent", "pct", "percentage", "percents", "per cent"):
        return Node("pct", (value,))
    unit = unit or ("dollars" if currency else "")
    return Node("quantity", (value,), unit) if unit or currency else value


def _unit_start(tokens: list[Token], start: int) -> int:
    """Where the words behind the value begin."""
    end = len(tokens)
    while end > start and _part_of_unit(tokens, end - 1, start):
        end -= 1
    while (
        end < len(tokens)
        and tokens[end].kind not in ("word", "text")
        and tokens[end].text not in ("per", "(", "/")
    ):
        end += 1
    if end < len(tokens) and tokens[end].text == "/" and end > start and tokens[end - 1].kind == "num":
        return end
    return end


def _part_of_unit(tokens: list[Token], index: int, start: int) -> bool:
    token = tokens[index]
    if token.kind in ("word", "text"):
        return True
    earlier = any(t.kind in ("word", "text") for t in tokens[start:index])
    if token.text in ("^", "/", "(", ")", "{", "}", ".", "cdot", "-") or token.kind in ("num", "letter"):
        if token.kind == "num":
            return earlier and tokens[index - 1].text in ("^", "{") and index - 1 > start
        if token.kind == "letter":
            return earlier or (index + 1 < len(tokens) and tokens[index - 1].text == "/")
        return (
            earlier
            or token.text in ("/", "(")
            and index + 1 < len(tokens)
            and tokens[index + 1].kind == "word"
        )
    return False


def _joined_amounts(tokens: list[Token]) -> Node | None:
    """`5 feet 3 inches`, `2 hours 30 minutes`: several amounts of one kind make one."""
    parts: list[list[Token]] = []
    for token in tokens:
        if token.kind == "num" and (not parts or parts[-1][-1].kind == "word"):
            parts.append([])
        if not parts:
            return None
        parts[-1].append(token)
    if len(parts) < 2 or any(len(p) < 2 or any(t.kind != "word" for t in p[1:]) for p in parts):
        return None
    return _compound(
        [Node("quantity", (_expression(p[:1]) or number(0),), " ".join(t.text for t in p[1:])) for p in parts]
    )


def _compound(nodes: list[Node]) -> Node | None:
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
