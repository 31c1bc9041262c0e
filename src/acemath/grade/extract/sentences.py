"""The value that a sentence states: its last formula or number, or what follows "the answer is"."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.extract.boxes import matching_brace


class Extraction(NamedTuple):
    """The final answer of a response, None where it has none, and the rule that found it."""

    answer: str | None
    rule: str


# Patterns that are tried everywhere begin with one set of characters: so the engine skips what none of them can be.
FORMULA = re.compile(
    r"[$\\](?:(?<=\$)\$(.+?)\$\$|(?<=\$)(?<!\\\$)((?:\\\$|[^$\n])+?)(?<!\\)\$|(?<=\\)\((.+?)\\\)|(?<=\\)\[(.+?)\\\])", re.DOTALL
)
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_^\\.])(?<![\^_]\{)(?:(?<![\w)\]}])[-+])?(?:\\?[$€£¥]\s?)?-?"
    r"(?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
    r"(?:(?::[0-9]+)+(?:\s?[ap]\.?m\b\.?)?|(?:\s:\s[0-9]+)+|\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?(?:\s?\\?%|\s?(?:percent|pct)\b|\^\\circ|\s?\\pi\b(?:\s?/\s?[0-9]+)?)?"
)
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
SENTENCE_END = re.compile(
    r"[.!?\s](?:(?<=[^\s.][.!?])(?=\s|$|[A-Z\"*])|(?<=[.!?])(?=[^\x00-\x7f])|(?<=\n)\n*"
    r"|(?:(?<=\$\$\s)|(?<=\\\]\s))\s*(?=[A-Z]))"
)
_VALUED = re.compile(r"[0-9]|\\(?:pi|infty|emptyset|varnothing|text|mathbb)")
_FILLER = re.compile(
    r"^(?:(?:approximately|about|exactly|simply|just|roughly|equal\s+to|given\s+by|clearly|therefore|thus|so|that|"
    r"indeed|then|now|hence|the\s+(?:number|value|expression|choice|option)|option|choice)\s+)+",
    re.IGNORECASE,
)
# What follows a stated value without changing it: `is 1/2, attained at x = 3`, `is 5 because 3 + 2 = 5`, `5 (not 6)`.
_AFTERTHOUGHT = re.compile(
    r"\s*,?\s+(?:or\s+(?:about|approximately|roughly)|because|since|attained|achieved|reached|obtained|occurring|where|when|rather\s+than|instead\s+of|not)\b"
    r"|\s*\((?:not|since|because|as|when|where|attained|achieved|rounded|approximately|about|or\s+about)\b",
    re.IGNORECASE,
)
_THAT_IS = re.compile(r"(?<=\w|\$)\s*,\s*(?:that\s+is|i\.e\.)\s*,?\s+(?=\S*\d)")
_STATES = re.compile(r"(?:\b(?:is|are|was|were|equals?|of|be)\b|=)[^,;]*$", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|gives?|giving|get|yields?|total|answer|is|are|was|means?)\b", re.IGNORECASE
)
_BETWEEN = re.compile(r"\s*(?:,|;|and|or|,\s*and|,\s*or)\s*(?:[a-z]\s*=\s*)?|\s+([a-z]+)\s+or\s+", re.IGNORECASE)
_PLURAL = re.compile(r"(?:\b(?:are|were|either|namely)|:)\s*$", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"^\s*([A-Za-z](?:_\{?\w+\}?)?)\s*=")
_DURATION = re.compile(
    r"[0-9]+\s+(?:hours?|days?|weeks?|years?|minutes?|feet|foot|pounds?|dollars?)(?:\s*,)?\s+(?:and\s+)?"
    r"[0-9]+\s+(?:minutes?|seconds?|hours?|days?|months?|inches|inch|ounces?|cents?)\b",
    re.IGNORECASE,
)
_UNIT = re.compile(r"(?<=\d)\s+\$((?:\\(?:text|mathrm)\s*\{[^{}$]*\}|[a-zA-Z]{2,6}|[mgsL])(?:/[a-z]+)?(?:\^\{?-?\d\}?)?)\$")
_MAYBE = re.compile(r"[0-9$]|\\[a-z(\[]")
_LATEX_VALUE = re.compile(r"-?(?<![\w.])[0-9]*\s?\\(?:frac|dfrac|tfrac|sqrt)\b")
_DIVISOR = re.compile(r"\s?/\s?[0-9]+")
_PLAIN_WORD = re.compile(r"(?<!\S)[A-Za-z][a-z']+(?=[\s.,;:!?]|$)")
# `The answer is not 5`; "m cannot be 2" answers a question for what is excluded.
_DENIED = re.compile(
    r"(?:\b(?:not|never|nor|rul\w+\s+out|anything\s+but)|(?:is|are|was)n['’]t|answer\s+can(?:no|['’])t\s+be)\s+$", re.IGNORECASE
)
NO_OPINION = re.compile(r"\bI\s+(?:(?:do\s+not|don['’]t)\s+(?:think|believe|know)|doubt)\b", re.IGNORECASE)
# A number behind these words is a bound, not a value; several numbers beside "and" may belong to several things.
_BOUND_WORDS = re.compile(
    r"\b(?:least|most|less\s+than|more\s+than|greater|fewer|cannot|not|between|except|under|but|some\w*|any\w*)\b", re.IGNORECASE
)
_JOINING_WORDS = re.compile(r"\b(?:or|and|if|over)\b", re.IGNORECASE)
_ANY_NUMBER = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")


def formulas(sentence: str) -> list[str]:
    """The contents of the formulas of a sentence, without their marks."""
    contents = (next((g for g in groups if g), "").strip() for groups in FORMULA.findall(sentence))
    return [content for content in contents if content]


def with_units(text: str) -> str:
    """A text with the units that stand in marks of their own beside their numbers, `20 $cm^2$`, as `20 cm^2`."""
    return _UNIT.sub(r" \1", text)


def has_value(formula: str) -> bool:
    """Whether a formula contains a number, a constant or words: a lone letter is no answer."""
    return _VALUED.search(formula) is not None


def mostly_foreign(text: str, limit: int = 12) -> bool:
    """Whether more than `limit` letters of a text are outside ASCII."""
    return not text.isascii() and sum(1 for c in text if not c.isascii() and c.isalpha()) > limit


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence, or of the displayed formula that it begins with."""
    text = text.lstrip()
    if text.startswith((r"\[", "$$")):
        close = text.find(r"\]" if text[0] == "\\" else "$$", 2)
        if close > 0:
            return text[: close + 2]
    return SENTENCE_END.split(text, maxsplit=1)[0]


