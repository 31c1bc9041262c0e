r"""Which verdicts of the grader on real data changed since a stored base?

    python perf/grade_changes.py --store                       # once, with the code before a change
    python perf/grade_changes.py [--limit 40] [--sets answers] # after the change: every verdict that is another one

It grades, by `strict` and `lenient`, (responses) every whole response of the pools of real outputs, (answers) the answers stored with
them, (own) each reference of the benchmarks against itself, bare and in a box, and (mismatched) 20,000 pairs of different references
by a fixed seed: half at random, half neighbours in the order of their texts, which differ in a sign or a digit. Changes are grouped by
old and new status and by label; pairs of references that are held equal are counted, and listed with --equalities. Pass --base PATH for
another base file. Pairs that the base lacks are counted as new. One process; some minutes on a busy machine: --sets and --conventions for less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from grading_data import pool_rows, whole_responses

from acemath.benchmarks.copies import local_copy
from acemath.benchmarks.registry import BENCHMARKS, open_benchmark
from acemath.files.atomic import write_json_lines
from acemath.grade import equal, grade, grade_answer
from acemath.grade.workers import close_workers
from acemath.records import Verdict

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "acemath" / "grade-base.jsonl"
POOLS = ("gsm8k", "math_l5", "qwen_math100x8")
LABELLED = ("gsm8k", "math_l5")
SETS = ("responses", "answers", "own", "mismatched")
PAIRS, SEED, REACH = 20_000, 7, 3  # neighbours are at most REACH apart


class Pair(NamedTuple):
    """What is graded: a text or answer beside a reference, and its label where it has one."""

    set: str
    text: str | None
    reference: str
    label: bool | None = None

    def key(self, conventions: str) -> str:
        """A name that depends on nothing but what is graded."""
        content = json.dumps([self.set, self.text, self.reference, conventions])
        return hashlib.blake2b(content.encode(), digest_size=10).hexdigest()


def references(shared: Path) -> list[str]:
    """The different references of all benchmarks that the folder holds, sorted."""
    found = [name for name in BENCHMARKS if local_copy(name, shared / "data")]
    return sorted(
        {p.answer for name in found for p in open_benchmark(name, data=shared / "data") if p.answer}
    )


def mismatched(texts: list[str]) -> Iterator[Pair]:
    """PAIRS pairs of different references: half at random, half neighbours in the order of their texts."""
    source = random.Random(SEED)
    places = range(len(texts))
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < PAIRS:
        a = source.choice(places)
        b = source.choice(places) if len(drawn) % 2 else min(a + source.randint(1, REACH), len(texts) - 1)
        if a != b:
            drawn[(a, b)] = None
    return (Pair("mismatched", texts[a], texts[b]) for a, b in drawn)


def pairs(shared: Path, sets: Iterable[str]) -> list[Pair]:
    """The different pairs of the chosen sets."""
    texts = references(shared)
    found: list[Pair] = []
    for name in sets:
        if name == "responses":
            for pool in POOLS:
                labels = (
                    [label for *_, label in pool_rows(shared, pool)] if pool in LABELLED else repeat(None)
                )
                found += [
                    Pair(f"{name} {pool}", *row, label)
                    for row, label in zip(whole_responses(shared, pool), labels, strict=False)
                ]
        elif name == "answers":
            found += [Pair(f"{name} {pool}", *row) for pool in LABELLED for row in pool_rows(shared, pool)]
        elif name == "own":
            found += [
                Pair(name, text, reference, True)
                for reference in texts
                for text in (reference, f"\\boxed{{{reference}}}")
            ]
        else:
            found += mismatched(texts)
    return list(dict.fromkeys(found))


def verdict(pair: Pair, conventions: str) -> Verdict:
    """The verdict by the path that the set takes in use."""
    if pair.set.startswith("responses"):
        return grade(pair.text, pair.reference, conventions)
    if pair.set.startswith("answers"):
        return grade_answer(pair.text, pair.reference, conventions)
    return equal(pair.text, pair.reference, conventions)


def shown(text: str | None) -> str:
    """The end of a text, on one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= 160 else "… " + line[-158:]


def report(changed: dict[tuple[str, ...], list[tuple[Pair, Verdict, list[str]]]], limit: int) -> None:
    """Print each group of changes, the first `limit` of each."""
    for group, rows in sorted(changed.items()):
        print(f"\n## {' · '.join(group)}: {len(rows)}")
        for pair, new, (_, before) in rows[:limit]:
            print(
                f"- reference `{shown(pair.reference)}` | answer `{shown(new.answer)}` (before `{shown(before)}`) | {new.reason}"
            )
            if pair.text != new.answer:
                print(f"  text: {shown(pair.text)}")
        if len(rows) > limit:
            print(f"  … and {len(rows) - limit} more (--limit)")


def main() -> None:
    """Grade, then store or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared", type=Path, default=ROOT.parent / "shared", help="folder of development data"
    )
    parser.add_argument("--base", type=Path, default=CACHE, help="the base file (default: %(default)s)")
    parser.add_argument(
        "--store", action="store_true", help="write the base file; without it, compare with it"
    )
    parser.add_argument("--limit", type=int, default=20, help="changes shown of each group")
    parser.add_argument("--sets", default=",".join(SETS), help="sets, comma-separated (default: all)")
    parser.add_argument("--conventions", default="strict,lenient", help="comma-separated")
    parser.add_argument(
        "--equalities", action="store_true", help="list the mismatched references that are held equal"
    )
    chosen = parser.parse_args()
    sets = chosen.sets.split(",")
    if unknown := set(sets) - set(SETS):
        sys.exit(f"--sets knows {', '.join(SETS)}, not {', '.join(sorted(unknown))}")
    if not chosen.store and not chosen.base.is_file():
        sys.exit(
            f"no base file {chosen.base}: write one with --store and the code before the change, or name one with --base"
        )
    started, everything = time.monotonic(), pairs(chosen.shared, sets)
    lines = chosen.base.read_text(encoding="utf-8").splitlines() if not chosen.store else []
    base = {key: row for key, *row in map(json.loads, lines)}
    stored, new, same = [], 0, 0
    changed: dict[tuple[str, ...], list[tuple[Pair, Verdict, list[str]]]] = defaultdict(list)
    for conventions in chosen.conventions.split(","):
        equalities = []
        for pair in everything:
            found, key = verdict(pair, conventions), pair.key(conventions)
            stored.append([key, found.status, found.answer])
            old = base.get(key)
            new, same = new + (old is None), same + (old is not None and old[0] == found.status)
            if old is not None and old[0] != found.status:
                side = {None: "no label", True: "label correct", False: "label wrong"}[pair.label]
                changed[(conventions, pair.set, side, f"{old[0]} → {found.status}")].append(
                    (pair, found, old)
                )
            if pair.set == "mismatched" and found.correct:
                equalities.append(pair)
        if "mismatched" in sets:
            print(
                f"{conventions}: {len(equalities)} of {PAIRS:,} mismatched pairs of references are held equal"
            )
        for pair in equalities if chosen.equalities else ():
            print(f"  `{shown(pair.text)}` | `{shown(pair.reference)}`")
    close_workers()
    if chosen.store:
        chosen.base.parent.mkdir(parents=True, exist_ok=True)
        write_json_lines(chosen.base, stored)
        print(f"{len(stored):,} verdicts of {len(everything):,} pairs stored in {chosen.base}")
    else:
        report(changed, chosen.limit)
        print(f"\n{sum(map(len, changed.values())):,} changed, {same:,} as before, {new:,} not in the base")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
