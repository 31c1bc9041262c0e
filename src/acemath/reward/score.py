"""Scoring: rewards for responses, the prompt read once for all of a problem's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from acemath.engines.base import ChatFormat
from acemath.reward.layout import Row, encode_row, shared_batch, split_rows, token_batches
from acemath.reward.model import load_reward_model, rewards_of, tokenizer_of
from acemath.sft.hardware import device, has_bf16, pass_tokens, row_tokens

log = logging.getLogger(__name__)
PAPER_CHAT = ChatFormat(system="Please reason step by step, and check your final answer within \\boxed{}.")


class RewardModel:
    """A reward model that scores responses. `chat` is the format it was trained with; the paper's by default."""

    def __init__(
        self,
        path: str | Path,
        chat: ChatFormat = PAPER_CHAT,
        max_length: int = 4096,
        budget: int | None = None,
        bf16: bool = True,
    ) -> None:
        """Load it, on the GPU where there is one.

        `budget` is padded tokens a forward pass, by default what suits the device; bfloat16 is used where the
        hardware has it. UserError where `path` is no reward model or pads with its end token.
        """
        self.tokenizer = tokenizer_of(path)
        self.chat = chat
        self.max_length = max_length
        dtype = torch.bfloat16 if bf16 and has_bf16() else torch.float32
        self.model = load_reward_model(path, dtype).to(device()).eval()
        self.budget = budget or pass_tokens(device())

    def score(self, problem: str, responses: Sequence[str]) -> list[float]:
        """The rewards of one problem's responses, in their order."""
        return self.score_many([(problem, responses)])[0]

    @torch.inference_mode()
    def score_many(
        self,
        items: Sequence[tuple[str, Sequence[str]]],
        progress: Callable[[int, int, str], None] = lambda *_: None,
    ) -> list[list[float]]:
        """The rewards of many problems' responses: items[i] = (problem, responses) to rewards[i][j].

        The same text of a problem is scored once. Warns where responses were cut to the maximal length, and
        where all rewards are the same: the sign of a model that was loaded without its head.
        """
        distinct = [list(dict.fromkeys(responses)) for _, responses in items]
        found: list[list[float]] = [[0.0] * len(texts) for texts in distinct]
        rows, cut = self._rows([prompt for prompt, _ in items], distinct)
        done = 0
        for batch in token_batches(rows, self.budget):
            rewards = rewards_of(self.model, shared_batch(batch, self.tokenizer.pad_token_id)).tolist()
            for row in batch:
                number, first = row.key
                mine, rewards = rewards[: len(row.responses)], rewards[len(row.responses) :]
                found[number][first : first + len(mine)] = mine
            done += len(batch)
            progress(done, len(rows), "")
        tables = [
            dict(zip(texts, rewards, strict=True)) for texts, rewards in zip(distinct, found, strict=True)
        ]
        result = [[table[t] for t in texts] for table, (_, texts) in zip(tables, items, strict=True)]
        self._alarm(result, cut)
        return result

    def _rows(self, prompts: Sequence[str], texts: Sequence[Sequence[str]]) -> tuple[list[Row], int]:
        """The problems' responses in rows of a good width, and how many responses were cut."""
        rows: list[Row] = []
        cut = 0
        for number, (prompt, mine) in enumerate(zip(prompts, texts, strict=True)):
            if mine:
                row, lost = encode_row(prompt, mine, self.tokenizer, self.chat, self.max_length, number)
                rows += split_rows(row, row_tokens(device()))
                cut += lost
        return rows, cut

    def _alarm(self, rewards: Sequence[Sequence[float]], cut: int) -> None:
        flat = [value for row in rewards for value in row]
        if cut:
            log.warning(
                "%d of %d responses were longer than %d tokens and scored without their middle",
                cut,
                len(flat),
                self.max_length,
            )
        if len(flat) >= 8 and max(flat) - min(flat) < 1e-6:
            log.warning("all %d rewards are %g: is the reward model's head loaded?", len(flat), flat[0])