def stated_value(sentence: str) -> str | None:
    """The answer in what follows "the answer is": a formula, a number, or a short phrase."""
    bare = _FILLER.sub("", _THAT_IS.split(sentence)[-1].strip().strip("*\"' "))
    sentence = _without_afterthought(f"is {bare}")[3:]
    if not sentence:
        return None
    found = formulas(sentence)
    if found:
        outside = FORMULA.sub(" ", sentence)
        if len(found) == 1 and not outside.strip(" .,;:"):
            return found[0]
        if len(WORD.findall(outside)) <= 2 and not NUMBER.search(outside):
            return sentence
        value = last_value(sentence)
        return value.answer if value is not None else found[-1]
    if mostly_foreign(sentence, 3):
        value = last_value(sentence)
        return None if value is None else value.answer
    words = WORD.findall(sentence)
    if len(words) <= 3 and len(sentence) <= 200:
        return sentence
    numbers = NUMBER.findall(sentence)
    if numbers:
        return str(numbers[-1] if "=" in sentence else numbers[0]).strip()
    return sentence if len(words) <= 6 else None


def last_math(tail: str) -> Extraction | None:
    """The last formula or number of the last sentence that has one."""
    masked = FORMULA.sub(lambda m: m.group().replace(".", "\x01").replace("\n", " "), tail)
    symbolic: str | None = None
    for sentence in reversed(SENTENCE_END.split(masked)):
        sentence = sentence.replace("\x01", ".")
        if NO_OPINION.search(sentence):
            continue
        value = last_value(sentence)
        if value is not None:
            return value
        if symbolic is None:
            symbolic = next((f for f in reversed(formulas(sentence)) if len(f) > 1), None)
    return None if symbolic is None else Extraction(symbolic, "last-formula")


def last_value(sentence: str) -> Extraction | None:
    """The last formula or number of a sentence, several where they are one answer; None where it has none."""
    if not _MAYBE.search(sentence):
        return None
    sentence = _without_afterthought(end_of(sentence, " "))
    spans = [m for m in FORMULA.finditer(sentence) if has_value(m.group())]
    outside = FORMULA.sub(lambda m: " " * len(m.group()), sentence)
    numbers = list(NUMBER.finditer(outside))
    raw = _raw_latex(outside)
    if (
        raw is not None
        and (not spans or raw[0] > spans[-1].end())
        and (not numbers or raw[1] >= numbers[-1].end())
    ):
        return Extraction(sentence[raw[0] : raw[1]].strip(), "last-formula")
    if spans:
        if numbers and numbers[-1].start() > spans[-1].end() and not re.search(r"[=<>]", spans[-1].group()):
            return Extraction(numbers[-1].group().strip(), "last-number")
        content = _joined(sentence, spans) or next(g for g in spans[-1].groups() if g)
        return Extraction(content.strip(), "last-formula")
    if not numbers:
        return None
    if denied := _DENIED.search(outside[: numbers[-1].start()]):
        return Extraction(sentence[denied.start() : numbers[-1].end()].strip(), "last-number")
    durations = list(_DURATION.finditer(sentence))
    if (listed := _numbers_listed(outside, numbers)) is not None:
        found = listed
    elif durations and durations[-1].end() >= numbers[-1].end():
        found = durations[-1].group()
    else:
        found = numbers[-1].group()
    return Extraction(found.strip(), "last-number")


