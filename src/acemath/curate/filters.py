"""Filters: each looks at one text and gives a reason to drop it, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from acemath.curate.settings import FilterSettings
from acemath.records import Problem, Response
from acemath.store import Dropped

Reason = str | None
_BOX = re.compile(r"\\boxed\s*\{(?!\s*\})")
# A run that models fall into inside one "word": 200 or more characters of one to twenty, over and over.
# Rules of a table (-----) are no loop, so the part has a letter or a digit.
_LONG_WORD = re.compile(r"(?<!\S)\S{200,}")
_RUN = re.compile(r"(\S{1,20}?)\1{9,}")
_RUN_CHARACTERS = 200


def too_long(text: str, words: int) -> Reason:
    """Over the limit of words (300 for a prompt, 2,500 for a response)."""
    return "too-long" if len(text.split()) > words else None


def no_box(text: str) -> Reason:
    r"""No final answer inside \boxed{…}, or nothing in the box."""
    return None if _BOX.search(text) else "no-box"


def has_loop(text: str, times: int = 6) -> Reason:
    """A line or two, or a stretch of 4 to 40 words, that comes `times` in a row; or a run inside a word."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words = text.split()
    for units, spans in ((lines, (1, 2)), (words, range(4, 41))):
        for span in spans:
            if len(units) < span * times:
                break
            run = 0
            for at in range(span, len(units)):
                run = run + 1 if units[at] == units[at - span] else 0
                if run >= span * (times - 1):
                    return "loop"
    for word in _LONG_WORD.findall(text):
        for found in _RUN.finditer(word):
            if len(found[0]) >= _RUN_CHARACTERS and any(map(str.isalnum, found[1])):
                return "loop"
    return None


def cut_off(response: Response) -> Reason:
    """Ended by the length limit, not by its author."""
    return "cut-off" if response.finish_reason == "length" else None


def filter_problems(rows: Sequence[Problem], settings: FilterSettings) -> tuple[list[Problem], list[Dropped]]:
    """Prompts that are not too long, and those dropped."""
    kept, dropped = [], []
    for row in rows:
        reason = "empty" if not row.prompt.strip() else too_long(row.prompt, settings.prompt_words)
        if reason:
            dropped.append(Dropped(row.id, "filter-prompts", reason, row.prompt, row.source))
        else:
            kept.append(row)
    return kept, dropped


def filter_responses(
    rows: Sequence[Response], settings: FilterSettings, needs_box: Callable[[Response], bool] = lambda r: True
) -> tuple[list[Response], list[Dropped]]:
    """Responses in the form that training wants. `needs_box` says of which an answer in a box is asked."""
    kept, dropped = [], []
    for row in rows:
        reason = cut_off(row) or too_long(row.text, settings.response_words)
        if reason is None and settings.boxed and needs_box(row):
            reason = no_box(row.text)
        if reason is None and settings.loops:
            reason = has_loop(row.text)
        if reason:
            dropped.append(Dropped(row.problem_id, "filter-responses", reason, row.text, row.model))
        else:
            kept.append(row)
    return kept, dropped
