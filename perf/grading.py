"""Accuracy, agreement, speed and robustness of the grader compared with math-verify.

    python perf/grading.py                        # everything; a few minutes
    python perf/grading.py --only accuracy,speed
    python perf/grading.py --only robustness --fuzz 200000

Needs the folder of development data beside the repository (`../shared`) and math-verify 0.9.0. Prints
Markdown tables; docs/grading-measured.md holds a copy.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grading_data import hard_pairs, pool_rows, published_cases, whole_responses
from grading_fuzz import fuzz

from acemath.grade import STRICT, equal, grade, grade_answer
from acemath.grade.extract.choices import extract_for
from acemath.grade.read.reader import read
from acemath.grade.workers import close_workers

ROOT = Path(__file__).resolve().parents[1]
OWN_CASES = ROOT / "tests" / "grade" / "cases.jsonl"


def math_verify_correct(prediction: str, gold: str) -> bool:
    """math-verify's verdict with its defaults; bare answers are put between dollar signs, as its guide asks."""
    from math_verify import parse, verify

    return bool(verify(parse(gold), parse(prediction)))


def marked(text: str) -> str:
    """A bare answer between dollar signs."""
    return text if "$" in text or "\\boxed" in text else f"${text}$"


def accuracy(shared: Path) -> None:
    """Both graders on the published cases and on this project's own."""
    print("\n## Accuracy on published cases (corrupted and wrong ones left out)\n")
    ours: dict[str, list[bool]] = defaultdict(list)
    theirs: dict[str, list[bool]] = defaultdict(list)
    for case in published_cases(shared):
        bare = case.form == "answer"
        verdict = (
            equal(case.prediction, case.gold, case.conventions)
            if bare
            else grade(case.prediction, case.gold, case.conventions)
        )
        ours[case.source].append(verdict.correct == case.expected)
        gold = marked(case.gold) if bare else case.gold
        prediction = marked(case.prediction) if bare else case.prediction
        theirs[case.source].append(math_verify_correct(prediction, gold) == case.expected)
    print("| source | cases | acemath | math-verify 0.9.0 |\n|---|---|---|---|")
    for source in ours:
        print(f"| {source} | {len(ours[source])} | {mean(ours[source]):.4f} | {mean(theirs[source]):.4f} |")
    print(f"| all | {count(ours)} | {mean(flat(ours)):.4f} | {mean(flat(theirs)):.4f} |")
    own_accuracy()


def own_accuracy() -> None:
    """Both graders on the cases under tests/grade."""
    rows = [json.loads(line) for line in OWN_CASES.read_text(encoding="utf-8").splitlines()]
    ours: dict[str, list[bool]] = defaultdict(list)
    theirs: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        ours[row["kind"]].append(equal(row["answer"], row["reference"]).correct == row["expected"])
        theirs[row["kind"]].append(
            math_verify_correct(marked(row["answer"]), marked(row["reference"])) == row["expected"]
        )
    print("\n## Accuracy on this project's own cases\n")
    print("| kind | cases | acemath | math-verify 0.9.0 |\n|---|---|---|---|")
    for kind in ours:
        print(f"| {kind} | {len(ours[kind])} | {mean(ours[kind]):.3f} | {mean(theirs[kind]):.3f} |")
    print(f"| all | {count(ours)} | {mean(flat(ours)):.4f} | {mean(flat(theirs)):.4f} |")


def agreement(shared: Path) -> None:
    """Agreement with the labels of two sets of real outputs, and each disagreement."""
    print("\n## Agreement with the labels of real outputs (rows marked uncertain left out)\n")
    print("| pool | n | agree | by status |\n|---|---|---|---|")
    disagreements: Counter[tuple[str, str, str, bool]] = Counter()
    for pool in ("gsm8k", "math_l5"):
        agreed, statuses = [], Counter[str]()
        for answer, reference, label in pool_rows(shared, pool):
            verdict = grade_answer(answer, reference)
            statuses[verdict.status] += 1
            agreed.append(verdict.correct == label)
            if not agreed[-1]:
                disagreements[(pool, reference, str(answer), label)] += 1
        print(f"| {pool} | {len(agreed)} | {mean(agreed):.5f} | {dict(statuses)} |")
    print("\n| n | pool | reference | answer | label | verdict |\n|---|---|---|---|---|---|")
    for (pool, reference, answer, label), n in disagreements.most_common():
        shown = answer.replace("|", "\\|").replace("\n", " ")[:110]
        print(
            f"| {n} | {pool} | `{reference}` | `{shown}` | {label} | {grade_answer(answer, reference).status} |"
        )


