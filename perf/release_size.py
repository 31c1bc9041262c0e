"""Time and memory of AceMath-RewardBench at its size, without a judge's own: 8,987 problems × 64 candidates.

    python perf/release_size.py                     # writes about 1 GB into a temporary folder

The texts are made up, and the judge's scores are hashes. Prints the seconds of each stage and of the table, the peak memory, and how
much of it was the process's own (seen ten times a second); the rest is libraries and data that are mapped from files.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from acemath.benchmarks.registry import BENCHMARKS, PRESETS
from acemath.benchmarks.release import saved
from acemath.cli.rewardbench import rewardbench, scored
from acemath.models.score.settings import RewardModelSettings
from acemath.run import rewardbench as stages

N, WORDS = 64, 120
OWN = [0.0]  # the most memory in MiB that was mapped from no file


class Hashes:
    """A judge whose scores are hashes of the texts."""

    name = "hashes"

    def score_many(self, items: Sequence[tuple[str, Sequence[str]]], progress: Any) -> list[list[float]]:
        """A number between 0 and 1 for each text."""
        return [[random.Random(text).random() for text in texts] for _, texts in items]


def rows(share: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of the seven sets; about half of the candidates are right."""
    rng = random.Random(0)
    words = [f"word{n}" for n in range(1000)]
    for name in PRESETS["rewardbench"]:
        for idx in range(int(BENCHMARKS[name].size * share)):
            answers = [idx if rng.random() < 0.5 else rng.randrange(20) for _ in range(N)]
            texts = [f"{' '.join(rng.choices(words, k=WORDS))} so {answer}" for answer in answers]
            yield name, {
                "idx": str(idx), "question": f"What is problem {idx} of {name}?", "gt_cot": "", "gt": str(idx), "code": texts,
                "pred": [f"\\frac{{{a}}}{{7}}" for a in answers], "report": [""] * N, "score": [a == idx for a in answers],
                "model": [""] * N,
            }  # fmt: skip


def main() -> None:
    """Write, score, tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="the share of the problems")
    given = parser.parse_args()
    threading.Thread(target=_watch, daemon=True).start()
    stages.open_judge = lambda settings, journal=None: Hashes()  # type: ignore[assignment]
    stages.judge_identity = lambda settings: {"model": "hashes"}
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        started = time.monotonic()
        print(f"written: {saved(home / 'bench', rows(given.share))} in {time.monotonic() - started:.0f} s, {_peak()}")
        judges = stages.judges_named([("hashes", RewardModelSettings(model="nobody/hashes"))])
        for what in ("scored", "again, with nothing to do"):
            started = time.monotonic()
            scored(judges, home / "bench", home / "out", 8, home / "cache")
            print(f"{what}: {time.monotonic() - started:.0f} s, {_peak()}")
        started = time.monotonic()
        found = rewardbench([home / "out"], 8)
        print(f"table of {len(found['rows'])} numbers: {time.monotonic() - started:.0f} s, {_peak()}")


def _peak() -> str:
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"peak {whole:,.0f} MiB so far, its own {OWN[0]:,.0f} MiB at most"


def _watch() -> None:
    while True:
        OWN[0] = max(OWN[0], int(re.findall(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
