"""The released form of AceMath-RewardBench, read and written: one folder a set, one row a problem with all candidates.

The release is a `DatasetDict` (paper, section 4.3.1). Its columns are not documented, so the known names of each are
tried, and what was not understood is reported: columns that were ignored, rows that were left out and why.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf, isinf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from acemath.benchmarks.tables import BENCHMARK
from acemath.curate.columns import level_of, prompt_text
from acemath.errors import UserError, needing
from acemath.files.atomic import explained, flush_tree
from acemath.files.columns import (
    first_value,
    id_text,
    is_missing,
    items_of,
    lowered,
    names_of,
    truth_of,
    value_at,
)
from acemath.files.identity import qualified
from acemath.files.rows import placed_records
from acemath.grade.records import text_of
from acemath.records import Dropped, Problem

DICT, STATE = "dataset_dict.json", "state.json"  # of `datasets`: in a folder of several sets, and in that of one
AT_ONCE = 16  # problems of a set in memory at a time: 1,024 responses
# Columns with one item for each candidate, by our name. `--columns` may name others.
LISTS: dict[str, tuple[str, ...]] = {
    "text": ("code", "responses", "response", "solutions"),
    "extracted": ("pred", "preds", "extracted"),
    "label": ("score", "scores", "labels", "label"),
    "reward": ("pred_score", "rewards", "reward"),
    "model": ("model", "models", "generator", "generators"),
}
NEEDED = {"text": "the responses", "extracted": "the answers found in them", "label": "their verdicts"}
PROBLEM = ("id", "prompt", "answer", "solution", "level", "subject", "license", "source")  # read of the problem itself
# The columns that are written, and what they hold; "texts" and "truths" have an item for each candidate. `report` gives the
# reason of each verdict. `model` is ours: who wrote each candidate.
COLUMNS = {
    "idx": "text", "question": "text", "gt_cot": "text", "gt": "text", "code": "texts", "pred": "texts", "report": "texts",
    "score": "truths", "model": "texts",
}  # fmt: skip
Records = Iterator[tuple[str, dict[str, Any]]]  # (place, record) pairs


@dataclass(frozen=True, slots=True)
class Entry:
    """One problem with its n candidates: each list has an item for each."""

    problem: Problem
    texts: Sequence[str]
    answers: Sequence[str | None]
    correct: Sequence[bool]
    rewards: Sequence[float | None]  # those that the file holds
    models: Sequence[str]  # who wrote them; "" if the file does not say


@dataclass
class Unread:
    """What was not understood in a set."""

    ignored: dict[str, int] = field(default_factory=dict)  # rows by column that is not read
    dropped: list[Dropped] = field(default_factory=list)  # rows that were left out, with the reason


def is_release(path: Path) -> bool:
    """Whether a path is a folder that `datasets` saved, or holds such folders."""
    return path.is_dir() and (_is_saved(path) or any(map(_is_saved, path.iterdir())))


def _is_saved(path: Path) -> bool:
    return (path / STATE).is_file() or (path / DICT).is_file()


def sets_of(path: Path) -> dict[str, Callable[[], Records]]:
    """The sets of a release by name, each with a reader of its records; the readers keep no set in memory.

    A set is a folder that `save_to_disk` wrote, or a file of the Qwen2.5-Math harness (JSONL, Parquet); a release is a
    folder of sets, or one set. UserError for anything else.
    """
    found = {name: _reader(place) for name, place in _places(path)}
    if not found:
        raise UserError(
            f"{str(path)!r} holds no set of AceMath-RewardBench; give the folder of the release, with a folder for each set "
            "(gsm8k, math500 …) as `save_to_disk` writes it"
        )
    return found


def files_of(path: Path) -> list[Path]:
    """The files that hold the rows of a release."""
    return [
        file
        for _, place in _places(path)
        for file in (_shards(place) if _is_saved(place) else _plain_files(place))
    ]


def size_of(path: Path, columns: Mapping[str, str] | None = None) -> int:
    """About how many responses a release holds: each set's rows, times the responses of its first one."""
    total = 0
    for name, place in _places(path):
        first = next(entries(name, _reader(place)(), Unread(), columns), None)
        total += 0 if first is None else len(first.texts) * _rows(place)
    return total


def _places(path: Path) -> list[tuple[str, Path]]:
    """The name of each set, and its folder or file."""
    if not path.exists():
        raise UserError(f"there is no {str(path)!r}; give the folder of the release")
    if path.is_file() or (path / STATE).is_file():
        return [(path.resolve().name.split(".")[0], path)]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    found: list[tuple[str, Path]] = []
    for place in inside:
        if (place / STATE).is_file():
            found.append((place.name, place))
        elif (place / DICT).is_file():  # a set that is divided into splits
            splits = [split for split in sorted(place.iterdir()) if (split / STATE).is_file()]
            found += [(place.name if len(splits) == 1 else f"{place.name}-{s.name}", s) for s in splits]
    if found:
        return found
    endings = (".jsonl", ".jsonl.gz", ".parquet")
    return [(place.name.split(".")[0], place) for place in inside if place.name.endswith(endings)] + [
        (place.name, place) for place in inside if place.is_dir() and any(place.glob("*.parquet"))
    ]


