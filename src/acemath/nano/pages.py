"""The pages that nano-base reads: plain text, half of it solving, half of it checking.

A solving page is a problem and its worked solution. A checking page is a problem and a solution that may
hold one slip, with a mark in the margin of each line: right so far, or wrong by now. Marks are targets,
never inputs: at the line break that ends a line the model must say " right" or " wrong", and the next line
follows as if it had said nothing. So what it knows about a solution sits in its state at the last token,
which is what a reward model reads. A label on the last token alone does not teach it in the same time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from acemath.worksheets.core import STYLES, Question, Work, work_right, work_wrong
from acemath.worksheets.registry import families
from acemath.worksheets.sheets import LEVELS, Split, draw_question

RIGHT, WRONG = " right", " wrong"
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Page:
    """One page of text. `marks` is None on a solving page, else one mark a line of the solution."""

    head: str  # the problem, up to the line before the solution
    lines: tuple[str, ...]
    marks: tuple[bool | None, ...] | None

    @property
    def text(self) -> str:
        """The page as plain text, without its marks."""
        return self.head + "".join(f"{line}\n" for line in self.lines)


def draw_page(
    rng: random.Random,
    split: Split = "train",
    checking: float = 0.5,
    math: float = 0.85,
    levels: Sequence[int] = LEVELS,
) -> Page:
    """A random page: a math family with probability `math`, a checking page with probability `checking`."""
    wants_math = rng.random() < math
    pool = [f for f in families() if (f.subject not in ("code", "general")) == wants_math]
    family = rng.choices(pool, weights=[f.weight for f in pool])[0]
    _, question = draw_question(family, rng.choice(levels), split, rng)
    style = rng.choice(STYLES)
    if rng.random() >= checking:
        return solving_page(question, work_right(question, style, rng))
    wrong = work_wrong(question, style, rng) if rng.random() < 0.55 else None
    return checking_page(question, wrong or work_right(question, style, rng))


def solving_page(question: Question, work: Work) -> Page:
    """A problem with its worked solution."""
    return Page(f"Problem: {question.text}\nSolution:\n", work.lines, None)


def checking_page(question: Question, work: Work) -> Page:
    """A problem with a solution and its marks."""
    return Page(f"Problem: {question.text}\nCheck:\n", work.lines, work.marks)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A page as token ids [length] and targets [length]: the target at i is what should follow i."""

    ids: np.ndarray
    targets: np.ndarray
    is_mark: np.ndarray


def encode_pages(pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    """Pages as ids and targets. The problem's text is read but not learned: its numbers are drawn at random.

    On a solving page the solution and the end-of-text are targets. On a checking page the marks are, and
    the tokens of lines that are right so far.
    """
    right, wrong, end = (tokenizer.convert_tokens_to_ids(t) for t in ("Ġright", "Ġwrong", "<|endoftext|>"))
    pieces = [piece for page in pages for piece in (page.head, *(f"{line}\n" for line in page.lines))]
    coded = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    encoded = []
    for page in pages:
        ids = list(next(coded))
        targets = [IGNORE] * (len(ids) - 1)
        mark_at = []
        for number, _ in enumerate(page.lines):
            line = next(coded)
            ids += line
            if page.marks is None:
                targets += line
                continue
            mark = page.marks[number]
            # The line's own tokens are learned while all is right; then its mark, at its line break.
            learned = line if mark is True else [IGNORE] * len(line)
            targets += [learned[0] if number == 0 else IGNORE, *learned[1:]]
            mark_at.append((len(ids) - 1, mark))
        targets.append(end if page.marks is None else IGNORE)
        is_mark = np.zeros(len(ids), bool)
        for at, mark in mark_at:
            targets[at] = IGNORE if mark is None else right if mark else wrong
            is_mark[at] = mark is not None
        encoded.append(Encoded(np.array(ids), np.array(targets), is_mark))
    return encoded
