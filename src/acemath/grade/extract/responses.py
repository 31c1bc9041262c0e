"""From a whole response to its final answer, and the rule that found it.

Rules in the order of trust: answer tags, JSON fields, boxes, a final statement after the box, `####`,
"the answer is …", the whole text where it is nothing but an answer, the last formula or number of the last
sentence that has one. Every rule but the box looks at the end of the text only, so that the time does not
grow with long responses.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from acemath.grade.base.dialects import restored
from acemath.grade.base.text import from_unicode, without_comments, without_markup
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.boxes import last_boxes, unboxed
from acemath.grade.extract.sentences import (
    FORMULA,
    NO_OPINION,
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
    with_units,
)

TAIL = 4000  # characters at the end of a response that the rules look at
_LAST = 1000  # characters in which a last sentence or a statement is looked for first
_LONG_TAG = 300  # characters of a tag's content that is read as a response, not as an answer
_NOTHING = Extraction(None, "nothing")

_CLOSE = re.compile(
    r"</(?:think|thinking|thought|reasoning|seed:think)>|<\|end_of_thought\|>|</REASONING_END>", re.I
)
_OPEN = re.compile(r"<(?:think|thinking|thought|reasoning|seed:think)>|<\|begin_of_thought\|>", re.I)
_TURN = re.compile(
    r"<\|(?:im_start|im_end|eot_id|endoftext|end|start_header_id|end_of_text)\|>|</s>|<end_of_turn>|<eos>"
)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.IGNORECASE | re.DOTALL)
# GSM8K's mark: a line of its own that holds a value, not a heading such as `#### 1. Plan`.
_HASHES = re.compile(r"^[ \t]*####[ \t]*([^\n]*\S)|(?<=\s)####[ \t]*([^\n#]*\S)\s*\Z", re.MULTILINE)
_HEADING = re.compile(r"\d+(?:\.\d+)*[.):]?\s+[A-Z]|\d+(?:\.\d+)*[.):]\s|(?:step|case|part|question|problem|method)\b|.*:\s*$", re.I)
_KEY = re.compile(r"""["'](?:final[ _]?)?answer["']\s*:\s*""", re.I)
_FIELD = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\[[^\[\]\n]*\](?=\s*[,}\n])|[^,}\n]+)""")
_ANSWER_IS = (
    re.compile(
        r"(?<![A-Za-z])(?:answers?|answer choice|results?|solutions?|r[ée]ponse|respuesta|antwort)"
        r"(?:\s+(?:for\s+sure|to\s+(?:the|this)\s+(?:problem|question|equation)|choice|here|set|therefore))?"
        r"\s*(?:(?:is|are|was|est|es|ist|will\s+be|would\s+be|must\s+be|should\s+be)(?![A-Za-z])\s*:?|:|=(?!=))\s*",
        re.IGNORECASE,
    ),
    re.compile(r"(?:^|\n)\s*(?:#+\s*)?(?:final\s+)?answers?\s*(?=[$\\(\d-]|\n)", re.IGNORECASE),
    re.compile(r"(?:答案|答)\s*(?:是|为|為|：|:)+\s*"),
)
# Behind a box: a statement that is meant to be the last word, not one that tells about another case.
_RESTATED = re.compile(
    r"final\s+answer\s*(?:is|:|=)?:?\s*(?:the\s+final\s+answer\s+is:?\s*)?"
    r"|(?:^|\n)[\s#]*(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:the\s+)?(?:correct\s+)?answer\s*(?:is\b\s*:?|:)\s*",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:^|(?<=[.!?:\n]))\s*(?:how|what|which|who|when|where|why)\b[^.?!\n]{0,300}\?", re.IGNORECASE
)
_NEXT_PROBLEM = re.compile(r"\n\s*(?:question|problem|q|human|user|exercise)\b[ \d]*:", re.I)
_ASIDE = re.compile(r"\b(?:for|if|when|where|at|in|by|with|because|since|as|from)\b|[=<>]", re.I)
# `$5 each`, `$18.` and the first of `$2 = $18`: a currency, not the start of a formula.
_MONEY = re.compile(
    r"(?<!\\)\$(?=\s?[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*|\s+)(?:[A-Za-z]{2,}|a\s)"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?[,.;:)!?]*(?:\s|$)(?![^$\n]{0,40}\\)(?!\s*[-+*/=<>^_]\s*[^$\s\d])"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?\s*[-+*/×=]\s*\$)"
)
_ANSWER_WORDS = ("answer", "result", "solution", "réponse", "reponse", "respuesta", "antwort", "答")
_NO_PROSE = re.compile(
    r"\\text\w*\s*\{[^{}]*\}|\\mathrm\s*\{[^{}]*\}|\\mbox\s*\{[^{}]*\}|\\begin\{\w+\}|\\end\{\w+\}"
)
_LEADS = frozenset("therefore thus hence so then donc since because the we answer it this that here".split())
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|be|exists?|(?:con|di)verges?)\b", re.IGNORECASE)
_THEREFORE = re.compile(r"^(?:(?:so|thus|hence|therefore|then|consequently|finally)\b[\s,]*)+", re.IGNORECASE)


def extract(text: str, conventions: str | Conventions = STRICT) -> Extraction:
    """The final answer of a response and the rule that found it; `Extraction(None, "nothing")` without one.

    A `<think>` block is left out unless the conventions' `think_tags` let it count. A tag, a record or a box ends the
    search, also an empty one: the rule is then its own and the answer None.
    """
    chosen = as_conventions(conventions)
    body = visible(text, chosen)
    return marked(body, chosen) or _from_tail(plain_tail(body))


def visible(text: str, conventions: Conventions) -> str:
    """The text that counts: one turn, without hidden comments, behind the reasoning and before an unclosed one."""
    text = restored(text)
    if "<" not in text:
        return text
    turn = _TURN.search(text)
    if turn is not None and turn.start() > 0:
        text = text[: turn.start()]
    text = without_comments(text)
    if conventions.think_tags:
        return text
    closings = list(_CLOSE.finditer(text))
    text = text[closings[-1].end() :] if closings else text
    opening = _OPEN.search(text)
    return text[: opening.start()] if opening else text


def plain_tail(text: str) -> str:
    """The end of a text as the rules read it: no markup, one spelling of signs."""
    return from_unicode(without_markup(text[-TAIL:]))


def marked(text: str, conventions: Conventions) -> Extraction | None:
    """The answer in a tag, in a record's field or in a box, None where the text has no such mark."""
    return _tagged(text, conventions) or _recorded(text) or _boxed(text, conventions)


