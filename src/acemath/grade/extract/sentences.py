"""The value that a sentence states: its last formula or number, or what follows "the answer is"."""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.extract.boxes import LISTED, NAMED


class Extraction(NamedTuple):
    """The final answer of a response, None where it has none, and the rule that found it."""

    answer: str | None
    rule: str


# Patterns that are tried everywhere begin with one set of characters: so the engine skips what none of them can be.
_FORMULA = (
    r"[$\\](?:(?<=\$)\$.+?\$\$|(?<=\$)(?<!\\\$)(?:\\\$|[^$\n])+?(?<!\\)\$|(?<=\\)\(.+?\\\)|(?<=\\)\[.+?\\\])"
)
GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_LATEX = rf"-?[0-9]*\s?\\[dt]?(?:frac|sqrt)(?:{GROUP}){{1,2}}(?:\s?/\s?[0-9]+)?"
_DURATION = (
    r"(?i:[0-9]+\s+(?:hours?|days?|weeks?|years?|minutes?|feet|foot|pounds?|dollars?)(?:\s*,)?\s+(?:and\s+)?"
    r"[0-9]+\s+(?:minutes?|seconds?|hours?|days?|months?|inches|inch|ounces?|cents?)\b)"
)
_NUMBER = (
    r"(?<![A-Za-z0-9_^\\.])(?<![\^_]\{)(?:(?<![\w)\]}])[-+])?(?:\\?[$€£¥]\s?)?-?"
    r"(?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
    r"(?:(?::[0-9]+)+(?:\s?[ap]\.?m\b\.?)?|(?:\s:\s[0-9]+)+|\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?"
    r"(?:\s?\\?%|\s?(?:percent|pct)\b|\^\\circ|\s?\\pi\b(?:\s?/\s?[0-9]+)?)?"
)
FORMULA = re.compile(_FORMULA, re.DOTALL)
NUMBER = re.compile(_NUMBER)
_VALUE = re.compile(rf"(?P<formula>(?s:{_FORMULA}))|(?P<latex>{_LATEX})|{_DURATION}|{_NUMBER}")
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_SENTENCE_END = re.compile(
    r"[.!?\s](?:(?<=[^\s.][.!?])(?=\s|$|[A-Z\"*])|(?<=[.!?])(?=[^\x00-\x7f])|(?<=\n)\n*"
    r"|(?:(?<=\$\$\s)|(?<=\\\]\s))\s*(?=[A-Z]))"
)
# A number, a constant or words: a lone letter is no answer.
VALUED = re.compile(r"[0-9]|\\(?:pi|infty|emptyset|varnothing|text|mathbb)")
_FILLER = re.compile(
    r"^(?:(?:approximately|about|exactly|simply|just|roughly|equal\s+to|given\s+by|clearly|therefore|thus|so|that|"
    r"indeed|then|now|hence|the\s+(?:number|value|expression|choice|option)|option|choice)\s+)+",
    re.IGNORECASE,
)
# What follows a stated value without changing it: `is 1/2, attained at x = 3`, `is 5 because 3 + 2 = 5`, `5 (not 6)`, and
# behind a result a phrase, `= 1,024 strings of length 10`.
_AFTERTHOUGHT = re.compile(
    r"\s*,?\s+(?:or\s+(?:about|approximately|roughly)|(?-i:because|since)|attained|achieved|reached|obtained|occurring|"
    r"where|when|rather\s+than|instead\s+of|not)\b"
    r"|\s*\((?:not|since|because|as|when|where|attained|achieved|rounded|approximately|about|or\s+about)\b[^()]*\)?"
    r"|\s+(?P<phrase>of|in|for|at|by|with|from|on|over|within|per|than|if|between)\b",
    re.IGNORECASE,
)
_RESULT = re.compile(r"=\s*[^=\s]+(?:\s+[A-Za-z-]+){0,3}$")
_THAT_IS = re.compile(r"(?<=\w|\$)\s*,\s*(?:that\s+is|i\.e\.)\s*,?\s+(?=\S*\d)")
_DIRECTLY = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|get|gives?|ha[sd]|have|only)\b|[=≈])\W*(?:[a-z]+\s+)?$", re.IGNORECASE
)
_OPERATOR = re.compile(r"(?:[-+*/^]|\\(?:times|cdot|div))\s*$")
_EQUALS = re.compile(r"\s*=")
_ABOUT = re.compile(r"\s*(?:\\approx|≈)\s*")
_STATES = re.compile(r"(?:\b(?:is|are|was|were|ha[sd]|have|equals?|of|be)\b|=)[^,;]*$", re.IGNORECASE)
_REASON = re.compile(r"because|since", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|gives?|giving|get|yields?|total|answer|means?)\b|:\s|,[^,]*\b(?:is|are|was|be)\b",
    re.IGNORECASE,
)
_STATES_AGAIN = re.compile(_CONCLUDES.pattern + r"|\b(?:is|are|was)\b", re.IGNORECASE)
_MORE = re.compile(r"[=$\\,;*/×]")
_PLURAL = re.compile(r"(?:\b(?:are|were|either|namely)|:)\s*$", re.IGNORECASE)
_JOINER = re.compile(r"[,;&]|\b(?:and|or)\b")
_SHARED_UNIT = re.compile(r"\s+([a-z]+)\s+or\s+", re.IGNORECASE)
_PLAIN_WORD = re.compile(r"(?<!\S)[A-Za-z][a-z']+(?=[\s.,;:!?]|$)")
# `The answer is not 5`; "m cannot be 2" answers a question for what is excluded.
_DENIED = re.compile(
    r"(?:\b(?:not|never|nor|rul\w+\s+out|anything\s+but)|(?:is|are|was)n['’]t|answer\s+can(?:no|['’])t\s+be)\s*$", re.IGNORECASE
)
# Words before a value that make it another one or leave it open: `twice 7`, `may be 7`.
_CHANGED = (
    r"(?:\b(?:never|twice|thrice|double|triple|half(?:\s+of)?|(?:negative|opposite|reciprocal|inverse)\s+(?:of|to)|"
    r"(?:may|might|could)\s+be|at\s+(?:most|least))|wrong\s+to\s+say)(?![A-Za-z])\s*"
)
_CHANGES = re.compile(_CHANGED + r"(?:[\s(\[{\\]|\d+,|\w=)*$", re.IGNORECASE)
_IS_CHANGED = re.compile(rf"(?:the\s+)?{_CHANGED}(?![A-Za-z]{{2}})", re.IGNORECASE)
# A question asserts nothing, nor does what calls a value wrong.
_UNASSERTED = re.compile(
    r"\?|\b(?:wrong|incorrect|not\s+(?:the\s+)?(?:correct|right|(?:final\s+)?answer))\b", re.IGNORECASE
)
_ASIDE = re.compile(r"[,;(]|\b(?:because|since|but|and)\b", re.IGNORECASE)
NO_OPINION = re.compile(r"\bI\s+(?:(?:do\s+not|don['’]t)\s+(?:think|believe|know)|doubt)\b", re.IGNORECASE)
# A number behind these words is a bound, not a value; several numbers beside "and" may belong to several things.
_BOUND_WORDS = re.compile(
    r"\b(?:least|most|less\s+than|more\s+than|greater|fewer|cannot|not|between|except|under|but|some\w*|any\w*)\b", re.IGNORECASE
)
_JOINING_WORDS = re.compile(r"\b(?:or|and|if|over)\b", re.IGNORECASE)


