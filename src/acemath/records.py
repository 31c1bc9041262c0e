"""The rows that flow through acemath, and their Parquet schemas.

A row is a frozen dataclass. On disk it is one Parquet record whose columns are its fields, so that pandas,
DuckDB and `datasets` can read it.
`meta` is free-form and is stored as JSON text, because its keys differ from source to source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal["correct", "wrong", "no_answer", "timeout", "unparsable"]
STATUSES: tuple[Status, ...] = ("correct", "wrong", "no_answer", "timeout", "unparsable")

_LABELS: dict[str | None, bool] = {"correct": True, "wrong": False, "no_answer": False}
ROOT = "root"  # in an evolved problem's meta: the id of the problem that it was first evolved from
BENCHMARK = "benchmark"  # in the meta of a problem or a response: the benchmark that it belongs to
# Finish reasons of a response. Only "stop" is complete. "length": cut at the token limit. "refused": the engine gave
# nothing that may be graded or learned; the text is empty, and meta["refused"] says why.
STOP, LENGTH, REFUSED = "stop", "length", "refused"
# The finish reasons of other engines, in lower case, and ours.
FINISHED = {
    word: meaning
    for meaning, words in {
        # the last four: how a missing cell of a table prints
        "stop": "stop eos eos_token end_turn stop_sequence stop_token complete completed none null nan <na>",
        "length": "length max_tokens max_length max_output_tokens model_length model_context_window_exceeded",
    }.items()
    for word in words.split()
}


def group_of(subject: str) -> str:
    """The part of training that a subject belongs to: "code", "general", or "math" for every other subject."""
    return subject if subject in ("code", "general") else "math"


# A field's annotation: the type of its column.
_TYPES = {
    "str": "string",
    "str | None": "string",
    "int": "int32",
    "float | None": "float64",
    "tuple[str, ...]": "list<string>",
    "tuple[int, ...]": "list<int8>",
    "tuple[Mapping[str, str], ...]": "list<message>",
    "Mapping[str, Any]": "string",  # as JSON
}


def column_types(kind: type[Row] | type[Dropped]) -> dict[str, str]:
    """The type of each column of a row: string, int32, float64, or a list of string, int8 or message."""
    return {field.name: _TYPES[str(field.type)] for field in fields(kind)}


def _schema(kind: type[Row] | type[Dropped]) -> pa.Schema:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "list<string>": pa.list_(pa.string()),
        "list<int8>": pa.list_(pa.int8()),
        "list<message>": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    }
    return pa.schema([(name, types[type_]) for name, type_ in column_types(kind).items()])


class ArrowSchema:
    """The Arrow schema of a row, made on first use: rows in JSON need no pyarrow."""

    def __init__(self) -> None:
        self._made: pa.Schema | None = None

    def __get__(self, row: object, kind: type[Row] | type[Dropped]) -> pa.Schema:
        """The schema of the class that has this attribute."""
        if self._made is None:
            self._made = _schema(kind)
        return self._made


@dataclass(frozen=True, slots=True)
class Problem:
    """One prompt with its reference answer.

    `answer` is empty if no reference answer is known (a code or chat prompt). `level` is 1 (easy) to 5 (hard),
    0 if unknown. `meta` keeps whatever else the source says.
    """

    id: str
    prompt: str
    answer: str = ""
    source: str = ""
    license: str = ""
    subject: str = ""
    level: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)

    SCHEMA = ArrowSchema()

    @property
    def group(self) -> str:
        """The `group_of` its subject."""
        return group_of(self.subject)


def benchmark_of(problem: Problem) -> str:
    """The benchmark that a problem belongs to: that of its meta, else its subject, else its source."""
    return str(problem.meta.get(BENCHMARK) or problem.subject or problem.source)


@dataclass(frozen=True, slots=True)
class Response:
    """One response to one problem: number `sample` (from 0) of those that `model` wrote.

    `tokens` counts generated tokens. `finish_reason` is "stop" (complete), "length" (cut at the token limit) or
    "refused" (the engine gave nothing that may be used). Grading fills `status`, `extracted` and `reason`, a reward
    model `reward`; they are None before.
    """

    problem_id: str
    sample: int
    text: str
    model: str
    finish_reason: str = "stop"
    tokens: int = 0
    status: str | None = None
    extracted: str | None = None
    reason: str | None = None
    reward: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    SCHEMA = ArrowSchema()

    @property
    def complete(self) -> bool:
        """Whether the model ended the text itself. A response that was cut or refused has no answer and no label."""
        return self.finish_reason == "stop"

    @property
    def correct(self) -> bool:
        """Whether grading found the response correct; every other status counts as not correct."""
        return self.status == "correct"

    @property
    def label(self) -> bool | None:
        """The label to learn from: True for right, False for wrong, None for unknown.

        It is None unless the response is complete and grading gave a result (not timeout or unparsable).
        """
        return _LABELS.get(self.status) if self.complete else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The grader's result for one response: the answer that it found, the status, and why.

    `tier` is the step that decided (exact, numeric, structure, symbolic …), `rule` is how the answer was found
    in the text (boxed, answer-is, last-number …).
    """

    answer: str | None
    status: Status
    reason: str
    tier: str = ""
    rule: str = ""

    @property
    def correct(self) -> bool:
        """True for the status "correct" alone."""
        return self.status == "correct"


