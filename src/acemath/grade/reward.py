"""Rewards for reinforcement learning: TRL's GRPOTrainer and verl call these functions as they are.

from acemath.grade.reward import accuracy_reward
GRPOTrainer(model, reward_funcs=accuracy_reward, train_dataset=rows_with_a_solution_column, ...)

# verl: custom_reward_function.path=…/acemath/grade/reward.py custom_reward_function.name=compute_score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import lowered, may_hold_reference
from acemath.grade.batch import grade_many
from acemath.grade.core import grade
from acemath.grade.records import text_of
from acemath.grade.references import reference_in

UNKNOWN = ("timeout", "unparsable")  # statuses that say nothing about the answer


def accuracy_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """1.0 for a correct completion and 0.0 for any other; TRL's signature.

    completions: one text, or one list of chat messages, for each sample. The reference of a sample is read from the
    data set's other columns, in any known form (`acemath.files.columns`). A sample without a reference gets the reward
    None, which TRL leaves out of its mean; so does a verdict that says nothing about the answer (a time-out, an answer
    that could not be read). UserError where no sample has a reference.
    """
    count = len(completions)
    lists = {name: values for name, values in columns.items() if may_hold_reference(name) and values is not None}
    for name, values in lists.items():
        if isinstance(values, str) or len(values) != count:
            raise UserError(f"column {name!r} is no list of {count} values; give one for each completion")
    rows = [{name: values[at] for name, values in lists.items()} for at in range(count)]
    asked = {at: reference for at, row in enumerate(rows) if (reference := reference_in(lowered(row))) is not None}
    if not asked:
        raise UserError(
            f"no reference answer in the data set's columns ({', '.join(sorted(columns)) or 'none'}); add a column "
            "`answer` or `solution` that holds the right answers"
        )
    verdicts = grade_many([(text_of(completions[at]), reference) for at, reference in asked.items()])
    known = {
        at: float(verdict.correct)
        for at, verdict in zip(asked, verdicts, strict=True)
        if verdict.status not in UNKNOWN
    }
    return [known.get(at) for at in range(count)]


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, Any]:
    """verl's reward: the score of one response, with the answer that was found and why it got that score.

    UserError where there is no ground truth: a reward of 0 would teach that every answer is wrong.
    """
    verdict = grade(solution_str, ground_truth)
    score = float(verdict.correct)
    return {"score": score, "acc": verdict.correct, "pred": verdict.answer or "", "status": verdict.status}