def inside(formula: str) -> str:
    """A formula without its marks."""
    double = formula[0] == "\\" or formula.startswith("$$")
    return (formula[2:-2] if double else formula[1:-1]).strip()


def mostly_foreign(text: str, limit: int = 12) -> bool:
    """Whether more than `limit` letters of a text are outside ASCII."""
    return not text.isascii() and sum(1 for c in text if not c.isascii() and c.isalpha()) > limit


def sentences(text: str) -> list[str]:
    """The sentences of a text; a formula is never divided."""
    masked = FORMULA.sub(lambda m: m[0].replace(".", "\x01").replace("\n", " "), text)
    return [sentence.replace("\x01", ".") for sentence in _SENTENCE_END.split(masked)]


def asserts(sentence: str, beside: bool = False) -> bool:
    """Whether a sentence says something of its value, not asks it or denies it; `beside`: in its first clause at least."""
    outside = FORMULA.sub(" ", sentence)
    clause = outside if not beside else _ASIDE.split(outside, maxsplit=1)[0]
    return not (_UNASSERTED.search(clause) or NO_OPINION.search(clause))


def stated_value(sentence: str) -> str | None:
    """The answer in what follows "the answer is": a formula, a number, or a short phrase."""
    bare = _FILLER.sub("", _THAT_IS.split(sentence)[-1].strip().strip("*\"' "))
    sentence = _without_afterthought(f"is {bare}")[3:]
    outside, alone = FORMULA.sub(" ", sentence), FORMULA.match(sentence)
    if not sentence or _IS_CHANGED.match(sentence):
        return None
    if alone and not sentence[alone.end() :].strip(" .,;:"):
        return inside(alone[0])
    words, numbers = len(WORD.findall(outside)), NUMBER.findall(outside)
    formula = len(outside) < len(sentence)
    if not mostly_foreign(sentence, 3):
        if words <= 2 and not (formula and numbers) or words <= 3 and not formula and len(sentence) <= 200:
            return sentence
        if numbers and not formula and "=" not in sentence and not re.search(r"\bor\s+\S*\d", sentence):
            return str(numbers[0]).strip()
    value = last_value(sentence)
    if value is not None:
        return value.answer
    return sentence if words <= 6 and not formula else None


