"""Graded and ungraded rows of known tools.

Known forms: this project's responses (`text` with a reference beside), the Qwen2.5-Math harness (`code`,
`gt`, `score`), ZeroEval (`pred`, `label`), lm-eval samples (`resps`, `target`, `exact_match`), chat
`messages`, and plain rows with any of the common names for response, reference and label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_RESPONSES = (
    "response",
    "prediction",
    "completion",
    "output",
    "generation",
    "generated_solution",
    "model_output",
    "text",
    "answer_text",
)
_REFERENCES = (
    "reference",
    "gold",
    "expected_answer",
    "ground_truth",
    "correct_answer",
    "gt",
    "target",
    "solution_answer",
    "answer",
    "solution",
)
_LABELS = ("expected", "label", "correct", "is_correct", "exact_match", "acc", "score")


class Row(NamedTuple):
    """One thing to grade: the response, the reference, what another grader said (None where unknown)."""

    response: str
    reference: str
    expected: bool | None
    extracted: bool  # whether `response` is a bare final answer rather than a whole response


def rows_of(record: Mapping[str, Any]) -> Iterator[Row]:
    """The rows that one record of a known form holds; nothing for an unknown form."""
    if isinstance(record.get("code"), list) and ("gt" in record or "answer" in record):
        yield from _qwen(record)
    elif "resps" in record and "target" in record:
        yield from _lm_eval(record)
    elif isinstance(record.get("messages"), list):
        yield from _messages(record)
    elif "pred" in record and "response" in record and _reference(record) is not None:
        yield _zero_eval(record)
    else:
        response = _first(record, _RESPONSES)
        reference = _reference(record)
        if response is not None and reference is not None:
            bare = str(record.get("form", "")) == "answer"
            # ZeroEval's result files hold a list of outputs; one label cannot be for several.
            several = isinstance(response, list) and all(isinstance(text, str) for text in response)
            texts = response if several and response else [response]
            for text in texts:
                yield Row(_text(text), reference, _label(record) if len(texts) == 1 else None, bare)


def _qwen(record: Mapping[str, Any]) -> Iterator[Row]:
    scores = record.get("score")
    reference = _text(record["gt"] if "gt" in record else record["answer"])
    for index, response in enumerate(record["code"]):
        expected = bool(scores[index]) if isinstance(scores, list) and index < len(scores) else None
        yield Row(_text(response), reference, expected, False)


def _lm_eval(record: Mapping[str, Any]) -> Iterator[Row]:
    answers = record["resps"]
    while isinstance(answers, list) and len(answers) == 1 and isinstance(answers[0], list):
        answers = answers[0]
    expected = _label(record) if len(answers) == 1 else None
    for answer in answers if isinstance(answers, list) else [answers]:
        yield Row(_text(answer), _text(record["target"]), expected, False)


def _messages(record: Mapping[str, Any]) -> Iterator[Row]:
    reference = _reference(record)
    turns = [m for m in record["messages"] if isinstance(m, Mapping) and m.get("role") == "assistant"]
    if reference is not None and turns:
        yield Row(_text(turns[-1].get("content")), reference, _label(record), False)


def _zero_eval(record: Mapping[str, Any]) -> Row:
    """The reasoning and the answer stand in two fields: the answer goes into a box behind the reasoning."""
    answer = record["pred"]
    text = _text(record["response"])
    if answer is not None and str(answer).strip():
        text = f"{text}\n\\boxed{{{answer}}}"
    return Row(text, _reference(record) or "", _label(record), False)


def _reference(record: Mapping[str, Any]) -> str | None:
    found = _first(record, _REFERENCES)
    if isinstance(found, list):
        return ", ".join(map(_text, found))
    if found is None:
        return None
    text = _text(found)
    return text.rsplit("####", 1)[1].strip() if "####" in text else text


def _label(record: Mapping[str, Any]) -> bool | None:
    found = _first(record, _LABELS)
    if isinstance(found, bool):
        return found
    if isinstance(found, int | float) and found in (0, 1):
        return bool(found)
    if isinstance(found, str) and found.lower() in ("true", "false", "correct", "wrong"):
        return found.lower() in ("true", "correct")
    return None


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[n] for n in names if record.get(n) is not None), None)


def _text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        return _text(value[-1].get("content"))
    return "" if value is None else str(value)
