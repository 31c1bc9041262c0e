"""What is asked: one request for one or more samples of a problem, and the key of each sample's content."""

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
    """Samples of one prompt that are asked for together. `keys[i]` names the content of sample `samples[i]`."""

    prompt: str
    samples: tuple[int, ...]
    keys: tuple[str, ...]

    def pick(self, places: Sequence[int]) -> Request:
        """Some of the samples, by their places in the request."""
        return Request(
            self.prompt, tuple(self.samples[at] for at in places), tuple(self.keys[at] for at in places)
        )


class Asking:
    """Turns prompts into requests and requests into bodies, for one endpoint, conversation and sampling."""

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
        """The conversation; for the completions API its texts, a blank line between them."""
        rows = self.chat.messages(prompt)
        return rows if self.settings.api == "chat" else "\n\n".join(row["content"] for row in rows) + "\n\n"

    def key(self, prompt: str, sample: int) -> str:
        """The key of one sample's content: conversation, model, sampling, seed and sample number.

        The address is no part of it: the same model behind another address is the same model.
        """
        asked = json.dumps(self._asked(prompt), ensure_ascii=False)
        return content_key(self._common, asked, str(sample))

    def requests(self, prompts: Sequence[str], known: Mapping[str, Any], each: int) -> Iterator[Request]:
        """Requests of at most `each` samples for all that is not yet `known`, prompt by prompt, without repeats."""
        asked: set[str] = set()
        for prompt in prompts:
            keys = {s: self.key(prompt, s) for s in range(self.sampling.n)}
            wanted = [s for s, key in keys.items() if key not in known and key not in asked]
            asked.update(keys[s] for s in wanted)
            for at in range(0, len(wanted), each):
                part = tuple(wanted[at : at + each])
                yield Request(prompt, part, tuple(keys[s] for s in part))

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON of a request. A field that the recipe's `body` sets to null is left out."""
        sampling, asked = self.sampling, self._asked(request.prompt)
        seed = content_key(request.prompt, str(request.samples[0]), str(sampling.seed))
        found: dict[str, Any] = {
            "model": self.settings.id,
            "messages" if self.settings.api == "chat" else "prompt": asked,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "seed": int(seed, 16) % 2**31,
            "stream": False,  # some servers stream unless they are told not to
        }
        if len(request.samples) > 1:
            found["n"] = len(request.samples)
        if self.settings.logprobs:
            found["logprobs"] = True if self.settings.api == "chat" else 0
        found |= self.settings.body
        return {name: value for name, value in found.items() if value is not None}

    def prompt_bytes(self, request: Request) -> int:
        """The length of a request's conversation, in bytes of UTF-8."""
        asked = self._asked(request.prompt)
        texts = [asked] if isinstance(asked, str) else [row["content"] for row in asked]
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    def most(self, request: Request) -> Amount:
        """The most that a request can cost: no prompt has more tokens than bytes, no sample more than allowed."""
        prompt = self.prompt_bytes(request) + TEMPLATE_TOKENS
        written = self.sampling.max_new_tokens * len(request.samples)
        return Amount(prompt, written, self.settings.usd(prompt, written))
