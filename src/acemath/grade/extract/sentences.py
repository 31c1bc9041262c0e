"""The value that a sentence states: its last formula or number, or what follows "the answer is"."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.extract.boxes import LISTED, NAMED
from acemath.grade.extract.doubts import asserts, left_open, phrases, taken_back
from acemath.grade.extract.values import (
    FORMULA,
    IS_FORMULA,
    NUMBER,
    PLAIN_FORMULA,
    VALUE,
    VALUED,
    WORD,
    inside,
    is_foreign,
    outside,
    sentences,
)
from acemath.grade.read.units import parse_unit


class Extraction(NamedTuple):
    """The final answer of a response, None where it has none, and the rule that found it."""

    answer: str | None
    rule: str


NOTHING = Extraction(None, "nothing")

_MAX_LISTED = 24  # values of one list
_MAX_ITEM = 200  # characters of a line that is an item of a list
_LONG = 1000  # characters at the end of a sentence that are looked at
_FILLER = re.compile(
    rf"^(?:(?:{phrases('approximately/about/exactly/simply/just/roughly/clearly/therefore/thus/so/that/indeed/then/now/hence/donc')}"
    rf"|{phrases('equal to, given by, (the) choice/option, the number/value/expression')})\s+)+", re.I
)
# What follows a stated value without changing it: `is 1/2, attained at x = 3`, `is 5 because 3 + 2 = 5`, `5 (not 6)`, and
# behind a result a phrase, `= 1,024 strings of length 10`.
_AFTERTHOUGHT = re.compile(
    rf"[\s(](?:because|since|(?i:{phrases('attained/achieved/reached/obtained/occurring/where/when/not, or about/approximately/roughly')}"
    rf"|{phrases('rather than, instead of')}"
    r"|(?<=\()(?:as|rounded|approximately|about)|(?<=\s)(?P<phrase>of|in|for|at|by|with|from|on|over|within|per|than|if|between)))\b"
)
# `14 marbles, which is 4 more than Jerry has`
_COMPARED = re.compile(r",\s*which\s+(?:is|are|was|were)\s+\S+\s+(?:\w+\s+)?(?:more|less|fewer|greater|higher|lower|times)\b")
_RESULT = re.compile(r"=\s*[^=\s]+(?:\s+[A-Za-z-]+){0,3}$")
_THAT_IS = re.compile(r"(?<=\w|\$)\s*,\s*(?:that\s+is|i\.e\.)\s*,?\s+(?=\S*\d)")
_IS = "is|are|was|were|be|equals?|ha[sd]|have"
_DIRECTLY = re.compile(rf"(?:\b(?:{_IS}|get|gives?|only)\b|=|\\approx)\W*(?:[a-z]+\s+)?$", re.I)
_STATES = re.compile(rf"(?:\b(?:{_IS}|of)\b|=)[^,;]*$", re.I)
_OPERATORS = ("+", "-", "*", "/", "^", "\\times", "\\cdot", "\\div")
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|gives?|giving|get|yields?|total|answer|means?)\b|:\s|,[^,]*\b(?:is|are|was|be)\b", re.I
)
_STATES_AGAIN = re.compile(_CONCLUDES.pattern + r"|\b(?:is|are|was)\b", re.I)
_MORE = re.compile(r"[=$\\,;*/×]")
_PLURAL = re.compile(r"(?:\b(?:are|were|either|namely)|:)\s*$", re.I)
_JOINER = re.compile(r"[,;&]|\b(?:and|or)\b")
# What stands between two values that are both named: `8 and 7`, `"8", "7"`, `| 8 | 7 |`, `8 cm or 7 cm`.
_BETWEEN = re.compile(
    r"[\s\"'|\\})\]]*(?:(?:,?\s*\b(?:and|or|o|ou|oder|vs\.?|versus|(?:up\s+)?to)\b|或|или)\s+(?:(?:peut-être|maybe|perhaps|possibly|else|not)\s+)?"
    r"|(?:[\"')\]}]\s*,|\|+)[\s\"'|\\{(\[]*|(?:</\w+>\s*<\w+>\s*)+)", re.I
)
_MEASURED = re.compile(r"\s*((?:(?:square|cubic)\s+)?[A-Za-z]+(?:(?:\s+per\s+|/)[A-Za-z]+)?)")
_UNIT = re.compile(r"\s+([a-z]{1,12})\b", re.I)
_NAME_BEFORE = re.compile(r"(?<![A-Za-z\\])[A-Za-z]\w?\s*=\s*$")
_FIRST_WORDS = re.compile(r"(?:\\?[A-Za-z'’ ]*(?<= )(?![A-Za-z]{2}))?")
_ANOTHER = re.compile(r"\b(?:or|o|ou|oder|possibly|more|less|fewer|else)\s+[^.]*\d")  # `5 or 6`, `5 more than 6`
_GIVES_UP = re.compile(r"[Ii](?<!\w[Ii])\s+(?:(?:do\s+not|don't)\s+know\s*$|give\s+up\b|have\s+no\s+answer\b)")
_THEN = re.compile(r",\s*(?:and|so|but|thus|hence)\s", re.I)
_BULLET = re.compile(r"\n[ \t]*(?:[0-9]{1,2}[.)]|[-*•])[ \t]+")
_COUNTED = re.compile(r"\b(?:first|second|third|fourth|#(?:st|nd|rd|th)|[0-9](?:st|nd|rd|th))\b|(?<=#)(?:st|nd|rd|th)\b|\[x\]", re.I)
_PLAIN_WORD = re.compile(r"(?<!\S)[A-Za-z][a-z']+(?=[\s.,;:!?]|$)")
# A number behind these words is a bound, not a value; several numbers beside "and" may belong to several things.
_BOUND_WORDS = re.compile(
    rf"\b{phrases('least/most/greater/fewer/cannot/not/between/except/under/but/some*/any*, less/more than, one of')}\b", re.I
)
_JOINING_WORDS = re.compile(r"\b(?:or|and|if|over|where|also|possibl[ey]|maybe|perhaps)\b", re.I)


def stated_value(sentence: str) -> str | None:
    """The answer in what follows "the answer is": a formula, a number, or a short phrase."""
    bare = _FILLER.sub("", _THAT_IS.split(sentence)[-1].strip().strip("*\"' "))
    sentence = _without_afterthought(f"is {bare}")[3:]
    prose, alone = outside(sentence), FORMULA.match(sentence)
    if not sentence or left_open("is " + _FIRST_WORDS.match(sentence)[0]):  # type: ignore[index]
        return None  # `not 7`, `twice $x$`
    if alone and not sentence[alone.end() :].strip(" .,;:"):
        return inside(alone[0])
    words, number = len(WORD.findall(prose)), NUMBER.search(prose)
    formula = len(prose) < len(sentence)
    if not is_foreign(sentence):
        if words <= 2 and not (formula and number) or words <= 3 and not formula and len(sentence) <= 200:
            return sentence
        if number and not formula and not ("=" in sentence or _ANOTHER.search(sentence)):
            return None if taken_back(prose, number.end()) else number[0].strip()
    value = last_value(sentence)
    if value is not None:
        return value.answer
    return sentence if words <= 6 and not formula else None


def last_math(tail: str) -> Extraction | None:
    """The last formula or number of the last sentence that has one."""
    symbolic: str | None = None
    told = sentences(_BULLET.sub("\n", "\n" + tail)[1:])
    if tail[-1:] in tuple("+-*/=(") or any(map(_GIVES_UP.search, told[-6:])):
        return None
    for at in range(len(told) - 1, -1, -1):
        sentence = told[at]
        value = last_value(sentence)
        if value is None and at == len(told) - 1 and tail[-1:].isalpha() and len(WORD.findall(sentence)) > 2:
            return None  # the text breaks off
        concluded = _THEN.split(sentence)[-1]  # `my guess was wrong, and it is 7`
        concludes = concluded != sentence and value is not None and last_value(concluded) == value
        if not asserts(concluded if concludes else sentence):
            continue
        if value is not None:
            return NOTHING if any(map(taken_back, told[at + 1 : at + 4])) else _with_its_like(told, at, value)
        letters = [f for f in map(inside, FORMULA.findall(sentence)) if len(f) > 1]
        if symbolic is None and letters:
            symbolic = letters[-1]
    return None if symbolic is None else Extraction(symbolic, "last-formula")


def last_value(sentence: str) -> Extraction | None:
    """The last formula or number of a sentence, several where they are one answer; None where it has none."""
    sentence = _without_afterthought(sentence[-_LONG:])
    found = [m for m in VALUE.finditer(sentence) if m["formula"] is None or VALUED.search(m[0])]
    if not found:
        return None
    formulas = [n for n, value in enumerate(found, 1) if value["formula"]]
    stated = formulas and re.search("[=<>]", found[formulas[-1] - 1][0])
    if stated and found[-1].lastgroup is None and not _DIRECTLY.search(sentence, 0, found[-1].start()):
        found = found[: formulas[-1]]  # `$x = 5$ is the root with 3 digits`
    last = found[-1]
    start, end = _list_start(sentence, found), last.end()
    plain = _plain_formulas(sentence, found) if start == last.start() and last.lastgroup is None else None
    start, end = plain or (start, end)
    before = sentence[max(0, start - 80) : start]
    if left_open(before, "sentence") or taken_back(sentence, end):
        return NOTHING
    text = sentence[start:end].strip()
    if last["formula"] and text == last[0]:
        text = inside(text)
    return Extraction(text, "last-number" if plain is None and last.lastgroup is None else "last-formula")


def _plain_formulas(sentence: str, found: list[re.Match[str]]) -> tuple[int, int] | None:
    """The place of the unmarked formula that holds the last value (`3x + 2`), or of a list that ends in it; None where there is none."""
    places = [
        match.span()
        for match in PLAIN_FORMULA.finditer(sentence)
        if IS_FORMULA.search(match[0]) and parse_unit(match[0].lstrip("-.0123456789 ")) is None
    ]
    last = found[-1]
    holding = [(start, end) for start, end in places if start <= last.start() and last.end() <= end]
    if not holding:
        return None
    ((start, end),) = holding
    for first, behind in sorted({*places, *(value.span() for value in found)}, key=lambda span: (-span[1], span[0])):
        gap = sentence[behind:start]
        if behind <= start and (_BETWEEN.fullmatch(gap) or _JOINER.search(gap) and LISTED.fullmatch(gap)):
            start = first
    return start, end


def _with_its_like(told: list[str], at: int, value: Extraction) -> Extraction:
    """The value of a line with those of the lines before it that have its form: `1. 8` and `2. 7` are two answers."""
    if len(told[at]) > _MAX_ITEM:
        return value
    form, items = _form(told[at]), [value.answer]
    if len(WORD.findall(form)) > 3 or "=" in form and not NAMED.match(form) or "step" in form:
        return value
    head = form.partition("#")[0]
    for line in reversed(told[max(0, at - _MAX_LISTED) : at]):
        other = last_value(line) if line.lstrip().lower().startswith(head) and _form(line) == form else None
        if other is None:
            break
        items.insert(0, other.answer)
    return Extraction("; ".join(dict.fromkeys(item or "" for item in items)) or None, value.rule)


def _form(line: str) -> str:
    return _COUNTED.sub("#", VALUE.sub("#", line)).strip().lower()


def _list_start(sentence: str, found: list[re.Match[str]]) -> int:
    """Where the last value begins, or the list that is one answer and ends in it: `the roots are $2$ and $3$`."""
    first, either = len(found) - 1, False
    while first > max(0, len(found) - _MAX_LISTED):
        start, behind = found[first - 1].start(), sentence[found[first].end() :].lstrip()
        gap = sentence[found[first - 1].end() : found[first].start()]
        if sentence[:start].rstrip().endswith(_OPERATORS) or behind.startswith("="):
            break
        if gap.strip() in ("\\approx", "≈"):
            return start
        unit = _UNIT.match(gap)
        if unit and re.match(rf"{unit[1]}\b", behind):
            gap = gap[unit.end() :]  # `5 dollars or 6 dollars` are two values, `2 hours or 120 minutes` is one
        joined = _BETWEEN.fullmatch(gap) is not None or unit is not None and not gap.strip()
        if not (joined or _JOINER.search(gap) and LISTED.fullmatch(gap)):
            break
        either = either or joined or re.search(r"\bor\b", gap) is not None
        first -= 1
    start = found[first].start()
    name = _NAME_BEFORE.search(sentence, max(0, start - 12), start)
    if name and first < len(found) - 1 and all(sentence[: value.start()].rstrip().endswith("=") for value in found[first:]):
        return name.start()  # `x = 2, y = 3`
    names = {name[1] if (name := NAMED.match(value[0])) else "" for value in found[first:]}
    plural = _PLURAL.search(sentence, max(0, start - 12), start)
    kinds = {(value[0].endswith(("%", "percent", "pct")), value[0].startswith("\\$")) for value in found[first:]}
    if len(kinds) == 1 and (either and len(names - {""}) < 2 or len(names) == 1 and ("" not in names or plural)):
        return start
    return found[-1].start()


def sentence_value(answer: str) -> str | None:
    """The value in an answer that is a whole sentence (`The total is $15.`); None where it is none."""
    words = len(_PLAIN_WORD.findall(answer))
    if words < 2 or _BOUND_WORDS.search(answer):
        return None
    if "=" in answer:
        if re.search(r"\bor\b|=.*\bto\b.*=", answer):
            return None  # `the value x = 3 or x = 5`
        answer = answer.rsplit("=", 1)[1]
    elif words < 3 or _JOINING_WORDS.search(answer) and len(NUMBER.findall(answer)) > 1:
        return None
    found = last_value(answer)
    if found is None or found.answer is None:
        return None
    unit = _MEASURED.match(answer.rpartition(found.answer)[2])
    value = found.answer if unit is None or parse_unit(unit[1]) is None else f"{found.answer} {unit[1]}"
    return None if value == answer else value


def _without_afterthought(sentence: str) -> str:
    """A sentence up to a remark behind the value that it states."""
    if "which" in sentence and (compared := _COMPARED.search(sentence)) and NUMBER.search(sentence, 0, compared.start()):
        sentence = sentence[: compared.start()]
    for match in _AFTERTHOUGHT.finditer(sentence):
        phrase, head, rest = match["phrase"], sentence[: match.start()].rstrip(", \n"), sentence[match.end() :]
        stated = (_RESULT if phrase else _STATES).search(head[-200:])
        if not stated or not re.search(r"\d|\$|\\\(", stated[0]) or phrase and _MORE.search(rest):
            continue
        if match[0][0] == "(":
            rest = rest.partition(")")[2]
        if not (_CONCLUDES if match[0][1:] in ("because", "since") else _STATES_AGAIN).search(rest):
            return head
    return sentence
