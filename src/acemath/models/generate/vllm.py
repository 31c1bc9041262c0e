"""vLLM in process: bulk generation on GPUs. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from acemath.errors import needing
from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, Sampling
from acemath.records import REFUSED, Problem, Response, content_key


class VllmEngine:
    """Writes responses with vLLM. Prompts, ends and texts are those of the transformers engine.

    A response that vLLM ends for any reason but a stop or the limit (abort, error) counts as refused.
    """

    def __init__(self, model: str, chat: ChatFormat | None = None, name: str = "", **options: object) -> None:
        with needing("the vLLM engine"):
            from vllm import LLM
        self.name = name or model
        self.chat = chat or ChatFormat()
        self.llm = LLM(model=model, **options)
        self.tokenizer = self.llm.get_tokenizer()

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem; vLLM batches them all."""
        from vllm import SamplingParams

        template = chat_template(self.tokenizer)
        prompts, parameters = [], []
        for problem in problems:
            text = template.prompt(self.chat.messages(problem.prompt))
            prompts.append({"prompt_token_ids": self.tokenizer(text, add_special_tokens=False)["input_ids"]})
            seed = int(content_key(problem.prompt, str(sampling.seed)), 16) % 2**31
            parameters.append(
                SamplingParams(
                    n=sampling.n,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    max_tokens=sampling.max_new_tokens,
                    stop_token_ids=template.stop_ids(),  # vLLM adds those of the generation config
                    seed=seed,
                )
            )
        for problem, result in zip(
            problems, self.llm.generate(prompts, parameters, use_tqdm=False), strict=True
        ):
            for sample, out in enumerate(result.outputs):
                yield self._response(problem.id, sample, out)

    def _response(self, problem_id: str, sample: int, out: Any) -> Response:
        if out.finish_reason not in ("stop", "length"):
            why = f"vLLM ended it with finish_reason {out.finish_reason!r}"
            return Response(
                problem_id, sample, "", self.name, REFUSED, len(out.token_ids), meta={REFUSED: why}
            )
        # A stop is an end token here, the last one; vLLM's own text would leave other special tokens out too.
        written = out.token_ids[:-1] if out.finish_reason == "stop" else out.token_ids
        text = chat_template(self.tokenizer).written(written)
        return Response(problem_id, sample, text, self.name, out.finish_reason, len(out.token_ids))
