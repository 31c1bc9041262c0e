"""The problems that policies are measured on: read by name or from files, a part of each chosen by a hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acemath.benchmarks.copies import REVISION, local_copy
from acemath.benchmarks.registry import BENCHMARKS, names, open_benchmark
from acemath.errors import UserError
from acemath.files.identity import contradictions, repetitions, shown
from acemath.files.rows import check_columns
from acemath.notices import say_once
from acemath.records import BENCHMARK, Problem, content_key, key_of_all
from acemath.run.partitions import Partitions
from acemath.run.scatter import scattered
from acemath.run.source_rows import files_key, without
from acemath.run.stage import Everything, Facts, Reduction

PROBLEMS = "problems"


@dataclass(frozen=True, slots=True)
class Asked:
    """The problems of one benchmark: those with a reference answer, at most as many as the limit says.

    `facts` say what is needed to get the same problems again.
    """

    name: str
    problems: tuple[Problem, ...]
    size: int
    facts: Mapping[str, Any]


def read(
    places: Sequence[str], columns: Mapping[str, str] | None, limit: int | None, data: Path | None = None
) -> list[Asked]:
    """The benchmarks of some names, presets and files, by the name that each problem states (`meta[BENCHMARK]`).

    `data` is the folder of the benchmarks' files, by default that of ACEMATH_DATA.

    UserError for an unknown name, for two benchmarks of one name, and for a benchmark that has no reference answer, or whose ids are those of another.
    """
    found: dict[str, Asked] = {}
    places_of: dict[str, str] = {}
    chosen = list(dict.fromkeys(name for text in places for name in names(text)))
    if not any(place in BENCHMARKS for place in chosen):
        check_columns([Path(place) for place in chosen], columns or {})
    for place in chosen:
        rows: dict[str, list[Problem]] = {}
        for row in open_benchmark(place, columns=columns, data=data):
            rows.setdefault(str(row.meta[BENCHMARK]), []).append(row)
        for name, mine in rows.items():
            if name in found:
                raise UserError(
                    f"two benchmarks are called {name!r} ({places_of[name]} and {place}); rename one file: results name a "
                    "benchmark by its file"
                )
            found[name], places_of[name] = _asked(name, place, mine, limit, data), place
    _check_ids(list(found.values()))
    return list(found.values())


def _asked(name: str, place: str, rows: Sequence[Problem], limit: int | None, data: Path | None) -> Asked:
    answered = [without(row, REVISION) for row in rows if row.answer]  # another commit with the same rows changes nothing
    if blank := [row.id for row in answered if not row.prompt.strip()]:
        raise UserError(
            f"{len(blank):,} of {len(rows):,} problems of {name} have an empty text (the first: {blank[0]}); name the column that "
            "holds it: --columns prompt=…, or remove them"
        )
    if not answered:
        raise UserError(
            f"none of {len(rows):,} problems of {name} has a reference answer to measure by; name the column that holds it: "
            "--columns answer=…"
        )
    if said := contradictions(answered):
        say_once(f"{name}: {said}")
    if place not in BENCHMARKS and (said := repetitions(answered)):  # the size of a known one is checked
        say_once(f"{name}: {said}")
    ordered = sorted(answered, key=lambda row: content_key(row.id))
    kept = tuple(sorted(ordered[:limit], key=lambda row: row.id))
    facts: dict[str, Any] = {
        "place": place,
        "size": len(rows),
        "measured": len(kept),
        "no_reference": len(rows) - len(answered),
        "content": key_of_all(text for row in kept for text in (row.id, row.prompt, row.answer)),
        "licences": dict(Counter(row.license or "unknown" for row in kept)),
    }
    if place not in BENCHMARKS:
        facts["file"] = files_key(Path(place))
    elif (copy := local_copy(name, data)) is not None:
        facts["file"] = files_key(copy)
    elif (known := BENCHMARKS.get(name)) is not None:
        facts |= {"hub": known.hub, "revision": rows[0].meta.get(REVISION)}
    return Asked(name, kept, len(rows), facts)


def _check_ids(benchmarks: Sequence[Asked]) -> None:
    first: dict[str, Problem] = {}
    for row in (row for one in benchmarks for row in one.problems):
        before = first.setdefault(row.id, row)
        if before is not row:
            raise UserError(
                f"problems of {before.meta[BENCHMARK]} and {row.meta[BENCHMARK]} have the id {row.id!r} ({shown(before.prompt)} and "
                f"{shown(row.prompt)}); rename the file of one"
            )


def problem_stage(benchmarks: Sequence[Asked]) -> Reduction:
    """The stage that writes the problems in partitions."""
    rows = [row for one in benchmarks for row in one.problems]

    def work(all: Everything) -> None:
        for number, mine in scattered(rows, Partitions(all.count), all.folder):
            all.part(number).write(mine, Problem, facts={"rows": len(mine), "benchmarks": _sizes(mine)})

    def summary(facts: Facts) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in facts["benchmarks"].items())

    settings = {"problems": key_of_all(repr(row) for row in rows)}
    return Reduction(PROBLEMS, settings, (), work=work, summary=summary, space="benchmarks")


def _sizes(rows: Sequence[Problem]) -> dict[str, int]:
    return dict(Counter(str(row.meta[BENCHMARK]) for row in rows))
