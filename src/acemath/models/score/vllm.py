"""Rewards from vLLM: its classification with the activation off. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from acemath.errors import needing
from acemath.models.score.layout import Row


class VllmScorer:
    """A reward model in vLLM. It keeps prompts' keys and values itself, so that a problem is read once."""

    def __init__(
        self, path: str, max_length: int, bf16: bool, options: Mapping[str, Any] | None = None
    ) -> None:
        """Load the model of this folder or hub name, with more `options` of `LLM`; MissingExtra without vLLM."""
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # standard output belongs to results
        with needing("scoring in vLLM"):
            from vllm import LLM
        self.engine: Any = LLM(
            model=path,
            runner="pooling",
            convert="classify",
            dtype="bfloat16" if bf16 else "float32",
            max_model_len=max_length,
            enable_prefix_caching=True,
            enforce_eager=True,
            **(options or {}),
        )

    def score_rows(self, rows: Sequence[Row]) -> list[list[float]]:
        """The rewards of encoded rows: one list a row, in the order of its responses.

        The activation would squash rewards to between 0 and 1.
        """
        from vllm import PoolingParams

        prompts = [{"prompt_token_ids": [*row.prompt, *r]} for row in rows for r in row.responses]
        outputs = self.engine.classify(
            prompts, pooling_params=PoolingParams(use_activation=False), use_tqdm=False
        )
        flat = iter([float(output.outputs.probs[0]) for output in outputs])
        return [[next(flat) for _ in row.responses] for row in rows]
