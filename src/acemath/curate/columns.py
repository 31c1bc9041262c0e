"""Records of data sets as problems and groups.

A prompt is a text or a conversation in one of the usual forms ({role, content} or {from, value}), of which the first user
turn counts. `acemath.files.columns` has the names of known columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from acemath.errors import UserError
from acemath.files.columns import (
    INPUTS,
    KNOWN_COLUMNS,
    first_value,
    id_text,
    input_texts,
    is_missing,
    lowered,
    meta_of,
    names_of,
    unpacked,
    value_at,
)
from acemath.files.conversations import turns_of
from acemath.files.identity import FILE_ROW, Places, qualified, shown
from acemath.grade.references import choices_in, reference_in
from acemath.notices import say_once
from acemath.records import Group, Problem, content_key

STEPS = "steps"  # in meta: the calculations in a reference solution that marks them, as GSM8K's <<48/2=24>>
TURNS = "questions"  # in meta: how many questions a conversation has, if it has several; the first is the prompt
QUESTION = "question"  # in meta: a multiple-choice prompt before its choices were added
_SOLUTIONS = frozenset(KNOWN_COLUMNS["solution"])
_USERS = ("user", "human")
_LEVEL = re.compile(r"(?:level\s*)?([0-9]{1,2})(?:\.0+)?", re.IGNORECASE)


def prompt_text(value: Any) -> str | None:
    """A prompt's text: the value itself, or the first user turn of a conversation; None for any other value."""
    if value is None:
        return None
    turns = turns_of(unpacked(value))
    if turns is None:
        return value if isinstance(value, str) else None
    return next((turn["content"] for turn in turns if turn["role"] in _USERS), None)


def level_of(value: Any) -> int:
    """A level as a number: 3, 3.0, "3" and "Level 3" are 3; anything else (a date, a word) is 0, unknown."""
    found = _LEVEL.fullmatch(str(value).strip())
    return int(found[1]) if found else 0


def problems_of(
    records: Iterable[tuple[str, Mapping[str, Any]]],
    columns: Mapping[str, str],
    name: str = "",
    subject: str = "",
    license: str = "",
) -> Iterator[Problem]:
    """The problems of (place, record) pairs, with unique ids.

    `columns` maps our names to the record's columns where these are not known names. `name` is the data set's; without it,
    each row's `source` is used. `subject` overrides the row's own, while the row's own licence overrides `license`. Equal
    rows with one id are read once. UserError, with the place, for a record without a prompt, an answer that cannot be read,
    or different problems with one id.
    """
    places = Places()
    for row, (place, record) in enumerate(records):
        try:
            problem, has_id = _problem_of(record, columns, name, subject, license)
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        if not has_id:
            problem = replace(problem, meta={**problem.meta, FILE_ROW: row})
        admitted = places.admit(problem, place, has_id)
        if admitted is not None:
            yield admitted


def _problem_of(
    record: Mapping[str, Any], columns: Mapping[str, str], name: str, subject: str, license: str
) -> tuple[Problem, bool]:
    """One record as a problem, and whether the record has an id."""
    given, record = record, lowered(record)
    prompt, column = _prompt_in(record, columns, sorted(map(str, given)))
    subject = subject or _text(record, "subject", columns) or "math"
    answer = _answer_in(record, columns, subject, value_at(record, column)) or ""
    choices = choices_in(record, columns)
    meta = meta_of(record.get("meta"))
    if steps := _steps(record, columns):
        meta = {**meta, STEPS: steps}
    if (questions := _questions(value_at(record, column))) > 1:
        meta = {**meta, TURNS: questions}
    if choices is not None and not _lists(prompt, choices):
        meta = {**meta, QUESTION: prompt}
        listed = " ".join(f"({label}) {text}" for label, text in choices.items())
        prompt = f"{prompt}\nAnswer Choices: {listed}"  # the Qwen2.5-Math harness's form
    own, source = first_value(record, names_of("id", columns)), _text(record, "source", columns)
    identity = content_key(prompt) if own is None else id_text(own)
    problem = Problem(
        id=qualified(name, qualified(source, identity)),
        prompt=prompt,
        answer=answer,
        source=name or source,
        license=_text(record, "license", columns) or license,
        subject=subject,
        level=level_of(first_value(record, names_of("level", columns))),
        meta=meta,
    )
    return problem, own is not None


def _steps(record: Mapping[str, Any], columns: Mapping[str, str]) -> int:
    """The calculations that a record's reference solution marks with <<…>>."""
    texts = (first_value(record, names_of(ours, columns)) for ours in ("solution", "answer"))
    return max(text.count("<<") if isinstance(text, str) else 0 for text in texts)


