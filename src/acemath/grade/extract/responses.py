"""From a whole response to its final answer, and the rule that found it.

Rules in the order of trust: answer tags, boxes, a final statement after the box, `####`, JSON fields,
"the answer is …", the whole text where it is nothing but an answer, the last formula or number of the last
sentence that has one. Every rule but the box looks at the end of the text only, so that the time does not
grow with long responses.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from acemath.grade.base.text import from_unicode
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.boxes import last_boxes, matching_brace, unboxed

TAIL = 4000


class Extraction(NamedTuple):
    """The final answer of a response, None where it has none, and the rule that found it."""

    answer: str | None
    rule: str


NOTHING = Extraction(None, "nothing")

_CLOSE = re.compile(
    r"</(?:think|thinking|thought|reasoning|seed:think)>|<\|end_of_thought\|>|</REASONING_END>", re.I
)
_OPEN = re.compile(r"<(?:think|thinking|thought|reasoning|seed:think)>|<\|begin_of_thought\|>", re.I)
_TURN = re.compile(
    r"<\|(?:im_start|im_end|eot_id|endoftext|end|start_header_id|end_of_text)\|>|</s>|<end_of_turn>|<eos>"
)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.IGNORECASE | re.DOTALL)
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_JSON = re.compile(
    r"""["'](?:final[ _]?)?answer["']\s*:\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^,}\n]+)""", re.I
)
_FINAL = re.compile(
    r"final\s+answer\s*(?:\*\*)?\s*(?:is|:|=)?\s*(?:\*\*)?:?\s*(?:the\s+final\s+answer\s+is:?\s*)?", re.I
)
_ANSWER_IS = re.compile(
    r"(?:(?:final|correct|right)\s+)?(?<![A-Za-z])(?:answers?|answer choice|results?|solutions?|r[ée]ponse|respuesta|antwort)"
    r"(?:\s+(?:for\s+sure|to\s+(?:the|this)\s+(?:problem|question|equation)|choice|here|set|therefore))?"
    r"\s*(?:\*\*)?\s*(?:(?:is|are|was|est|es|ist|will\s+be|would\s+be|must\s+be|should\s+be)(?![A-Za-z])\s*(?:\*\*)?"
    r"\s*:?|:|=(?!=))\s*(?:\*\*)?\s*",
    re.IGNORECASE,
)
_ANSWER_WORD = re.compile(r"(?:^|\n)\s*(?:\*\*|#+\s*)?answers?\s*(?:\*\*)?\s*(?=[$\\(\d-])", re.IGNORECASE)
_CJK_ANSWER = re.compile(r"(?:答案|答)\s*(?:是|为|為|：|:)+\s*")
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|(?<!\\)\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
# `$5 each`, `$18.` and the first of `$2 = $18`: a currency, not the start of a formula.
_MONEY = re.compile(
    r"(?<!\\)\$(?=\s?[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*|\s+)(?:[A-Za-z]{2,}|a\s)"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?[,.;:)!?]*(?:\s|$)(?![^$\n]{0,40}\\)(?!\s*[-+*/=<>^_]\s*[^$\s\d])"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?\s*[-+*/×=]\s*\$)"
)
_SENTENCE = re.compile(
    r"(?<=[^\d\s.])[.!?](?=\s|$|[A-Z\"*])|(?<=\d)[.!?](?=\s|$|[A-Z\"*])|[.!?](?=[^\x00-\x7f])|\n+|(?<=\$\$)\s+(?=[A-Z])|(?<=\\\])\s+(?=[A-Z])"
)
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_^\\.])(?<![\^_]\{)(?:(?<![\w)\]}])[-+])?(?:\\?[$€£¥]\s?)?-?"
    r"(?:[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
    r"(?:(?::[0-9]+)+(?:\s?[ap]\.?m\b\.?)?|(?:\s:\s[0-9]+)+|\s?/\s?[0-9]+|\s[0-9]+/[0-9]+)?(?:\s?\\?%|\s?(?:percent|pct)\b|\^\\circ|\s?\\pi\b(?:\s?/\s?[0-9]+)?)?"
)
# What follows a stated value without changing it: `is 1/2, attained at x = 3`, `is 5 because 3 + 2 = 5`, `5 (not 6)`.
_AFTERTHOUGHT = re.compile(
    r"\s*,?\s+(?:or\s+(?:about|approximately|roughly)|because|since|attained|achieved|reached|obtained|occurring|where|when|rather\s+than|instead\s+of|not)\b"
    r"|\s*\((?:not|since|because|as|when|where|attained|achieved|rounded|approximately|about|or\s+about)\b",
    re.IGNORECASE,
)
_STATES = re.compile(r"(?:\b(?:is|are|was|were|equals?|of|be)\b|=)[^,;]*$", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\b(?:so|thus|hence|therefore|gives?|giving|get|yields?|total|answer|is|are|was|means?)\b", re.IGNORECASE
)
_BETWEEN = re.compile(r"\s*(?:,|;|and|or|,\s*and|,\s*or)\s*", re.IGNORECASE)
_PLURAL = re.compile(r"(?:\b(?:are|were|either|namely)|:)\s*$", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"^\s*([A-Za-z](?:_\{?\w+\}?)?)\s*=")
_DURATION = re.compile(
    r"[0-9]+\s+(?:hours?|days?|weeks?|years?|minutes?|feet|foot|pounds?|dollars?)(?:\s*,)?\s+(?:and\s+)?"
    r"[0-9]+\s+(?:minutes?|seconds?|hours?|days?|months?|inches|inch|ounces?|cents?)\b",
    re.IGNORECASE,
)
_LATEX_VALUE = re.compile(r"-?(?<![\w.])[0-9]*\s?\\(?:frac|dfrac|tfrac|sqrt)\b")
_DIVISOR = re.compile(r"\s?/\s?[0-9]+")
_LISTED = re.compile(
    r"\b(?:are|were|either|namely)\s*:?\s*((?:-?[0-9]+(?:\.[0-9]+)?(?:/[0-9]+)?(?:\s*,\s*(?:and|or)\s+|\s*,\s*|\s+(?:and|or)\s+|$))+)\s*$"
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_VALUED = re.compile(r"[0-9]|\\(?:pi|infty|emptyset|varnothing|text|mathbb)")
_FILLER = re.compile(
    r"^(?:(?:approximately|about|exactly|simply|just|roughly|equal\s+to|given\s+by|clearly|therefore|thus|so|that|"
    r"indeed|then|now|hence|the\s+(?:number|value|expression|choice|option)|option|choice)\s+)+",
    re.IGNORECASE,
)


def extract(text: str, conventions: str | Conventions = STRICT) -> Extraction:
    """The final answer of a response and the rule that found it; `Extraction(None, "nothing")` without one.

    A closed `<think>` block is left out unless the conventions' `think_tags` lets it count.
    """
    chosen = as_conventions(conventions)
    body, open_thought = _visible(text, chosen)
    found = _tagged(body, chosen) or _boxed(body, chosen)
    if found is not None:
        return found
    if open_thought:
        return NOTHING
    return _from_tail(from_unicode(body[-TAIL:]))


def _visible(text: str, conventions: Conventions) -> tuple[str, bool]:
    """The text that counts, and whether it is a reasoning block that was never closed."""
    turn = _TURN.search(text) if "<" in text else None
    if turn is not None and turn.start() > 0:
        text = text[: turn.start()]
    if conventions.think_tags or "<" not in text:
        return text, False
    closings = list(_CLOSE.finditer(text))
    if closings:
        return text[closings[-1].end() :], False
    return text, _OPEN.search(text) is not None


def _tagged(text: str, conventions: Conventions) -> Extraction | None:
    if "<answer>" not in text[-TAIL:].lower():
        return None
    matches = _TAG.findall(text[-TAIL:])
    content = matches[-1].strip() if matches else ""
    if not content:
        return None
    inner = _boxed(content, conventions)
    answer = inner.answer if inner is not None else content
    return Extraction(answer, "answer-tag")


def _boxed(text: str, conventions: Conventions) -> Extraction | None:
    if "box" not in text:
        return None
    boxes = last_boxes(text, conventions.join_boxes)
    if not boxes:
        return None
    stated = _final_statement(text[boxes[-1].end :][:TAIL])
    if stated is not None:
        return Extraction(stated, "final-answer")
    contents = list(dict.fromkeys(unboxed(b.content).strip() for b in boxes))
    return Extraction("; ".join(contents), "boxed" if len(contents) == 1 else "boxes")


def _final_statement(rest: str) -> str | None:
    """What a "Final answer: …" after the last box says: it replaces the box."""
    if "nal" not in rest:
        return None
    matches = list(_FINAL.finditer(rest))
    if not matches:
        return None
    sentence = _first_sentence(rest[matches[-1].end() :])
    formulas = _formulas(sentence)
    if formulas and _VALUED.search(formulas[0]):
        return formulas[0] if len(formulas) == 1 else None
    return None


def _from_tail(tail: str) -> Extraction:
    if "$" in tail:
        tail = _MONEY.sub(r"\\$", tail)
    hashes = _HASHES.findall(tail)
    if hashes:
        return Extraction(hashes[-1].strip(), "hashes")
    fields = _JSON.findall(tail)
    if fields:
        return Extraction(fields[-1].strip().strip("\"'"), "json")
    stated = _answer_is(tail)
    if stated is not None:
        return Extraction(stated, "answer-is")
    if _is_bare(tail):
        return Extraction(tail.strip(), "whole")
    return _last_math(tail)


def _answer_is(tail: str) -> str | None:
    matches = [*_ANSWER_IS.finditer(tail), *_ANSWER_WORD.finditer(tail), *_CJK_ANSWER.finditer(tail)]
    for match in sorted(matches, key=lambda m: m.end(), reverse=True):
        sentence = _first_sentence(tail[match.end() :].lstrip("\n"))
        found = _stated_value(sentence)
        if found is not None:
            return found
    return None


def _first_sentence(text: str) -> str:
    text = text.lstrip()
    if text.startswith((r"\[", "$$")):
        close = text.find(r"\]" if text[0] == "\\" else "$$", 2)
        if close > 0:
            return text[: close + 2]
    parts = _SENTENCE.split(text, maxsplit=1)
    return parts[0] if parts else ""


def _stated_value(sentence: str) -> str | None:
    """The answer in what follows "the answer is": a formula, a number, or a short phrase."""
    bare = _FILLER.sub("", sentence.strip().strip("*\"' "))
    sentence = _without_afterthought(f"is {bare}")[3:]
    if not sentence:
        return None
    formulas = _formulas(sentence)
    if formulas:
        outside = _FORMULA.sub(" ", sentence)
        if len(formulas) == 1 and not outside.strip(" .,;:"):
            return formulas[0]
        if len(_WORD.findall(outside)) <= 2 and not _NUMBER.search(outside):
            return sentence
        value = _last_value(sentence)
        return value.answer if value is not None else formulas[-1]
    if _many_foreign(sentence, 3):
        value = _last_value(sentence)
        return None if value is None else value.answer
    words = _WORD.findall(sentence)
    if len(words) <= 3 and len(sentence) <= 200:
        return sentence
    numbers = [m.group().strip() for m in _NUMBER.finditer(sentence)]
    if numbers:
        return numbers[-1] if "=" in sentence else numbers[0]
    return sentence if len(words) <= 6 else None


def _formulas(sentence: str) -> list[str]:
    found = []
    for groups in _FORMULA.findall(sentence):
        content = next((g for g in groups if g), "").strip()
        if content:
            found.append(content)
    return found


def _is_bare(text: str) -> bool:
    """Whether the text is an answer and nothing else."""
    text = text.strip()
    if (
        not text
        or len(text) > 300
        or "?" in text
        or _many_foreign(text)
        or ":" in text
        and _WORD.search(text[: text.index(":")])
    ):
        return False
    if "\n" in text and "\\begin" not in text and not text.startswith(("$", "\\[", "\\(")):
        return False
    outside = re.sub(
        r"\\text\w*\s*\{[^{}]*\}|\\mathrm\s*\{[^{}]*\}|\\mbox\s*\{[^{}]*\}|\\begin\{\w+\}|\\end\{\w+\}",
        " ",
        text,
    )
    words = _WORD.findall(_FORMULA.sub(" ", outside)) if "$" in text else _WORD.findall(outside)
    if len(words) > 3 or len(_NUMBER.findall(outside)) > 0 and len(words) > 2:
        return False
    return not (words and words[0].lower() in _LEADS)


def _many_foreign(text: str, limit: int = 12) -> bool:
    return not text.isascii() and sum(1 for c in text if not c.isascii() and c.isalpha()) > limit


_LEADS = frozenset(
    [
        "therefore",
        "thus",
        "hence",
        "so",
        "then",
        "donc",
        "since",
        "because",
        "the",
        "we",
        "answer",
        "it",
        "this",
        "that",
        "here",
    ]
)


def said_at_the_end(text: str, conventions: Conventions) -> Extraction:
    """The last sentence as an answer in words, `So it will be Monday.`: for references that are words themselves."""
    body, open_thought = _visible(text, conventions)
    sentences = [s.strip() for s in _SENTENCE.split(body[-TAIL:]) if s.strip()]
    if (
        open_thought
        or not sentences
        or not _SAYS.search(sentences[-1])
        or len(_WORD.findall(sentences[-1])) > 14
    ):
        return NOTHING
    return Extraction(_THEREFORE.sub("", sentences[-1]), "last-sentence")


_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|be|exists?|(?:con|di)verges?)\b", re.IGNORECASE)
_THEREFORE = re.compile(r"^(?:(?:so|thus|hence|therefore|then|consequently|finally)\b[\s,]*)+", re.IGNORECASE)


