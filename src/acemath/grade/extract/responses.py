"""From a whole response to its final answer, and the rule that found it.

Rules in the order of trust: answer tags, boxes, a final statement after the box, `####`, JSON fields,
"the answer is …", the whole text where it is nothing but an answer, the last formula or number of the last
sentence that has one. Every rule but the box looks at the end of the text only, so that the time does not
grow with long responses.
"""

from __future__ import annotations

import re

from acemath.grade.base.dialects import restored
from acemath.grade.base.text import from_unicode
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.boxes import last_boxes, unboxed
from acemath.grade.extract.sentences import (
    FORMULA,
    NUMBER,
    SENTENCE_END,
    WORD,
    Extraction,
    first_sentence,
    formulas,
    has_value,
    last_math,
    mostly_foreign,
    stated_value,
)

TAIL = 4000  # characters at the end of a response that the rules look at
_NOTHING = Extraction(None, "nothing")

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
_ANSWER_IS = (
    re.compile(
        r"(?:(?:final|correct|right)\s+)?(?<![A-Za-z])(?:answers?|answer choice|results?|solutions?|r[ée]ponse|respuesta|antwort)"
        r"(?:\s+(?:for\s+sure|to\s+(?:the|this)\s+(?:problem|question|equation)|choice|here|set|therefore))?"
        r"\s*(?:\*\*)?\s*(?:(?:is|are|was|est|es|ist|will\s+be|would\s+be|must\s+be|should\s+be)(?![A-Za-z])\s*(?:\*\*)?"
        r"\s*:?|:|=(?!=))\s*(?:\*\*)?\s*",
        re.IGNORECASE,
    ),
    re.compile(r"(?:^|\n)\s*(?:\*\*|#+\s*)?answers?\s*(?:\*\*)?\s*(?=[$\\(\d-])", re.IGNORECASE),
    re.compile(r"(?:答案|答)\s*(?:是|为|為|：|:)+\s*"),
)
# `$5 each`, `$18.` and the first of `$2 = $18`: a currency, not the start of a formula.
_MONEY = re.compile(
    r"(?<!\\)\$(?=\s?[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*|\s+)(?:[A-Za-z]{2,}|a\s)"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?[,.;:)!?]*(?:\s|$)(?![^$\n]{0,40}\\)(?!\s*[-+*/=<>^_]\s*[^$\s\d])"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?\s*[-+*/×=]\s*\$)"
)
_NO_PROSE = re.compile(
    r"\\text\w*\s*\{[^{}]*\}|\\mathrm\s*\{[^{}]*\}|\\mbox\s*\{[^{}]*\}|\\begin\{\w+\}|\\end\{\w+\}"
)
_LEADS = frozenset("therefore thus hence so then donc since because the we answer it this that here".split())
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|be|exists?|(?:con|di)verges?)\b", re.IGNORECASE)
_THEREFORE = re.compile(r"^(?:(?:so|thus|hence|therefore|then|consequently|finally)\b[\s,]*)+", re.IGNORECASE)


def extract(text: str, conventions: str | Conventions = STRICT) -> Extraction:
    """The final answer of a response and the rule that found it; `Extraction(None, "nothing")` without one.

    A closed `<think>` block is left out unless the conventions' `think_tags` let it count.
    """
    chosen = as_conventions(conventions)
    body, open_thought = visible(text, chosen)
    found = _tagged(body, chosen) or _boxed(body, chosen)
    if found is not None:
        return found
    return _NOTHING if open_thought else _from_tail(from_unicode(body[-TAIL:]))


def visible(text: str, conventions: Conventions) -> tuple[str, bool]:
    """The text that counts, and whether it is a reasoning block that was never closed."""
    text = restored(text)
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
    content = _TAG.findall(text[-TAIL:])[-1].strip()
    if not content:
        return None
    inner = _boxed(content, conventions)
    return Extraction(content if inner is None else inner.answer, "answer-tag")


def _boxed(text: str, conventions: Conventions) -> Extraction | None:
    boxes = last_boxes(text, conventions.join_boxes) if "box" in text else []
    if not boxes:
        return None
    stated = _final_statement(text[boxes[-1].end :][:TAIL])
    if stated is not None:
        return Extraction(stated, "final-answer")
    contents = list(dict.fromkeys(unboxed(b.content).strip() for b in boxes))
    return Extraction("; ".join(contents), "boxed" if len(contents) == 1 else "boxes")


def _final_statement(rest: str) -> str | None:
    """The one formula of a "Final answer: …" after the last box: it replaces the box."""
    matches = list(_FINAL.finditer(rest)) if "nal" in rest else []
    if not matches:
        return None
    found = formulas(first_sentence(rest[matches[-1].end() :]))
    return found[0] if len(found) == 1 and has_value(found[0]) else None


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
    return last_math(tail) or _NOTHING


def _answer_is(tail: str) -> str | None:
    """What the last "the answer is" with a value behind it states."""
    ends = sorted((m.end() for pattern in _ANSWER_IS for m in pattern.finditer(tail)), reverse=True)
    values = (stated_value(first_sentence(tail[end:].lstrip("\n"))) for end in ends)
    return next((value for value in values if value is not None), None)


def _is_bare(text: str) -> bool:
    """Whether the text is an answer and nothing else."""
    text = text.strip()
    if not text or len(text) > 300 or "?" in text or mostly_foreign(text):
        return False
    if ":" in text and WORD.search(text[: text.index(":")]):
        return False
    if "\n" in text and "\\begin" not in text and not text.startswith(("$", "\\[", "\\(")):
        return False
    outside = _NO_PROSE.sub(" ", text)
    words = WORD.findall(FORMULA.sub(" ", outside) if "$" in text else outside)
    if len(words) > (2 if NUMBER.search(outside) else 3):
        return False
    return not (words and words[0].lower() in _LEADS)


def said_at_the_end(text: str, conventions: Conventions) -> Extraction:
    """The last sentence as an answer in words, `So it will be Monday.`: for references that are words themselves."""
    body, open_thought = visible(text, conventions)
    sentences = [s.strip() for s in SENTENCE_END.split(body[-TAIL:]) if s.strip()]
    last = sentences[-1] if sentences and not open_thought else ""
    if not _SAYS.search(last) or len(WORD.findall(last)) > 14:
        return _NOTHING
    return Extraction(_THEREFORE.sub("", last), "last-sentence")
