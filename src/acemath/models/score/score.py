"""Scoring responses with a reward model. The prompt is read once for all responses to a problem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from acemath.errors import UserError
from acemath.models.builtin import resolve
from acemath.models.encoding import ended_inside, ended_words
from acemath.models.engine import ChatFormat
from acemath.models.hardware import device, has_bf16, memory_for, pass_tokens
from acemath.models.hub import content_of
from acemath.models.score.heads import chat_for, check_head
from acemath.models.score.judging import Judge, Progress, equal_scores, silent
from acemath.models.score.layout import NoRoom, Row, encode_row, no_room, plain_batch, token_batches
from acemath.models.score.model import head_scores, load_reward_model, plain_states, tokenizer_of
from acemath.models.score.packed import packed_states, passes
from acemath.models.score.passes import Passes
from acemath.models.score.probe import check_sharing
from acemath.models.score.vllm import VllmScorer
from acemath.notices import say


class RewardModel(Judge):
    """A reward model that scores responses.

    `chat` is the chat in which it reads them: by default the one that it was trained with, or the paper's if its files
    do not say (as in AceMath's releases). A notice tells if the chat is not the one that it was trained with.
    """

    def __init__(
        self,
        path: str | Path,
        chat: ChatFormat | None = None,
        max_length: int = 4096,
        budget: int | None = None,
        bf16: bool = True,
        share_prefix: bool = True,
        engine: str = "transformers",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Load the model, on a GPU if there is one.

        `budget` is the number of tokens in one forward pass; by default it suits the device. `bf16` uses bfloat16 if
        the hardware has it. With `share_prefix` False each response is read in a padded row of its own. The engine
        "vllm" ignores `budget` and `share_prefix`, and takes `options` for its `LLM`. UserError if `path` is not a
        reward model, if its head has several outputs, if its pad token occurs in conversations, if its architecture
        cannot share a prompt, or if it does not fit into the memory.
        """
        check_head(path)
        self.name, self.path = str(path), str(path)
        self.tokenizer = tokenizer_of(path)
        self.chat, notice = chat_for(path, chat)
        if notice:
            say(notice)
        self.max_length = max_length
        half = bf16 and has_bf16()
        self.dtype = "bfloat16" if half else "float32"
        if engine == "vllm":
            self.vllm: VllmScorer | None = VllmScorer(resolve(path), max_length, half, options)
            self.max_length = self.vllm.max_length
            return
        self.vllm = None
        with memory_for(f"reward model {self.name!r}", "dtype: bfloat16, or engine: vllm with tensor_parallel needs less"):
            self.model = load_reward_model(path, torch.bfloat16 if half else torch.float32).to(device()).eval()
        self.passes = Passes(self.name, budget or pass_tokens(device()))
        self.share = share_prefix
        if share_prefix:
            check_sharing(self.model, max_length)

    def close(self) -> None:
        """Free the memory of the model."""
        if self.vllm is not None:
            self.vllm.close()
        self.model = None

    def score(self, problem: str, responses: Sequence[str]) -> list[float]:
        """The rewards of the responses to one problem, in their order. NoRoom if the prompt leaves no room for them."""
        (found,) = self.score_many([(problem, responses)])
        if any(map(math.isnan, found)):
            raise NoRoom(f"the problem leaves no room for a response in max_length {self.max_length:,}; raise it")
        return found

    def score_many(
        self,
        items: Sequence[tuple[str, Sequence[str]]],
        progress: Progress = silent,
    ) -> list[list[float]]:
        """The rewards of responses to many problems: rewards[i][j] belongs to response j of items[i].

        An item is a problem's text with its responses. Equal responses to a problem are scored once. What `alarms`
        finds becomes notices. Responses to a prompt that leaves no room for them get nan, and a notice says how many.
        UserError if the model gives nan or infinity.
        """
        distinct = [list(dict.fromkeys(responses)) for _, responses in items]
        rows, cut = self.encode(list(zip([prompt for prompt, _ in items], distinct, strict=True)))
        found = [[math.nan] * len(texts) for texts in distinct]
        if lost := sum(map(bool, distinct)) - len(rows):
            say(no_room(lost, len(items), self.max_length))
        for row, rewards in zip(rows, self.score_rows(rows, progress), strict=True):
            found[row.key] = rewards
        tables = [
            dict(zip(texts, rewards, strict=True)) for texts, rewards in zip(distinct, found, strict=True)
        ]
        result = [[table[t] for t in texts] for table, (_, texts) in zip(tables, items, strict=True)]
        for alarm in self.alarms(rows, [list(table.values()) for table in tables], cut):
            say(alarm)
        if blank := sum(not text.strip() for _, texts in items for text in texts):
            say(f"{blank:,} responses are empty: their rewards say nothing about the problem")
        return result

    def identity(self) -> dict[str, Any]:
        """All that the rewards depend on."""
        return {
            "kind": "reward",
            "model": self.name,
            "weights": content_of(self.path),
            "engine": "transformers" if self.vllm is None else "vllm",
            "dtype": self.dtype,
            "chat": self.chat.model_dump(),
            "max_length": self.max_length,
        }

    def encode(self, items: Sequence[tuple[str, Sequence[str]]]) -> tuple[list[Row], int]:
        """A row of token ids for each problem with responses, its number as key; and how many responses were cut.

        A problem whose prompt leaves no room for a response has no row.
        """
        rows: list[Row] = []
        cut = 0
        for number, (prompt, texts) in enumerate(items):
            if texts:
                with suppress(NoRoom):
                    row, lost = encode_row(prompt, texts, self.tokenizer, self.chat, self.max_length, number)
                    rows.append(row)
                    cut += lost
        return rows, cut

    @torch.inference_mode()
    def score_rows(
        self, rows: Sequence[Row], progress: Progress = silent
    ) -> list[list[float]]:
        """The rewards of encoded rows: one list for each row, in the order of its responses."""
        if self.vllm is not None:
            return self._numbers(self.vllm.score_rows(rows))
        found = [[0.0] * len(row.responses) for row in rows]
        total = sum(map(len, found))
        for done, (number, which, reward) in enumerate(self._rewards(rows), 1):
            found[number][which] = reward
            progress(done, total, "")
        return self._numbers(found)

    def _numbers(self, rewards: list[list[float]]) -> list[list[float]]:
        """The rewards unchanged. UserError if one is nan or infinite: it would win or lose every comparison."""
        wrong = sum(not math.isfinite(value) for row in rewards for value in row)
        if wrong:
            raise UserError(
                f"reward model {self.name!r} gives nan or inf for {wrong} of {sum(map(len, rewards))} responses; its "
                "weights are damaged, or too large for bfloat16; download it again, or use RewardModel(…, bf16=False)"
            )
        return rewards

    def _rewards(self, rows: Sequence[Row]) -> Iterator[tuple[int, int, float]]:
        """(number of the row, number of the response, reward) of every response, in the order of the passes."""
        pad = self.tokenizer.pad_token_id
        numbered = [Row(row.prompt, row.responses, number) for number, row in enumerate(rows)]
        if self.share:
            batches = passes(numbered, self.passes.budget)
        else:
            alone = [
                Row(row.prompt, [r], (row.key, [i])) for row in numbered for i, r in enumerate(row.responses)
            ]
            batches = token_batches(alone, self.passes.budget)

        def states(batch: list[Row]) -> Any:
            return packed_states(self.model, batch) if self.share else plain_states(self.model, plain_batch(batch, pad))

        for batch, found in self.passes.read(batches, states):
            keys = [(part.key[0], which) for part in batch for which in part.key[1]]
            for key, reward in zip(keys, head_scores(self.model, found).tolist(), strict=True):
                yield *key, reward

    def alarms(self, rows: Sequence[Row], rewards: Sequence[Sequence[float]], cut: int) -> list[str]:
        """Signs of a fault that raised no error, one line each.

        Responses that were cut to `max_length`, or that hold the token of their end; two BOS tokens at the start; equal rewards everywhere, a sign of a head
        that was not loaded; and equal rewards for all responses to each problem, a sign of a chat template that leaves
        the response out.
        """
        flat = [value for row in rewards for value in row]
        found = []
        if cut:
            found.append(
                f"{cut} of {len(flat)} responses were longer than {self.max_length} tokens and were scored without their middle"
            )
        if ended := ended_inside((ids for row in rows for ids in row.responses), self.tokenizer):
            found.append(ended_words(ended, self.tokenizer))
        bos = self.tokenizer.bos_token_id
        double = sum(list(row.prompt[:2]) == [bos, bos] for row in rows)
        if double:
            found.append(
                f"{double} of {len(rows)} prompts begin with two {self.tokenizer.bos_token}: does the chat template or the "
                "system prompt write one too many?"
            )
        found += equal_scores(
            rewards, "is the reward model's head loaded?", "does the chat template hold the response?", "reward"
        )
        return found
