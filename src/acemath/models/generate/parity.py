"""Whether a policy writes the same greedy texts in transformers and in vLLM, and where they part, how near the choice was.

Both engines read the same token ids. Two programs add numbers in different orders, so a token may change where two are
almost equally likely. The gap tells such cases from faults: it is the difference between the logits that transformers
gives to the two next tokens. Rounding changes logits by about 0.0001 in float32, and by about 0.1 in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from transformers import DynamicCache

from acemath.errors import UserError
from acemath.models.engine import ChatFormat, Sampling, released, too_long
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.generate.vllm import VllmEngine
from acemath.models.hardware import device
from acemath.models.spec import TransformersModel, VllmModel
from acemath.records import Problem


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the texts of a problem part: after `tokens` equal tokens, with the next token of each engine.

    `gap` is the logit of transformers' token less that of vLLM's, both in transformers; None if one text goes on where the
    other ends, because an end token of one engine is none of the other's.
    """

    problem_id: str
    tokens: int
    transformers: str
    vllm: str
    gap: float | None


@dataclass(frozen=True, slots=True)
class TextParity:
    """The comparison over `n` prompts with `tokens` tokens of responses; `refused` more prompts were too long.

    `share` is the share of equal texts, `max_gap` the largest gap where texts part, 0 if none do.
    """

    n: int
    same: int
    share: float
    tokens: int
    refused: int
    max_gap: float
    partings: list[Parting]


def check_texts(
    model: str,
    problems: Sequence[Problem],
    chat: ChatFormat | None = None,
    max_new_tokens: int = 256,
    bf16: bool = False,
) -> TextParity:
    """Greedy responses to the problems from both engines, compared. It computes in float32 unless `bf16` is set.

    MissingExtra without vLLM. UserError if no prompt fits into the model.
    """
    dtype = "bfloat16" if bf16 else "float32"
    sampling = Sampling(max_new_tokens=max_new_tokens)
    plain = TransformersEngine(TransformersModel(id=model, dtype=dtype), chat)
    prompts = [(problem, plain.prompt_ids(problem)) for problem in problems]
    asked = [pair for pair in prompts if not too_long(pair[1], plain.max_length)]
    if not asked:
        raise UserError("no prompt leaves room for a response; give a model with more positions, or shorter problems")
    ours = {problem.id: tokens for problem, _, tokens, _ in plain.token_ids(asked, sampling)}
    plain.model.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with released(VllmEngine(VllmModel(engine="vllm", id=model, dtype=dtype), chat)) as engine:
        theirs = {problem.id: tokens for problem, _, tokens, _ in engine.token_ids(asked, sampling)}
    plain.model.to(device())
    differ = [(p, prompt) for p, prompt in asked if ours[p.id] != theirs[p.id]]
    partings = [parting(plain, p.id, prompt, ours[p.id], theirs[p.id]) for p, prompt in differ]
    same = len(asked) - len(partings)
    return TextParity(
        n=len(asked),
        same=same,
        share=same / len(asked),
        tokens=sum(map(len, ours.values())),
        refused=len(problems) - len(asked),
        max_gap=max((abs(found.gap) for found in partings if found.gap is not None), default=0.0),
        partings=partings,
    )


@torch.inference_mode()
def parting(
    engine: TransformersEngine, problem_id: str, prompt: Sequence[int], ours: Sequence[int], theirs: Sequence[int]
) -> Parting:
    """Where two different responses to a prompt part, all as token ids; `ours` is the response of `engine`."""
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    ids = torch.tensor([[*prompt, *ours[:shared]]], device=engine.model.device)
    at = torch.tensor([ids.shape[1] - 1], device=ids.device)
    logits = engine.logits(torch.zeros_like(at), at, input_ids=ids, past_key_values=DynamicCache())[0].float()
    nexts = [list(row[shared : shared + 1]) for row in (ours, theirs)]
    one, two = (str(engine.tokenizer.decode(row)) if row else "(end)" for row in nexts)
    gap = float(logits[nexts[0][0]] - logits[nexts[1][0]]) if all(nexts) else None
    return Parting(problem_id, shared, one, two, gap)
