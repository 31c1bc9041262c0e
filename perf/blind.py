"""The blind sets: pairs and whole responses that were written before the grader's rules were read, beside math-verify.

    python perf/blind.py                # Markdown tables of set 6; half a minute
    python perf/blind.py --set blind    # set 5
    python perf/blind.py --half b       # of set 6 the half that nobody saw while rules were written
    python perf/blind.py --misses       # and each case that the grader gets wrong

A set's pairs, half of them false, are in `tests/grade/SET.jsonl`, its whole responses in `tests/grade/SET_responses.jsonl`.
Labels are those of `strict`; `lenient` beside them is the label where its rounding or its units make it another one.
docs/grading.md holds the tables of the first sight. Needs math-verify 0.9.0.
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


def rows_of(name: str) -> list[dict[str, Any]]:
    """The rows of a file of cases."""
    return [json.loads(line) for line in (CASES / name).read_text(encoding="utf-8").splitlines()]


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
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--misses", action="store_true", help="list each case that the grader gets wrong")
    parser.add_argument("--set", default="blind6", choices=("blind", "blind6"), help="default: %(default)s")
    parser.add_argument("--half", choices=("a", "b"), help="only this half (set 6)")
    chosen = parser.parse_args()
    for title, name, verdict in (
        ("pairs", f"{chosen.set}.jsonl", pair_verdict),
        ("whole responses", f"{chosen.set}_responses.jsonl", response_verdict),
    ):
        rows = [row for row in rows_of(name) if chosen.half is None or row.get("half") == chosen.half]
        if not rows:
            parser.error(f"the set {chosen.set} has no halves: leave --half out, or take --set blind6")
        table(title, rows, verdict, chosen.misses)
    close_workers()


if __name__ == "__main__":
    main()
