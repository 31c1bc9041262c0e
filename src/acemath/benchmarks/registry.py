"""The benchmarks by name: the paper's seven (section 4.3.1), MATH, AIME and AMC (5.4), MMLU and MMLU-Pro (3.4).

Sizes are those that the paper or its harness counts; columns and licences are those of the data sets' cards. No commit is
pinned, because none was verified: set `revision`, and results record it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from acemath.benchmarks.benchmark import Benchmark
from acemath.benchmarks.copies import local_copy, problems_from
from acemath.curate.columns import problems_of
from acemath.errors import UserError
from acemath.files.rows import placed_records
from acemath.notices import say_once
from acemath.records import BENCHMARK, Problem

_QUESTION = {"prompt": "question", "answer": "answer"}
_CHOICES = {"prompt": "question", "choices": "choices", "answer": "answer"}
_MATH = {"prompt": "problem", "solution": "solution", "level": "level", "subject": "type"}
STEM = frozenset(
    (
        "abstract_algebra", "astronomy", "college_biology", "college_chemistry", "college_computer_science",
        "college_mathematics", "college_physics", "computer_security", "conceptual_physics", "electrical_engineering",
        "elementary_mathematics", "high_school_biology", "high_school_chemistry", "high_school_computer_science",
        "high_school_mathematics", "high_school_physics", "high_school_statistics", "machine_learning",
    )
)  # fmt: skip
_ALL = (
    Benchmark(
        "gsm8k", "GSM8K", 1319, "openai/gsm8k", (_QUESTION,), "MIT", configs=("main",),
        note="the answer stands after ####",
        suspects={
            "f8521086c697ddfc": "two people eat 4 apples each a day, 240 in 30 days; the reference 150 adds 4 and 1",
            "162f16397ac34e25": "14 and 4 points are 18; the reference 14 counts the 10 of the other player",
            "d2e726e0ae888dfa": "21 % less each year for three years leaves 9,860.78; the reference 7,400 subtracts 21 % of the first price",
        },
        digest="703157e8332e8cf1",
    ),
    Benchmark(
        "math500", "MATH-500", 500, "HuggingFaceH4/MATH-500",
        ({"prompt": "problem", "answer": "answer", "subject": "subject", "level": "level", "id": "unique_id"},), "MIT",
        digest="224495a43c1e7f79",
    ),
    Benchmark(
        "math", "MATH", 5000, "EleutherAI/hendrycks_math", (_MATH,), "MIT",
        configs=(
            "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
            "precalculus",
        ),
        note="the answer is the last box of the solution", digest="4bec31e488ec7ad1",
    ),
    Benchmark(
        "minerva_math", "Minerva Math", 272, "math-ai/minervamath",
        ({"prompt": "problem", "solution": "solution"}, _QUESTION), "CC BY-NC-SA 4.0",
        note="the answer is the last box of the solution",
    ),
    Benchmark(
        "gaokao2023en", "GaoKao 2023 En", 385, "MARIO-Math-Reasoning/Gaokao2023-Math-En", (_QUESTION,), "not stated",
        split="train", reading="dollars", note="two problems have no reference answer",
    ),
    Benchmark(
        "olympiadbench", "OlympiadBench", 675, "Hothan/OlympiadBench",
        ({"prompt": "question", "answer": "final_answer", "subject": "subfield"},), "Apache-2.0", split="train",
        configs=("OE_TO_maths_en_COMP",), hub_size=674, reading="unit",
        note="English problems of mathematics without images; several answers are one list; the hub's data set has 674",
    ),
    Benchmark(
        "college_math", "College Math", 2818, "di-zhang-fdu/College_Math_Test",
        ({**_QUESTION, "license": "license", "subject": "data_topic"}, _QUESTION), "per row", reading="dollars",
        note="each row has its own licence; 809 rows forbid commercial use",
    ),
    Benchmark(
        "mmlu_stem", "MMLU-STEM", 3018, "cais/mmlu",
        ({**_CHOICES, "subject": "subject"}, {**_CHOICES, "subject": "type"}), "MIT", configs=("all",), subjects=STEM,
        shots=5, shots_split="dev", note="the 18 subjects of the paper's harness; lists with anatomy have 3,153",
    ),
    Benchmark("aime24", "AIME 2024", 30, "HuggingFaceH4/aime_2024", ({"prompt": "problem", "answer": "answer"},), "MAA", split="train"),
    Benchmark(
        "aime25", "AIME 2025", 30, "math-ai/aime25",
        ({"prompt": "problem", "answer": "expected_answer"}, {"prompt": "problem", "answer": "answer"}), "MAA",
    ),
    Benchmark(
        "amc23", "AMC 2023", 40, "math-ai/amc23",
        ({"prompt": "problem", "answer": "answer"}, _QUESTION), "MAA", note="answers are numbers, as 27.0",
    ),
    Benchmark(
        "mmlu", "MMLU", 14_042, "cais/mmlu", ({**_CHOICES, "subject": "subject"},), "MIT", configs=("all",), shots=5,
        shots_split="dev",
    ),
    Benchmark(
        "mmlu_pro", "MMLU-Pro", 12_032, "TIGER-Lab/MMLU-Pro",
        ({"prompt": "question", "choices": "options", "answer": "answer", "subject": "category", "id": "question_id"},),
        "MIT", shots=5, shots_split="validation", note="up to ten choices",
    ),
)  # fmt: skip
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
_FIVE = ("minerva_math", "gaokao2023en", "olympiadbench", "college_math", "mmlu_stem")
PRESETS: dict[str, tuple[str, ...]] = {
    "paper": ("gsm8k", "math", *_FIVE),  # Table 3
    "rewardbench": ("gsm8k", "math500", *_FIVE),  # Table 6
}


def names(text: str) -> list[str]:
    """The benchmarks that a text names, each once: names of the registry, presets and files, with commas between them.

    UserError for an unknown name, with near ones.
    """
    found: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if part in PRESETS:
            found += PRESETS[part]
        elif part in BENCHMARKS or not Path(part).exists():
            found.append(benchmark(part).name)
        else:
            found.append(part)
    if not found:
        raise UserError(f"{text!r} names no benchmark; acemath benchmarks lists them")
    return list(dict.fromkeys(found))


def benchmark(name: str) -> Benchmark:
    """The benchmark of this name. UserError, with near names, if it is not registered."""
    if name not in BENCHMARKS:
        known = (*BENCHMARKS, *PRESETS)
        near = difflib.get_close_matches(name.lower().replace("-", "_"), known, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the names are {', '.join(known)}"
        raise UserError(f"{name!r} is neither a benchmark nor a file; {hint} (acemath benchmarks lists them)")
    return BENCHMARKS[name]


def open_benchmark(
    name_or_path: str | Path,
    file: Path | None = None,
    columns: Mapping[str, str] | None = None,
    data: Path | None = None,
    revision: str | None = None,
) -> list[Problem]:
    """The problems of a benchmark of the registry, or of a file, which is a benchmark of its own name.

    A registered benchmark is read from `file`, else from the folder `data` or that of the environment variable
    ACEMATH_DATA, else from the hub. UserError as in `copies.problems_from`, and for a file without problems.
    """
    name = str(name_or_path)
    if name in BENCHMARKS or not Path(name).exists():
        chosen = benchmark(name)
        return problems_from(chosen, file or local_copy(name, data), columns, revision)
    path = Path(name)
    stem = path.name.split(".")[0]
    records = list(placed_records(path))
    rows = [replace(row, meta={BENCHMARK: stem, **row.meta}) for row in problems_of(records, columns or {}, stem)]
    if not rows:
        raise UserError(f"{path} holds no problem; give a file with at least one row")
    if len(rows) < len(records):
        say_once(f"{path}: {len(records) - len(rows):,} of {len(records):,} rows appear twice and are read once")
    return rows
