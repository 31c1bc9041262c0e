"""From a data set's record to our rows: plain columns, nested ones, and prompts that are conversations.

A column is named by its key, or by a path through nested values ("message.1.content"). A prompt is a text or a list
of turns, in either of the usual forms ({role, content} or {from, value}); of turns the first that a user wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from acemath.conversations import turns_of
from acemath.errors import UserError
from acemath.grade.extract import extract
from acemath.records import Group, Problem, content_key

OURS = ("prompt", "input", "answer", "solution", "id", "level")
_USERS = ("user", "human")
_GIVEN = frozenset(("boxed", "boxes", "hashes", "answer-is", "final-answer", "answer-tag", "json"))


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """The value under a key, or under a path through nested records and lists; None where there is none."""
    if path in record:
        return record[path]
    value: Any = record
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, Sequence) and not isinstance(value, str) and part.lstrip("-").isdigit():
            at = int(part)
            value = value[at] if -len(value) <= at < len(value) else None
        else:
            return None
    return value


def prompt_text(value: Any) -> str | None:
    """A prompt's text: the value itself, or the first user turn of a conversation; None where it is neither."""
    if isinstance(value, str):
        return value
    turns = turns_of(value)
    return next((turn["content"] for turn in turns if turn["role"] in _USERS), None) if turns else None


def answer_text(value: Any) -> str:
    """A reference answer as text: lists with commas, GSM8K's after its mark, "" for nothing."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = "" if value is None else str(value)
    return text.rsplit("####", 1)[-1].strip() if "####" in text else text


def solution_answer(value: Any) -> str:
    r"""The final answer of a worked solution, by the grader's extractor: the last `\boxed{…}`, or where it is stated.

    "" where the solution states none (a proof, a program): the last number of a text is no reference.
    """
    found = extract(value) if isinstance(value, str) else None
    return found.answer or "" if found is not None and found.rule in _GIVEN else ""


def problem_of(
    name: str,
    record: Mapping[str, Any],
    columns: Mapping[str, str],
    subject: str,
    license: str,
    place: str,
) -> Problem:
    """One record of the source `name` as a problem; `place` says where it stands. UserError without a prompt."""
    named = {key: columns.get(key, key) for key in ("prompt", "answer", "id", "level")} | dict(columns)
    prompt = prompt_text(value_at(record, named["prompt"]))
    if prompt is None:
        raise UserError(
            f"{place}: no text in column {named['prompt']!r} (it has {sorted(record)}); "
            "say which one it is with columns: {prompt: …}"
        )
    more = value_at(record, named["input"]) if "input" in named else None
    if isinstance(more, str) and more.strip():
        prompt = f"{prompt}\n{more}"
    # A column that is named as the solution is not taken for the answer as well.
    answer = (
        "" if named["answer"] == named.get("solution") else answer_text(value_at(record, named["answer"]))
    )
    if not answer and "solution" in named:
        answer = solution_answer(value_at(record, named["solution"]))
    identity = str(value_at(record, named["id"]) or f"{name}-{content_key(prompt)}")
    level = value_at(record, named["level"])
    digits = "".join(c for c in str(level) if c.isdigit()) if level is not None else ""
    return Problem(identity, prompt, answer, name, license, subject, int(digits or 0))


def groups_of(records: Iterable[Mapping[str, Any]], place: str) -> Iterator[Group]:
    """Groups of AceMath's reward-model data: rows in a row with one `qid`, each a `message` and a `label` (section 4.1).

    A question whose rows are all right or all wrong teaches no order and is left out. UserError on another form.
    """
    for qid, rows in groupby(enumerate(records, 1), key=lambda row: row[1].get("qid")):
        prompt, system, responses, labels = "", "", [], []
        for number, row in rows:
            turns, label = turns_of(row.get("message")), row.get("label")
            if qid is None or turns is None or label not in (0, 1) or turns[-1]["role"] != "assistant":
                raise UserError(
                    f"{place}, record {number}: not a labelled response (it has {sorted(row)}); "
                    "a row has qid, message (system, user, assistant) and label 0 or 1"
                )
            system = next((turn["content"] for turn in turns if turn["role"] == "system"), "")
            prompt = next((turn["content"] for turn in turns if turn["role"] == "user"), "")
            responses.append(turns[-1]["content"])
            labels.append(int(label))
        if len(set(labels)) == 2:
            yield Group(str(qid), prompt, tuple(responses), tuple(labels), meta={"system": system})
