"""One spelling for what is written in many: Unicode maths, LaTeX layout, dollars and full-width signs.

Nothing here interprets an answer; the meaning of every string stays what it was.
"""

from __future__ import annotations

import re
import unicodedata

from acemath.grade.base.dialects import standard_commands, standard_words, turned_brackets

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎", "0123456789+-()")
_SUPER_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+")
_SUB_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎]+")

_SIGNS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "‒": "-",
    "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ", "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "⁎": "*",
    "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ",
    "γ": r"\gamma ", "δ": r"\delta ", "λ": r"\lambda ", "μ": r"\mu ", "σ": r"\sigma ", "φ": r"\phi ",
    "ω": r"\omega ", "ε": r"\epsilon ", "ρ": r"\rho ", "τ": r"\tau ", "Δ": r"\Delta ", "ϕ": r"\phi ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "≡": r"\equiv ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "ø": r"\emptyset ", "∖": r"\setminus ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "°": r"^\circ ", "º": r"^\circ ", "′": "'", "’": "'", "‘": "'",
    "“": '"', "”": '"', "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "…": r"\ldots ",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∑": r"\sum ", "∏": r"\prod ",
    "∫": r"\int ", "→": r"\to ", "⇒": r"\Rightarrow ", "∨": r"\text{ or }", "∧": r"\text{ and }", "，": ",",
    "。": ".", "；": ";", "：": ":", "（": "(", "）": ")", "、": ",", "．": ".", "％": "%", "\u200b": "",
    "\ufeff": "", "\u2061": "", "\u2062": "", "\u00ad": "", "\u20d7": "", "∥": r"\parallel ", "⊥": r"\perp ",
    "￥": "¥", "∣": "|", "∶": ":", "𝑥": "x", "𝑦": "y", "𝑛": "n", "Ø": r"\emptyset ",
}  # fmt: skip
_SIGN = re.compile("[" + re.escape("".join(_SIGNS)) + "]")
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-z]|(?=[({\\]))")
_VULGAR = re.compile("[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")


def _vulgar(match: re.Match[str]) -> str:
    top, bottom = unicodedata.normalize("NFKC", match.group()).split("⁄")
    return rf"\frac{{{top}}}{{{bottom}}}"


def _root(match: re.Match[str]) -> str:
    radicand = match.group(2)
    return _ROOTS[match.group(1)] + (f"{{{radicand}}}" if radicand else "")


def from_unicode(text: str) -> str:
    """Unicode mathematics as LaTeX and ASCII; ASCII text comes back as it is."""
    if text.isascii():
        return text
    text = _VULGAR.sub(_vulgar, text)
    text = _ROOT.sub(_root, text)
    text = _SUPER_RUN.sub(lambda m: "^{" + m.group().translate(_SUPER) + "}", text)
    text = _SUB_RUN.sub(lambda m: "_{" + m.group().translate(_SUB) + "}", text)
    text = _SIGN.sub(lambda m: _SIGNS[m.group()], text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


_DOUBLED = re.compile(
    r"(?<!\\)\\\\(?=(?:[dtc]?frac|sqrt|left|right|boxed|text|textbf|mathrm|mathbf|pi|cdot|times|pm|le|leq|ge|"
    r"geq|in|infty|cup|cap|sin|cos|tan|log|ln|circ|quad|begin|end|alpha|beta|theta|ldots|dots|binom|neq|ne)"
    r"(?![A-Za-z]))"
)
_LAYOUT = re.compile(
    r"\\(?:left|right|middle|bigg?[lrm]?|Bigg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|"
    r"rm|bf|it|cal|hfill|vphantom\{[^{}]*\}|hphantom\{[^{}]*\}|phantom(?:\{[^{}]*\}|\s*[-+0-9])|label\{[^{}]*\}|"
    r"tag\*?\{[^{}]*\}|hspace\*?\{[^{}]*\}|vspace\*?\{[^{}]*\}|mkern\d*mu|hskip[\d.]*[a-z]*|"
    r"nonumber|notag|centering|boldsymbol|mathstrut|strut|allowbreak|unit)(?![A-Za-z])"
)
_SPACES = re.compile(r"\\(?:quad|qquad|enspace|thinspace|medspace|thickspace|space|,|;|:|!|>|\s|/)|~")
_GROUPED = re.compile(
    r"(?<=\d)\s?(?:\{\s*,\s*\}|\\,|,\s?\\!|\\!,|\\!|,\\,|\{\\,\}|\\ |~|\\;|\\:)\s?(?=\d{3}(?!\d))"
)
_ESCAPED_DOLLAR = re.compile(r"(?<=(\d))?\\\$(?=\s*([\d.(]))?")
_BRACED_UNIT = re.compile(r"(?<=\d)\s?\{\s*([A-Za-z]{1,12})\s*\}")
_ORDINAL = re.compile(
    r"(?<=\d)(?:(?:st|nd|rd|th)\b|\s*\^\s*\{?\s*\\(?:text|mathrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?)"
)
_SCALE = re.compile(r"(\^\s*\{?\s*\\circ\s*\}?)\s*(?:[CF]\b|\\(?:text|mathrm)\s*\{\s*[CF]\s*\})")
_REPEATING = re.compile(r"([0-9]{1,30})\.([0-9]{0,30})\\(?:overline|bar)\s*\{\s*([0-9]{1,30})\s*\}")
_TIMES_TEN = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))")
_CONTINENTAL = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+,\d+(?![\d.,])")
_CLOCK = re.compile(r"\b([apAP])\.\s?[mM]\b\.?")
_MATH_MARKS = re.compile(r"\\[()\[\]]|(?<!\\)\$+")
_STARS = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*(?!\w)|__(?=\S)(.+?)(?<=\S)__")
_FRAC = re.compile(r"\\[dtcs]frac(?![A-Za-z])|\\nicefrac(?![A-Za-z])")
_TEXT = re.compile(
    r"\\(?:textnormal|textrm|textbf|textit|textsf|texttt|mbox|hbox|emph|textsc|text)(?![A-Za-z])\s*"
)
_TIMES_E = re.compile(r"(?<![A-Za-z\\])([A-Za-z])e\^")  # `Ce^x` is a product, not a word
# Binomial coefficients as calculators and school books write them: `{}_{10}C_3`, `^{10}C_3`.
_BEFORE, _AFTER = r"(?:\{\s*\})?[_^]\s*\{?\s*(\w{1,6})\s*\}?\s*", r"\s*_\s*\{?\s*(\w{1,6})\s*\}?"
_CHOSEN = re.compile(rf"(?<![\w}}]){_BEFORE}(?:\\(?:mathrm|text)\s*\{{\s*)?C\s*\}}?{_AFTER}")
_ARRANGED = re.compile(rf"(?<![\w}}]){_BEFORE}(?:\\(?:mathrm|text)\s*\{{\s*)?P\s*\}}?{_AFTER}")
_END = re.compile(r"[\s.,;:\\]+$")


