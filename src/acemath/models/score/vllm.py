"""Rewards from vLLM, through its classification task. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acemath.models.score.layout import Row
from acemath.models.vllm import fitting, start, stop


class VllmScorer:
    """A reward model in vLLM, whose prefix cache makes it read a prompt once for all of its responses.

    It reads `max_length` tokens of a prompt with a response, or as many as the model has positions if these are fewer.
    `close` frees the memory.
    """

    def __init__(
        self, path: str, max_length: int, bf16: bool, options: Mapping[str, Any] | None = None
    ) -> None:
        """Load a folder or hub name, with further `options` of vLLM's `LLM`. MissingExtra without vLLM."""
        self.max_length = fitting(path, max_length)
        settings: dict[str, Any] = {
            "runner": "pooling",
            "convert": "classify",
            "dtype": "bfloat16" if bf16 else "float32",
            "max_model_len": self.max_length,
            "enable_prefix_caching": True,
            "enforce_eager": True,
        }
        self.engine = start(path, "scoring in vLLM", **settings | dict(options or {}))

    def close(self) -> None:
        """End vLLM's processes and free the memory of the model."""
        stop(self.engine)

    def score_rows(self, rows: Sequence[Row]) -> list[list[float]]:
        """The rewards of encoded rows: one list for each row, in the order of its responses.

        vLLM's default activation would squash rewards to between 0 and 1, so it is off.
        """
        from vllm import PoolingParams

        prompts = [{"prompt_token_ids": [*row.prompt, *r]} for row in rows for r in row.responses]
        if not prompts:
            return [[] for _ in rows]
        outputs = self.engine.classify(
            prompts, pooling_params=PoolingParams(use_activation=False), use_tqdm=False
        )
        flat = iter([float(output.outputs.probs[0]) for output in outputs])
        return [[next(flat) for _ in row.responses] for row in rows]