def _last_math(tail: str) -> Extraction:
    """The last formula or number of the last sentence that has one."""
    masked = _FORMULA.sub(lambda m: m.group().replace(".", "\x01").replace("\n", " "), tail)
    symbolic: str | None = None
    for sentence in reversed(_SENTENCE.split(masked)):
        if not sentence or not sentence.strip():
            continue
        sentence = sentence.replace("\x01", ".")
        value = _last_value(sentence)
        if value is not None:
            return value
        if symbolic is None:
            formulas = [f for f in _formulas(sentence) if len(f) > 1]
            symbolic = formulas[-1] if formulas else None
    return Extraction(symbolic, "last-formula") if symbolic is not None else NOTHING


def _without_afterthought(sentence: str) -> str:
    """A sentence up to a remark behind the value that it states."""
    for match in _AFTERTHOUGHT.finditer(sentence):
        head, rest = sentence[: match.start()], sentence[match.end() :]
        stated = _STATES.search(head)
        if stated and re.search(r"\d|\$|\\\(", stated.group()) and not _CONCLUDES.search(rest):
            return head
    return sentence


def _joined(sentence: str, spans: list[re.Match[str]]) -> str | None:
    """Several formulas that are one answer: `the roots are $2$ and $3$`, `$x = 1$ or $x = 2$`."""
    first = len(spans) - 1
    while first > 0 and _BETWEEN.fullmatch(sentence[spans[first - 1].end() : spans[first].start()]):
        first -= 1
    if first == len(spans) - 1:
        return None
    contents = [next(g for g in span.groups() if g) for span in spans[first:]]
    names = {name[1] if (name := _NAMED_VALUE.match(content)) else "" for content in contents}
    if len(names) == 1 and ("" not in names or _PLURAL.search(sentence[: spans[first].start()])):
        return sentence[spans[first].start() : spans[-1].end()]
    return None


