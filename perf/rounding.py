"""Where greedy texts part in bfloat16: how near was the choice, and how far does rounding move the logits?

    .venv-vllm/bin/python perf/rounding.py            (`make vllm-cpu` makes the environment)

nano answers 500 worksheet problems greedily in transformers and in vLLM, each in float32 and in bfloat16. Then each reads
the float32 texts again. A gap is the difference between the logits of the two tokens that float32 puts first. The first table
counts equal texts. The second holds how far each engine's gaps are from those of float32 where these are under 3, and how often another
token is above the first one. The last says how near the choice was in float32 where the bfloat16 texts part.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations, takewhile

import torch

from acemath.demo.worksheets.registry import MATH_SUBJECTS
from acemath.demo.worksheets.sheets import draw_problems
from acemath.models.engine import Sampling, released
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.generate.vllm import VllmEngine
from acemath.models.spec import TransformersModel, VllmModel
from acemath.notices import quiet_transformers
from acemath.records import Problem

MODEL, PROBLEMS, NEAR, KNOWN = "nano", 500, 3.0, 20
GREEDY = Sampling(max_new_tokens=256)
Texts = dict[str, list[int]]  # token ids by problem
Logits = dict[str, list[Mapping[int, float]]]  # at each token of the float32 text, the first tokens with their logits


def plain(problems: Sequence[Problem], dtype: str, given: Texts | None) -> tuple[Texts, Logits]:
    """The texts of transformers, and its logits along the given texts, by default its own."""
    engine = TransformersEngine(TransformersModel(id=MODEL, dtype=dtype))
    asked = [(p, engine.prompt_ids(p)) for p in problems]
    texts = {p.id: tokens for p, _, tokens, _ in engine.token_ids(asked, GREEDY)}
    logits: Logits = {}
    for p, prompt in asked:
        ids = torch.tensor([[*prompt, *(given or texts)[p.id]]])
        with torch.inference_mode():
            found = engine.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().topk(KNOWN)
        rows = zip(found.indices.tolist(), found.values.tolist(), strict=True)
        logits[p.id] = [dict(zip(*row, strict=True)) for row in rows]
    return texts, logits


def in_vllm(problems: Sequence[Problem], dtype: str, given: Texts) -> tuple[Texts, Logits]:
    """The same of vLLM, whose logarithms of probabilities differ from logits by a constant for each token."""
    from vllm import SamplingParams

    with released(VllmEngine(VllmModel(engine="vllm", id=MODEL, dtype=dtype))) as engine:
        asked = [(p, engine.prompt_ids(p)) for p in problems]
        texts = {p.id: tokens for p, _, tokens, _ in engine.token_ids(asked, GREEDY)}
        whole = [{"prompt_token_ids": [*prompt, *given[p.id]]} for p, prompt in asked]
        reading = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=KNOWN, detokenize=False)
        outputs = engine.llm.generate(whole, reading, use_tqdm=False)
    read = {p.id: output.prompt_logprobs[len(prompt) :] for (p, prompt), output in zip(asked, outputs, strict=True)}
    return texts, {key: [{token: one.logprob for token, one in at.items()} for at in rows] for key, rows in read.items()}


def spread(exact: Logits, other: Logits) -> str:
    """How far the gaps of near choices are from those in float32, and at how many tokens another one is first."""
    apart, moved, tokens = [], 0, 0
    for key, rows in exact.items():
        for one, two in zip(rows, other[key], strict=True):
            first, second = sorted(one, key=one.__getitem__, reverse=True)[:2]
            moved += max(two.values()) > two.get(first, -math.inf)  # not where both are equal
            tokens += 1
            if one[first] - one[second] < NEAR and first in two and second in two:
                apart.append(two[first] - two[second] - one[first] + one[second])
    return f"{statistics.pstdev(apart):.3f} (n {len(apart):,}, at most {max(map(abs, apart)):.2f}); another token is first at {moved} of {tokens:,}"


def partings(one: Texts, two: Texts, exact: Texts, logits: Logits) -> list[float]:
    """How far float32 puts the two next tokens apart where two texts part, if they are the float32 text up to there."""
    found = []
    for key, text in exact.items():
        shared = sum(1 for _ in takewhile(lambda three: len(set(three)) == 1, zip(one[key], two[key], text, strict=False)))
        nexts = [tokens[shared : shared + 1] for tokens in (one[key], two[key])]
        if shared < len(text) and nexts[0] != nexts[1] and all(nexts):
            at = logits[key][shared]
            found.append(abs(at[nexts[0][0]] - at[nexts[1][0]]))
    return found


def main() -> None:
    """Print the tables."""
    quiet_transformers()
    problems = draw_problems("test", PROBLEMS, seed=17, subjects=MATH_SUBJECTS)
    exact = plain(problems, "float32", None)
    all_of = {
        "transformers float32": exact,
        "vLLM float32": in_vllm(problems, "float32", exact[0]),
        "transformers bfloat16": plain(problems, "bfloat16", exact[0]),
        "vLLM bfloat16": in_vllm(problems, "bfloat16", exact[0]),
    }
    for (one, a), (two, b) in combinations(all_of.items(), 2):
        print(f"{one} and {two}: {sum(a[0][key] == b[0][key] for key in a[0])} of {PROBLEMS} texts are equal")
    for name, found in all_of.items():
        print(f"{name}: gaps are apart from float32 by {spread(exact[1], found[1])}")
    gaps = partings(all_of["transformers bfloat16"][0], all_of["vLLM bfloat16"][0], *exact)
    near = ", ".join(f"{sum(gap <= limit for gap in gaps)} within {limit}" for limit in (0.0625, 0.125, 0.25, 0.5))
    print(f"{len(gaps)} bfloat16 texts part on the float32 text, whose gap there is {statistics.median(gaps):.3f} in the middle, "
          f"{max(gaps):.2f} at most; {near}")  # fmt: skip


if __name__ == "__main__":
    main()
