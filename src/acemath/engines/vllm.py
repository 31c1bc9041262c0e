"""vLLM in process: bulk generation on GPUs. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acemath.engines.base import ChatFormat, Sampling
from acemath.errors import MissingExtra
from acemath.records import Problem, Response, content_key


class VllmEngine:
    """Writes responses with vLLM. Prompts are the same token ids as the transformers engine's."""

    def __init__(self, model: str, chat: ChatFormat | None = None, name: str = "", **options: object) -> None:
        try:
            from vllm import LLM
        except ImportError as error:
            raise MissingExtra("the vLLM engine", "vllm") from error
        self.name = name or model
        self.chat = chat or ChatFormat()
        self.llm = LLM(model=model, **options)
        self.tokenizer = self.llm.get_tokenizer()

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem; vLLM batches them all."""
        from vllm import SamplingParams

        prompts, parameters = [], []
        for problem in problems:
            text = self.tokenizer.apply_chat_template(
                self.chat.messages(problem.prompt), tokenize=False, add_generation_prompt=True
            )
            prompts.append({"prompt_token_ids": self.tokenizer(text, add_special_tokens=False)["input_ids"]})
            seed = int(content_key(problem.prompt, str(sampling.seed)), 16) % 2**31
            parameters.append(
                SamplingParams(
                    n=sampling.n,
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    max_tokens=sampling.max_new_tokens,
                    seed=seed,
                )
            )
        for problem, result in zip(
            problems, self.llm.generate(prompts, parameters, use_tqdm=False), strict=True
        ):
            for sample, out in enumerate(result.outputs):
                reason = "length" if out.finish_reason == "length" else "stop"
                yield Response(problem.id, sample, out.text.strip(), self.name, reason, len(out.token_ids))
