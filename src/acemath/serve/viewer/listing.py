"""A problem as one entry of the list."""

from __future__ import annotations

from typing import Any

import numpy as np

from acemath.records import STATUSES
from acemath.report.formulas import formulas_in
from acemath.serve.viewer.compare import CHANGES
from acemath.serve.viewer.index import Index, Ints, View, Votes

SHOWN = 240  # characters of a prompt in the list
# One letter a response in the strip: right, wrong, no answer, time-out, unparsable, not graded; cut instead of all.
_LETTERS = dict(enumerate("rwntpu"))
assert len(_LETTERS) == len(STATUSES) + 1


def listed(view: View, place: int, votes: Votes | None, changes: Ints | None) -> dict[str, Any]:
    """The entry of the problem at this place of the view; what is undefined or not yet known is None."""
    index = view.index
    number = int(view.problems[place])
    problem = index.problems[number]
    end = view.starts[place + 1] if place + 1 < len(view.starts) else len(view.rows)
    rows = view.rows[view.starts[place] : end]
    return {
        "problem": number, "id": problem.id, "benchmark": index.benchmarks[number], "subject": problem.subject,
        "level": problem.level, "prompt": pieces(problem.prompt[:SHOWN]), "n": len(rows), "right": int(view.right[place]),
        "judge": number_or_none(view.judge[place]), "margin": number_or_none(view.margin[place]),
        "majority": None if votes is None else float(votes.value[place]),
        "votes": None if votes is None else int(votes.most[place]),
        "length": float(view.length[place]), "cut": int(view.cut[place]), "strip": strip(index, rows, bool(view.judged[place])),
        "change": None if changes is None else list(CHANGES)[changes[place]],
    }  # fmt: skip


def pieces(text: str) -> list[list[Any]]:
    """A text in pieces [text as it stands, tree of its MathML or None]; together they are the text."""
    return [[piece, tree] for piece, tree in formulas_in(text)]


def strip(index: Index, rows: Ints, judged: bool) -> str:
    """One letter a response, the highest reward first, or as stored where not all have one."""
    if judged:
        rows = rows[np.argsort(-np.nan_to_num(index.reward[rows], nan=-np.inf), kind="stable")]
    return "".join("c" if index.cut[row] else _LETTERS[int(index.status[row])] for row in rows)


def number_or_none(value: float) -> float | None:
    """A number for JSON, which knows neither nan nor infinity."""
    return float(value) if np.isfinite(value) else None
