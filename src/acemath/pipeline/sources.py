"""Reading the problems that a recipe names: worksheets, files, data sets of the hub."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from acemath.errors import UserError
from acemath.recipe import Source
from acemath.records import Problem, content_key
from acemath.store import read_records
from acemath.worksheets.registry import MATH_SUBJECTS, SUBJECTS
from acemath.worksheets.sheets import Split, draw_problems


def read_source(name: str, source: Source, seed: int) -> list[Problem]:
    """The problems of one source, at most `source.count` of them."""
    if source.worksheets is not None:
        return _worksheets(source, seed)
    records = _from_hub(name, source) if source.hub else _from_file(source.file or Path())
    rows: list[Problem] = []
    for number, record in enumerate(records, 1):
        if source.count is not None and len(rows) >= source.count:
            break
        rows.append(_problem(name, source, record, number))
    return rows


def read_benchmark(name: str, source: Source, seed: int) -> list[Problem]:
    """A benchmark's problems; worksheets make one benchmark of each math subject, a file its own name's."""
    if source.worksheets is None:
        return [replace(p, subject=name) for p in read_source(name, source, seed)]
    return _worksheets(source, seed, MATH_SUBJECTS)


def _worksheets(source: Source, seed: int, subjects: Sequence[str] = SUBJECTS) -> list[Problem]:
    split: Split = "test" if source.worksheets == "test" else "train"
    if source.worksheets not in ("train", "test"):
        raise UserError(f"worksheets: {source.worksheets!r} is not a split; use train or test")
    return draw_problems(split, source.count or 1000, seed, subjects, source.levels, finding=source.finding)


def _problem(name: str, source: Source, record: dict[str, Any], number: int) -> Problem:
    columns = {"prompt": "prompt", "answer": "answer", "id": "id", "level": "level"} | source.columns
    prompt = record.get(columns["prompt"])
    if not isinstance(prompt, str):
        raise UserError(
            f"source {name!r}, record {number}: no text in column {columns['prompt']!r} (it has {sorted(record)}); "
            "say which one it is with columns: {prompt: …}"
        )
    answer = record.get(columns["answer"])
    if isinstance(answer, list):
        answer = ", ".join(map(str, answer))
    text = "" if answer is None else str(answer)
    text = (
        text.rsplit("####", 1)[-1].strip() if "####" in text else text
    )  # GSM8K keeps its answer after the mark
    identity = str(record.get(columns["id"]) or f"{name}-{content_key(prompt)}")
    level = record.get(columns["level"])
    number_of = int("".join(c for c in str(level) if c.isdigit()) or 0) if level is not None else 0
    return Problem(identity, prompt, text, name, source.license, source.subject, number_of)


def _from_file(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix != ".csv":
        yield from read_records(path)
        return
    if not path.exists():
        raise UserError(f"file {str(path)!r} does not exist; check the path")
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _from_hub(name: str, source: Source) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    try:
        yield from load_dataset(source.hub, revision=source.revision, split=source.split, streaming=True)
    except (OSError, ValueError, ConnectionError) as error:
        raise UserError(
            f"source {name!r}: data set {source.hub!r} cannot be read ({str(error).splitlines()[0]}); check its name, revision and split, and the network"
        ) from error