def _tagged(text: str, conventions: Conventions) -> Extraction | None:
    if "<answer>" not in text[-TAIL:].lower():
        return None
    contents = [content.strip() for content in _TAG.findall(text[-TAIL:])]
    content = next((c for c in reversed(contents) if c or not conventions.skip_empty), "")
    if not content:
        return None if conventions.skip_empty else Extraction(None, "answer-tag")
    inner = _boxed(content, conventions)
    if inner is None and len(content) > _LONG_TAG:
        inner = _from_tail(plain_tail(content))
    return Extraction(without_markup(content).strip() if inner is None else inner.answer, "answer-tag")


def _recorded(text: str) -> Extraction | None:
    """The answer field of a JSON record, unless a box comes behind the record."""
    tail = text[-TAIL:]
    keys = list(_KEY.finditer(tail)) if "nswer" in tail else []
    if not keys:
        return None
    rest = tail[keys[-1].end() :]
    field = _FIELD.match(rest)
    if field is None:
        return None
    whole = text.lstrip("` \njson").startswith("{") and rest.rstrip("` \n").endswith("}")
    if "boxed" in rest[field.end() :] and not whole:
        return None
    return Extraction(_field_value(field[1].strip()) or None, "json")


def _field_value(raw: str) -> str:
    """A field's value: escapes undone unless LaTeX stands there with single backslashes, quotes and brackets off."""
    if raw[0] == '"' and ("\\\\" in raw or "\\" not in raw.replace('\\"', "")):
        with suppress(ValueError):
            return str(json.loads(raw, strict=False)).strip("\"' ")
    if raw[0] == "[":
        return raw.strip("[] ").replace('"', "")
    return raw.replace('\\"', '"').strip("\"' ")


