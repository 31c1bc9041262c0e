"""From a whole response to its final answer, and the rule that found it; docs/grading.md has the rules in their order.

Every rule but the box looks at the end of the text only, so that the time does not grow with long responses.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from acemath.grade.base.dialects import any_in, replaced, restored, rules
from acemath.grade.base.text import from_unicode, without_markup
from acemath.grade.conventions import STRICT, Conventions, as_conventions
from acemath.grade.extract.boxes import GROUP, LISTED, last_boxes, unboxed
from acemath.grade.extract.doubts import asserts, left_open, taken_back
from acemath.grade.extract.sentences import NOTHING, Extraction, last_math, stated_value
from acemath.grade.extract.values import FORMULA, NUMBER, VALUED, WORD, is_foreign, outside, sentences

TAIL = 4000  # characters at the end of a response that the rules look at
_STATEMENT = 1000  # characters behind "the answer is" that may belong to it

_THOUGHT = r"think|thinking|thought|reasoning|seed:think"
_CLOSE = re.compile(rf"</(?:{_THOUGHT})>|<\|end_of_thought\|>|</REASONING_END>", re.I)
_OPEN = re.compile(rf"<(?:{_THOUGHT})>|<\|begin_of_thought\|>", re.I)
_TURN = re.compile(
    r"<\|(?:im_start|im_end|eot_id|endoftext|end|start_header_id|end_of_text|return)\|>|<｜(?:end▁of▁sentence|User|Assistant)｜>"
    r"|</s>|<end_of_turn>|<eos>"
)
# Text that is struck out is withdrawn. Comments, hidden text and programs are no part of what a reader sees. A line such as
# `% profit = 25` is no comment.
_UNSEEN = rules(
    ("~", r"(?<!~)~~(?=[^~\n]*\d)[^\s~][^~\n]*~~(?!~)", " "),
    ("<", r"(?is)<(?:!--.*?(?:-->|\Z)|(?:(del|s|strike)|(\w+)\b[^<>]*(?:display:\s*none|visibility:\s*hidden|\shidden\b)[^<>]*)>.*?</(?:\1|\2)>)", " "),
    ("cancel", r"\\[bx]?cancel\s*" + GROUP, " "),
    ("white", r"\\(?:text)?color\s*\{\s*white\s*\}\s*" + GROUP, " "),
    ("%", r"\n[ \t]*%(?![^\n]*(?:[=:]|\bis\b))[^\n]*", "\n "),
    ("\\begin{comment}", r"(?s)\\begin\{comment\}.*?(?:\\end\{comment\}|\Z)", " "),
    ("]:", r"(?im)^[ \t]*\[(?:comment|//)\]:[^\n]*", " "),
    ("`", r"(?is)```(?:python|py|javascript|js|java|cpp|c|bash|sh)\n.*?```", " "),
)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.I | re.S)
# GSM8K's mark: a line of its own that holds a value, not a heading such as `#### 1. Plan`.
_HASHES = re.compile(r"^[ \t]*####[ \t]*([^\n]*\S)|(?<=\s)####[ \t]*([^\n#]*\S)\s*\Z", re.M)
_HEADING = re.compile(r"\d+(?:\.\d+)*[.):]?\s+[A-Z]|\d+(?:\.\d+)*[.):]\s|(?:step|case|part|question|problem|method)\b|.*:\s*$", re.I)
_KEY = re.compile(r"""["'](?:final[ _]?)?answer["']\s*:\s*""", re.I)
_FIELD = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\[[^\[\]\n]*\](?=\s*[,}\n])|[^,}\n]+)""")
_IS = r"\s*(?:(?:is|are|was|est|es|[éè]|ist|will\s+be|would\s+be|must\s+be|should\s+be)(?![A-Za-z])\s*:?|:|=(?!=))\s*"
_ANSWER_IS = re.compile(
    r"(?<![A-Za-z])(?:answers?|answer choice|results?|solutions?|r[ée]ponse|respuesta|resposta|risposta|antwort)"
    rf"(?:\s+(?:for\s+sure|to\s+(?:the|this)\s+(?:problem|question|equation)|choice|here|set|therefore))?{_IS}"
    r"|^\s*(?:#+\s*)?(?:final\s+)?answers?\s*(?=[$\\(\d-]|\n)|(?:答案|答)\s*(?:是|为|為|：|:)+\s*", re.I | re.M
)
_ANSWER_WORDS = ("answer", "result", "solution", "ponse", "respuesta", "resposta", "risposta", "antwort", "答")
# Behind a box: a statement that is meant to be the last word, not one that tells about another case.
_LAST_WORD = re.compile(r"(?:final\s+|^[\s#]*(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:the\s+)?(?:correct\s+)?)\Z", re.I | re.M)
# A text that goes on with "Wait, …" behind its box may conclude with another value: `…, so the answer is 12`.
_RECONSIDERS = re.compile(r"^\W*(?:but\s+)?(?:wait|hold on|actually)\b", re.I | re.M)
_CONCLUSION = re.compile(_LAST_WORD.pattern + r"|\b(?:so|and|thus|hence|therefore)\b,?\s*(?:the\s+)?(?:correct\s+)?\Z", re.I | re.M)
_NONE = frozenset(("unknown", "undetermined", "none", "n/a"))
_ASIDE = re.compile(r"\b(?:for|if|when|where|at|in|by|with|because|since|as|from)\b|[=<>]", re.I)
# What is asked is not asserted; a guess counts: `I am not sure, maybe 27?`
QUESTION = re.compile(r"(?:^|(?<=[.!?\n]))(?!\s*I\b)(?:[^.?!\n]|\.(?=\d)){0,300}\?")
_NEXT_PROBLEM = re.compile(r"\n\s*(?:question|problem|q|human|user|exercise)\b[ \d]*:", re.I)
# The unit of `20 $cm^2$`, in marks of its own.
_UNIT = re.compile(r"\s(?<=\d\s)\s*\$((?:\\(?:text|mathrm)\s*\{[^{}$]*\}|[a-zA-Z]{2,6}|[mgsL])(?:/[a-z]+)?(?:\^\{?-?\d\}?)?)\$")
# `$5 each`, `$18.` and the first of `$2 = $18`: a currency, not the start of a formula.
_MONEY = re.compile(
    r"\$(?<!\\\$)(?=\s?[0-9][0-9,]*(?:\.[0-9]+)?(?:\s*/\s*|\s+)(?:[A-Za-z]{2,}(?![A-Za-z]|\s?\$)|a\s)"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?[,.;:)!?]*(?:\s|$)(?![^$\n]{0,40}\\|[A-Za-z]{1,6}\$)(?!\s*[-+*/=<>^_]\s*[^$\s\d])"
    r"|\s?[0-9][0-9,]*(?:\.[0-9]+)?\s*[-+*/×=]\s*\$)"
)
_NO_PROSE = re.compile(r"\\(?:text\w*|mathrm|mbox)\s*\{[^{}]*\}|\\(?:begin|end)\{\w+\}")
_LEADS = frozenset("therefore thus hence so then donc since because the we answer it this that here".split())


def extract(text: str, conventions: str | Conventions = STRICT) -> Extraction:
    """The final answer of a response and the rule that found it; `Extraction(None, "nothing")` without one.

    A `<think>` block is left out unless the conventions' `think_tags` let it count. A tag, a record or a box ends the
    search, also an empty one: the rule is then its own and the answer None.
    """
    chosen = as_conventions(conventions)
    body = visible(text, chosen)
    return marked(body, chosen) or from_tail(plain_tail(body))


def visible(text: str, conventions: Conventions) -> str:
    """The text that counts: one turn, without hidden comments, behind the reasoning and before an unclosed one."""
    text = restored(text)
    if "<" in text and (turn := _TURN.search(text)) and turn.start() > 0:
        text = text[: turn.start()]
    text = replaced(text, _UNSEEN)
    return text if conventions.think_tags or "<" not in text else _OPEN.split(_CLOSE.split(text)[-1])[0]


def plain_tail(text: str) -> str:
    """The end of a text as the rules read it: no markup, one spelling of signs."""
    return from_unicode(without_markup(text[-TAIL:].rstrip()))


def _with_money(tail: str) -> str:
    """A text with dollars only around formulas, and units beside their numbers."""
    return _MONEY.sub(r"\\$", _UNIT.sub(r" \1", tail)) if "$" in tail else tail


def marked(text: str, conventions: Conventions) -> Extraction | None:
    """The answer in a tag, in a record's field or in a box, None where the text has no such mark."""
    return _tagged(text, conventions) or _recorded(text) or _boxed(text, conventions)