def _reader(place: Path) -> Callable[[], Records]:
    return lambda: _saved_records(place) if _is_saved(place) else placed_records(place)


def _plain_files(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.glob("*.parquet"))


def _shards(folder: Path) -> list[Path]:
    """The Arrow files of a folder that `save_to_disk` wrote, in order. UserError if its list of files is damaged."""
    try:
        names = [entry["filename"] for entry in json.loads((folder / STATE).read_text("utf-8"))["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / STATE} is damaged ({error!r}); download the set again") from error
    return [folder / name for name in names]


def _rows(place: Path) -> int:
    """The number of a set's rows, without reading them if it is saved."""
    if not _is_saved(place):
        return sum(1 for _ in placed_records(place))
    return sum(batch.num_rows for shard in _shards(place) for batch in _batches(shard))


def _batches(shard: Path) -> Iterator[Any]:
    """The Arrow batches of a file; only what is used of them is read. UserError if it is missing or damaged."""
    with needing("reading a data set"):
        import pyarrow as pa
    try:
        with pa.memory_map(str(shard)) as file, pa.ipc.open_stream(file) as batches:
            yield from batches
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{shard} is not a whole Arrow file ({str(error).splitlines()[0]}); download the set again"
        ) from error


def _saved_records(folder: Path) -> Records:
    """Each row of a folder that `save_to_disk` wrote, with its place. UserError if a file is missing or damaged."""
    number = 0
    for shard in _shards(folder):
        for batch in _batches(shard):
            for start in range(0, batch.num_rows, AT_ONCE):
                for record in batch.slice(start, AT_ONCE).to_pylist():
                    yield f"{shard}, row {number}", record
                    number += 1


def entries(
    name: str, records: Records, unread: Unread, columns: Mapping[str, str] | None = None
) -> Iterator[Entry]:
    """The problems of a set with their candidates; `unread` gets what was not understood.

    A row without a question, without responses or with an unknown verdict is left out. UserError, with the place, for a
    missing column, lists of different lengths, a verdict that means neither right nor wrong, and an id that appears twice.
    """
    seen: dict[str, str] = {}
    places = _columns(columns or {})
    for number, (place, given) in enumerate(records):
        record = lowered(given)
        if number == 0:
            _check_columns(name, given, record, places)
        for column in _ignored(given, record, places):
            unread.ignored[column] = unread.ignored.get(column, 0) + 1
        problem = _problem(name, record, number, places)
        if (first := seen.setdefault(problem.id, place)) != place:
            raise UserError(f"{place}: problem {problem.id!r} stands in {first} already; give each row an idx of its own")
        lists = lists_of(record, place, places)
        why = "no question" if not problem.prompt.strip() else lists if isinstance(lists, str) else ""
        if why or isinstance(lists, str):
            unread.dropped.append(Dropped(problem.id, "read", why, problem.prompt, name, place))
            continue
        yield Entry(problem, *lists)


