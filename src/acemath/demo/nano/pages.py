"""The pages that nano-base reads: plain text, half of it solving, half of it checking.

A page is one problem and several branches. An attention mask makes each branch follow the problem as if it were
alone, so that the problem is computed once for all of them. A solving branch is a worked solution. A checking branch
is a solution that may contain slips, with a mark for each line: right so far, or wrong by now. Marks are targets,
never inputs: at the line break that ends a line the model must predict " right" or " wrong", but the input continues
with the next line. So what the model knows about a solution is in its state at the last token, which is what a reward
model reads. A label on the last token alone would take longer to learn.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from acemath.demo.worksheets.core import STYLES, Question, Work, work_right, work_wrong
from acemath.demo.worksheets.registry import MATH_SUBJECTS, families
from acemath.demo.worksheets.sheets import LEVELS, Split, draw_question

IGNORE = -100
CHECK = "Check:\n"
# Half of the pages use the first of each. The others make a new format, such as a chat's, easier to learn.
HEADS = ("Problem: {}\n", "Question: {}\n", "Q: {}\n", "Task: {}\n", "user\n{}\n", "{}\n")
CUES = ("Solution:\n", "Answer:\n", "A:\n", "Work:\n", "assistant\n")


@dataclass(frozen=True, slots=True)
class Branch:
    """One text that follows a problem. `marks` is None for a solving branch, else it has one mark a line."""

    cue: str  # the line before the solution
    lines: tuple[str, ...]
    marks: tuple[bool | None, ...] | None

    @property
    def text(self) -> str:
        """The branch as plain text, without its marks."""
        return self.cue + "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Page:
    """A problem, and branches that each follow it."""

    head: str
    branches: tuple[Branch, ...]

    @property
    def texts(self) -> list[str]:
        """The plain text of each branch, with the problem before it."""
        return [self.head + branch.text for branch in self.branches]


def draw_page(
    rng: random.Random,
    split: Split = "train",
    checking: float = 0.5,
    math: float = 0.85,
    levels: Sequence[int] = LEVELS,
    branches: int = 4,
) -> Page:
    """A random page: a math family with probability `math`, each branch a checking one with `checking`."""
    wants_math = rng.random() < math
    pool = [f for f in families() if (f.subject in MATH_SUBJECTS) == wants_math]
    family = rng.choices(pool, weights=[f.weight for f in pool])[0]
    _, question = draw_question(family, rng.choice(levels), split, rng)
    head, cue = (ways[0] if rng.random() < 0.5 else rng.choice(ways) for ways in (HEADS, CUES))
    drawn = []
    for _ in range(branches):
        style = rng.choice(STYLES)
        if rng.random() >= checking:
            drawn.append(solving(work_right(question, style, rng), cue))
            continue
        wrong = work_wrong(question, style, rng) if rng.random() < 0.55 else None
        drawn.append(checked(wrong or work_right(question, style, rng)))
    return Page(head.format(question.text), tuple(drawn))


def page_of(question: Question, *branches: Branch) -> Page:
    """A page with the usual heading."""
    return Page(HEADS[0].format(question.text), branches)


def solving(work: Work, cue: str = CUES[0]) -> Branch:
    """A solving branch."""
    return Branch(cue, work.lines, None)


def checked(work: Work) -> Branch:
    """A checking branch."""
    return Branch(CHECK, work.lines, work.marks)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A page as arrays [length]: token ids, positions, segments (0 the problem, i branch i), targets.

    The target at i is the token that should follow i in its branch, IGNORE if nothing is learned there.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    targets: np.ndarray
    is_mark: np.ndarray


def encode_pages(pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase) -> list[Encoded]:
    """Pages as ids and targets. The problem's text is no target: its numbers are random.

    The targets of a solving branch are the solution and the end of text; those of a checking branch are the marks
    and the tokens of the lines that are right so far.
    """
    names = tokenizer.convert_tokens_to_ids(["Ġright", "Ġwrong", "<|endoftext|>"])
    pieces = [
        piece
        for page in pages
        for piece in (page.head, *(p for b in page.branches for p in (b.cue, *(f"{x}\n" for x in b.lines))))
    ]
    coded = iter(tokenizer(pieces, add_special_tokens=False)["input_ids"])
    encoded = []
    for page in pages:
        head = next(coded)
        ids, targets, is_mark = list(head), [IGNORE] * len(head), [False] * len(head)
        positions, segments = list(range(len(head))), [0] * len(head)
        for number, branch in enumerate(page.branches, 1):
            cue = next(coded)
            lines = [next(coded) for _ in branch.lines]
            mine = _encode_branch(cue, lines, branch.marks, *names)
            ids += mine[0]
            targets += mine[1]
            is_mark += mine[2]
            positions += range(len(head), len(head) + len(mine[0]))
            segments += [number] * len(mine[0])
        arrays = (np.array(part) for part in (ids, positions, segments, targets, is_mark))
        encoded.append(Encoded(*arrays))
    return encoded


def _encode_branch(
    cue: list[int],
    lines: list[list[int]],
    marks: Sequence[bool | None] | None,
    right: int,
    wrong: int,
    end: int,
) -> tuple[list[int], list[int], list[bool]]:
    """One branch: its ids, its targets, and which targets are marks."""
    ids, targets, is_mark = list(cue), [IGNORE] * (len(cue) - 1), [False] * len(cue)
    for number, line in enumerate(lines):
        mark = True if marks is None else marks[number]
        learned = line if mark is True else [IGNORE] * len(line)
        # The token before a line has the line's first token as its target. On a checking branch the target there
        # is the mark of the previous line, except after the cue.
        if marks is None or number == 0:
            targets.append(learned[0])
        targets += learned[1:]
        if marks is not None:
            targets.append({True: right, False: wrong, None: IGNORE}[mark])
        ids += line
        is_mark += [False] * (len(line) - 1) + [marks is not None and mark is not None]
    if marks is None:
        targets.append(end)
    return ids, targets, is_mark
