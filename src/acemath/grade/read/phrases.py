"""Phrases with a mathematical meaning: fixed ones, numbers in words, dates."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

from acemath.grade.base.nodes import Node, number
from acemath.grade.read.amounts import expression
from acemath.grade.read.tokens import Token
from acemath.grade.read.vocabulary import MONTHS, NUMBER_WORDS, SCALE_WORDS, SYNONYMS

_MEANING = {
    "no solution": Node("set"), "infinite": Node("const", (), "inf"), "zero function": number(0),
    "noon": Node("quantity", (number(12),), "pm"), "midnight": Node("quantity", (number(12),), "am"),
}  # fmt: skip
_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth"
_PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_PARTS |= {word + s: n for n, word in enumerate(_ORDINALS.split(), 3) for s in ("", "s")}
_NOTHING = re.compile(
    r"no (?:such )?[^,]{0,40}\b(?:solutions?|exists?|roots?|values?)$|no such (?:integers?|numbers?|triangle)$"
)
_NUMBERS = re.compile(
    r"(?:for )?(?:set of )?(?:all |any |every )?(?:(positive|negative|non(?:negative|positive)) )?"
    r"(reals|real numbers?|real values|integers?|natural numbers|whole numbers)|all (?:x|real)"
)
_SETS = {"positive": "+", "negative": "-", "nonnegative": "0+", "nonpositive": "0-", "i": "Z", "n": "Z+", "w": "Z0+"}
_ISO = re.compile(r"([12]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_PERMUTED = frozenset(
    "permutations all and or the its their of any these thereof with up to in".split()
)


def phrase(tokens: list[Token]) -> str:
    """The tokens as plain lower-case words."""
    parts: list[str] = []
    for token in tokens:
        if token.text in ("'", '"', "{", "}", ".", "?", "!", "@", "#", "`"):
            continue
        if parts and token.kind == "letter" and not token.spaced and len(token.text) == 1:
            parts[-1] += token.text.lower()
        else:
            parts.append(token.text.lower())
    return " ".join(w for w in parts if w not in ("the", "a", "an") or len(parts) == 1)


def meaning(words: str) -> Node | None:
    """What a fixed phrase stands for; None for other words."""
    words = re.sub(r"non\s?-\s?(?=negative|positive)", "non", words)
    words = re.sub(r"^(?:equation|system|inequality|problem|it) (?:has|have) (?=no |infinitely)", "", words)
    words = re.sub(r"^(?:limit|integral|value|derivative) (?:is )?(?=does not exist|undefined|not defined)", "", words)
    words = re.sub(r"^there (?:is|are|exists?) |^f is |^[a-z] (?:=|in|is) (?=no |all |any |every |undefined)", "", words)
    if numbers := _NUMBERS.fullmatch(words):
        return Node("named", (), _SETS.get((numbers[2] or "r")[0], "R") + _SETS.get(numbers[1], ""))
    name = SYNONYMS.get(words) or ("no solution" if _NOTHING.match(words) else None)
    return None if name is None else _MEANING.get(name, Node("text", (), name))


def whole(tokens: list[Token]) -> Node | None:
    """A phrase that is one answer although "and" or commas stand in it."""
    return number_words(tokens) or excepted(tokens) or _permutations(tokens)


def _permutations(tokens: list[Token]) -> Node | None:
    """`all permutations of (1, 2, 3)`, `(3, 5, 7) and its permutations` as the list of them."""
    words = {t.text.lower() for t in tokens if t.kind in ("word", "text")}
    if "permutations" not in words or not words <= _PERMUTED:
        return None
    tree = expression([t for t in tokens if t.kind not in ("word", "text") and t.text not in (":", ".")])
    items = tree.args if tree is not None and tree.kind == "list" else (tree,)
    orders: list[Node] = []
    for item in items:
        if item is None or item.kind != "tuple" or len(item.args) > 5:
            return None
        orders += [Node("tuple", args, item.value) for args in itertools.permutations(item.args)]
    return Node("list", tuple(dict.fromkeys(orders)), ",")


def number_words(tokens: list[Token]) -> Node | None:
    """`twelve`, `two hundred five`, `twenty-one`, `5 million`, `minus two`, `two and a half`, with nothing else beside."""
    words = [t.text.lower() for t in tokens]
    if len(tokens) > 1 and words[0] in ("minus", "negative", "-"):
        positive = number_words(tokens[1:])
        return None if positive is None else number(-positive.value[0])
    total, current, joined, seen = Fraction(0), Fraction(0), Fraction(0), False
    for token, word in zip(tokens, words, strict=True):
        counted = current > joined
        if token.kind == "num":
            current += Fraction(word.rstrip("."))
        elif word in NUMBER_WORDS:
            current, seen = current + NUMBER_WORDS[word], True
        elif word in SCALE_WORDS:
            scaled, seen = (current or Fraction(1)) * SCALE_WORDS[word], True
            total, current = (total, scaled) if word == "hundred" else (total + scaled, Fraction(0))
        elif word in _PARTS and counted:
            current, joined, seen = joined + (current - joined) / _PARTS[word], Fraction(0), True
        elif word in ("a", "an") and not counted:
            current += 1
        elif word == "and":
            joined = current
        elif word not in ("-", "usd"):
            return None
    return number(total + current) if seen and not joined % 100 else None  # `three and four` are two numbers


def excepted(tokens: list[Token]) -> Node | None:
    """`all real numbers except 2` as a difference of sets."""
    for index, token in enumerate(tokens):
        if token.kind == "word" and token.text.lower() in ("except", "excluding", "besides"):
            base = meaning(phrase(tokens[:index]).removesuffix(" for"))
            left_out = expression([t for t in tokens[index + 1 :] if t.text.lower() != "for"])
            if base is None or base.kind != "named" or left_out is None:
                return None
            if left_out.kind == "rel":
                left_out = left_out.args[-1]
            items = left_out.args if left_out.kind in ("list", "set") else (left_out,)
            return Node("minus", (base, Node("set", items)))
    return None


def date(tokens: list[Token]) -> Node | None:
    """`May 5`, `5 May`, `May 5, 2026`, `2026-05-05`: a month with a day and perhaps a year."""
    if iso := _ISO.fullmatch("".join(t.text for t in tokens)) if len(tokens) == 5 else None:
        year, month, day = map(int, iso.groups())
        return Node("text", (), f"date {month} {day} {year}")
    months = [MONTHS[t.text.lower()] for t in tokens if t.kind == "word" and t.text.lower() in MONTHS]
    numbers = [t.text for t in tokens if t.kind == "num"]
    if len(months) != 1 or not 1 <= len(numbers) <= 2 or len(tokens) - len(numbers) > 3:
        return None
    return Node("text", (), f"date {months[0]} {' '.join(sorted(numbers, key=len))}")
