"""Any OpenAI-compatible server over HTTP: several requests in flight, retried with backoff.

The key is read from an environment variable and appears nowhere else.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx

from acemath.engines.base import ChatFormat, Sampling
from acemath.errors import UserError
from acemath.records import Problem, Response, content_key

RETRIED = (408, 409, 429, 500, 502, 503, 504)


class EndpointEngine:
    """Writes responses through `POST {url}/chat/completions`. UserError where the server refuses for good."""

    def __init__(
        self,
        url: str,
        model: str,
        chat: ChatFormat | None = None,
        key_env: str = "OPENAI_API_KEY",
        name: str = "",
        in_flight: int = 32,
        tries: int = 6,
        timeout: float = 600.0,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(
                f"endpoint url {url!r} is no address; it begins with http:// or https:// and usually ends with /v1"
            )
        self.url, self.model, self.name = url.rstrip("/"), model, name or model
        self.chat = chat or ChatFormat()
        self.in_flight, self.tries = in_flight, tries
        key = os.environ.get(key_env, "")
        self.client = httpx.Client(timeout=timeout, headers={"Authorization": f"Bearer {key}"} if key else {})
        self.tokens_in = self.tokens_out = 0

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem, as they arrive."""
        with ThreadPoolExecutor(self.in_flight) as pool:
            waiting = [pool.submit(self._ask, p, s, sampling) for p in problems for s in range(sampling.n)]
            for done in as_completed(waiting):
                yield done.result()

    def _ask(self, problem: Problem, sample: int, sampling: Sampling) -> Response:
        body = {
            "model": self.model,
            "messages": self.chat.messages(problem.prompt),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "seed": int(content_key(problem.prompt, str(sample), str(sampling.seed)), 16) % 2**31,
        }
        data = self._post(body)
        choice = data["choices"][0]
        usage = data.get("usage") or {}
        self.tokens_in += int(usage.get("prompt_tokens") or 0)
        self.tokens_out += int(usage.get("completion_tokens") or 0)
        reason = "length" if choice.get("finish_reason") == "length" else "stop"
        text = choice["message"].get("content") or ""
        return Response(problem.id, sample, text, self.name, reason, int(usage.get("completion_tokens") or 0))

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        fault = ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(min(60.0, 0.5 * 2**attempt) * random.uniform(0.5, 1.5))
            try:
                reply = self.client.post(f"{self.url}/chat/completions", json=body)
                if reply.status_code in RETRIED:
                    fault = f"status {reply.status_code}"
                    continue
                if reply.status_code != 200:
                    raise UserError(
                        f"{self.url} refused model {self.model!r}: status {reply.status_code}, {reply.text[:200]!r}; check the url, the model's name and the key"
                    )
                data = reply.json()
                if data.get("choices") and data["choices"][0].get("message"):
                    return dict(data)
                fault = "an answer without choices"
            except (httpx.TransportError, ValueError) as error:
                fault = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{self.url} failed {self.tries} times ({fault}); start the same command again when the server is well: finished work is kept"
        )
