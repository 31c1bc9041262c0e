"""ProcessBench (arXiv 2412.06559, `Qwen/ProcessBench`): where is the first error of a solution?

A solution is a list of steps with the index of its first wrong step, or -1 if there is none. A judge names an index. Its
score in a subset is the F1: the harmonic mean of its accuracies on solutions with an error and on those without one, so
neither "all is right" nor "the first step is wrong" scores. The average is the unweighted mean of the four subsets' F1.
A process reward model gives each step a probability: the first one at or below a threshold is the error, if any is. A
critic, a language model, states the index in a box.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from acemath.benchmarks.tables import AVERAGE
from acemath.errors import UserError
from acemath.files.columns import items_of
from acemath.grade.extract.boxes import last_boxes
from acemath.models.score.judging import Item, Progress, silent

HUB = "Qwen/ProcessBench"
SIZES = {"gsm8k": (207, 193), "math": (594, 406), "olympiadbench": (661, 339), "omnimath": (759, 241)}  # with an error, without
TUNED_ON = "gsm8k"  # the subset on which the paper chooses the threshold of models without a natural one
NO_ERROR = -1
FORM = "a solution of ProcessBench has id, problem, steps (a list of texts) and label (the index of the first wrong step, or -1)"
CRITIC = """A math problem and a solution to it follow. The solution is cut into paragraphs, which are numbered from 0.

<problem>
{problem}
</problem>

<solution>
{solution}
</solution>

Check the paragraphs one after another. As soon as one contains an error, stop: its number is the answer. If every paragraph \
is correct, the answer is -1. Explain what you checked, and end with the answer in \\boxed{{}}."""
DRAWS = 2000  # resamplings of an interval
Floats = NDArray[np.float64]
Prediction = int | None  # None if a judge named no index; it is never right


class StepJudge(Protocol):
    """A process reward model, as `models.score.process` has it. Steps end at blank lines, in the form "skywork" at each line."""

    name: str
    form: str

    def step_scores(self, items: Sequence[Item], progress: Progress) -> list[list[list[float]]]:
        """The probability that each step is right: [problem][response][step]. Steps of a cut middle are missing."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution with its first wrong step; `prediction` is a stored one of a judge, and None without `predicted`."""

    id: str
    subset: str
    problem: str
    steps: tuple[str, ...]
    label: int
    predicted: bool = False
    prediction: Prediction = None


def solutions_from(records: Iterable[tuple[str, Mapping[str, Any]]], name: str) -> list[Solution]:
    """The solutions of a split of the data set, or of a file of predictions; `name` is the subset of rows that name none.

    UserError for a record of another form, and if nothing is there.
    """
    found = [_solution(place, record, name) for place, record in records]
    if not found:
        raise UserError(f"{name} holds no solution; {FORM}")
    return found


def _solution(place: str, record: Mapping[str, Any], name: str) -> Solution:
    steps = items_of(record.get("steps"))
    label = _index(record.get("label"))
    if not steps or None in steps or label is None or record.get("problem") is None:
        raise UserError(f"{place}: {FORM}")
    if not NO_ERROR <= label < len(steps):
        raise UserError(f"{place}: label {label} is no step of {len(steps)}; it is 0 to {len(steps) - 1}, or -1 for no error")
    key = str(record.get("id", place))
    prefix = key.rpartition("-")[0]
    subset = str(record.get("subset") or (prefix if prefix in SIZES else name))
    stated = "prediction" in record
    return Solution(
        key, subset, str(record["problem"]), tuple(map(str, steps)), label, stated, _index(record.get("prediction"))
    )


def _index(value: Any) -> int | None:
    """A whole number, as files hold it; None for anything else, also for true or false, which names no step."""
    try:
        number = nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None


def critic_prompt(solution: Solution) -> str:
    """The question to a critic: the problem, the numbered paragraphs, and how to state the answer."""
    tagged = "\n\n".join(f"<paragraph_{n}>\n{step}\n</paragraph_{n}>" for n, step in enumerate(solution.steps))
    return CRITIC.format(problem=solution.problem, solution=tagged)


def stated(critique: str) -> Prediction:
    """The index in the last box of a critique; None if there is none, or if it holds no whole number."""
    boxes = last_boxes(critique, join=False) if "boxed" in critique else []
    return _index(boxes[-1].content.strip().strip("$")) if boxes else None


def voted(critiques: Sequence[str]) -> Prediction:
    """The index that most critiques state; of several, the one that came first. None if none states one."""
    votes = Counter(index for index in map(stated, critiques) if index is not None)
    return votes.most_common(1)[0][0] if votes else None


def scored_steps(judge: StepJudge, solutions: Sequence[Solution], progress: Progress = silent) -> list[list[float]]:
    """The probability of each step of each solution. If the judge read other steps, as where it cut a solution, all are nan.

    A step keeps its place: blank lines within it, or for the form "skywork" all line breaks, are closed up.
    """
    lines = judge.form == "skywork"
    inner, outer = (r"\s*\n\s*", "\n") if lines else (r"\n\s*\n", "\n\n")
    texts = [outer.join(re.sub(inner, " " if lines else "\n", step.strip()) for step in s.steps) for s in solutions]
    found = judge.step_scores([(s.problem, [text]) for s, text in zip(solutions, texts, strict=True)], progress)
    return [
        scores[0] if len(scores[0]) == len(s.steps) else [float("nan")] * len(s.steps)
        for s, scores in zip(solutions, found, strict=True)
    ]


