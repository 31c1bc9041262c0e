r"""Demonstrations before a problem: worked examples of a data set's own development split (paper, section 3.4: five for MMLU).

None ships with acemath. Where the split has no worked solution, as in MMLU, a demonstration states the right answer alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from acemath.benchmarks.copies import copy_of, hub_copy, local_copy
from acemath.benchmarks.registry import benchmark
from acemath.errors import UserError
from acemath.files.rows import placed_records
from acemath.records import Problem

SHOTS = "shots"  # in a problem's meta: how many demonstrations stand before its prompt
Shots = Mapping[str, Sequence[tuple[str, str]]]  # by subject: questions with their worked answers
_WORKED = ("cot_content", "solution")  # columns of worked solutions; MMLU-Pro's begins with "A: "


def demonstrations(
    name: str, count: int, file: Path | None = None, data: Path | None = None, revision: str | None = None
) -> dict[str, list[tuple[str, str]]]:
    """The first `count` demonstrations of each subject of a benchmark, as (question, worked answer).

    They are read from `file`, else from NAME_dev (or _validation) in the folder of benchmark files, else from the hub.
    UserError if a subject has fewer, and for a benchmark that has no split of demonstrations and gets no file.
    """
    chosen = benchmark(name)
    path = file or (local_copy(name, data, chosen.shots_split) if chosen.shots_split else None)
    if path is None and not chosen.shots_split:
        raise UserError(f"{name} has no split of demonstrations (the paper gives it 0); leave --shots out, or give their file")
    split = replace(chosen, split=chosen.shots_split)
    what = f"the {count} demonstrations of {name} (a file {name}_{split.split} gives them too; --shots 0 asks without any)"
    records = hub_copy(split, revision, what) if path is None else placed_records(path)
    where = f"the split {split.split!r} of {chosen.hub!r}" if path is None else str(path)
    found: dict[str, list[tuple[str, str]]] = {}
    for row in copy_of(split, records, None, where):
        found.setdefault(row.subject, []).append((row.prompt, _worked(row)))
    few = next((subject for subject, shots in found.items() if len(shots) < count), None)
    if few is not None:
        raise UserError(f"{where} has {len(found[few])} demonstrations of {few}; give --shots {len(found[few])} or fewer")
    return {subject: shots[:count] for subject, shots in found.items()}


def _worked(problem: Problem) -> str:
    given = next((problem.meta[name] for name in _WORKED if isinstance(problem.meta.get(name), str)), None)
    return given.removeprefix("A: ").strip() if given else f"The answer is \\boxed{{{problem.answer}}}."


def with_shots(problems: Sequence[Problem], shots: Shots) -> list[Problem]:
    """The problems with the demonstrations of their subject before the prompt, in the same turn.

    The form is that of the Qwen2.5-Math harness: questions and answers, with blank lines between them (paper, section
    3.4). Responses are graded and scored under the problem without them. UserError for a subject without demonstrations.
    """
    found = []
    for problem in problems:
        if problem.subject not in shots:
            raise UserError(
                f"there is no demonstration of {problem.subject} (problem {problem.id}); give a file that has some, or --shots 0"
            )
        mine = shots[problem.subject]
        head = "".join(f"{question}\n{answer}\n\n" for question, answer in mine)
        found.append(replace(problem, prompt=head + problem.prompt, meta={**problem.meta, SHOTS: len(mine)}))
    return found
