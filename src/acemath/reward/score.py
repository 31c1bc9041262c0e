"""Scoring: rewards for responses, the prompt read once for all of a problem's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from acemath.engines.base import ChatFormat
from acemath.nano.home import resolve
from acemath.reward.layout import Row, encode_row, shared_batch, token_batches
from acemath.reward.model import rewards_of, tokenizer_of

log = logging.getLogger(__name__)
PAPER_CHAT = ChatFormat(system="Please reason step by step, and check your final answer within \\boxed{}.")


class RewardModel:
    """A reward model that scores responses. `chat` is the format it was trained with; the paper's by default."""

    def __init__(
        self,
        path: str | Path,
        chat: ChatFormat = PAPER_CHAT,
        max_length: int = 4096,
        budget: int = 16_384,
        bf16: bool = True,
    ) -> None:
        self.tokenizer = tokenizer_of(path)
        self.chat = chat
        self.max_length = max_length
        self.budget = budget
        dtype = torch.bfloat16 if bf16 else torch.float32
        self.model = AutoModelForSequenceClassification.from_pretrained(
            resolve(path), num_labels=1, dtype=dtype
        )
        self.model.eval()

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
        rows: list[Row] = []
        places: list[dict[str, int]] = []
        cut = 0
        for number, (prompt, responses) in enumerate(items):
            distinct = {text: at for at, text in enumerate(dict.fromkeys(responses))}
            places.append(distinct)
            texts = list(distinct)
            for start in range(0, len(texts), 8):  # a dense mask grows with the square of the row
                row, lost = encode_row(
                    prompt,
                    texts[start : start + 8],
                    self.tokenizer,
                    self.chat,
                    self.max_length,
                    (number, start),
                )
                rows.append(row)
                cut += lost
        found: list[dict[int, float]] = [{} for _ in items]
        done = 0
        for batch in token_batches(rows, self.budget):
            rewards = rewards_of(self.model, shared_batch(batch, self.tokenizer.pad_token_id)).tolist()
            at = 0
            for row in batch:
                number, start = row.key
                for offset in range(len(row.responses)):
                    found[number][start + offset] = rewards[at]
                    at += 1
            done += len(batch)
            progress(done, len(rows), "")
        result = [[found[i][places[i][text]] for text in responses] for i, (_, responses) in enumerate(items)]
        self._alarm(result, cut)
        return result

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
