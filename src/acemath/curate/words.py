"""The words of a prompt, as decontamination compares them.

Two typings of one problem give the same words: case, Unicode forms, invisible characters, LaTeX spacing and
dressing, signs written as a command or a character, and punctuation are folded. Numbers count as words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence

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
# Digits and letters part, so that "5cm" is "5 cm" and "3x" is "3 x".
# A comma before three digits and no fourth belongs to its number; `fold` takes it out.
# A command keeps its backslash until then: \left is dressing, left is a word.
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:,\d{3}(?!\d))*|\\[^\W\d_]+|[<>]=?|[-+*/=^%]")
# The same on such texts, in two thirds of the time.
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+(?:,[0-9]{3}(?![0-9]))*|\\[A-Za-z]+|[<>]=?|[-+*/=^%]")

_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega"
)
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz") | frozenset(_GREEK.split())
# Two letters that are not one of these are a product or a figure: xy, ax, AB.
_TWO = (
    "of to in is it at by on he we if as an be or do so no up my me us go am vs th st nd rd ln lg pi le ge "
    "cm mm km kg mg ml ft oz lb hr pm mr ms dr"
)
_SHORT_WORDS = frozenset(_TWO.split())
NUMBER, VARIABLE = "0", "v"
_POINTS = 4  # letters at most in the name of a figure: AB, ABC, ABCD


def tokens_of(text: str) -> list[str]:
    """The words, numbers, operators and commands of a text, each as it is typed; `fold` and `mask` make words of them."""
    text = normalised(text)
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def normalised(text: str) -> str:
    """A text whose tokens can be cut: Unicode forms, LaTeX spacing and thousands separators folded."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _LOWERED.sub(lambda found: "_" + found[0], _RAISED.sub(lambda found: "^" + found[0], text))
        # The signs go after the Unicode forms: a fraction sign like ½ only then shows its slash.
        text = unicodedata.normalize("NFKC", text).translate(_SIGN)
    if "{,}" in text or "\\," in text:
        text = _THOUSANDS.sub("", text)
    if "\\" in text:  # other LaTeX spacing parts words without being one
        text = _DEGREES.sub(" degrees ", text) if "circ" in text else text
        text = _FRAME.sub(" ", text) if "\\begin" in text or "\\end" in text else text
        text = text.replace("\\>", " ")
    if text.isupper():  # shouted: capitals that name no figure
        text = text.lower()
    return text


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a text, normalised."""
    return fold(tokens_of(text))


def fold(tokens: list[str]) -> list[str]:
    """Tokens as words: without case, numbers without commas, commands by their name or not at all."""
    return _FOLDS.of(tokens)


def mask(tokens: list[str]) -> list[str]:
    """Tokens as words, with one mark for every number and one for every variable.

    Two problems that differ in their numbers, or in what their variables and figures are called, give the same
    list. Numbers next to each other are one: 3.5 and 7, or lists of different length, do not differ.
    """
    return merged(_MASKS.of(tokens))


def merged(masked: list[str]) -> list[str]:
    """Masked words with one mark in place of several numbers next to each other."""
    if f"\n{NUMBER}\n{NUMBER}" not in "\n".join(["", *masked]):  # the common case, at a third of the time
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


class _Remembered(dict[str, str]):
    """What each token becomes, computed once: the same few thousand come all the time.

    It also gives the same string object for the same word every time, which keeps its hash.
    """

    limit = 200_000

    def of(self, tokens: list[str]) -> list[str]:
        """What each of some tokens becomes."""
        if len(self) > self.limit:
            self.clear()
        return list(filter(None, map(self.__getitem__, tokens)))


class _Folds(_Remembered):
    def __missing__(self, token: str) -> str:
        name = token.removeprefix("\\")
        word = _COMMANDS.get(name, name) if name != token else token
        self[token] = word = word.casefold().replace(",", "")
        return word


class _Masks(_Remembered):
    def __missing__(self, token: str) -> str:
        word = _FOLDS[token]
        if token[0].isdigit():
            word = NUMBER
        elif word in _LETTERS or token.isupper() and len(token) <= _POINTS or _is_product(word):
            word = VARIABLE
        self[token] = word
        return word


_FOLDS, _MASKS = _Folds(), _Masks()


def fold_one(token: str) -> str:
    """One token as a word, "" where it is dressing."""
    return _FOLDS[token]


def mask_one(token: str) -> str:
    """One token as a masked word, "" where it is dressing."""
    return _MASKS[token]


def names_something(word: str) -> bool:
    """Whether a word names a variable, a product of two or a Greek letter, rather than being a word."""
    return word in _LETTERS or _is_product(word)


def _is_product(word: str) -> bool:
    return len(word) == 2 and word.isalpha() and word not in _SHORT_WORDS
