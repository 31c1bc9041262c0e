"""Rewards from vLLM, through its pooling. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acemath.errors import UserError
from acemath.models.score.heads import head_kind
from acemath.models.score.layout import Row
from acemath.models.vllm import config_of, fitting, start, stop

# vLLM's classes for Qwen2's models with a head of two layers, with one output and with two.
LAYERED, STEPWISE = "Qwen2ForRewardModel", "Qwen2ForProcessRewardModel"


class VllmScorer:
    """A reward model in vLLM, whose prefix cache makes it read a prompt once for all of its responses.

    A head of one layer is a classifier with one label to vLLM. A head of two (Qwen2.5-Math-RM) has a class of its own there,
    which gives a number for every token; the last one's is the reward. It reads `max_length` tokens of a prompt with a
    response, or as many as the model has positions if these are fewer. `close` frees the memory.
    """

    def __init__(
        self, path: str, max_length: int, bf16: bool, options: Mapping[str, Any] | None = None
    ) -> None:
        """Load a folder or hub name, with further `options` of vLLM's `LLM`. MissingExtra without vLLM."""
        self.max_length = fitting(path, max_length)
        self.every_token = head_kind(path) == "layers"
        if self.every_token:
            _check_qwen(path)
        form = {"hf_overrides": {"architectures": [LAYERED]}} if self.every_token else {"convert": "classify"}
        self.engine = _pooling(path, self.max_length, bf16, form | dict(options or {}))

    def close(self) -> None:
        """End vLLM's processes and free the memory of the model."""
        stop(self.engine)

    def score_rows(self, rows: Sequence[Row]) -> list[list[float]]:
        """The rewards of encoded rows: one list for each row, in the order of its responses."""
        prompts = [{"prompt_token_ids": [*row.prompt, *r]} for row in rows for r in row.responses]
        self.engine.reset_prefix_cache()  # what an earlier call left would round the numbers of this one in another way
        flat = iter(self._rewards(prompts) if prompts else ())
        return [[next(flat) for _ in row.responses] for row in rows]

    def _rewards(self, prompts: list[dict[str, list[int]]]) -> list[float]:
        """The reward of each prompt with its response. vLLM's default activation would squash it to between 0 and 1."""
        from vllm import PoolingParams

        options: dict[str, Any] = {"pooling_params": PoolingParams(use_activation=False), "use_tqdm": False}
        if self.every_token:
            found = self.engine.encode(prompts, pooling_task="token_classify", **options)
            return [float(output.outputs.data[-1, 0]) for output in found]
        return [float(output.outputs.probs[0]) for output in self.engine.classify(prompts, **options)]


class VllmSteps:
    """A process reward model in vLLM: what it gives at the marks of steps.

    For the form qwen (Qwen2.5-Math-PRM) these are the outputs of its head. For the form shepherd (Math-Shepherd) they are the
    states of the last layer, for a head of the caller's; of a language model vLLM would give no logits here.
    """

    def __init__(self, path: str, form: str, max_length: int, bf16: bool, options: Mapping[str, Any]) -> None:
        """Load a folder or hub name, as `VllmScorer` does. UserError for the form skywork."""
        if form == "skywork":
            raise UserError(f"{path!r} has a value head, which vLLM does not read; use the engine transformers")
        self.task = "token_classify" if form == "qwen" else "token_embed"
        if form == "qwen":
            _check_qwen(path)
        kind = {"hf_overrides": {"architectures": [STEPWISE]}} if form == "qwen" else {"convert": "embed"}
        self.max_length = fitting(path, max_length)
        steps = {"pooler_config": {"task": self.task, "tok_pooling_type": "STEP"}}
        self.engine = _pooling(path, self.max_length, bf16, kind | steps | dict(options))

    def close(self) -> None:
        """End vLLM's processes and free the memory of the model."""
        stop(self.engine)

    def at_marks(self, rows: Sequence[Sequence[int]], marks: Sequence[int], mark: int) -> list[Any]:
        """The outputs [S, 2] or states [S, H] at the last S tokens `mark` of each row of ids; `marks` holds S for each row."""
        from vllm import PoolingParams

        found = self.engine.encode(
            [{"prompt_token_ids": list(row)} for row in rows],
            pooling_params=PoolingParams(use_activation=False, step_tag_id=mark),
            pooling_task=self.task,
            use_tqdm=False,
        )
        return [output.outputs.data[-count:] for output, count in zip(found, marks, strict=True)]


def _pooling(path: str, max_length: int, bf16: bool, options: Mapping[str, Any]) -> Any:
    """vLLM's engine for scoring."""
    settings: dict[str, Any] = {
        "runner": "pooling",
        "dtype": "bfloat16" if bf16 else "float32",
        "max_model_len": max_length,
        "enable_prefix_caching": True,
        "enforce_eager": True,
    }
    return start(path, "scoring in vLLM", **settings | dict(options))


def _check_qwen(path: str) -> None:
    if (kind := config_of(path).get("model_type")) != "qwen2":
        raise UserError(f"{path!r} has a head of two layers on {kind}, which vLLM does not know; use the engine transformers")
