"""The words of a prompt, as decontamination compares them.

Different spellings of one problem give the same words: case, Unicode forms, invisible characters, LaTeX spacing and
formatting commands, punctuation, and signs written as a command or a character are folded. Numbers count as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T")
_SIGNS = {
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/", "⁄": "/",
    "−": "-", "‐": "-", "‑": "-", "–": "-", "—": "-",
    "≤": " <= ", "≥": " >= ", "≠": " neq ", "√": " sqrt ", "π": " pi ", "∞": " infty ", "°": " degrees ",
}  # fmt: skip
_COMMANDS = {
    "times": "*", "cdot": "*", "div": "/", "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=",
    "geq": ">=", "geqslant": ">=", "ne": "neq", "dfrac": "frac", "tfrac": "frac", "cfrac": "frac",
    "dbinom": "binom", "tbinom": "binom", "degree": "degrees",
    **dict.fromkeys(
        ("quad", "qquad", "left", "right", "big", "bigg", "Big", "Bigg", "displaystyle", "textstyle", "limits")
        + ("text", "textbf", "textit", "textrm", "mbox", "mathrm", "mathbf", "mathit", "operatorname"),
        "",
    ),
}  # fmt: skip
_SUPERSCRIPT, _SUBSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"
_RAISED = re.compile(f"[{_SUPERSCRIPT}]+")
_LOWERED = re.compile(f"[{_SUBSCRIPT}]+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SIGN = str.maketrans(_SIGNS)
_DEGREES = re.compile(r"\^\s*(?:\\circ\b|\{\s*\\circ\s*\})")
_FRAME = re.compile(r"\\(?:begin|end)\s*\{[^{}]*\}")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,)(?=\d{3}(?!\d))")
# Digits and letters are separate tokens, so that "5cm" is "5 cm" and "3x" is "3 x".
# A comma before exactly three digits belongs to its number; `fold` removes it.
# A command keeps its backslash until then: \left is formatting, left is a word.
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:,\d{3}(?!\d))*|\\[^\W\d_]+|[<>]=?|[-+*/=^%]")
# The same for ASCII texts, in two thirds of the time.
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+(?:,[0-9]{3}(?![0-9]))*|\\[A-Za-z]+|[<>]=?|[-+*/=^%]")

_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega"
)
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz") | frozenset(_GREEK.split())
# Any other two letters are a product or a geometric figure: xy, ax, AB.
_TWO = (
    "of to in is it at by on he we if as an be or do so no up my me us go am vs th st nd rd ln lg pi le ge "
    "cm mm km kg mg ml ft oz lb hr pm mr ms dr"
)
_SHORT_WORDS = frozenset(_TWO.split())
NUMBER, VARIABLE = "0", "v"  # masks
_POINTS = 4  # the most letters in the name of a figure: AB, ABC, ABCD


def tokens_of(text: str) -> list[str]:
    """The words, numbers, operators and commands of a text, as typed. `fold` and `mask` turn them into words."""
    text = normalised(text)
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def normalised(text: str) -> str:
    """A text ready for tokenising: Unicode forms, LaTeX spacing and thousands separators folded."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _LOWERED.sub(lambda found: "_" + found[0], _RAISED.sub(lambda found: "^" + found[0], text))
        # Signs are translated after the Unicode forms, because NFKC turns ½ into digits around a slash.
        text = unicodedata.normalize("NFKC", text).translate(_SIGN)
    if "{,}" in text or "\\," in text:
        text = _THOUSANDS.sub("", text)
    if "\\" in text:
        text = _DEGREES.sub(" degrees ", text) if "circ" in text else text
        text = _FRAME.sub(" ", text) if "\\begin" in text or "\\end" in text else text
        text = text.replace("\\>", " ")
    if text.isupper():  # all in capitals, so capitals do not name figures
        text = text.lower()
    return text


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a text, normalised."""
    return fold(tokens_of(text))


def fold(tokens: list[str]) -> list[str]:
    """Tokens as words: lower case, numbers without commas, commands by name, formatting commands left out."""
    return list(filter(None, map(_FOLDS.__getitem__, tokens)))


def mask(tokens: list[str]) -> list[str]:
    """Tokens as words, with NUMBER for every number and VARIABLE for every variable.

    Problems that differ only in numbers and in the names of variables and figures give the same list. Adjacent numbers
    become one, so that 3.5 and 7, or lists of different length, are equal.
    """
    return merged(list(filter(None, map(_MASKS.__getitem__, tokens))))


def merged(masked: list[str]) -> list[str]:
    """Masked words with adjacent numbers merged into one."""
    if f"\n{NUMBER}\n{NUMBER}" not in "\n".join(["", *masked]):  # a quick test for the common case
        return masked
    return [word for word, before in zip(masked, ["", *masked]) if word != NUMBER or before != NUMBER]


def common_length(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence, by bit-parallel dynamic programming (Hyyrö 2004)."""
    places: dict[Hashable, int] = {}
    for at, word in enumerate(a):
        places[word] = places.get(word, 0) | (1 << at)
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        match = places.get(word, 0)
        low = row & match
        row = ((row + low) | (row - low)) & full
    return len(a) - row.bit_count()


def fold_one(token: str) -> str:
    """One token as a word, "" for a formatting command."""
    name = token.removeprefix("\\")
    word = _COMMANDS.get(name, name) if name != token else token
    return word.casefold().replace(",", "")


def mask_one(token: str) -> str:
    """One token as a masked word, "" for a formatting command."""
    word = _FOLDS[token]
    if token[0].isdigit():
        return NUMBER
    return VARIABLE if is_variable(word) or token.isupper() and len(token) <= _POINTS else word


class Memo(dict[str, T]):
    """A function's value for each token, computed once: the same few thousand tokens come again and again.

    Equal words are one string object, which keeps its hash. All is forgotten at `limit` tokens.
    """

    def __init__(self, function: Callable[[str], T], limit: int = 200_000) -> None:
        self._function, self._limit = function, limit

    def __missing__(self, token: str) -> T:
        if len(self) >= self._limit:
            self.clear()
        value = self[token] = self._function(token)
        return value


_FOLDS, _MASKS = Memo(fold_one), Memo(mask_one)


def is_variable(word: str) -> bool:
    """Whether a word is a variable, a product of two variables, or a Greek letter."""
    return word in _LETTERS or _is_product(word)


def _is_product(word: str) -> bool:
    return len(word) == 2 and word.isalpha() and word not in _SHORT_WORDS
