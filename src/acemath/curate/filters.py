"""Filters: each takes a text and returns the reason to drop it, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from acemath.curate.forms import long_answer, multi_part, multiple_choice, true_false
from acemath.curate.settings import FilterSettings, Form
from acemath.records import LENGTH, REFUSED, ROOT, STOP, Dropped, Problem, Response

Reason = str | None
_BOX = re.compile(r"\\boxed\s*\{(?!\s*\})")
# A loop inside one "word": a part of at most 20 characters repeated over at least 200 characters. The part must have a
# letter or a digit, because lines of a table (-----) are no loop.
_LONG_WORD = re.compile(r"(?<!\S)\S{200,}")
_RUN = re.compile(r"(\S{1,20}?)\1{9,}")
_RUN_CHARACTERS = 200


def too_long(text: str, words: int) -> Reason:
    """More than `words` words."""
    return "too-long" if len(text.split()) > words else None


_FIGURE = re.compile(
    r"\[asy\]|\\includegraphics|\\begin\{(?:tikzpicture|asy)\}|!\[[^\]]*\]\(|<img\b|<image|"
    r"\b(?:figure|diagram|graph|picture|image|chart|table|grid|drawing)s?\s+(?:(?:is|are)\s+)?(?:shown\s+)?(?:below|above)\b|"
    r"\b(?:shown|pictured|illustrated|drawn|depicted)\s+(?:below|above|in\s+the\s+(?:figure|diagram|picture|drawing))\b|"
    r"\b(?:in|see|from)\s+the\s+(?:accompanying\s+|following\s+)?(?:figure|diagram|picture|drawing)\b",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(r"\\begin\{(?:tabular|array)|\n\s*\|.*\|\s*\n")  # "the table below" is in the text
_PROOF = re.compile(
    r"(?:^|[.;:,]\s+|\n\s*|\bthen\s+|\band\s+)(?:prove|show|demonstrate|verify|deduce)\s+(?:that|the\s+following)\b|\bgive\s+a\s+proof\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\?|\b(?:find|compute|calculate|determine|evaluate|what|how\s+(?:many|much|long|far)|express|solve|simplify|answer)\b",
    re.IGNORECASE,
)
_LATIN_SHARE = 0.8


def needs_figure(text: str) -> Reason:
    """Refers to a figure that is not in the text, or draws one in code."""
    found = _FIGURE.search(text)
    if found is None or "[asy]" not in text and _IN_TEXT.search(text):
        return None
    return "figure"


def proof_only(text: str) -> Reason:
    """Asks for a proof, and for no answer that could be graded."""
    return "proof-only" if _PROOF.search(text) and not _ASKS.search(_PROOF.sub(" ", text)) else None


def other_language(text: str, language: str) -> Reason:
    """Not in the language. For "en": under 80 % of the letters are ASCII, or no word is a common English one.

    A text of fewer than six words passes the second test, because it may be all formulas. ValueError for any other language.
    """
    if language != "en":
        raise ValueError(f"language {language!r} cannot be recognised; use en")
    letters = [c for c in text if c.isalpha()]
    if letters and sum(c.isascii() for c in letters) < _LATIN_SHARE * len(letters):
        return "other-language"
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-zÀ-ÿ]{2,}", text)
    if len(words) < 6:
        return None
    return None if any(word.lower() in _ENGLISH for word in words) else "other-language"


_ENGLISH = frozenset(
    (
        "the", "of", "and", "is", "are", "what", "how", "find", "if", "each", "in", "to", "for", "with", "that", "has",
        "have", "many", "compute", "let", "solve", "from", "all", "by", "at", "there", "simplify", "evaluate", "calculate",
        "express", "your", "this", "which", "when", "where", "why", "does", "would", "will", "its", "it", "an", "as", "be",
        "on", "or", "than", "more", "under", "can", "not", "do", "two", "number", "value",
    )
)  # fmt: skip


def no_box(text: str) -> Reason:
    r"""No final answer inside \boxed{…}, or nothing in the box."""
    return None if _BOX.search(text) else "no-box"


def has_loop(text: str, times: int = 6) -> Reason:
    """One or two lines, or 4 to 40 words, repeated `times` in a row; or a loop inside a word."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if _repeats(lines, (1, 2), times) or _repeats(text.split(), range(4, 41), times):
        return "loop"
    for word in _LONG_WORD.findall(text):
        for found in _RUN.finditer(word):
            if len(found[0]) >= _RUN_CHARACTERS and any(map(str.isalnum, found[1])):
                return "loop"
    return None


def _repeats(units: Sequence[str], spans: Iterable[int], times: int) -> bool:
    """Whether some `span` units, for one of the spans, are repeated `times` in a row."""
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(unit, len(numbers)) for unit in units], np.int64)
    # Every unit of such a repetition occurs `times` or more in the text. This clears most texts.
    frequent = _longest_run(np.bincount(codes)[codes] >= times)
    for span in spans:
        if frequent < span * times:
            return False
        if _longest_run(codes[span:] == codes[:-span]) >= span * (times - 1):
            return True
    return False


def _longest_run(marks: NDArray[np.bool_]) -> int:
    """The length of the longest run of True."""
    ends = np.concatenate(([-1], np.flatnonzero(~marks), [len(marks)]))
    return int(np.diff(ends).max()) - 1


def cut_off(response: Response) -> Reason:
    """Not complete: ended by the length limit, refused by the engine, or stopped for another reason."""
    if response.finish_reason == STOP:
        return None
    return {LENGTH: "cut-off", REFUSED: "refused"}.get(response.finish_reason, "incomplete")


def filter_problems(rows: Sequence[Problem], settings: FilterSettings) -> tuple[list[Problem], list[Dropped]]:
    """The prompts that pass the filters, and those dropped, each with its first reason."""
    kept, dropped = [], []
    for row in rows:
        limit = settings.prompt_words if is_evolved(row) else settings.seed_words
        reason = _prompt_fault(row.prompt, row.answer, limit, settings)
        if reason:
            dropped.append(Dropped(row.id, "filter-prompts", reason, row.prompt, row.source))
        else:
            kept.append(row)
    return kept, dropped


_FORMS: dict[Form, Callable[[str, str], Reason]] = {
    "multiple-choice": multiple_choice,
    "true-false": true_false,
    "multi-part": multi_part,
}


def is_evolved(row: Problem) -> bool:
    """Whether a problem was evolved from another one (paper, section 3.2.2)."""
    return ROOT in row.meta


def _prompt_fault(text: str, answer: str, limit: int | None, settings: FilterSettings) -> Reason:
    if not text.strip():
        return "empty"
    reason = None if limit is None else too_long(text, limit)
    if reason is None and settings.figures == "drop":
        reason = needs_figure(text)
    if reason is None and settings.proofs == "drop":
        reason = proof_only(text)
    if reason is None and settings.language is not None:
        reason = other_language(text, settings.language)
    for form in settings.forms:
        reason = reason or _FORMS[form](text, answer)
    if reason is None and settings.answer_characters is not None:
        reason = long_answer(answer, settings.answer_characters)
    return reason


def filter_responses(
    rows: Sequence[Response], settings: FilterSettings, needs_box: Callable[[Response], bool] = lambda r: True
) -> tuple[list[Response], list[Dropped]]:
    """The responses that pass the filters, and those dropped. `needs_box` tells which need an answer in a box."""
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
