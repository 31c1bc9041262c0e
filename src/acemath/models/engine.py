"""The contract of every engine: problems in, responses out, as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from acemath.records import REFUSED, Problem, Response


class Sampling(BaseModel):
    """How responses are drawn. `temperature` 0 is greedy; `n` responses a problem, seeded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(1, ge=1)
    temperature: float = Field(0.0, ge=0.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_new_tokens: int = Field(2048, ge=1)
    seed: int = 0


class ChatFormat(BaseModel):
    """How a problem becomes a conversation: a system prompt, and an instruction after the problem's text.

    Empty strings leave them out. The paper's policies get only the instruction, its reward models only
    the system prompt (section 3.2.1 and the reward models' card).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str = ""
    """The system prompt; none by default."""
    instruction: str = ""
    """The text after the problem; none by default."""

    def messages(self, prompt: str, response: str | None = None) -> list[dict[str, str]]:
        """The conversation that asks `prompt`, with `response` as its answer where one is given."""
        rows = [{"role": "system", "content": self.system}] if self.system else []
        content = f"{prompt}\n{self.instruction}" if self.instruction else prompt
        rows.append({"role": "user", "content": content})
        if response is not None:
            rows.append({"role": "assistant", "content": response})
        return rows


# The paper's reward models were trained with this chat (their cards).
PAPER_CHAT = ChatFormat(system="Please reason step by step, and check your final answer within \\boxed{}.")


def too_long(prompt: Sequence[int], max_length: int | None) -> bool:
    """Whether a prompt's tokens leave no room for a response."""
    return max_length is not None and len(prompt) >= max_length


def refused(
    problem_id: str, n: int, name: str, prompt: Sequence[int], max_length: int | None
) -> Iterator[Response]:
    """The `n` responses to a prompt that is too long for the model: without a text, and with the reason."""
    why = f"its prompt has {len(prompt):,} tokens, and max_length is {max_length:,}"
    for sample in range(n):
        yield Response(problem_id, sample, "", name, REFUSED, meta={REFUSED: why})


class Engine(Protocol):
    """Writes responses. `name` is what the responses' `model` column says."""

    name: str

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, in the order in which they finish.

        Each response's content depends on the problem, its sample number and the seed.
        """
        ...


@runtime_checkable
class Paid(Protocol):
    """An engine whose responses cost money."""

    def status(self) -> str:
        """What is spent, in a few words, for a line of progress."""
        ...

    def cost(self) -> dict[str, Any]:
        """What the stage has cost so far, for its manifest."""
        ...
