"""Rewards for reinforcement learning: TRL's GRPOTrainer and verl call these functions as they are.

from acemath.grade.reward import accuracy_reward
GRPOTrainer(model, reward_funcs=accuracy_reward, train_dataset=rows_with_a_solution_column, ...)

# verl: custom_reward_function.path=…/acemath/grade/reward.py custom_reward_function.name=compute_score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acemath.errors import UserError
from acemath.grade.batch import grade_many
from acemath.grade.core import grade

_COLUMNS = ("solution", "answer", "reference", "ground_truth", "target")


def accuracy_reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
    """1.0 for a correct completion and 0.0 for any other; TRL's signature.

    completions: one text, or one list of chat messages, for each sample. The reference is the first of the
    columns solution, answer, reference, ground_truth, target that the data set has; None in it gives the
    reward None, which TRL leaves out of its mean. So does a time-out: it says nothing about the answer.
    """
    name = next((n for n in _COLUMNS if columns.get(n) is not None), None)
    if name is None:
        raise UserError(
            f"the data set has none of the columns {', '.join(_COLUMNS)}; add one with the reference answers"
        )
    references = columns[name]
    if len(references) != len(completions):
        raise UserError(f"{len(completions)} completions but {len(references)} references; give one each")
    asked = [i for i, reference in enumerate(references) if reference is not None]
    verdicts = grade_many([(completion_text(completions[i]), str(references[i])) for i in asked])
    rewards: list[float | None] = [None] * len(completions)
    for index, verdict in zip(asked, verdicts, strict=True):
        rewards[index] = None if verdict.status == "timeout" else float(verdict.correct)
    return rewards


def completion_text(completion: Any) -> str:
    """The text of a completion: itself, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and completion and isinstance(completion[-1], Mapping):
        return str(completion[-1].get("content") or "")
    raise UserError(f"a completion of type {type(completion).__name__}; give text or a list of messages")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    **_: Any,
) -> dict[str, Any]:
    """verl's reward: the score of one response, with the answer that was found and why it got that score."""
    verdict = grade(solution_str, str(ground_truth))
    return {
        "score": float(verdict.correct),
        "acc": verdict.correct,
        "pred": verdict.answer or "",
        "status": verdict.status,
    }
