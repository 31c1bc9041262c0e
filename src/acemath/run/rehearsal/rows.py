"""The data of a rehearsal: a few rows in the columns of each data set of the hub, and whole small copies of benchmarks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acemath.benchmarks.benchmark import Benchmark
from acemath.benchmarks.copies import STAND_IN
from acemath.benchmarks.registry import BENCHMARKS
from acemath.models.engine import PAPER_CHAT
from acemath.recipe.sources import Source
from acemath.records import group_of
from acemath.run.rehearsal.questions import Question, question
from acemath.run.rehearsal.script import Script

CONVERSATIONS = ("messages", "message", "conversations")  # columns that hold turns


def write_data_set(folder: Path, name: str, source: Source, count: int, leaks: list[str]) -> None:
    """Write a data set of the hub: `count` rows in the columns that the source reads, and one row for each leaked question.

    A folder of the hub's form: a README that names the configuration, and one Parquet file of the split.
    """
    group = group_of(source.subject)
    rows = [_row(source.columns, text, "It is known.", "0", count + n) for n, text in enumerate(leaks)]  # first: few are read
    write_split(folder, source, [*rows, *(_row(source.columns, *_pair(group, name, n), n) for n in range(count))])


def write_split(folder: Path, source: Source, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as the split of a data set in the hub's form."""
    write_parquet(folder / "data" / f"{source.split}-00000-of-00001.parquet", rows)
    config = source.config or "default"
    files = [{"split": source.split, "path": f"data/{source.split}-*"}]
    head = json.dumps({"configs": [{"config_name": config, "data_files": files}]})
    (folder / "README.md").write_text(f"---\n{head}\n---\nRows of a rehearsal in the form of a data set.\n")


def write_parquet(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows into a file, whose folder is made if needed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), file)


def _pair(group: str, name: str, n: int) -> tuple[str, str, str]:
    """A prompt of a subject's group, a reference response to it, and its answer."""
    if group == "code":
        return f"Write a Python function that adds {n + 2} to each value of a list ({name}).", "def solve(): ...", ""
    if group == "general":
        return f"How would you plan {n + 2} days at the sea for a family that likes {name}?", "It depends.", ""
    asked = question("seeds", name, n)
    return asked.text, f"{asked.a} + {asked.b} is \\boxed{{{asked.answer}}}.", str(asked.answer)


def _row(columns: Mapping[str, str], prompt: str, response: str, answer: str, number: int) -> dict[str, Any]:
    """One row in the columns of a data set; those that the source does not name are called prompt and answer."""
    named = dict(columns)
    if "prompt" not in named:
        named |= {"prompt": "prompt", "answer": "answer"}
    values = {"prompt": prompt, "input": "", "solution": response, "answer": answer, "id": f"q{number}", "level": 3}
    row: dict[str, Any] = {}
    for ours, theirs in named.items():
        value: Any = values.get(ours, "")
        if ours == "prompt" and theirs in CONVERSATIONS:
            value = [{"role": "user", "content": prompt}]
        put(row, theirs, value)
    return row


def put(row: dict[str, Any], path: str, value: Any) -> None:
    """Set a column, or a nested value (`a.0.b`), of a row."""
    first, _, rest = path.partition(".")
    if not rest:
        row[first] = value
    elif (at := rest.partition(".")[0]).isdigit():
        inner: dict[str, Any] = {}
        put(inner, rest.partition(".")[2] or "value", value)
        row[first] = [inner] * (int(at) + 1)
    else:
        put(row.setdefault(first, {}), rest, value)


def write_ready(file: Path, name: str, kind: str, count: int, leaks: Sequence[str]) -> None:
    """Write a file of `count` conversations ("chats") or groups of six labelled responses ("groups"), as AceMath's released data."""
    script, rows = Script({}), list[dict[str, Any]]()
    asked = [_pair(("math", "code", "general")[n % 3 if kind == "chats" else 0], name, n)[0] for n in range(count)]
    for n, text in enumerate([*leaks, *asked]):
        if kind == "chats":
            answer = script.line(text, name, n, 0, 1.0).text
            rows.append({"messages": [{"role": "user", "content": text}], "answer": answer})
            continue
        turns = [{"role": "system", "content": PAPER_CHAT.system}, {"role": "user", "content": text}]
        for label in (0, 1, 0, 1, 0, 1):
            said = script.line(text, name, len(rows), 0, float(label)).text
            rows.append({"qid": f"q_{n}", "message": [*turns, {"role": "assistant", "content": said}], "label": label})
    write_parquet(file, rows)


def write_benchmark(file: Path, name: str) -> list[str]:
    """Write a copy of a benchmark of the registry, with as many rows as it has and in its columns; its first questions."""
    benchmark = BENCHMARKS[name]
    asked = [question("benchmarks", name, n) for n in range(benchmark.size)]
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(row) + "\n" for row in _records(benchmark, asked))
    if benchmark.shots:  # its demonstrations lie beside it
        worked = [question("benchmarks", f"{name} worked", n) for n in range(benchmark.shots * len(_subjects(benchmark)))]
        rows = (json.dumps(row) + "\n" for row in _records(benchmark, worked))
        file.with_name(f"{name}_{benchmark.shots_split}{file.suffix}").write_text("".join(rows), encoding="utf-8")
    return [one.text for one in asked[:2]]


def _subjects(benchmark: Benchmark) -> list[str]:
    return sorted(benchmark.subjects) or ["algebra", "geometry"]


def _records(benchmark: Benchmark, asked: list[Question]) -> Iterator[dict[str, Any]]:
    form = benchmark.forms[0]
    subjects = _subjects(benchmark)
    for n, one in enumerate(asked):
        plain = str(one.answer)
        values: dict[str, Any] = {
            "prompt": one.text, "answer": plain, "solution": f"Both together are \\boxed{{{plain}}}.", "level": str(1 + n % 5),
            "subject": subjects[n % len(subjects)], "id": f"{benchmark.name}/{n}", "license": "CC-BY-4.0",
        }  # fmt: skip
        if benchmark.name == "gsm8k":
            values["answer"] = f"{one.a} + {one.b} = <<{one.a}+{one.b}={plain}>>{plain}\n#### {plain}"
        elif benchmark.reading == "unit":
            values["answer"] = [plain]
        elif benchmark.reading == "dollars":
            values["answer"] = f"${plain}$"
        if "choices" in form:
            place = n % 4
            values["choices"] = [str(one.answer + at - place) for at in range(4)]
            values["answer"] = place
        yield {theirs: values[ours] for ours, theirs in form.items()} | {STAND_IN: True}