def speed(shared: Path, sample: int) -> None:
    """Verdicts per second and latencies of both graders on the same rows, without the cache, one process each."""
    print("\n## Speed (one process each, cache off, the same rows)\n")
    print("| input | grader | n | verdicts/s | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|---|")
    source = random.Random(0)
    for name in ("gsm8k", "math_l5", "qwen_math100x8"):
        rows = whole_responses(shared, name)
        source.shuffle(rows)
        timed(f"whole responses, {name}", "acemath", rows[: 10 * sample], our_whole)
        timed(f"whole responses, {name}", "math-verify", rows[:sample], math_verify_correct)
    pairs = hard_pairs(shared)
    timed("mismatched gold answers", "acemath", pairs, our_pair)
    picked = source.sample(pairs, min(len(pairs), sample // 5))
    timed(
        "mismatched gold answers",
        "math-verify",
        [(marked(a), marked(b)) for a, b in picked],
        math_verify_correct,
    )


def our_whole(response: str, reference: str) -> bool:
    """Extraction and comparison of one response, without the cache."""
    found = extract_for(response, reference, STRICT)
    return grade_answer(found.answer, reference, cache=False).correct


def our_pair(answer: str, reference: str) -> bool:
    """One comparison without the caches."""
    read.cache_clear()
    return grade_answer(answer, reference, cache=False).correct


def timed(
    name: str, grader: str, rows: Sequence[tuple[str, str]], function: Callable[[str, str], bool]
) -> None:
    """Run a grader over rows and print a line of the table."""
    function("\\boxed{54\\%}", "24")  # loads what a first verdict loads
    times = []
    for a, b in rows:
        start = time.perf_counter()
        function(a, b)
        times.append(time.perf_counter() - start)
    times.sort()
    p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
    cells = (statistics.median(times), p99, times[-1])
    print(
        f"| {name} | {grader} | {len(times)} | {len(times) / sum(times):,.0f} | "
        + " | ".join(f"{1e3 * c:.3f}" for c in cells)
        + " |",
        flush=True,
    )


def robustness(shared: Path, n: int) -> None:
    """Fuzzed inputs: no crash, no late verdict, no process left, flat memory."""
    print(f"\n## Robustness ({n:,} fuzzed inputs, fixed seed)\n")
    report = fuzz([a for pair in hard_pairs(shared) for a in pair], n)
    print("| measure | value |\n|---|---|")
    for name, value in report.items():
        print(f"| {name} | {value} |")


def mean(values: Sequence[bool]) -> float:
    """The share of true values."""
    return sum(values) / len(values) if values else float("nan")


def flat(groups: dict[str, list[bool]]) -> list[bool]:
    """All values of all groups."""
    return [v for values in groups.values() for v in values]


def count(groups: dict[str, list[bool]]) -> int:
    """How many values all groups hold."""
    return len(flat(groups))


def main() -> None:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared", type=Path, default=ROOT.parent / "shared", help="folder with data/ and grading/"
    )
    parser.add_argument(
        "--only", default="accuracy,agreement,speed,robustness", help="sections, comma-separated"
    )
    parser.add_argument("--sample", type=int, default=2000, help="rows that math-verify is timed on")
    parser.add_argument("--fuzz", type=int, default=200_000, help="fuzzed inputs")
    options = parser.parse_args()
    sections: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: accuracy(options.shared),
        "agreement": lambda: agreement(options.shared),
        "speed": lambda: speed(options.shared, options.sample),
        "robustness": lambda: robustness(options.shared, options.fuzz),
    }
    for name in options.only.split(","):
        sections[name]()
    close_workers()


if __name__ == "__main__":
    main()
