r"""Boxed answers: `\boxed{…}` and `\fbox{…}` with nested braces, alone or several side by side."""

from __future__ import annotations

import re
from typing import NamedTuple

GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"  # braces, two more inside
_START = re.compile(r"\\?(?:boxed|fbox)\s*(?=\{)|\\boxed\s+(?=[\w\\-])")
_BRACE = re.compile(r"[{}]|\\.", re.DOTALL)
_BARE = re.compile(r"\\?[A-Za-z]+|-?[\d.,/]*\d")  # what `\boxed 12` holds
_LAYOUT = re.compile(r"\\(?:q?quad|text\w*|mbox|mathrm|left|right|[,;:!()\[\]\s])|[$(){}\[\]*]|\\$")
_NAME = r"[A-Za-z]\w?(?:_\{?\d*\}?)?\s*="
NAMED = re.compile(rf"[\s$]*(?:\\[(\[]\s*)?({_NAME})")
_LABEL = r"(?:(?:answer|case|option|solution|possibility)\s*\w{1,2}\s*(?::|is|gives)|(?:if|when)\b[^:,.]{1,20}:)"  # `Answer 2:`
# What may stand between two items of one list: a comma, "and", the name or the label of the second.
LISTED = re.compile(
    r"\s*(?:[,;&+/|]*\s*(?:\b(?:and|x?or|und|et|oder|ou)\b|\\(?:lor|vee)|和|或|及)?)\s*(?:\b(?:maybe|perhaps|possibly|also|even|else|alternatively)\b)?"
    rf"\s*(?:[,:]\s*)?(?:{_NAME}|\.?\s*{_LABEL})?\s*", re.IGNORECASE
)
_BEHIND = re.compile(r"^(?:\s+[A-Za-z]+){1,3}(?=,?\s+(?:and|or)\b)")  # `\boxed{5} cm or`
_MAX_GAP = 80
_MAX_JOINED = 24
_MAX_LOOKED_AT = 80


class Box(NamedTuple):
    """One box: its content, and where it starts and ends in the text."""

    content: str
    start: int
    end: int


def matching_brace(text: str, start: int) -> int:
    r"""Index of the `}` that closes the `{` at `start`, or -1. `\{` and `\}` do not count."""
    close = text.find("}", start)
    inner = text[start + 1 : close]
    if close < 0 or "{" not in inner and "\\" not in inner:
        return close
    depth = 0
    for match in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


def last_boxes(text: str, join: bool = True, skip_empty: bool = True) -> list[Box]:
    """The last box of a text, preceded by those that are listed with it if `join`; empty where there is none.

    An empty box is passed over; without `skip_empty` it is the last one all the same.
    """
    found: list[Box] = []
    limit = len(text)
    for _ in range(_MAX_LOOKED_AT):
        box = _last_box(text, limit)
        if box is None or len(found) == _MAX_JOINED:
            break
        limit = box.start
        if not box.content.strip():
            if not (found or skip_empty):
                return [box]
            continue
        if found and not (join and _listed(text, box, found[0])):
            if box.end <= found[0].start:
                outer = _last_box(text, box.start)  # a box that holds both is the answer
                return [outer] if outer and outer.end >= found[0].end else found
            found.clear()  # this box holds the one found before: the outer one is the answer
        found.insert(0, box)
    return found


def _last_box(text: str, limit: int) -> Box | None:
    while True:
        limit = text.rfind("box", 0, limit)
        if limit < 0:
            return None
        start = limit - text.endswith("f", 0, limit)
        start -= text.endswith("\\", 0, start)
        match = _START.match(text, start)
        if match is not None:
            return _read_box(text, start, match.end())


def _read_box(text: str, start: int, opening: int) -> Box:
    if text[opening] != "{":
        match = _BARE.match(text, opening)
        end = match.end() if match else opening
        return Box(text[opening:end], start, end)
    close = matching_brace(text, opening)
    if close < 0:  # the text stops, or a brace is missing: the box holds the rest of its line
        rest = re.split(r"[\n$]", text[opening + 1 :], maxsplit=1)[0]
        return Box(rest, start, opening + 1 + len(rest))
    return Box(text[opening + 1 : close], start, close + 1)


def _listed(text: str, box: Box, after: Box) -> bool:
    """Whether two boxes are items of one list: `x = \\boxed{1} or x = \\boxed{2}`. Two boxes side by side are not, three are."""
    gap = _gap(text, box, after)
    if not gap.strip():
        before, behind = _last_box(text, box.start), text[after.end :].lstrip(" $\n")
        row = behind.startswith("\\boxed") or before is not None and not _gap(text, before, box).strip()
        return row or all(NAMED.match(b.content) for b in (box, after))
    return LISTED.fullmatch(gap) is not None


def _gap(text: str, box: Box, after: Box) -> str:
    """The text between two boxes without its layout; "?" where they are too far apart to be joined."""
    between = text[box.end : after.start]
    return _BEHIND.sub("", _LAYOUT.sub(" ", between)) if 0 <= after.start - box.end <= _MAX_GAP else "?"


def unboxed(content: str) -> str:
    """The content without boxes inside it."""
    for _ in range(4):
        inner = _last_box(content, len(content))
        if inner is None:
            break
        content = f"{content[: inner.start]} {inner.content} {content[inner.end :]}"
    return content
