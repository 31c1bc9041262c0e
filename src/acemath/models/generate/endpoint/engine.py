"""The engine for OpenAI-compatible servers: it keeps every response, retries faults, and pays for nothing twice."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from acemath.models.engine import ChatFormat, Sampling
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.asker import Asker, Health, Place
from acemath.models.generate.endpoint.budget import Budget
from acemath.models.generate.endpoint.choices import Choice
from acemath.models.generate.endpoint.limiter import Limiter
from acemath.models.generate.endpoint.replies import Reader
from acemath.models.generate.endpoint.requests import Asking, Request
from acemath.models.spec import EndpointModel
from acemath.records import REFUSED, Problem, Response


@dataclass(frozen=True, slots=True)
class _End:
    """The end of the call, with the error that ended it, if any."""

    error: BaseException | None


class EndpointEngine:
    """Generates responses through an endpoint. What the account already holds is not requested again.

    The ledger books requests on `payer` and `stage`; the budget in the settings is the payer's. If the server refuses a
    problem for good, its response has the `finish_reason` "refused", and the reason in `meta`. UserError if the key is
    missing; and while generating, if a budget is reached, or if the server refuses everything or is gone. Responses
    that arrived before stay in the account.
    """

    def __init__(
        self,
        settings: EndpointModel,
        account: Account,
        chat: ChatFormat | None = None,
        name: str = "",
        payer: str = "",
        stage: str = "",
    ) -> None:
        settings.key()
        self.settings, self.account = settings, account
        self.name = name or settings.id
        self.chat = chat or ChatFormat()
        payer, self.stage = payer or self.name, stage or payer or self.name
        self.budget = Budget(payer, settings.budget_usd, settings.budget_tokens, account.spent[payer])
        self._place = Place(settings, account, (self.budget, account.whole), payer, self.stage)
        self._limiter = Limiter(settings.in_flight)
        self._health = Health()
        self._reader = Reader(settings.id, settings.reports)

    def generate(self, problems: Sequence[Problem], sampling: Sampling) -> Iterator[Response]:
        """`sampling.n` responses to each problem: first those in the account, then others as they arrive.

        Problems with the same text share their responses.
        """
        asking = Asking(self.settings, self.chat, sampling)
        owners: dict[str, list[str]] = {}
        for problem in problems:
            owners.setdefault(problem.prompt, []).append(problem.id)
        for prompt, ids in owners.items():
            for sample in range(sampling.n):
                key = asking.key(prompt, sample)
                if key in self.account.known:
                    choice = self.account.choice(key)
                    yield from (self._response(i, sample, choice) for i in ids)
        requests = list(asking.requests(list(owners), self.account.known, self.settings.per_request))
        for request, found in self._arriving(asking, requests):
            for at, sample in enumerate(request.samples):
                what = found if isinstance(found, str) else found[at]
                yield from (self._response(i, sample, what) for i in owners[request.prompt])

    def _arriving(
        self, asking: Asking, requests: Sequence[Request]
    ) -> Iterator[tuple[Request, Sequence[Choice] | str]]:
        """What an asker in another thread hands over. If the caller stops reading, the asker stops too."""
        if not requests:
            return
        arrived: queue.SimpleQueue[tuple[Request, Sequence[Choice] | str] | _End] = queue.SimpleQueue()
        asker = Asker(
            self._place, asking, self._limiter, self._health, self._reader, lambda r, c: arrived.put((r, c))
        )
        loop = asyncio.new_event_loop()
        task = loop.create_task(asker.run(requests))

        def work() -> None:
            try:
                loop.run_until_complete(task)
                arrived.put(_End(None))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (raised again by the reader)
                arrived.put(_End(error))
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())  # else cut replies print warnings
                loop.close()

        thread = threading.Thread(target=work, name="endpoint", daemon=True)
        thread.start()
        try:
            while not isinstance(item := arrived.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            with suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(task.cancel)
            thread.join()

    def _response(self, problem_id: str, sample: int, found: Choice | str) -> Response:
        if isinstance(found, str):
            return Response(problem_id, sample, "", self.name, REFUSED, meta={REFUSED: found})
        if found.why:
            # It must not be graded or learned, so only the account keeps the text.
            return Response(
                problem_id, sample, "", self.name, REFUSED, found.tokens, meta={REFUSED: found.why}
            )
        meta: dict[str, Any] = {} if found.logprobs is None else {"logprobs": list(found.logprobs)}
        return Response(
            problem_id, sample, found.text.strip(), self.name, found.finish_reason, found.tokens, meta=meta
        )

    def status(self) -> str:
        """For a progress line: requests in flight, faults so far, and what was spent of the budget."""
        spent, faults = self.budget.spent, sum(self._health.faults.values())
        parts = [f"{self._limiter.flying} in flight"]
        if faults:
            parts.append(f"{faults:,} faults")
        if self.settings.price_in or self.settings.price_out:
            limit = "" if self.budget.usd is None else f" of {self.budget.usd:.2f}"
            parts.append(f"{spent.usd:.2f}{limit} US$")
        limit = "" if self.budget.tokens is None else f" of {self.budget.tokens:,}"
        return ", ".join([*parts, f"{spent.tokens:,}{limit} tokens"])

    def cost(self) -> dict[str, Any]:
        """What the stage cost over all its starts; the faults and the most requests in flight of this start."""
        return {
            **self.account.cost(self.stage),
            "faults": dict(sorted(self._health.faults.items())),
            "most_in_flight": self._limiter.most,
        }
