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
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, Sampling, released
from acemath.models.generate.transformers import TransformersEngine
from acemath.models.generate.vllm import VllmEngine
from acemath.models.hardware import device
from acemath.models.spec import TransformersModel, VllmModel
from acemath.records import REFUSED, Problem, Response


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the texts of a problem part: after `tokens` equal tokens, with the next token of each engine.

    `gap` is the logit of transformers' token less that of vLLM's, both in transformers.
    """

    problem_id: str
    tokens: int
    transformers: str
    vllm: str
    gap: float


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
    ours = {r.problem_id: r for r in plain.generate(problems, sampling)}
    plain.model.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with released(VllmEngine(VllmModel(engine="vllm", id=model, dtype=dtype), chat)) as engine:
        theirs = {r.problem_id: r for r in engine.generate(problems, sampling)}
    plain.model.to(device())
    compared = [p for p in problems if ours[p.id].finish_reason != REFUSED]
    if not compared:
        raise UserError("no prompt leaves room for a response; give a model with more positions, or shorter problems")
    pairs = [(p, ours[p.id], theirs[p.id]) for p in compared]
    partings = [parting(plain, *pair) for pair in pairs if pair[1].text != pair[2].text]
    same = len(compared) - len(partings)
    return TextParity(
        n=len(compared),
        same=same,
        share=same / len(compared),
        tokens=sum(r.tokens for _, r, _ in pairs),
        refused=len(problems) - len(compared),
        max_gap=max((abs(found.gap) for found in partings), default=0.0),
        partings=partings,
    )


@torch.inference_mode()
def parting(engine: TransformersEngine, problem: Problem, ours: Response, theirs: Response) -> Parting:
    """Where two different texts of a problem part; `ours` is the text of `engine`."""
    tokenizer = engine.tokenizer
    one, two = (tokenizer(r.text, add_special_tokens=False)["input_ids"] for r in (ours, theirs))
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
    end = chat_template(tokenizer).end
    last = tokenizer.eos_token_id if end is None else end
    first, second = ((ids + [last])[shared] for ids in (list(one), list(two)))
    ids = torch.tensor([[*engine.prompt_ids(problem), *one[:shared]]], device=engine.model.device)
    at = torch.tensor([ids.shape[1] - 1], device=ids.device)
    logits = engine.logits(torch.zeros_like(at), at, input_ids=ids, past_key_values=DynamicCache())[0].float()
    said = [str(tokenizer.decode([token])) for token in (first, second)]
    return Parting(problem.id, shared, *said, gap=float(logits[first] - logits[second]))