def _prompt_in(record: Mapping[str, Any], columns: Mapping[str, str], there: list[str]) -> tuple[str, str]:
    """The prompt of a record and its column. UserError, naming the columns `there`, if none holds a prompt, or if it may be another."""
    names = names_of("prompt", columns)
    texts = {name: text for name in names if (text := prompt_text(value_at(record, name))) is not None}
    column = next((name for name, text in texts.items() if text.strip()), next(iter(texts), None))
    if column is None:
        where = f"no text in column {names[0]!r}" if "prompt" in columns else "no prompt"
        raise UserError(
            f"{where} (the columns are {there}); name the one that holds it: "
            "--columns prompt=… for a command, columns: {prompt: …} in a recipe"
        )
    prompt = texts[column]
    other = next((name for name, text in texts.items() if len(text.split()) > 1 >= len(prompt.split())), None)
    if other is not None and prompt.isascii():  # one word may be an id, or the name of a template
        raise UserError(
            f"{column} is {prompt[:40]!r}, and {other} is {shown(texts[other])}; name the column that holds the prompt: "
            "--columns prompt=… for a command, columns: {prompt: …} in a recipe"
        )
    inputs = (columns["input"],) if "input" in columns else INPUTS if column == "instruction" else ()
    return "\n".join([prompt, *input_texts(record, inputs)]), column


def _answer_in(
    record: Mapping[str, Any], columns: Mapping[str, str], subject: str, asked: Any
) -> str | None:
    """The reference answer of a record. If `columns` does not name its column, the record's form decides what counts.

    `asked` is what the column of the prompt holds. A conversation with several questions has no answer to the first of them.
    """
    plain_prompt = prompt_text(asked) == asked
    if not {"answer", "solution"} & columns.keys() and _questions(asked) > 1:
        return None
    if not {"answer", "solution"} & columns.keys():
        if not plain_prompt and "answer" in record:
            # A conversation's `answer` is the response that follows it, as in AceMath's released sets.
            columns = {**columns, "solution": "answer"}
        if subject in ("code", "general"):  # these solutions do not end in an answer
            record = {name: value for name, value in record.items() if name not in _SOLUTIONS}
            columns = {ours: theirs for ours, theirs in columns.items() if ours != "solution"}
            return reference_in(record, columns) if plain_prompt else None
    return reference_in(record, columns)


def _questions(asked: Any) -> int:
    """The number of user turns of a conversation; 0 for a text."""
    return sum(turn["role"] in _USERS for turn in turns_of(unpacked(asked)) or ())


def _lists(prompt: str, choices: Mapping[str, str]) -> bool:
    """Whether a prompt already lists its choices, each after its label."""
    return all(
        text.strip() in prompt and re.search(rf"\b{re.escape(label)}\W{{1,4}}{re.escape(text.strip())}", prompt)
        for label, text in choices.items()
    )


def _text(record: Mapping[str, Any], ours: str, columns: Mapping[str, str]) -> str:
    value = first_value(record, names_of(ours, columns))
    return "" if value is None else str(value)


def groups_of(records: Iterable[Mapping[str, Any]], place: str) -> Iterator[Group]:
    """Groups of AceMath's reward-model data: consecutive rows with one `qid`, each with `message` and `label` (section 4.1).

    A group that is all correct or all wrong is left out, because it teaches no order; a notice counts them. UserError for rows of another form,
    and if the rows of one qid are not consecutive or have different prompts.
    """
    alike = 0
    for found in groups_or_faults(records, place):
        if isinstance(found, UserError):
            raise found
        if len(set(found.labels)) == 2:
            yield found
        else:
            alike += 1
    if alike:
        say_once(f"{place}: {alike:,} groups are all right or all wrong and are left out")


def groups_or_faults(records: Iterable[Mapping[str, Any]], place: str) -> Iterator[Group | UserError]:
    """As `groups_of`, with groups that are all correct or all wrong; in place of a faulty group, its first fault."""
    seen = set[Any]()
    for qid, rows in groupby(enumerate(records, 1), key=lambda row: row[1].get("qid")):
        try:
            found: Group | UserError = _group(qid, list(rows), qid in seen, place)
        except UserError as fault:
            found = fault
        seen.add(qid)
        yield found


def _group(qid: Any, rows: Sequence[tuple[int, Mapping[str, Any]]], again: bool, place: str) -> Group:
    """The group of some numbered records with one qid. UserError naming the first record at fault."""
    responses, labels = list[str](), list[int]()
    asked: list[dict[str, str]] = []
    for number, row in rows:
        turns, label = turns_of(row.get("message")), row.get("label")
        if (
            is_missing(qid) or turns is None or label not in (0, 1)
            or [turn["role"] for turn in turns][-2:] != ["user", "assistant"] or len(turns) > 3
            or (len(turns) == 3 and turns[0]["role"] != "system")
        ):  # fmt: skip
            raise UserError(
                f"{place}, record {number}: not a labelled response (it has {sorted(row)}); "
                "a row has qid, message (system, user, assistant) and label 0 or 1"
            )
        if asked not in ([], turns[:-1]):
            raise UserError(
                f"{place}, record {number}: qid {qid!r} has another system prompt or question here than in the record "
                "before; give each question a qid of its own"
            )
        if again:
            raise UserError(
                f"{place}, record {number}: qid {qid!r} is not next to its other rows; sort the rows by qid"
            )
        asked = turns[:-1]
        responses.append(turns[-1]["content"])
        labels.append(int(label))
    prompt, system = asked[-1]["content"], asked[0]["content"] if len(asked) == 2 else ""
    return Group(id_text(qid), prompt, tuple(responses), tuple(labels), meta={"system": system})