def _tagged(text: str, conventions: Conventions) -> Extraction | None:
    tail = text[-TAIL:]
    tags = [tag for tag in _TAG.finditer(tail) if tag[1].strip() or not conventions.skip_empty] if "<" in tail else []
    content = tags[-1][1].strip() if tags else None
    if content and len(tags) > 1 and LISTED.fullmatch(tail[tags[-2].end() : tags[-1].start()]):  # `<answer>8</answer> or <answer>7</answer>`
        content = "; ".join(dict.fromkeys(tag[1].strip() for tag in tags[-2:]))
    if not content:
        return None if content is None else Extraction(None, "answer-tag")
    inner = _boxed(content, conventions)
    return Extraction(without_markup(content).strip() if inner is None else inner.answer, "answer-tag")


def _recorded(text: str) -> Extraction | None:
    """The answer field of a JSON record, unless a box comes behind the record."""
    tail = text[-TAIL:]
    keys = list(_KEY.finditer(tail)) if ('"' in tail or "'" in tail) and "nswer" in tail else []
    field = _FIELD.match(tail, keys[-1].end()) if keys else None
    if field is None:
        return None
    whole = text.lstrip("` \njson").startswith("{") and re.search(r'"\s*\}[`\s]*\Z', tail) is not None
    if "boxed" in tail[field.end() :] and not whole:
        return None
    value = field[1].strip()
    return Extraction(None if value[0] == "{" else _field_value(value) or None, "json")


