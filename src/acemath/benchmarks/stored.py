"""AceMath-RewardBench's records, read from files of graded (and perhaps scored) responses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acemath.benchmarks.notes import notes_on
from acemath.benchmarks.release import (
    LISTS,
    Unread,
    answer_text,
    entries,
    is_record,
    is_release,
    label_of,
    lists_of,
    reward_of,
    sets_of,
)
from acemath.benchmarks.tables import ACCEPTED, BENCHMARK, UNTRAINED, Answer, Record, record_of
from acemath.curate.columns import level_of, prompt_text
from acemath.errors import UserError
from acemath.files.columns import (
    PROBLEM_NAMES,
    first_value,
    id_text,
    is_marked,
    is_missing,
    meta_of,
    names_of,
    renamed,
)
from acemath.files.identity import PROMPT_KEY, qualified
from acemath.files.rows import check_columns, read_records
from acemath.records import STATUSES, STOP, content_key, finish_reason, reason_in

KEYS = (*PROBLEM_NAMES, "problem")  # columns that name a response's problem
FORMS = (
    "neither a record of the Qwen2.5-Math harness (pred, score: lists) nor a labelled response (problem_id or qid, and "
    "label or status); acemath sample writes the latter"
)
HARNESS = {**LISTS, "text": (*LISTS["text"], "pred")}  # a record may hold the answers alone
REFERENCES = ("reference", "gold", "expected_answer", "ground_truth", "gt")  # columns with the reference that a row was graded by
Key = tuple[str, str]  # benchmark and problem
Answers = dict[Key, list[Answer]]


@dataclass
class _Read:
    """What is known of the rows that were read, in whichever file they stand."""

    about: dict[Key, tuple[int, str]] = field(default_factory=dict)  # level and subject
    asked: dict[Key, tuple[str, str, str]] = field(default_factory=dict)  # prompt key, source and place of the first row
    samples: dict[tuple[Any, ...], tuple[Path, int, int]] = field(default_factory=dict)  # by model and number: file, record, text's hash
    copied: dict[tuple[Path, Path], Counter[bool]] = field(default_factory=dict)  # samples of two files, by whether the text is the same
    references: dict[Key, set[str]] = field(default_factory=dict)
    uncertain: Counter[Path] = field(default_factory=Counter)
    contradictory: int = 0  # rows whose label and status differ

    def notes(self) -> list[str]:
        """A line for each kind of row that was left out or contradicts itself or others."""
        notes = [f"{path}: {count} rows that are marked uncertain are left out" for path, count in self.uncertain.items()]
        if self.contradictory:
            notes.append(f"{self.contradictory:,} rows have a label that differs from their status; the label counts")
        several = {key: found for key, found in self.references.items() if len(found) > 1}
        for (_, problem), found in list(several.items())[:1]:
            one, two = sorted(found)[:2]
            notes.append(
                f"{len(several):,} problems have rows with different references (problem {problem!r}: {one[:40]!r} and {two[:40]!r}); "
                "each row's own verdict counts"
            )
        return notes

    def check_copies(self) -> None:
        """UserError if a file repeats the responses of another: each would count twice."""
        for (one, two), same in self.copied.items():
            if not same[False]:
                raise UserError(
                    f"{two} repeats {same[True]:,} responses of {one} (the same problems, models, samples and texts); give one of "
                    "the files"
                )


def stored_records(
    paths: Sequence[Path], columns: Mapping[str, str] | None = None
) -> tuple[list[Record], list[str]]:
    """The records of the files' problems, and a line for each kind of row that was left out.

    A file holds records of the Qwen2.5-Math harness, or one labelled response a row. A file is one benchmark, named
    after the file, unless its rows name their benchmark in meta, as those of a run do; a release of AceMath-RewardBench has a
    folder for each. `columns` maps our names to the file's. If several files answer one benchmark, their responses are pooled, for the problems that all of them
    answer. UserError if a file is given twice or is empty, and for a row of neither form.
    """
    files, notes, read = [], list[str](), _Read()
    records = [record for path in paths if is_release(path) for record in _released(path, columns or {}, notes)]
    paths = [path for path in paths if not is_release(path)]
    check_columns(paths, columns or {})
    for path, name in zip(paths, _names(paths) if paths else (), strict=True):
        found = _answers(path, name, columns or {}, read)
        if not found:
            raise UserError(f"{path} holds no response to measure; acemath sample writes some")
        files.append(found)
    read.check_copies()
    notes += read.notes()
    pooled, partial = _pooled(files)
    if partial:
        notes.append(f"{partial} problems that not every file of their benchmark answers are left out")
    for key, answers in pooled.items():
        level, subject = read.about[key]
        records.append(record_of(*key, level, answers, subject))
    _check_once(records)
    return records, notes


def _released(path: Path, columns: Mapping[str, str], notes: list[str]) -> Iterator[Record]:
    """The records of a release; `notes` get what was not understood."""
    facts: dict[str, dict[str, Any]] = {"problems": {}, "left out": {}, "ignored": {}}
    for name, records in sets_of(path).items():
        unread, count = Unread(), 0
        for entry in entries(name, records(), unread, columns):
            count += 1
            lists = zip(entry.answers, entry.correct, entry.rewards, entry.texts, entry.models, strict=True)
            answers = [Answer(a, right, reward, None, len(text), model) for a, right, reward, text, model in lists]
            yield record_of(name, entry.problem.id, entry.problem.level, answers, entry.problem.subject)
        facts["problems"][name] = count
        facts["ignored"] |= {name: unread.ignored} if unread.ignored else {}
        facts["left out"] |= {name: Counter(row.reason for row in unread.dropped)} if unread.dropped else {}
    notes += notes_on(facts)


def _check_once(records: Sequence[Record]) -> None:
    """UserError if a problem of a benchmark appears twice, as in a release that is given twice."""
    counts = Counter((record.benchmark, record.problem_id) for record in records)
    twice = next((key for key, count in counts.items() if count > 1), None)
    if twice is not None:
        raise UserError(f"problem {twice[1]!r} of {twice[0]} stands in two of the folders; give each set once")


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names without endings, preceded by as many folders as are needed to make them unique."""
    places = [Path(os.path.realpath(path)) for path in paths]  # unlike `resolve`, it raises nothing for a loop of links
    twice = next((path for path, n in Counter(places).items() if n > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is given twice; name each file once")
    names = [(*place.parts[:-1], place.name.split(".")[0] or place.name) for place in places]
    if len(set(names)) < len(names):  # x.jsonl and x.parquet in one folder
        names = [place.parts for place in places]
    depth = next(d for d in range(1, max(map(len, names)) + 1) if len({n[-d:] for n in names}) == len(names))
    return ["/".join(name[-depth:]) for name in names]


def _answers(path: Path, name: str, columns: Mapping[str, str], read: _Read) -> Answers:
    """A file's answers; `read` gets what else its rows say. Rows that are marked uncertain are left out."""
    found: Answers = {}
    numbers: dict[Key, list[int | None]] = {}  # of the samples
    whole: set[Key] = set()  # problems of which one record holds all responses
    for number, record in enumerate((renamed(r, columns) for r in read_records(path)), 1):
        place = f"{path}, record {number}"
        if is_marked(record.get("uncertain")):
            read.uncertain[path] += 1
            continue
        if is_record(record):
            own = record.get("idx")
            key = (name, id_text(number - 1 if is_missing(own) else own))
            if key in found:
                raise UserError(
                    f"{place}: problem {key[1]!r} appears twice; give each problem an idx of its own"
                )
            found[key] = list(_of_harness(record, place))
            whole.add(key)
        else:
            benchmark, problem, answer = _of_row(record, name, place, read)
            key = (benchmark, _unique_id((benchmark, problem), record, read.asked, place))
            if key in whole:
                raise UserError(f"{place}: problem {key[1]!r} is in another record with all its responses; give it once")
            found.setdefault(key, []).append(answer)
            numbers.setdefault(key, []).append(_sample(record, key, answer, path, number, read))
            if (reference := first_value(record, REFERENCES)) is not None:
                read.references.setdefault(key, set()).add(str(reference))
        read.about.setdefault(key, _level_and_subject(record))
    return {key: _in_order(answers, numbers.get(key, ())) for key, answers in found.items()}


def _sample(
    record: Mapping[str, Any], key: Key, answer: Answer, path: Path, number: int, read: _Read
) -> int | None:
    """The number of a row's sample; None if it has none. UserError if its file has that sample of the problem already."""
    sample = record.get("sample")
    if is_missing(sample):
        return None
    text = hash((str(record.get("text") or record.get("response")), answer.answer))
    other, first, before = read.samples.setdefault((*key, answer.generator, id_text(sample)), (path, number, text))
    if other != path:
        read.copied.setdefault((other, path), Counter())[text == before] += 1
    elif other == path and first != number:
        raise UserError(
            f"{path}, record {number}: sample {sample} of problem {key[1]!r} is in record {first} already; give the "
            "problems of different benchmarks a file each, or ids of their own"
        )
    return int(id_text(sample)) if id_text(sample).isdecimal() else None


def _in_order(answers: Sequence[Answer], numbers: Sequence[int | None]) -> list[Answer]:
    """The answers with those of each model by the numbers of their samples, for protocols that take the first ones."""
    if not numbers or None in numbers:
        return list(answers)
    ordered = sorted(zip(numbers, answers, strict=True), key=lambda pair: pair[0] or 0)
    queues = {name: iter([a for _, a in ordered if a.generator == name]) for name in {a.generator for a in answers}}
    return [next(queues[answer.generator]) for answer in answers]


def _level_and_subject(record: Mapping[str, Any]) -> tuple[int, str]:
    subject = first_value(record, names_of("subject", {}))
    return level_of(first_value(record, names_of("level", {}))), str(subject or "")


def _unique_id(
    key: tuple[str, str],
    record: Mapping[str, Any],
    asked: dict[tuple[str, str], tuple[str, str, str]],
    place: str,
) -> str:
    """The id of a row's problem, prefixed with the row's source if another source has another prompt under that id.

    A different `source` alone is no reason, because many files name the writer of the response there. UserError if one
    source has two prompts under one id.
    """
    benchmark, problem = key
    prompt, source = _prompt_key(record), str(record.get("source") or "")
    if prompt is None:
        return problem
    for name in dict.fromkeys((problem, qualified(source, problem))):
        first_prompt, first_source, first = asked.setdefault((benchmark, name), (prompt, source, place))
        if first_prompt == prompt:
            return name
        if first_source == source:
            break
    raise UserError(
        f"{place}: problem {problem!r} has another prompt than in {first}; give each problem an id of its own, or a "
        "`source` column to tell the data sets apart"
    )


def _of_harness(record: Mapping[str, Any], place: str) -> Iterator[Answer]:
    """The answers of one record of the Qwen2.5-Math harness, which holds all responses to a problem; see `_of_row` for cut ones."""
    found = lists_of(record, place, HARNESS)
    if isinstance(found, str):
        raise UserError(f"{place}: {found}")
    said = reason_in(record)
    reasons = said if isinstance(said, list) else [said] * len(found[0])
    if len(reasons) != len(found[0]):
        raise UserError(f"{place}: {len(found[0])} responses, {len(reasons)} finish reasons; give one for each")
    for text, answer, label, reward, model, reason in zip(*found, reasons, strict=True):
        word, complete = _ended(reason)
        yield Answer(answer if complete else None, label and complete, reward, None, len(text), model, word)


def _of_row(record: Mapping[str, Any], name: str, place: str, read: _Read) -> tuple[str, str, Answer]:
    """The benchmark, the problem and the answer of a row with one labelled response.

    An incomplete response has no answer and counts as wrong, whatever its label says.
    """
    problem = first_value(record, KEYS)
    label, status = record.get("label"), record.get("status")
    if problem is None or (label is None and status is None):
        raise UserError(f"{place}: {FORMS}")
    try:
        meta = meta_of(record.get("meta"))
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    right = _right(status, place) if label is None else label_of(label, place)
    reason, complete = _ended(reason_in(record))
    if complete and label is not None and status in STATUSES:
        read.contradictory += right != (status == "correct")
    answer = next((record[k] for k in ("extracted", "pred") if record.get(k) is not None), None)
    text = next((record[k] for k in ("text", "response") if record.get(k) is not None), "")
    return (
        str(meta.get(BENCHMARK) or name),
        id_text(problem),
        Answer(
            answer_text(answer) if complete else None,
            right and complete,
            reward_of(record.get("reward"), "reward", place),
            reward_of(meta.get(UNTRAINED), UNTRAINED, place),
            len(str(text)),
            str(record.get("model") or ""),
            reason,
            None if meta.get(ACCEPTED) is None else label_of(meta[ACCEPTED], f"{place}, {ACCEPTED}"),
        ),
    )


def _ended(reason: Any) -> tuple[str, bool]:
    """A finish reason in our words, "" if there is none, and whether it means that the response is complete."""
    word = finish_reason(None if is_missing(reason) else reason)
    return "" if is_missing(reason) else word, word == STOP


def _prompt_key(record: Mapping[str, Any]) -> str | None:
    """The key of the prompt that a row's response answers; None if the row does not hold it."""
    prompt = prompt_text(first_value(record, names_of("prompt", {})))
    return meta_of(record.get("meta")).get(PROMPT_KEY) or (None if prompt is None else content_key(prompt))


def _right(status: Any, place: str) -> bool:
    """Whether a status means right. UserError on a status that the grader does not give."""
    if status not in STATUSES:
        raise UserError(f"{place}: status {status!r} is no verdict; use one of {', '.join(STATUSES)}, or a label")
    return bool(status == "correct")


def _pooled(files: Sequence[Answers]) -> tuple[Answers, int]:
    """The answers of all files by problem, without the problems that some file of their benchmark does not answer.

    The second value is the number of those problems.
    """
    answering = Counter(benchmark for found in files for benchmark in {b for b, _ in found})
    holding = Counter(key for found in files for key in found)
    pooled: Answers = {}
    for found in files:
        for key, answers in found.items():
            if holding[key] == answering[key[0]]:
                pooled.setdefault(key, []).extend(answers)
    return pooled, len(holding) - len(pooled)