def last_math(tail: str) -> Extraction | None:
    """The last formula or number of the last sentence that has one."""
    symbolic: str | None = None
    told = sentences(tail)
    if tail[-1:].isalpha() and len(WORD.findall(told[-1])) > 2 and last_value(told[-1]) is None:
        return None  # the text breaks off
    for sentence in reversed(told):
        if not asserts(sentence):
            continue
        value = last_value(sentence)
        if value is not None:
            return value
        letters = [f for f in map(inside, FORMULA.findall(sentence)) if len(f) > 1]
        if symbolic is None and letters:
            symbolic = letters[-1]
    return None if symbolic is None else Extraction(symbolic, "last-formula")


def last_value(sentence: str) -> Extraction | None:
    """The last formula or number of a sentence, several where they are one answer; None where it has none."""
    sentence = _without_afterthought(sentence)
    found = [m for m in _VALUE.finditer(sentence) if m["formula"] is None or VALUED.search(m[0])]
    if not found:
        return None
    formulas = [n for n, value in enumerate(found, 1) if value["formula"]]
    stated = formulas and re.search("[=<>]", found[formulas[-1] - 1][0])
    if stated and found[-1].lastgroup is None and not _DIRECTLY.search(sentence, 0, found[-1].start()):
        found = found[: formulas[-1]]  # `$x = 5$ is the root with 3 digits`
    last = found[-1]
    start = _list_start(sentence, found)
    if _CHANGES.search(sentence, 0, start):
        return Extraction(None, "nothing")
    denied = _DENIED.search(sentence, 0, start)
    text = ("not " if denied else "") + sentence[start : last.end()].strip()
    if last["formula"] and text == last[0]:
        text = inside(text)
    return Extraction(text, "last-number" if last.lastgroup is None else "last-formula")


def _list_start(sentence: str, found: list[re.Match[str]]) -> int:
    """Where the last value begins, or the list that is one answer and ends in it: `the roots are $2$ and $3$`."""
    first, either = len(found) - 1, False
    while first > 0:
        gap = sentence[found[first - 1].end() : found[first].start()]
        if _OPERATOR.search(sentence, 0, found[first - 1].start()) or _EQUALS.match(sentence, found[first].end()):
            break
        if _ABOUT.fullmatch(gap):
            return found[first - 1].start()
        unit = _SHARED_UNIT.fullmatch(gap)
        if unit and not re.match(rf"\s+{unit[1]}\b", sentence[found[first].end() :]):
            break  # `2 hours or 120 minutes` is one value, `5 dollars or 6 dollars` are two
        if not unit and not (_JOINER.search(gap) and LISTED.fullmatch(gap)):
            break
        either = either or re.search(r"\bor\b", gap) is not None
        first -= 1
    names = {name[1] if (name := NAMED.match(value[0])) else "" for value in found[first:]}
    plural = _PLURAL.search(sentence[: found[first].start()])
    kinds = {(value[0].endswith(("%", "percent", "pct")), value[0].startswith("\\$")) for value in found[first:]}
    if len(kinds) == 1 and (either and len(names - {""}) < 2 or len(names) == 1 and ("" not in names or plural)):
        return found[first].start()
    return found[-1].start()


def sentence_value(answer: str) -> str | None:
    """The value in an answer that is one whole sentence (`The total is $15.`); None where it is none."""
    words = len(_PLAIN_WORD.findall(answer))
    if words < 2 or _BOUND_WORDS.search(answer) or sum(map(bool, map(str.strip, sentences(answer)))) > 1:
        return None
    if "=" in answer:
        if re.search(r"\bor\b", answer):
            return None  # `the value x = 3 or x = 5`
        answer = answer.rsplit("=", 1)[1]
    elif words < 3 or _JOINING_WORDS.search(answer) and len(NUMBER.findall(answer)) > 1:
        return None
    found = last_value(answer)
    return None if found is None or found.answer == answer else found.answer


def _without_afterthought(sentence: str) -> str:
    """A sentence up to a remark behind the value that it states."""
    for match in _AFTERTHOUGHT.finditer(sentence):
        head, rest = sentence[: match.start()], sentence[match.end() :]
        stated = (_RESULT if match["phrase"] else _STATES).search(head[-200:])
        goes_on = (_CONCLUDES if _REASON.search(match[0]) else _STATES_AGAIN).search(rest)
        if goes_on or match["phrase"] and _MORE.search(rest):
            continue
        if stated and re.search(r"\d|\$|\\\(", stated[0]):
            return head
    return sentence