def _field_value(raw: str) -> str:
    """A field's value: escapes undone unless LaTeX stands there with single backslashes, quotes and brackets off."""
    if raw[0] == '"' and ("\\\\" in raw or "\\" not in raw.replace('\\"', "")):
        with suppress(ValueError):
            return str(json.loads(raw, strict=False)).strip("\"' ")
    if raw[0] == "[":
        return raw.strip("[] ").replace('"', "")
    return raw.replace('\\"', '"').strip("\"' ")


def _boxed(text: str, conventions: Conventions) -> Extraction | None:
    boxes = last_boxes(text, conventions.join_boxes, conventions.skip_empty)
    if not boxes:
        return None
    rest = text[boxes[-1].end :][:TAIL]
    if "answer" in rest.lower():
        stated, _ = _stated(plain_tail(_NEXT_PROBLEM.split(rest, maxsplit=1)[0]), _CONCLUSION if _RECONSIDERS.search(rest[:_STATEMENT]) else _LAST_WORD)
        if stated is not None:
            return Extraction(stated, "final-answer")
    while boxes and left_open(plain_tail(text[max(0, boxes[0].start - 80) : boxes[0].start].rstrip().rpartition("\n")[2]), "box"):
        boxes = last_boxes(text[: boxes[0].start], conventions.join_boxes)  # `\boxed{7}, not \boxed{8}`
    contents = list(dict.fromkeys([unboxed(b.content).strip() for b in boxes]))
    if not boxes or taken_back(text, boxes[-1].end) or [c for c in contents if "?" in c[:60] or c.startswith(("\\lnot", "\\neg"))]:
        return Extraction(None, "boxed")
    return Extraction("; ".join(contents) or None, "boxed" if len(contents) == 1 else "boxes")


def from_tail(tail: str) -> Extraction:
    """The answer that the plain end of a text states without a mark."""
    if "?" in tail:
        tail = QUESTION.sub(" ", tail)
    stated, at = _stated(tail) if any_in(_ANSWER_WORDS, tail.lower()) else (None, -1)
    for match in reversed(list(_HASHES.finditer(tail)) if "####" in tail else []):
        value, after = match[1] or match[2], _NEXT_PROBLEM.split(tail[match.end() :], maxsplit=1)[0]
        if match.start() >= at and _is_bare(value) and not (_HEADING.match(value) or NUMBER.search(after)):
            return Extraction(value, "hashes")
    if stated is not None:
        return Extraction(stated, "answer-is")
    told = _with_money(tail)
    return Extraction(tail.strip(), "whole") if _is_bare(told) else last_math(told) or NOTHING


def _stated(tail: str, behind_box: re.Pattern[str] | None = None) -> tuple[str | None, int]:
    """What the last "the answer is" with a value behind it states, and where it stands; (None, -1) without one.

    Behind a box only a short statement counts, with words right before it that match `behind_box`.
    """
    for match in reversed(list(_ANSWER_IS.finditer(tail))):
        start, end = match.span()
        sentence, *behind = sentences(tail[end : end + _STATEMENT].lstrip())
        prose = outside(sentence)
        aside = behind_box and (
            not behind_box.search(tail[max(0, start - 60) : start])
            or _ASIDE.search(prose) or len(WORD.findall(prose)) > 3 or len(FORMULA.findall(sentence)) > 1
        )
        if aside or not (asserts(sentences(tail[max(0, start - 60) : end])[-1], True) and asserts(sentence, True)):
            continue
        if any(map(taken_back, behind[:3])):
            return None, -1
        value = stated_value(_with_money(sentence))
        if value is not None and (not behind_box or VALUED.search(value) or value.lower() in _NONE):
            return value, end
    return None, -1


def _is_bare(text: str) -> bool:
    """Whether the text is an answer and nothing else."""
    text = text.strip()
    if not text or len(text) > 300 or is_foreign(text):
        return False
    if "\n" in text and "\\begin" not in text and not text.startswith(("$", "\\[", "\\(")):
        return False
    if ":" in text and WORD.search(text[: text.index(":")]) or not asserts(text):
        return False
    shown = _NO_PROSE.sub(" ", text)
    words = WORD.findall(outside(shown))
    return len(words) <= (2 if NUMBER.search(shown) else 3) and not (words and words[0].lower() in _LEADS)