@dataclass(frozen=True, slots=True)
class Group:
    """One problem with the responses chosen to train a reward model on (paper, section 4.1).

    `responses[i]` has the label `labels[i]`, 1 for right and 0 for wrong; each group holds both.
    """

    problem_id: str
    prompt: str
    responses: tuple[str, ...]
    labels: tuple[int, ...]
    models: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    SCHEMA = ArrowSchema()


@dataclass(frozen=True, slots=True)
class Chat:
    """One training conversation (`messages`, as in TRL and on the hub) and its origin."""

    problem_id: str
    messages: tuple[Mapping[str, str], ...]
    source: str = ""
    license: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    SCHEMA = ArrowSchema()


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that a step left out. `reason` is a short code, `text` the row's own text."""

    id: str
    step: str
    reason: str
    text: str
    source: str = ""
    detail: str = ""

    SCHEMA = ArrowSchema()


Row = Problem | Response | Group | Chat
R = TypeVar("R", Problem, Response, Group, Chat)


def finish_reason(said: Any) -> str:
    """An engine's finish reason in our words: "stop" (also if there is none), "length", or any other word unchanged."""
    word = str(said or "stop").strip()
    return FINISHED.get(word.lower(), word)


def reason_in(record: Mapping[str, Any]) -> Any:
    """What a file's record says of the end of its response: `finish_reason`, else `stop_reason` or `done_reason`.

    The last two count if they hold a known word: vLLM has the text under `stop_reason` at which it stopped.
    """
    said = record.get("finish_reason")
    others = (record.get(name) for name in ("stop_reason", "done_reason"))
    return next((word for word in others if str(word or "").lower() in FINISHED), said) if said is None or said == "" else said


def content_key(*parts: str) -> str:
    """A short stable key of some texts: 16 hex digits of SHA-256, the same on every machine."""
    return key_of_all(parts)


def key_of_all(parts: Iterable[str]) -> str:
    """The `content_key` of texts that need not be in memory together."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()[:16]


def fingerprint(value: Any) -> str:
    """A key of any JSON value, independent of the order of its keys."""
    return content_key(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))


def whole_text(value: Any) -> Any:
    """A value whose texts can be written to any file: half of a surrogate pair becomes a replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {whole_text(key): whole_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole_text(item) for item in value]
    return value


def to_table(rows: Sequence[Row], kind: type[Row]) -> pa.Table:
    """Rows of one kind as an Arrow table with that kind's schema."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {f.name: [] for f in fields(kind)}
    for row in rows:
        for name, column in columns.items():
            value = getattr(row, name)
            column.append(json.dumps(value, ensure_ascii=False, sort_keys=True) if name == "meta" else value)
    try:
        return pa.table(columns, schema=kind.SCHEMA)
    except UnicodeEncodeError:
        return pa.table(whole_text(columns), schema=kind.SCHEMA)


def from_table(table: pa.Table, kind: type[R]) -> list[R]:
    """The rows of an Arrow table. Unknown columns are ignored; missing ones get their defaults."""
    known = {f.name for f in fields(kind)}
    rows: list[R] = []
    for record in table.to_pylist():
        values = {name: value for name, value in record.items() if name in known}
        rows.append(from_record(values, kind))
    return rows


def from_record(values: Mapping[str, Any], kind: type[R]) -> R:
    """One row from a plain mapping, as JSONL or Parquet gives it."""
    fixed = dict(values)
    meta = fixed.get("meta")
    found = json.loads(meta) if isinstance(meta, str) and meta else meta or {}
    if not isinstance(found, Mapping):
        raise TypeError(f"meta is {str(found)[:60]!r}, not an object")
    fixed["meta"] = dict(found)
    for name in ("responses", "labels", "models", "messages"):
        if isinstance(fixed.get(name), list):
            fixed[name] = tuple(fixed[name])
    return kind(**fixed)


def to_records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries, for JSONL."""
    return [asdict(row) for row in rows]


def root_of(problem: Problem) -> str:
    """The id of the problem that this one was first evolved from; its own id if it was not evolved."""
    return str(problem.meta.get(ROOT, problem.id))


def by_id(rows: Iterable[Problem]) -> dict[str, Problem]:
    """Problems by their id."""
    return {row.id: row for row in rows}


def by_problem(rows: Iterable[Response]) -> dict[str, list[Response]]:
    """Responses by the id of their problem, in the order of `rows`."""
    found: dict[str, list[Response]] = {}
    for row in rows:
        found.setdefault(row.problem_id, []).append(row)
    return found
