"""Answers in one spelling: Unicode mathematics, LaTeX layout, dollar and full-width signs.

Nothing here interprets an answer; the meaning of every text stays what it was.
"""

from __future__ import annotations

import re
import unicodedata

from acemath.grade.base.dialects import (
    from_html,
    replaced,
    restored,
    rules,
    standard_commands,
    standard_words,
)

_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ", "0123456789+-()ni")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₍₎", "0123456789+-()")
_SUPER_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+")
_SUB_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎]+")

# A sign and the command that it stands for.
_COMMANDS = """
α alpha  β beta  γ gamma  δ delta  ε epsilon  θ theta  λ lambda  μ mu  π pi  ρ rho  σ sigma  τ tau  φ phi  ϕ phi
ω omega  Δ Delta  × times  ⋅ cdot  · cdot  ∙ cdot  • cdot  ± pm  ∓ mp  ≤ le  ≥ ge  ⩽ le  ⩾ ge  ≠ ne  ≈ approx
≡ equiv  ∞ infty  ∪ cup  ∩ cap  ∈ in  ∖ setminus  ∅ emptyset  ø emptyset  Ø emptyset  ∑ sum  ∏ prod  ∫ int
→ to  ⇒ Rightarrow  … ldots  ⟨ langle  〈 langle  ⟩ rangle  〉 rangle  ⌊ lfloor  ⌋ rfloor  ⌈ lceil  ⌉ rceil
∥ parallel  ⊥ perp  Ω Omega  Ω Omega
""".split()
# Full-width signs are left to Unicode's own normal form.
_SIGNS = str.maketrans(
    {sign: f"\\{name} " for sign, name in zip(_COMMANDS[::2], _COMMANDS[1::2], strict=True)}
    | {sign: rf"\mathbb{{{letter}}}" for sign, letter in zip("ℝℤℕℚℂ", "RZNQC", strict=True)}
    | dict(zip("−–—‐‑﹣‒∗⁎÷∕⁄。、∣∶′’‘“”", "-------**///.,|:'''\"\"", strict=True))
    | {"°": r"^\circ ", "º": r"^\circ ", "∨": r"\text{ or }", "∧": r"\text{ and }"}
    | dict.fromkeys("\u200b\ufeff\u2061\u2062\u00ad\u20d7", "")
)
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-z]|(?=[({\\]))")
_VULGAR = re.compile("[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")


def _vulgar(match: re.Match[str]) -> str:
    top, bottom = unicodedata.normalize("NFKC", match[0]).split("⁄")
    return rf"\frac{{{top}}}{{{bottom}}}"


def from_unicode(text: str) -> str:
    """Unicode mathematics as LaTeX and ASCII; ASCII text comes back as it is."""
    if text.isascii():
        return text
    text = _VULGAR.sub(_vulgar, text)
    text = _ROOT.sub(lambda m: _ROOTS[m[1]] + (f"{{{m[2]}}}" if m[2] else ""), text)
    text = _SUPER_RUN.sub(lambda m: f"^{{{m[0].translate(_SUPER)}}}", text)
    text = _SUB_RUN.sub(lambda m: f"_{{{m[0].translate(_SUB)}}}", text).translate(_SIGNS)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


_GROUPED = re.compile(
    r"(?<=\d)\s?(?:\{\s*,\s*\}|\\,|,\s?\\!|\\!,|\\!|,\\,|\{\\,\}|\\ |~|\\;|\\:)\s?(?=\d{3}(?!\d))"
)
# Thin spaces; in a matrix the `\\` that ends a row stays.
_SPACES = re.compile(r"(?<!\\)\\(?:quad|qquad|enspace|thinspace|medspace|thickspace|space|,|;|:|!|>|\s|/)|~")
_NAMES_OF_COMMANDS = (
    r"(?:[dtc]?frac|sqrt|left|right|boxed|text|textbf|mathrm|mathbf|pi|cdot|times|pm|leq?|geq?|in|infty|cup|cap|sin|cos|"
    r"tan|log|ln|circ|quad|begin|end|alpha|beta|theta|l?dots|binom|neq?)(?![A-Za-z])"
)
_LAYOUT = (
    r"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|cal|hfill|"
    r"[vh]phantom\{[^{}]*\}|phantom(?:\{[^{}]*\}|\s*[-+0-9])|label\{[^{}]*\}|[hv]space\*?\{[^{}]*\}|"
    r"mkern\d*mu|hskip[\d.]*[a-z]*|nonumber|notag|centering|boldsymbol|mathstrut|strut|allowbreak|unit|"
    r"(?:text)?color(?:box)?\s*\{[^{}]*\}|tiny|scriptsize|footnotesize|small|normalsize|[lL]arge|LARGE|[hH]uge)(?:(?<=\})|(?![A-Za-z]))"
)
_LATEX = rules(
    ("\\\\", rf"(?<!\\)\\\\(?={_NAMES_OF_COMMANDS})", r"\\"),  # a command with two backslashes
    ("", _GROUPED.pattern, ""),
    ("\\$", r"(?<=\} )\\\$(?= =)", "*"),  # an operator without its second operand
    # beside a number a currency, elsewhere a broken math mark
    ("\\$", r"(?<=(\d))?\\\$(?=\s*([\d.(]))?", lambda m: " \\USD " if m[1] or m[2] else " "),
    ("", r"\\([%#&])", r"\1"),
    ("", _LAYOUT, " "),
    ("quad", r"(?<==)([^=<>,;]+?)(?:\\q?quad\s*)+(?=[A-Za-z]\w?\s*=)", r"\1, "),  # equations side by side
    ("", r"(?<!\\)(?:\\[()\[\]]|\$+)", " "),
)
_TEXT = r"\\(?:textnormal|textrm|textbf|textit|textsf|texttt|mbox|hbox|emph|textsc|text)(?![A-Za-z])\s*"
_NAMES = rules(
    ("frac", r"\\[dtcs]frac(?![A-Za-z])|\\nicefrac(?![A-Za-z])", r"\\frac"),
    ("\\", _TEXT, r"\\text"),
)
# Binomial coefficients as calculators and school books write them: `{}_{10}C_3`, `^{10}C_3`; P is for arrangements.
_BEFORE, _AFTER = r"(?:\{\s*\})?[_^]\s*\{?\s*(\w{1,6})\s*\}?\s*", r"\s*_\s*\{?\s*(\w{1,6})\s*\}?"
_SELECTED = rf"(?<![\w}}]){_BEFORE}(?:\\(?:mathrm|text)\s*\{{\s*)?%s\s*\}}?{_AFTER}"


def _repeating(match: re.Match[str]) -> str:
    r"""`0.1\overline{6}` as the fraction 15/90."""
    whole, fixed, period = match.groups()
    scale, nines = 10 ** len(fixed), 10 ** len(period) - 1
    return rf"\frac{{{int(whole + fixed) * nines + int(period)}}}{{{scale * nines}}}"


_ORDINAL = r"(?<=\d)(?:(?:st|nd|rd|th)\b|\s*\^?\s*\{?\s*\\(?:text|mathrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?|\^\s*\{(?:st|nd|rd|th)\})"
_NOTATION = rules(
    ("{", r"^\s*\{([^{}]*)\}\s*$", r"\1"),
    ("..", r"(?<=[-+*,(])\s*\.\.\.+(?=\s*[-+*,)])", r" \\ldots "),
    ("\\", r"([0-9]{1,30})\.([0-9]{0,30})\\(?:overline|bar)\s*\{\s*([0-9]{1,30})\s*\}", _repeating),
    ("10", r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))", r" \\times "),
    ("{", r"(?<=\d)\{([,:])\}(?=\d)", r"\1"),
    # 1.234,56
    (",", r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+,\d+(?![\d.,])", lambda m: m[0].replace(".", "").replace(",", ".")),
    (".", r"\b([apAP])\.\s?[mM]\b\.?", r"\1m"),
    ("{", r"(?<=\d)\s?\{\s*([A-Za-z]{1,12})\s*\}", r"\\text{ \1}"),
    ("", _ORDINAL, ""),
    (
        "degree",
        r"(?:\\degree|degrees?)\s*(?:\\(?:text|mathrm)\s*\{\s*([CF])\s*\}|([CF])\b)",
        lambda m: " celsius " if "C" in m.groups() else " fahrenheit ",
    ),
    # equations of one letter side by side are several values
    ("=", r"(?<![\w\\])([A-Za-z])(\s*=(?:[^=,;<>\\A-Za-z]|(?<![A-Za-z\\])[a-z](?![a-z])|\\(?:frac|sqrt|pi)\b)*?[\w)}\]])"
     r"(?:\s*[/|]\s*|\s+(?:to\s+)?)(?=\1\s*=)", r"\1\2, "),
    ("C", _SELECTED % "C", r"\\binom{\1}{\2}"),
    ("P", _SELECTED % "P", r"\\frac{\1!}{(\1-\2)!}"),
)
_EMPHASIS = re.compile(
    r"([*_](?<![\w*_\\^][*_])(?:(?<=\*)\*{0,2}|(?<=_)_{1,2}))(?=[^\s*_])([^\n]{1,400}?)(?<=\S)\1(?![\w*_])"
)
_FENCE = re.compile(r"(\n)[ \t]*(?:`{3,}|~{3,})[ \t]*\w*[ \t]*$|`+", re.MULTILINE)
_QUOTED = re.compile(r"\n[ \t]*(?:>[ \t]?)+(?=\S)")
_TAGGED = re.compile(r"<(b|i|u|em|strong|mark|code|pre|span|p|div|center|font|h[1-6])\b[^<>]{0,80}>(.{0,400}?)</\1>", re.I | re.S)
_FORMULA = re.compile(r"(?:\$+|\\[(\[])(.*?)(?:\$+|\\[)\]])", re.DOTALL)
_END = re.compile(r"[\s.,;:\\]+$")


def without_emphasis(text: str) -> str:
    """A text without Markdown's and HTML's marks of emphasis: `__73__`, `**73**`, `<b>73</b>`."""
    if "<" in text:
        text = _TAGGED.sub(r"\2", text)
    return _EMPHASIS.sub(r"\2", text) if "*" in text or "__" in text else text


def without_markup(text: str) -> str:
    """A text without emphasis, code marks and marks of quotation."""
    if "`" in text or "~" in text:
        text = _FENCE.sub(r"\1", "\n" + text)[1:]
    if ">" in text:
        text = _QUOTED.sub("\n", "\n" + text)[1:]
    return without_emphasis(text)


def clean_latex(text: str) -> str:
    r"""An answer without layout: no dollars, no `\left`, no thin spaces, one name for each command."""
    text = from_unicode(from_html(restored(text))).strip()
    if formula := _FORMULA.fullmatch(text):
        text = formula[1].strip()
    if "{" in text or "\\" in text:
        text = standard_commands(text)
    text = standard_words(text)
    if "\\" in text:
        text = replaced(_SPACES.sub(" ", replaced(text, _LATEX)), _NAMES)
    else:
        text = _GROUPED.sub("", text) if "," in text or "~" in text else text
        if "$" in text:  # math marks come in pairs; an odd one stands before an amount of money
            text = text.replace("$", " " if text.count("$") % 2 == 0 else " \\USD ")
        text = without_emphasis(text)
    return _END.sub("", replaced(text, _NOTATION).strip())