def _boxed(text: str, conventions: Conventions) -> Extraction | None:
    boxes = last_boxes(text, conventions.join_boxes, conventions.skip_empty) if "box" in text else []
    if not boxes:
        return None
    stated = _restated(text[boxes[-1].end :][:TAIL])
    if stated is not None:
        return Extraction(stated, "final-answer")
    contents = list(dict.fromkeys(unboxed(b.content).strip() for b in boxes))
    return Extraction("; ".join(contents) or None, "boxed" if len(contents) == 1 else "boxes")


def _restated(rest: str) -> str | None:
    """The value of a "Final answer: …" behind the last box: it replaces the box."""
    if "answer" not in rest.lower():
        return None
    rest = plain_tail(_NEXT_PROBLEM.split(rest, maxsplit=1)[0])
    for match in reversed(list(_RESTATED.finditer(rest))):
        sentence = first_sentence(rest[match.end() :]).strip()
        found = formulas(sentence)
        outside = FORMULA.sub(" ", sentence)
        if len(WORD.findall(outside)) > 3 or _ASIDE.search(outside) or len(found) > 1:
            continue
        if len(found) == 1 and has_value(found[0]) and not NUMBER.search(outside):
            return found[0]
        if NUMBER.search(outside):
            return sentence
    return None


def _from_tail(tail: str) -> Extraction:
    if "?" in tail:
        tail = _QUESTION.sub(" ", tail)
    stated, at = _answer_is(tail)
    for match in reversed(list(_HASHES.finditer(tail)) if "####" in tail else []):
        value, after = match[1] or match[2], _NEXT_PROBLEM.split(tail[match.end() :], maxsplit=1)[0]
        if match.start() >= at and _is_bare(value) and not (_HEADING.match(value) or NUMBER.search(after)):
            return Extraction(value, "hashes")
    if stated is not None:
        return Extraction(stated, "answer-is")
    if _is_bare(tail):
        return Extraction(tail.strip(), "whole")
    return last_math(_with_money(_paragraphs(tail))) or last_math(_with_money(tail)) or _NOTHING


def _with_money(text: str) -> str:
    return _MONEY.sub(r"\\$", with_units(text)) if "$" in text else text


def _paragraphs(tail: str) -> str:
    """The end of a text from a line on at which no formula is open: the rest is rarely needed."""
    at = tail.find("\n", max(0, len(tail) - _LAST))
    rest = tail[at:] if at >= 0 else ""
    balanced = rest.count("$") % 2 == 0 and rest.count("\\[") == rest.count("\\]") and "$$" not in rest
    return rest if balanced else tail


def _answer_is(tail: str) -> tuple[str | None, int]:
    """What the last "the answer is" with a value behind it states, and where it stands; (None, -1) without one."""
    lower = tail.lower()
    if not any(word in lower for word in _ANSWER_WORDS):
        return None, -1
    spans = sorted((m.span()[::-1] for pattern in _ANSWER_IS for m in pattern.finditer(tail)), reverse=True)
    for end, start in spans:
        if NO_OPINION.search(SENTENCE_END.split(tail[max(0, start - 60) : start])[-1]):
            continue
        value = stated_value(_with_money(first_sentence(tail[end : end + _LAST].lstrip("\n"))))
        if value is not None:
            return value, end
    return None, -1


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
    sentences = [s.strip() for s in SENTENCE_END.split(plain_tail(visible(text, conventions))) if s.strip()]
    last = sentences[-1] if sentences else ""
    if not _SAYS.search(last) or len(WORD.findall(last)) > 14:
        return _NOTHING
    return Extraction(_THEREFORE.sub("", last), "last-sentence")
