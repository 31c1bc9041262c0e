"""The words of a prompt, as decontamination compares them.

Two typings of one problem give the same words: case, Unicode forms, invisible characters, LaTeX spacing and
dressing, signs written as a command or a character, and punctuation are folded. Numbers count as words.
"""

from __future__ import annotations

import re
import unicodedata

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
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,)(?=\d{3}(?!\d))")
_SPACE = re.compile(r"\\[,;:!> ]|~")
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_WORD = re.compile(r"[^\W_]+|[-+*/=<>^%]")


def words_of(text: str) -> list[str]:
    """The words, numbers and operators of a text, normalised."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
        text = _LOWERED.sub(lambda found: "_" + found[0], _RAISED.sub(lambda found: "^" + found[0], text))
        # The signs go after the Unicode forms: a fraction sign like ½ only then shows its slash.
        text = unicodedata.normalize("NFKC", text).translate(_SIGN)
    text = _THOUSANDS.sub("", text)
    if "\\" in text or "~" in text:
        text = _FRAME.sub(" ", _DEGREES.sub(" degrees ", text))
        text = _COMMAND.sub(_command, _SPACE.sub(" ", text))
    return _WORD.findall(text.casefold())


def _command(found: re.Match[str]) -> str:
    return f" {_COMMANDS.get(found[1], found[1])} "
