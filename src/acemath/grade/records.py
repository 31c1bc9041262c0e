"""Graded and ungraded rows of known tools: ours, the Qwen2.5-Math harness's, ZeroEval's, lm-eval's, chats, and plain rows
with any of the common names for response, reference and label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acemath.errors import UserError
from acemath.files.columns import first_value, lowered, truth_of, value_at
from acemath.grade.references import reference_in
from acemath.records import finish_reason

_RESPONSES = tuple(
    "response prediction completion output generation generated_solution model_output text answer_text".split()
)
_LABELS = ("expected", "label", "correct", "is_correct", "exact_match", "acc", "score")


class Row(NamedTuple):
    """One response to grade: its text, the reference, and another grader's verdict (None where unknown)."""

    response: str
    reference: str
    expected: bool | None
    finish_reason: str = "stop"
    reward: float | None = None  # where the record holds one for each of its responses


def rows_of(record: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The rows that one record of a known form holds; none for an unknown form or without a reference.

    A record of several responses may have a finish reason for each; UserError where their numbers differ.
    `columns` says which column holds the response, the answer or the label where it has another name.
    """
    chosen, record = columns or {}, lowered(record)
    reference = reference_in(record, chosen)
    if reference is None:
        return
    rows = list(_responses(record, chosen))
    reasons = value_at(record, chosen.get("finish_reason", "finish_reason"))
    if not isinstance(reasons, list):
        reasons = [reasons] * len(rows)
    if len(reasons) != len(rows):
        raise UserError(f"{len(rows)} responses but {len(reasons)} finish reasons; give one each")
    # The Qwen2.5-Math harness: a reward, or a list of one, for each response.
    rewards = record.get("pred_score")
    if not isinstance(rewards, list) or len(rewards) != len(rows):
        rewards = [None] * len(rows)
    for (text, expected), reason, reward in zip(rows, reasons, rewards, strict=True):
        value = reward[0] if isinstance(reward, list) and reward else reward
        value = float(value) if isinstance(value, int | float) else None
        yield Row(text, reference, expected, finish_reason(reason), value)


def _responses(record: Mapping[str, Any], columns: Mapping[str, str]) -> Iterator[tuple[str, bool | None]]:
    """Each response of a record with its label, None where it has none: one label cannot hold for several responses."""
    label = value_at(record, columns["label"]) if "label" in columns else first_value(record, _LABELS)
    labels = [truth_of(label)]
    named = columns.get("response", columns.get("text"))
    if named is not None:
        found = value_at(record, named)
    elif isinstance(record.get("code"), list):  # the Qwen2.5-Math harness: many responses, a label each
        found, scores = [text_of(response) for response in record["code"]], record.get("score")
        labels = [bool(score) for score in scores] if isinstance(scores, list) else []
    elif "resps" in record:
        found = record["resps"]
        while isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
            found = found[0]
    elif isinstance(record.get("messages"), list):
        turns = [m for m in record["messages"] if isinstance(m, Mapping) and m.get("role") == "assistant"]
        found = text_of(turns[-1].get("content")) if turns else None
    elif "pred" in record and "response" in record:
        # ZeroEval keeps the reasoning and the answer apart: the answer goes into a box behind the reasoning.
        answer, found = record["pred"], text_of(record["response"])
        if answer is not None and str(answer).strip():
            found = f"{found}\n\\boxed{{{answer}}}"
    else:
        found = next((record[name] for name in _RESPONSES if record.get(name) is not None), None)
    several = isinstance(found, list) and all(isinstance(text, str) for text in found)
    texts = found if several else [] if found is None else [found]
    if len(labels) != len(texts):
        labels = [None] * len(texts)
    yield from zip(map(text_of, texts), labels, strict=True)


def text_of(value: Any) -> str:
    """The text of a response: itself, or the content of the last of its messages; "" for none."""
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return text_of(value[-1].get("content"))
    return "" if value is None else str(value)
