"""The engine that runs vLLM, on GPUs or, for small models, on a CPU. Needs the extra: pip install 'acemath[vllm]'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from acemath.models.chat import chat_template
from acemath.models.engine import ChatFormat, Sampling, refused, too_long
from acemath.models.hub import at_revision
from acemath.models.spec import VllmModel
from acemath.models.vllm import start, stop
from acemath.records import REFUSED, Problem, Response, content_key


class VllmEngine:
    """Generates responses with vLLM. Prompts, end tokens and texts are those of the transformers engine.

    Each response has a seed of its own, from the text of its problem, its number and the seed of the sampling. A prompt
    that leaves no room for a response is refused, and so is a response that vLLM ends for another reason than a stop or
    the limit (abort, error). `close` frees the memory.
    """

    def __init__(self, model: VllmModel, chat: ChatFormat | None = None, name: str = "") -> None:
        """Start vLLM with a model. MissingExtra without vLLM; UserError if vLLM refuses the model."""
        self.name = name or model.name
        self.chat = chat or ChatFormat()
        self.model = model
        template = model.template()
        self.llm = start(
            at_revision(model.id, model.revision), "the vLLM engine", dtype=model.dtype, **options_of(model)
        )
        self.max_length: int = self.llm.model_config.max_model_len
        self.tokenizer = self.llm.get_tokenizer()
        if template is not None:
            self.tokenizer.chat_template = template

    def close(self) -> None:
        """End vLLM's processes and free the memory of the model."""
        stop(self.llm)

    def prompt_ids(self, problem: Problem) -> list[int]:
        """The ids of a problem through the chat template, with no special tokens added to it."""
        text = chat_template(self.tokenizer).prompt(self.chat.messages(problem.prompt))
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, after vLLM has finished them all."""
        fitting = []
        for problem in problems:
            prompt = self.prompt_ids(problem)
            if too_long(prompt, self.max_length):
                yield from refused(problem.id, sampling.n, self.name, prompt, self.max_length)
            else:
                fitting.append((problem, prompt))
        for problem, sample, tokens, reason in self.token_ids(fitting, sampling):
            yield self._response(problem.id, sample, tokens, reason)

    def token_ids(
        self, asked: Sequence[tuple[Problem, list[int]]], sampling: Sampling
    ) -> Iterator[tuple[Problem, int, list[int], str]]:
        """(problem, sample, token ids up to the end token, finish reason) of each response to problems with their prompts."""
        if not asked:
            return
        self.llm.reset_prefix_cache()  # what an earlier call left would round the numbers of this one in another way
        prompts = [{"prompt_token_ids": prompt} for _, prompt in asked]
        parameters = [self._parameters(problem, sampling) for problem, _ in asked]
        results = self.llm.generate(prompts, parameters, use_tqdm=False)
        for (problem, _), result in zip(asked, results, strict=True):
            # Greedy responses to a problem are equal, and vLLM writes only one.
            outs = result.outputs * (sampling.n if sampling.temperature == 0 else 1)
            for sample, out in enumerate(outs):
                yield problem, sample, list(out.token_ids), str(out.finish_reason)

    def _parameters(self, problem: Problem, sampling: Sampling) -> Any:
        """vLLM's parameters for the responses to a problem. It adds a response's number to the seed."""
        from vllm import SamplingParams

        ends = {*chat_template(self.tokenizer).stop_ids(), *self.model.stop_ids}
        return SamplingParams(
            n=1 if sampling.temperature == 0 else sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=sorted(ends),  # vLLM adds the generation config's
            seed=int(content_key(problem.prompt, str(sampling.seed)), 16) % 2**31,
            detokenize=False,
        )

    def _response(self, problem_id: str, sample: int, tokens: list[int], reason: str) -> Response:
        if reason not in ("stop", "length"):
            why = f"vLLM ended the response with finish_reason {reason!r}"
            return Response(problem_id, sample, "", self.name, REFUSED, len(tokens), meta={REFUSED: why})
        # After a stop the last token is an end token. vLLM's own text would lack other special tokens too.
        text = chat_template(self.tokenizer).written(tokens[:-1] if reason == "stop" else tokens)
        return Response(problem_id, sample, text, self.name, reason, len(tokens))


def options_of(model: VllmModel) -> dict[str, Any]:
    """The settings of a model as options of vLLM's `LLM`, except the model itself and its dtype."""
    return {
        "tensor_parallel_size": model.tensor_parallel,
        "gpu_memory_utilization": model.memory_share,
        "max_model_len": model.max_length,
        "enable_prefix_caching": model.prefix_caching,
        "trust_remote_code": model.trust_remote_code,
    }