def _columns(given: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The columns that may hold each of our names, in order."""
    found = {ours: names_of(ours, given) for ours in PROBLEM}
    if "problem_id" in given:
        found["id"] = (given["problem_id"],)
    if "response" in given:
        found["text"] = (given["response"],)
    return {**found, **{o: (given[o],) if o in given else found.get(o, names) for o, names in LISTS.items()}}


def _check_columns(
    name: str, given: Mapping[str, Any], record: Mapping[str, Any], places: Mapping[str, Sequence[str]]
) -> None:
    """UserError if the first record of a set lacks a column that is needed."""
    needed = {"prompt": "the question", **NEEDED}
    for ours, what in needed.items():
        if not any(column in record or value_at(record, column) is not None for column in places[ours]):
            raise UserError(
                f"set {name!r} has no column for {what}: it is expected in {' or '.join(places[ours])}; its columns are "
                f"{', '.join(map(str, given))}; name it with --columns {ours}=…"
            )


def _ignored(
    given: Mapping[str, Any], record: Mapping[str, Any], places: Mapping[str, Sequence[str]]
) -> list[str]:
    """The columns of a record that hold something and are not read."""
    used: set[str] = set()
    for ours, names in places.items():
        filled = [c for c in names if not is_missing(value_at(record, c))]
        listed = [c for c in filled if ours not in LISTS or items_of(value_at(record, c)) is not None]
        used |= {part.lower() for column in listed[:1] for part in (column, column.split(".")[0])}
    return [str(c) for c in given if str(c).lower() not in used and not is_missing(given[c])]


def _problem(
    name: str, record: Mapping[str, Any], number: int, places: Mapping[str, Sequence[str]]
) -> Problem:
    """The problem of a record; without an id its row number is one. A column with an item for each response is none of it."""
    single = {key: value for key, value in record.items() if not isinstance(value, list)}

    def text(ours: str) -> str:
        value = first_value(single, places[ours])
        return "" if value is None else str(value)

    own = first_value(single, places["id"])
    return Problem(
        id=qualified(name, str(number) if own is None else id_text(own)),
        prompt=prompt_text(first_value(record, places["prompt"])) or "",
        answer=text("answer"),
        source=name,
        license=text("license"),
        subject=text("subject") or "math",
        level=level_of(first_value(single, places["level"])),
        meta={BENCHMARK: name, **({"solution": found} if (found := text("solution")) else {})},
    )


Lists = tuple[list[str], list[str | None], list[bool], list[float | None], list[str]]


def lists_of(
    record: Mapping[str, Any], place: str, places: Mapping[str, Sequence[str]] = LISTS
) -> Lists | str:
    """The texts, answers, verdicts, rewards and writers of a record's candidates, or why the record is to be left out.

    Items may be lists of one, as the harness writes rewards. UserError as in `entries`.
    """
    found = {ours: _items(record, places[ours]) for ours in LISTS}
    texts, answers, labels = found["text"], found["extracted"], found["label"]
    if not texts:
        return "no responses"
    if not labels or None in labels:
        return "no verdict" if not labels else "a response has no verdict"
    count = len(texts)
    answers = [None] * count if answers is None else answers
    rewards = found["reward"] or [None] * count
    models = found["model"] or [""] * count
    if not count == len(answers) == len(labels) == len(rewards) == len(models):
        raise UserError(
            f"{place}: {count} responses, {len(answers)} answers, {len(labels)} verdicts, {len(rewards)} rewards, {len(models)} "
            "models; a row has one of each for every response"
        )
    try:
        texts = [text_of(text) for text in texts]
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    return (
        texts,
        [answer_text(answer) for answer in answers],
        [label_of(label, place) for label in labels],
        [reward_of(reward, places["reward"][0], place) for reward in rewards],
        [str(model or "") for model in models],
    )


def saved(folder: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, int]:
    """Write (set, row) pairs in the release's form, which `load_from_disk` reads, whole or not at all; the rows of each set.

    One row at a time is in memory. Columns are COLUMNS. An older release of this name is replaced. UserError if `folder`
    holds something else, and without rows.
    """
    with needing("writing a data set"):
        import pyarrow as pa
        from datasets import Dataset, DatasetDict, disable_progress_bars

    if folder.exists() and not _is_saved(folder):
        raise UserError(f"{folder} is there and is no release of AceMath-RewardBench; name another folder")
    disable_progress_bars()
    kinds = {"text": pa.string(), "texts": pa.list_(pa.string()), "truths": pa.list_(pa.bool_())}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    counts: Counter[str] = Counter()
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".rows-") as place:
            with ExitStack() as open_files:
                streams: dict[str, Any] = {}
                for name, row in rows:
                    if name not in streams:
                        streams[name] = open_files.enter_context(pa.ipc.new_stream(f"{place}/{name}.arrow", schema))
                    streams[name].write_batch(pa.RecordBatch.from_pylist([dict(row)], schema))
                    counts[name] += 1
            if not counts:
                raise UserError(f"there is no problem to write to {folder}")
            made = DatasetDict({name: Dataset.from_file(f"{place}/{name}.arrow") for name in sorted(counts)})
            made.save_to_disk(str(temporary))
        flush_tree(temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    return dict(sorted(counts.items()))


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether a record holds all responses to a problem: lists of answers and of verdicts."""
    return all(_items(record, LISTS[ours]) is not None for ours in ("extracted", "label"))


def _items(record: Mapping[str, Any], columns: Sequence[str]) -> list[Any] | None:
    """The items of the first of these columns that holds a list; a list of one stands for its item."""
    for column in columns:
        value = value_at(record, column)
        if isinstance(value, list) or (hasattr(value, "tolist") and items_of(value) is not None):
            return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in items_of(value) or ()]
    return None


def answer_text(answer: Any) -> str | None:
    """An answer as text; None if there is none."""
    return None if is_missing(answer) else str(answer)


def label_of(value: Any, place: str) -> bool:
    """A label as files write it. UserError if it is neither right nor wrong."""
    found = truth_of(value)
    if found is None:
        raise UserError(f"{place}: label {value!r} is no verdict; use true or false")
    return found


def reward_of(value: Any, name: str, place: str) -> float | None:
    """A reward as files write it, also as a list of one; nan where the judge gave none. UserError if it is not a number."""
    items = items_of(value)
    value = items[0] if items is not None and len(items) == 1 else value
    if value is None:
        return None
    try:
        reward = float(value)
    except (TypeError, ValueError, OverflowError):
        reward = inf
    if isinf(reward):
        raise UserError(f"{place}: {name} is {repr(value)[:60]}; a reward is a finite number, nan (no score), or absent")
    return reward
