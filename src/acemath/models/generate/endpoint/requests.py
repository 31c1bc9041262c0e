"""Requests: each asks for one or more samples of a prompt, and each sample has a key for its content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.budget import TEMPLATE_TOKENS, Amount
from acemath.models.spec import EndpointModel
from acemath.records import content_key


@dataclass(frozen=True, slots=True)
class Request:
    """Samples of one prompt in one request. `keys[i]` is the key of sample number `samples[i]`."""

    prompt: str
    samples: tuple[int, ...]
    keys: tuple[str, ...]

    def pick(self, indices: Sequence[int]) -> Request:
        """A request for some of the samples, by their indices in this one."""
        return Request(
            self.prompt, tuple(self.samples[at] for at in indices), tuple(self.keys[at] for at in indices)
        )


def token_limit(body: Mapping[str, Any]) -> int | None:
    """The token limit of a sample in the body of a request, under either name; None without one."""
    values = (body.get(name) for name in ("max_tokens", "max_completion_tokens"))
    return max((value for value in values if isinstance(value, int)), default=None)


class Asking:
    """Turns prompts into requests, and requests into JSON bodies, for one endpoint, chat and sampling."""

    def __init__(self, settings: EndpointModel, chat: ChatFormat, sampling: Sampling) -> None:
        self.settings, self.chat, self.sampling = settings, chat, sampling
        self.path = "/chat/completions" if settings.api == "chat" else "/completions"
        what = {
            "sampling": sampling.model_dump(exclude={"n"}),
            "model": settings.id,
            **settings.model_dump(include={"api", "body", "logprobs"}),
        }
        self._common = json.dumps(what, sort_keys=True, ensure_ascii=False)

    def _asked(self, prompt: str) -> list[dict[str, str]] | str:
        """The messages; for the completions API their texts, with a blank line after each."""
        rows = self.chat.messages(prompt)
        return rows if self.settings.api == "chat" else "\n\n".join(row["content"] for row in rows) + "\n\n"

    def key(self, prompt: str, sample: int) -> str:
        """The key of a sample: a hash of its conversation, model, sampling, seed and number.

        The address is not part of it: the same model at another address counts as the same model.
        """
        asked = json.dumps(self._asked(prompt), ensure_ascii=False)
        return content_key(self._common, asked, str(sample))

    def requests(self, prompts: Sequence[str], known: Mapping[str, Any], each: int) -> Iterator[Request]:
        """Requests of at most `each` samples for all samples whose key is not `known`, prompt by prompt."""
        asked: set[str] = set()
        for prompt in prompts:
            keys = {s: self.key(prompt, s) for s in range(self.sampling.n)}
            wanted = [s for s, key in keys.items() if key not in known and key not in asked]
            asked.update(keys[s] for s in wanted)
            for at in range(0, len(wanted), each):
                part = tuple(wanted[at : at + each])
                yield Request(prompt, part, tuple(keys[s] for s in part))

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request. A field that is null in the setting `body` is left out."""
        sampling, asked = self.sampling, self._asked(request.prompt)
        seed = content_key(request.prompt, str(request.samples[0]), str(sampling.seed))
        found: dict[str, Any] = {
            "model": self.settings.id,
            "messages" if self.settings.api == "chat" else "prompt": asked,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "seed": int(seed, 16) % 2**31,
            "stream": False,  # some servers stream by default
        }
        if len(request.samples) > 1:
            found["n"] = len(request.samples)
        if self.settings.logprobs:
            found["logprobs"] = True if self.settings.api == "chat" else 0
        found |= self.settings.body
        return {name: value for name, value in found.items() if value is not None}

    def prompt_bytes(self, request: Request) -> int:
        """The length of the conversation of a request, in bytes of UTF-8."""
        asked = self._asked(request.prompt)
        texts = [asked] if isinstance(asked, str) else [row["content"] for row in asked]
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    def most(self, request: Request) -> Amount:
        """The most that a request can cost: no prompt has more tokens than bytes, no sample more than its limit."""
        prompt = self.prompt_bytes(request) + TEMPLATE_TOKENS
        limit = token_limit(self.body(request)) or self.sampling.max_new_tokens
        completion = limit * len(request.samples)
        return Amount(prompt, completion, self.settings.usd(prompt, completion))
