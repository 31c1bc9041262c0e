"""The blind sets: pairs and whole responses that were written before the grader's rules were read, beside math-verify.

    python perf/blind.py                           # Markdown tables of set 9; half a minute
    python perf/blind.py --half b                  # of its half B, whose faults nobody was told
    python perf/blind.py --set blind7              # set 7 (half A)
    python perf/blind.py --set blind6 --half b     # of set 6 the half that nobody saw while rules were written
    python perf/blind.py --set blind               # set 5
    python perf/blind.py --misses                  # and each case that the grader gets wrong

A set's pairs, half of them false, are in `tests/grade/SET.jsonl`, its whole responses in `tests/grade/SET_responses.jsonl`, its
attacks, all false, in `tests/grade/SET_attacks.jsonl` (sets 7 to 9).
Labels are those of `strict`; `lenient` beside them is the label where its rounding or its units make it another one.
docs/grading-measured.md holds the tables of the first sight. Needs math-verify 0.9.0.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grading import marked, math_verify_correct

from acemath.grade import equal, grade
from acemath.grade.workers import close_workers

CASES = Path(__file__).resolve().parents[1] / "tests" / "grade"
GRADERS = ("strict", "lenient", "math-verify")


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of cases."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def pair_verdict(row: dict[str, Any], grader: str) -> bool:
    """The verdict on a bare answer."""
    if grader == "math-verify":
        return math_verify_correct(marked(row["answer"]), marked(row["gold"]))
    return equal(row["answer"], row["gold"], grader).correct


def response_verdict(row: dict[str, Any], grader: str) -> bool:
    """The verdict on a whole response."""
    if grader == "math-verify":
        return math_verify_correct(row["text"], marked(row["gold"]))
    return grade(row["text"], row["gold"], grader).correct


def table(
    title: str, rows: list[dict[str, Any]], verdict: Callable[[dict[str, Any], str], bool], misses: bool
) -> None:
    """Print the share of right verdicts of each grader by kind, and how many false cases it holds correct."""
    right: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    false, wrong = dict.fromkeys(GRADERS, 0), []
    for row in rows:
        for grader in GRADERS:
            said, wanted = verdict(row, grader), row.get(grader, row["correct"])
            false[grader] += said and not wanted
            for kind in (row["kind"], "all"):
                right[kind][grader].append(said == wanted)
            if said != wanted and grader != "math-verify":
                wrong.append((grader, row, wanted))
    print(f"\n| {title} | n | " + " | ".join(GRADERS) + " |\n|---|---|---|---|---|")
    for kind in sorted(right, key=lambda kind: kind == "all"):
        shares = [sum(right[kind][g]) / len(right[kind][g]) for g in GRADERS]
        print(f"| {kind} | {len(right[kind]['strict'])} | " + " | ".join(f"{s:.3f}" for s in shares) + " |")
    untrue = sum(not row["correct"] for row in rows)
    print(f"| false cases held correct | {untrue} | " + " | ".join(str(false[g]) for g in GRADERS) + " |")
    for grader, row, wanted in wrong if misses else ():
        side = "should be correct" if wanted else "should be wrong"
        print(f"- {row['id']} {grader}, {side}: `{row['gold']}` | {row.get('answer', row.get('text'))!r}")


def main() -> None:
    """Print a table for each file of the set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="list each case that the grader gets wrong")
    parser.add_argument("--set", default="blind9", choices=("blind", "blind6", "blind7", "blind8", "blind9"), help="default: %(default)s")
    parser.add_argument("--half", choices=("a", "b"), help="only this half (sets 6 to 9)")
    parser.add_argument("--cases", type=Path, default=CASES, help="folder of the files (default: tests/grade)")
    chosen = parser.parse_args()
    for title, name, verdict in (
        ("pairs", f"{chosen.set}.jsonl", pair_verdict),
        ("whole responses", f"{chosen.set}_responses.jsonl", response_verdict),
        *([("attacks", f"{chosen.set}_attacks.jsonl", response_verdict)] if chosen.set in ("blind7", "blind8", "blind9") else []),
    ):
        rows = [row for row in rows_of(chosen.cases / name) if chosen.half in (None, row.get("half"))]
        if not rows:
            parser.error(f"{chosen.cases / name} has no half {chosen.half}: leave --half out, or name another set or folder")
        table(title, rows, verdict, chosen.misses)
    close_workers()


if __name__ == "__main__":
    main()
