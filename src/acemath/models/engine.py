"""What every engine does: it takes problems and yields responses as they finish."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

from pydantic import Field

from acemath.files.settings import Settings
from acemath.records import REFUSED, Problem, Response

AnyEngine = TypeVar("AnyEngine")
# How engines and servers say that a prompt is too long: OpenAI, vLLM, SGLang, llama.cpp, TGI, Anthropic, Gemini.
_TOO_LONG = re.compile(r"context[ _]?(length|size|window)|max(imum)?[ _](length|number of tokens|new_tokens)|too long", re.I)


class Sampling(Settings):
    """How responses are sampled: `n` for each problem. Temperature 0 is greedy decoding."""


    n: int = Field(1, ge=1)
    temperature: float = Field(0.0, ge=0.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_new_tokens: int = Field(2048, ge=1)
    seed: int = 0


class ChatFormat(Settings):
    """How a problem becomes a conversation: a system prompt, and an instruction after the text of the problem.

    An empty string leaves its part out. The paper's policies get only the instruction (section 3.2.1), its reward
    models only the system prompt (their model cards).
    """


    system: str = ""
    """The system prompt; none by default."""
    instruction: str = ""
    """The text after the problem; none by default."""

    def messages(self, prompt: str, response: str | None = None) -> list[dict[str, str]]:
        """The conversation with `prompt` as the question, and `response`, if there is one, as the answer."""
        rows = [{"role": "system", "content": self.system}] if self.system else []
        content = f"{prompt}\n{self.instruction}" if self.instruction else prompt
        rows.append({"role": "user", "content": content})
        if response is not None:
            rows.append({"role": "assistant", "content": response})
        return rows


# The chat of the paper's reward models, from their model cards.
PAPER_CHAT = ChatFormat(system="Please reason step by step, and check your final answer within \\boxed{}.")


def too_long(prompt: Sequence[int], max_length: int | None) -> bool:
    """Whether the tokens of a prompt leave no room for a response."""
    return max_length is not None and len(prompt) >= max_length


def refused(
    problem_id: str, n: int, name: str, prompt: Sequence[int], max_length: int | None
) -> Iterator[Response]:
    """The `n` responses to a prompt that is too long for the model: refused, without a text."""
    why = f"its prompt has {len(prompt):,} tokens, and max_length is {max_length:,}"
    for sample in range(n):
        yield Response(problem_id, sample, "", name, REFUSED, meta={REFUSED: why})


def says_too_long(why: str) -> bool:
    """Whether a reason for which a prompt was refused, in an engine's or a server's words, is its length."""
    return _TOO_LONG.search(why) is not None


class Engine(Protocol):
    """Generates responses. `name` goes into their `model` column."""

    name: str

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, in the order in which they finish.

        A response depends on its problem, its sample number and the seed, not on the other problems.
        """
        ...


@runtime_checkable
class Held(Protocol):
    """An engine that holds processes or memory, which another model may need."""

    def close(self) -> None:
        """Free them; the engine is of no use afterwards."""
        ...


def close(engine: object) -> None:
    """Free what an engine or a judge holds, if it holds anything."""
    if isinstance(engine, Held):
        engine.close()
        free_memory()


def free_memory() -> None:
    """Give back what this process no longer uses, a GPU's memory too: PyTorch keeps it, and another process may need it."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def released(engine: AnyEngine) -> Iterator[AnyEngine]:
    """The engine or judge, which is closed when the block ends."""
    try:
        yield engine
    finally:
        close(engine)


@runtime_checkable
class Paid(Protocol):
    """An engine whose responses may cost money."""

    def status(self) -> str:
        """What was spent so far, in a few words for a progress line."""
        ...

    def cost(self) -> dict[str, Any]:
        """What the stage cost so far, for its manifest."""
        ...


def collect(
    engine: Engine, problems: Sequence[Problem], sampling: Sampling, progress: Callable[[int, int, str], None]
) -> list[Response]:
    """All responses to some problems, in order of problem and sample.

    Responses are held in memory until the last one arrives. An endpoint also writes each one to disk as it arrives, so
    that a stop loses none.
    """
    found: list[Response] = []
    for response in engine.generate(problems, sampling):
        found.append(response)
        note = engine.status() if isinstance(engine, Paid) else ""
        progress(len(found), len(problems) * sampling.n, note)
    return sorted(found, key=lambda r: (r.problem_id, r.sample))
