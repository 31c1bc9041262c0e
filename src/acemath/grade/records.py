"""Graded and ungraded rows of known tools: ours, the Qwen2.5-Math harness's, ZeroEval's, lm-eval's, chats, and plain rows
with any of the common names for response, reference and label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acemath.errors import UserError
from acemath.files.columns import (
    CHOICE_COLUMNS,
    first_value,
    id_text,
    is_missing,
    lowered,
    names_of,
    truth_of,
    value_at,
)
from acemath.files.conversations import turns_of
from acemath.files.fitting import short
from acemath.grade.references import choices_in, reference_in
from acemath.records import finish_reason, reason_in

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

    A record of several responses may have a finish reason and a reward for each; UserError where their numbers differ, for
    a response that is no text, and for a label that is no verdict. `columns` says which column holds the response, the answer
    or the label where it has another name.
    """
    chosen, record = columns or {}, lowered(record)
    reference = reference_in(record, chosen)
    if reference is None:
        return
    asked = first_value(record, names_of("prompt", {}))
    if isinstance(asked, list) and all(isinstance(text, str) for text in asked):
        raise UserError(f"it holds {len(asked)} questions, as a file of whole columns does; write a record for each")
    rows = list(_responses(record, chosen, reference))
    reasons = value_at(record, chosen["finish_reason"]) if "finish_reason" in chosen else reason_in(record)
    if not isinstance(reasons, list):
        reasons = [reasons] * len(rows)
    if len(reasons) != len(rows):
        raise UserError(f"{len(rows)} responses but {len(reasons)} finish reasons; give one each")
    # The Qwen2.5-Math harness: a reward, or a list of one, for each response.
    rewards = record.get("pred_score")
    if not isinstance(rewards, list):
        rewards = [None] * len(rows)
    if len(rewards) != len(rows):
        raise UserError(f"{len(rows)} responses but {len(rewards)} rewards; give one each")
    for (text, expected), reason, reward in zip(rows, reasons, rewards, strict=True):
        value = reward[0] if isinstance(reward, list) and reward else reward
        value = float(value) if isinstance(value, int | float) else None
        yield Row(text, reference, expected, finish_reason(reason), value)


def _responses(
    record: Mapping[str, Any], columns: Mapping[str, str], reference: str
) -> Iterator[tuple[str, bool | None]]:
    """Each response of a record with its label, None where it has none: one label cannot hold for several responses."""
    labels = [_label(record, columns, reference)]
    named = columns.get("response", columns.get("text"))
    if named is not None:
        found = value_at(record, named)
    elif isinstance(record.get("code"), list):  # the Qwen2.5-Math harness: many responses, a label each
        found, scores = record["code"], record.get("score")
        labels = []
        if isinstance(scores, list) and scores:
            labels = [truth_of(score[0] if isinstance(score, list) and len(score) == 1 else score) for score in scores]
            if len(labels) != len(found):
                raise UserError(f"{len(found)} responses but {len(labels)} labels; give one each")
    elif "resps" in record:
        found = record["resps"]
        while isinstance(found, list) and len(found) == 1 and isinstance(found[0], list):
            found = found[0]
    elif isinstance(record.get("messages"), list):
        turns = [m for m in record["messages"] if isinstance(m, Mapping) and m.get("role") == "assistant"]
        found = turns[-1:] or None
    elif "pred" in record and "response" in record:
        # ZeroEval keeps the reasoning and the answer apart: the answer goes into a box behind the reasoning.
        answer, found = record["pred"], text_of(record["response"])
        if answer is not None and str(answer).strip():
            found = f"{found}\n\\boxed{{{answer}}}"
    else:
        there = [record[name] for name in _RESPONSES if record.get(name) is not None]
        # a number may count the tokens of a completion
        found = next((value for value in there if not isinstance(value, int | float)), there[0] if there else None)
    alone = not isinstance(found, list) or found and all(isinstance(item, Mapping) for item in found)  # messages are one response
    texts = [] if found is None else [found] if alone else found
    if len(labels) != len(texts):
        labels = [None] * len(texts)
    yield from zip(map(text_of, texts), labels, strict=True)


def _label(record: Mapping[str, Any], columns: Mapping[str, str], reference: str) -> bool | None:
    if "label" in columns:
        return _truth(value_at(record, columns["label"]))
    # Some files keep the reference under `expected` or `label`, and under `correct` which choice is right: no labels.
    stated = record.get("expected")
    is_answer = not isinstance(stated, bool) and stated is not None and str(stated).strip() == reference
    others = {*columns.values(), *(("expected",) if is_answer else ()), *(() if choices_in(record, columns) is None else CHOICE_COLUMNS)}
    label = record.get("label")
    if "label" not in others and isinstance(label, int | float) and not is_missing(label) and id_text(label) != reference:
        return _truth(label)
    return truth_of(first_value(record, (name for name in _LABELS if name not in others)))


def _truth(label: Any) -> bool | None:
    """A label that is named, or a number. UserError for another one, as -1: those that are known would agree alone."""
    found = truth_of(label)
    if found is None and not is_missing(label):
        raise UserError(f"label {label!r} is no verdict; use true or false")
    return found


def text_of(value: Any) -> str:
    """The text of a response: itself, or the content of the last of its messages; "" for none.

    UserError for another record or list: its text alone may be graded.
    """
    if isinstance(value, list) and value and (len(value) == 1 or all(isinstance(item, Mapping) for item in value)):
        return text_of(value[-1])
    text = value
    if isinstance(value, Mapping):
        text = (turns_of([value]) or [{"content": value.get("content", value)}])[0]["content"]
    if is_missing(text):
        return ""
    if not isinstance(text, str | int | float):
        raise UserError(f"a response is {short(value)}, not a text; name the column of its text: --columns response=…")
    return str(text)


def check_filter(record: Mapping[str, Any], seen: dict[str, str]) -> None:
    """UserError if an earlier row of lm-eval has the same responses under another filter; `seen` keeps each document's filter."""
    name = str(record.get("filter"))
    first = seen.setdefault(str(record["doc_id"]), name) if "doc_id" in record else name
    if first != name:
        raise UserError(f"the responses to document {record['doc_id']} stand under the filters {first!r} and {name!r}; keep the rows of one")