def clean_latex(text: str) -> str:
    r"""An answer without layout: no dollars, no `\left`, no thin spaces, one name for each command."""
    text = from_unicode(text).strip()
    if "{" in text or "\\" in text:
        text = standard_commands(text)
    text = standard_words(text)
    if "\\" in text:
        text = _DOUBLED.sub(r"\\", text)
        text = _GROUPED.sub("", text)
        text = _ESCAPED_DOLLAR.sub(_escaped_dollar, text)
        text = text.replace("\\%", "%").replace("\\#", "#").replace("\\&", "&")
        text = _LAYOUT.sub(" ", text)
        text = text.replace("\\\\", "\\\\ ")
        text = _MATH_MARKS.sub(" ", text)
        text = _SPACES.sub(" ", text) if "\\begin" not in text else _space_rows(text)
        text = _FRAC.sub(r"\\frac", text)
        text = _TEXT.sub(r"\\text", text)
    else:
        text = _GROUPED.sub("", text) if "," in text or "~" in text else text
        text = _dollars(text) if "$" in text else text
        if "**" in text:
            text = _STARS.sub(lambda m: m.group(1) or m.group(2), text)
    if "\\overline" in text or "\\bar" in text:
        text = _REPEATING.sub(_repeating, text)
    if "10" in text:
        text = _TIMES_TEN.sub(r" \\times ", text)
    if "," in text and "." in text:
        text = _CONTINENTAL.sub(lambda m: m.group().replace(".", "").replace(",", "."), text)
    if "." in text:
        text = _CLOCK.sub(r"\1m", text)
    if "{" in text:
        text = _BRACED_UNIT.sub(r"\\text{ \1}", text)
    text = _ORDINAL.sub("", text)
    if "circ" in text:
        text = _SCALE.sub(r"\1", text)
    if "e^" in text:
        text = _TIMES_E.sub(r"\1 e^", text)
    if "C" in text or "P" in text:
        text = _ARRANGED.sub(_arranged, _CHOSEN.sub(r"\\binom{\1}{\2}", text))
    text = _END.sub("", text.strip())
    return turned_brackets(text) if "[" in text or "]" in text else text


def _arranged(match: re.Match[str]) -> str:
    """`_5P_2` as a quotient of factorials."""
    n, k = match.groups()
    return rf"\frac{{{n}!}}{{({n}-{k})!}}"


def _space_rows(text: str) -> str:
    r"""Thin spaces out of a matrix without touching its `\\` row ends."""
    return r"\\ ".join(_SPACES.sub(" ", row) for row in text.split(r"\\ "))


def _repeating(match: re.Match[str]) -> str:
    """`0.1\\overline{6}` as the fraction 15/90."""
    whole, fixed, period = match.groups()
    scale = 10 ** len(fixed)
    nines = 10 ** len(period) - 1
    top = int(whole + fixed) * nines + int(period)
    return rf"\frac{{{top}}}{{{scale * nines}}}"


def _escaped_dollar(match: re.Match[str]) -> str:
    """A dollar beside a number is a currency; elsewhere it is a broken math mark."""
    return " \\USD " if match.group(1) or match.group(2) else " "


def _dollars(text: str) -> str:
    """A dollar before an amount of money, or math marks around a formula: drop what is a mark."""
    if text.count("$") % 2 == 0:
        return text.replace("$", " ")
    return re.sub(r"\$", r" \\USD ", text)