def sentence_value(answer: str) -> str | None:
    """The value in an answer that is a whole sentence (`The total is $15.`); None where it is none."""
    words = len(_PLAIN_WORD.findall(answer))
    if words < 2 or _BOUND_WORDS.search(answer):
        return None
    if "=" in answer:
        if re.search(r"\bor\b", answer):
            return None  # `the value x = 3 or x = 5`
        answer = answer.rsplit("=", 1)[1]
    elif words < 3 or _JOINING_WORDS.search(answer) and len(_ANY_NUMBER.findall(answer)) > 1:
        return None
    found = last_value(answer)
    return None if found is None or found.answer == answer else found.answer


def _without_afterthought(sentence: str) -> str:
    """A sentence up to a remark behind the value that it states."""
    for match in _AFTERTHOUGHT.finditer(sentence):
        head, rest = sentence[: match.start()], sentence[match.end() :]
        stated = _STATES.search(head[-200:])
        if stated and re.search(r"\d|\$|\\\(", stated.group()) and not _CONCLUDES.search(rest):
            return head
    return sentence


def end_of(text: str, mark: str) -> str:
    """The end of a long text from a mark on, a blank or a line's end, at which no formula is open."""
    for length in (800, 1200, 1600):
        at = text.find(mark, len(text) - length) if len(text) > length else -1
        rest = text[at:]
        even = rest.count("$") % 2 == rest.count("$$") % 2 == 0
        if at > 0 and even and all(rest.count(a) == rest.count(b) for a, b in ((r"\(", r"\)"), (r"\[", r"\]"))):
            return rest
    return text


def _listed(sentence: str, spans: list[re.Match[str]]) -> tuple[int, bool]:
    """Which of the values is the first of the list that the last one ends, and whether "or" stands in it."""
    first, either = len(spans) - 1, False
    while first > 0 and (gap := _BETWEEN.fullmatch(sentence, spans[first - 1].end(), spans[first].start())):
        if gap[1] and not re.match(rf"\s+{gap[1]}\b", sentence[spans[first].end() :]):
            break  # `2 hours or 120 minutes` is one value, `5 dollars or 6 dollars` are two
        either = either or "or" in gap[0]
        first -= 1
    return first, either


def _numbers_listed(sentence: str, numbers: list[re.Match[str]]) -> str | None:
    """Numbers at the end of a sentence that are one answer: `the roots are 2 and 3`, `it is 2 or 3`."""
    first, either = _listed(sentence, numbers)
    if first == len(numbers) - 1 or len({number[0].strip("0123456789.,/ -") for number in numbers[first:]}) > 1:
        return None
    rest = sentence[numbers[-1].end() :].strip(" .*")
    if either and len(rest.split()) < 2 or not rest and _PLURAL.search(sentence[: numbers[first].start()]):
        return sentence[numbers[first].start() : numbers[-1].end()]
    return None


def _joined(sentence: str, spans: list[re.Match[str]]) -> str | None:
    """Several formulas that are one answer: `the roots are $2$ and $3$`, `$x = 1$ or $x = 2$`."""
    first, either = _listed(sentence, spans)
    if first == len(spans) - 1:
        return None
    contents = [next(g for g in span.groups() if g) for span in spans[first:]]
    names = {name[1] if (name := _NAMED_VALUE.match(content)) else "" for content in contents}
    if (
        either and len(names - {""}) < 2
        or len(names) == 1 and ("" not in names or _PLURAL.search(sentence[: spans[first].start()]))
    ):  # fmt: skip
        return sentence[spans[first].start() : spans[-1].end()]
    return None


def _raw_latex(sentence: str) -> tuple[int, int] | None:
    r"""Where the last `\frac{…}{…}` or `\sqrt{…}` outside any math marks starts and ends."""
    matches = list(_LATEX_VALUE.finditer(sentence)) if "\\" in sentence else []
    if not matches:
        return None
    start, end = matches[-1].span()
    while end < len(sentence) and sentence[end] == "{":
        close = matching_brace(sentence, end)
        if close < 0:
            return None
        end = close + 1
    divisor = _DIVISOR.match(sentence, end)
    return start, divisor.end() if divisor else end