def first_error(scores: Sequence[float], threshold: float) -> Prediction:
    """The first step at or below the threshold, or -1; None if a step before that has no score."""
    for at, score in enumerate(scores):
        if isnan(score):
            return None
        if score <= threshold:
            return at
    return NO_ERROR


def best_threshold(solutions: Sequence[Solution], scores: Sequence[Sequence[float]]) -> float:
    """The threshold with the highest F1 on the subset `TUNED_ON`, which is the paper's rule.

    UserError if the subset is absent, or lacks solutions with or without an error.
    """
    mine = [(s, list(v)) for s, v in zip(solutions, scores, strict=True) if s.subset == TUNED_ON]
    wrong = np.array([s.label != NO_ERROR for s, _ in mine], bool)
    if wrong.all() or not wrong.any():
        raise UserError(f"the threshold is chosen on {TUNED_ON}, which lacks solutions; give --threshold a number, such as 0.5")
    # A solution's prediction is right for thresholds from `low` to just below `high`.
    low = np.array([-inf if s.label == NO_ERROR else v[s.label] for s, v in mine])
    high = np.array([min(v if s.label == NO_ERROR else v[: s.label], default=inf) for s, v in mine])
    known = sorted({p for _, values in mine for p in values if not isnan(p)})
    if not known:
        raise UserError(f"no step of {TUNED_ON} has a score; give --threshold a number")
    right = (low <= np.array(known)[:, None]) & (np.array(known)[:, None] < high)  # [threshold, solution]
    at = int(np.argmax(_f1(right[:, wrong].mean(axis=1), right[:, ~wrong].mean(axis=1))))
    following = known[at + 1] if at + 1 < len(known) else known[at]
    return float((known[at] + following) / 2)


def _f1(a: Floats, b: Floats) -> Floats:
    """The harmonic mean; 0 where both are 0."""
    total = a + b
    return np.divide(2 * a * b, total, out=np.zeros_like(total), where=total > 0)


def measured(solutions: Sequence[Solution], predictions: Sequence[Prediction], judge: str) -> dict[str, Any]:
    """F1 and both accuracies of a judge for each subset, and the average F1, in percent with 95 % intervals.

    Beside them the control "random": a uniform guess among the steps and "no error". "notes" says what to know.
    """
    hits = [float(p is not None and p == s.label) for s, p in zip(solutions, predictions, strict=True)]
    chance = [1 / (len(s.steps) + 1) for s in solutions]
    rows = [row for name, values in ((judge, hits), ("random", chance)) for row in _rows(name, solutions, values)]
    return {"judge": judge, "rows": rows, "notes": _notes(solutions, predictions)}


def subsets(solutions: Sequence[Solution]) -> list[str]:
    """The subsets, in the order of the paper; others follow."""
    present = dict.fromkeys(s.subset for s in solutions)
    return [*(s for s in SIZES if s in present), *(s for s in present if s not in SIZES)]


def _rows(selector: str, solutions: Sequence[Solution], hits: Sequence[float]) -> list[dict[str, Any]]:
    rows, scores = [], []
    for subset in subsets(solutions):
        kinds = [
            np.array([h for h, s in zip(hits, solutions, strict=True) if s.subset == subset and (s.label != NO_ERROR) == wrong])
            for wrong in (True, False)
        ]
        if not all(map(len, kinds)):
            continue
        drawn = [_with_draws(values) for values in kinds]
        scores.append(_f1(*drawn))
        rows += [
            _row(selector, "error accuracy", subset, drawn[0], len(kinds[0])),
            _row(selector, "correct accuracy", subset, drawn[1], len(kinds[1])),
            _row(selector, "F1", subset, scores[-1], sum(map(len, kinds))),
        ]
    if len(scores) == len(SIZES) and set(subsets(solutions)) == set(SIZES):
        rows.append(_row(selector, "F1", AVERAGE, np.mean(scores, axis=0), len(solutions)))
    return rows


def _with_draws(values: Floats) -> Floats:
    """[1 + draw]: the mean, then the means of resamplings."""
    rng = np.random.default_rng(0)
    return np.r_[values.mean(), values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)]


def _row(selector: str, measure: str, benchmark: str, drawn: Floats, problems: int) -> dict[str, Any]:
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    return {
        "selector": selector, "measure": measure, "benchmark": benchmark, "value": 100 * float(drawn[0]),
        "low": 100 * float(low), "high": 100 * float(high), "problems": problems, "undefined": 0,
    }  # fmt: skip


def _notes(solutions: Sequence[Solution], predictions: Sequence[Prediction]) -> list[str]:
    notes = []
    for subset in subsets(solutions):
        mine = [s.label != NO_ERROR for s in solutions if s.subset == subset]
        counts = (sum(mine), len(mine) - sum(mine))
        if 0 in counts:
            notes.append(f"{subset} has {counts[0]} solutions with an error and {counts[1]} without: its F1 is undefined")
        elif counts != SIZES.get(subset, counts):
            notes.append(f"{subset} has {len(mine)} solutions, the benchmark {sum(SIZES[subset])}: no published number is of these")
    if silent := sum(p is None for p in predictions):
        notes.append(f"{silent:,} of {len(predictions):,} solutions got no index; they count as missed")
    if len(set(predictions)) == 1 and len(predictions) > 1:
        notes.append(f"the judge names the same index for all {len(predictions):,} solutions: {predictions[0]}")
    return notes
