"""Records of AceMath-RewardBench from files of responses with verdicts and, where scored, rewards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from acemath.bench.tables import BENCHMARK, UNTRAINED, Answer, Record, record_of
from acemath.columns import PROBLEM_NAMES
from acemath.errors import UserError
from acemath.store import read_records

KEYS = (*PROBLEM_NAMES, "problem")  # columns that name a response's problem
LABELS = {"true": True, "correct": True, "1": True, "false": False, "wrong": False, "0": False}
FORMS = (
    "neither a record of the Qwen2.5-Math harness (pred, score: lists) nor a labelled response (problem_id or qid, and "
    "label or status); acemath sample writes the latter"
)
Answers = dict[tuple[str, str], list[Answer]]  # by benchmark and problem


def stored_records(paths: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The records of some files, and a line for each kind of row that was left out.

    A file holds records of the Qwen2.5-Math harness, or one labelled response a row. It is one benchmark, named
    after the file, unless its rows say in their meta which benchmark they belong to, as those of a run do.
    Responses of several files to one benchmark's problems are taken together, over the problems that each of
    those files answers. UserError where a file is given twice or is empty, and on a row of neither form.
    """
    files, notes = [], list[str]()
    for path, name in zip(paths, _names(paths), strict=True):
        found, uncertain = _answers(path, name)
        if not found:
            raise UserError(f"{path} holds no response to measure; acemath sample writes some")
        if uncertain:
            notes.append(f"{path}: {uncertain} rows that are marked uncertain are left out")
        files.append(found)
    together, alone = _together(files)
    if alone:
        notes.append(f"{alone} problems that not every file of their benchmark answers are left out")
    return [record_of(b, key, 0, answers) for (b, key), answers in together.items()], notes


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names without their endings; with as many folders before them as it takes to tell them apart."""
    places = [path.resolve() for path in paths]
    twice = next((path for path, n in Counter(places).items() if n > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is given twice; name each file once")
    names = [(*place.parts[:-1], place.name.split(".")[0] or place.name) for place in places]
    if len(set(names)) < len(names):  # x.jsonl and x.parquet in one folder
        names = [place.parts for place in places]
    depth = next(d for d in range(1, max(map(len, names)) + 1) if len({n[-d:] for n in names}) == len(names))
    return ["/".join(name[-depth:]) for name in names]


def _answers(path: Path, name: str) -> tuple[Answers, int]:
    """A file's answers, and how many of its rows are marked uncertain."""
    found: Answers = {}
    seen: dict[tuple[Any, ...], int] = {}
    uncertain = 0
    for number, record in enumerate(read_records(path), 1):
        place = f"{path}, record {number}"
        if record.get("uncertain"):
            uncertain += 1
            continue
        if isinstance(record.get("score"), list) and isinstance(record.get("pred"), list):
            key = (name, str(record.get("idx", number - 1)))
            if key in found:
                raise UserError(
                    f"{place}: problem {key[1]!r} stands twice; give each problem an idx of its own"
                )
            found[key] = list(_of_harness(record, place))
            continue
        benchmark, problem, answer = _of_row(record, name, place)
        if record.get("sample") is not None:
            identity = (benchmark, problem, record.get("model"), record["sample"])
            if (first := seen.setdefault(identity, number)) != number:
                raise UserError(
                    f"{place}: sample {record['sample']} of problem {problem!r} stands in record {first} already; give the "
                    "problems of different benchmarks a file each, or ids of their own"
                )
        found.setdefault((benchmark, problem), []).append(answer)
    return found, uncertain


def _of_harness(record: Mapping[str, Any], place: str) -> Iterator[Answer]:
    """The answers of one record of the Qwen2.5-Math harness, which holds all responses to a problem."""
    answers, verdicts = record["pred"], record["score"]
    texts = record.get("code") or record.get("response") or answers
    rewards = record.get("pred_score") or [None] * len(verdicts)
    if not len(answers) == len(verdicts) == len(rewards) == len(texts):
        raise UserError(
            f"{place}: {len(answers)} answers, {len(verdicts)} verdicts, {len(rewards)} rewards and {len(texts)} texts; a "
            "record has one of each for every response"
        )
    for answer, verdict, reward, text in zip(answers, verdicts, rewards, texts, strict=True):
        value = reward[0] if isinstance(reward, list) else reward
        yield Answer(
            _text(answer), _label(verdict, place), _reward(value, "pred_score", place), None, len(text)
        )


def _of_row(record: Mapping[str, Any], name: str, place: str) -> tuple[str, str, Answer]:
    """The benchmark, the problem and the answer of a row with one labelled response."""
    problem = next((str(record[k]) for k in KEYS if record.get(k) is not None), None)
    label, status = record.get("label"), record.get("status")
    if problem is None or (label is None and status is None):
        raise UserError(f"{place}: {FORMS}")
    meta = record.get("meta") or {}
    meta = json.loads(meta) if isinstance(meta, str) else meta
    answer = next((record[k] for k in ("extracted", "pred") if record.get(k) is not None), None)
    text = next((record[k] for k in ("text", "response") if record.get(k) is not None), "")
    return (
        str(meta.get(BENCHMARK) or name),
        problem,
        Answer(
            _text(answer),
            status == "correct" if label is None else _label(label, place),
            _reward(record.get("reward"), "reward", place),
            _reward(meta.get(UNTRAINED), UNTRAINED, place),
            len(str(text)),
        ),
    )


def _text(answer: Any) -> str | None:
    return None if answer is None or answer == "" else str(answer)


def _label(value: Any, place: str) -> bool:
    """A verdict as a file writes it: true, 1, 1.0, "correct" …; UserError on what is none."""
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in LABELS:
        return LABELS[value.lower()]
    raise UserError(f"{place}: label {value!r} is no verdict; use true or false")


def _reward(value: Any, name: str, place: str) -> float | None:
    if value is None:
        return None
    try:
        reward = float(value)
    except (TypeError, ValueError):
        reward = float("nan")
    if isnan(reward):
        raise UserError(f"{place}: {name} is {value!r}; a reward is a number, or absent")
    return reward


def _together(files: Sequence[Answers]) -> tuple[Answers, int]:
    """All files' answers by problem, and how many problems not every file of their benchmark answers."""
    answering = Counter(benchmark for found in files for benchmark in {b for b, _ in found})
    holding = Counter(key for found in files for key in found)
    together: Answers = {}
    for found in files:
        for key, answers in found.items():
            if holding[key] == answering[key[0]]:
                together.setdefault(key, []).extend(answers)
    return together, len(holding) - len(together)
