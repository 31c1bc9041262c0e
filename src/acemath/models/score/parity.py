"""Whether a reward model gives the same scores in plain transformers, with shared prompts, and in vLLM.

All engines read the same token ids, so only the engine can cause a difference. The reference is transformers' own
forward pass on one response at a time. Common faults of the inputs and the head are raised as alarms: equal scores
everywhere (a head that was not loaded), responses that were cut, two BOS tokens.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, released
from acemath.models.score.layout import Row, plain_batch
from acemath.models.score.score import RewardModel
from acemath.models.score.vllm import VllmScorer
from acemath.models.vllm import fitting

Item = tuple[str, Sequence[str]]  # a problem and its responses
Scores = list[list[float]]  # [problem][response]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One engine against the reference.

    `rank_agreement` is the share of pairs of responses to the same problem that both put in the same order; None if no
    problem has two responses.
    """

    engine: str
    max_abs_diff: float
    rank_agreement: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model reads for the first response: all tokens, and the one whose state is scored."""

    tokens: list[str]
    ids: list[int]
    prompt_tokens: int  # how many of them, from the first, belong to the prompt
    scored: str


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison over `n` responses. `max_abs_diff` and `rank_agreement` are those of the worst engine."""

    n: int
    problems: int
    tokens: int
    max_abs_diff: float
    rank_agreement: float | None
    engines: list[Agreement]
    alarms: list[str]
    seen: Seen


def check_parity(
    model: str | Path,
    items: Sequence[Item],
    chat: ChatFormat | None = None,
    max_length: int = 4096,
    bf16: bool = False,
    share_prefix: bool = True,
) -> Parity:
    """Score `items` with every engine that is installed, and compare.

    `chat` as in `RewardModel`. It computes in float32 unless `bf16` is set; with `bf16`, expect differences from
    rounding, but rewards that are far apart should keep their order. UserError if there is nothing to score, or if
    acemath cannot score with the model.
    """
    items = [(problem, list(dict.fromkeys(texts))) for problem, texts in items if texts]
    if not items:
        raise UserError("there is no response to score; give a file with problems and responses")
    max_length = fitting(resolve(model), max_length)
    scorer = RewardModel(model, chat, max_length, bf16=bf16, share_prefix=share_prefix)
    rows, cut = scorer.encode(items)
    if not rows:
        raise UserError(f"no prompt leaves room for a response in max_length {max_length:,}; raise it")
    reference = _reference(scorer, rows)
    alarms = [*scorer.alarms(rows, reference, cut), *_template_alarms(scorer, items[rows[0].key])]
    kind = "shared prompts" if share_prefix else "padded rows"
    ways: dict[str, Callable[[], Scores]] = {f"transformers, {kind}": lambda: scorer.score_rows(rows)}
    if importlib.util.find_spec("vllm") is not None:
        ways["vLLM"] = lambda: _in_vllm(scorer, rows)
    engines = [_agreement(name, reference, score()) for name, score in ways.items()]
    ranks = [a.rank_agreement for a in engines if a.rank_agreement is not None]
    return Parity(
        n=sum(len(row.responses) for row in rows),
        problems=len(rows),
        tokens=sum(len(row.prompt) + len(r) for row in rows for r in row.responses),
        max_abs_diff=max(a.max_abs_diff for a in engines),
        rank_agreement=min(ranks, default=None),
        engines=engines,
        alarms=alarms,
        seen=_seen(scorer.tokenizer, rows[0]),
    )


@torch.inference_mode()
def _reference(scorer: RewardModel, rows: Sequence[Row]) -> Scores:
    """Each response alone through the model's own forward pass, without any code of acemath."""
    found: Scores = []
    for row in rows:
        mine = []
        for response in row.responses:
            ids = torch.tensor([[*row.prompt, *response]], device=scorer.model.device)
            logits = scorer.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
            mine.append(float(logits[0, 0]))
        found.append(mine)
    return found


def _in_vllm(scorer: RewardModel, rows: Sequence[Row]) -> Scores:
    """The rewards from vLLM. The model in transformers leaves the GPU, which vLLM fills."""
    scorer.model.to("cpu")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with released(VllmScorer(resolve(scorer.name), scorer.max_length, scorer.dtype == "bfloat16")) as engine:
        return engine.score_rows(rows)


def _agreement(engine: str, reference: Scores, found: Scores) -> Agreement:
    pairs = [(a, b) for x, y in zip(reference, found, strict=True) for a, b in zip(x, y, strict=True)]
    return Agreement(engine, max(abs(a - b) for a, b in pairs), rank_agreement(reference, found))


def rank_agreement(one: Scores, two: Scores) -> float | None:
    """The share of pairs of responses to one problem with the same order in both; a tie agrees only with a tie."""
    same = [
        _sign(x[i] - x[j]) == _sign(y[i] - y[j])
        for x, y in zip(one, two, strict=True)
        for i, j in combinations(range(len(x)), 2)
    ]
    return sum(same) / len(same) if same else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _template_alarms(scorer: RewardModel, item: Item) -> list[str]:
    """What engines that take text or messages would read differently, one line each.

    Two BOS tokens, if both the template and the tokenizer add one; a response that the template changes.
    """
    tokenizer, found = scorer.tokenizer, []
    bos = tokenizer.bos_token_id
    row = chat_template(tokenizer).conversation(scorer.chat.messages(item[0], item[1][0]))
    if bos is not None and tokenizer(row.text)["input_ids"][:2] == [bos, bos]:
        found.append(
            f"an engine that takes the template's text reads two {tokenizer.bos_token}: the template writes one, and the "
            "tokenizer adds one; give it token ids, or set add_special_tokens to false (acemath does)"
        )
    if row.rebuilt:
        found.append(
            "an engine that takes messages reads another text, because the chat template changes the response (it drops "
            "thoughts); give it token ids"
        )
    return found


def _seen(tokenizer: Any, row: Row) -> Seen:
    ids = [*row.prompt, *row.responses[0]]
    batch = plain_batch([Row(row.prompt, row.responses[:1])], tokenizer.pad_token_id)
    last = int(batch.ids[0, batch.ends[0]])
    tokens = [tokenizer.decode([i]) for i in ids]
    return Seen(tokens, ids, len(row.prompt), tokenizer.decode([last]))