def _last_value(sentence: str) -> Extraction | None:
    sentence = _without_afterthought(sentence)
    spans = [m for m in _FORMULA.finditer(sentence) if _VALUED.search(m.group())]
    outside = _FORMULA.sub(lambda m: " " * len(m.group()), sentence)
    numbers = list(_NUMBER.finditer(outside))
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
    listed = _LISTED.search(outside.rstrip(" .*")) if len(numbers) > 1 else None
    if listed is not None:
        return Extraction(listed[1].strip(), "last-number")
    durations = list(_DURATION.finditer(sentence))
    if durations and durations[-1].end() >= numbers[-1].end():
        return Extraction(durations[-1].group(), "last-number")
    if numbers:
        return Extraction(numbers[-1].group().strip(), "last-number")
    return None


def _raw_latex(sentence: str) -> tuple[int, int] | None:
    r"""Where the last `\frac{…}{…}` or `\sqrt{…}` outside any math marks stands."""
    matches = list(_LATEX_VALUE.finditer(sentence))
    if not matches:
        return None
    start = end = matches[-1].start()
    end = matches[-1].end()
    while end < len(sentence) and sentence[end] == "{":
        close = matching_brace(sentence, end)
        if close < 0:
            return None
        end = close + 1
    divisor = _DIVISOR.match(sentence, end)
    return (start, divisor.end() if divisor else end)
