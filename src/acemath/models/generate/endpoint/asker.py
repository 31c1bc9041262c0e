"""One call of the engine: it sends many requests at once, retries them, books them and hands over what arrives.

It runs on an event loop in a thread of its own, and `EndpointEngine.generate` reads what it hands over. If the call must
end early (a budget is reached, the server refuses everything or is gone), the replies in flight still arrive first.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from acemath.errors import UserError
from acemath.models.generate.endpoint.account import Account
from acemath.models.generate.endpoint.budget import Amount, Budget, BudgetReached, reserve, settle
from acemath.models.generate.endpoint.choices import Choice
from acemath.models.generate.endpoint.client import Client
from acemath.models.generate.endpoint.limiter import Limiter
from acemath.models.generate.endpoint.replies import Fault, Good, Reader, Refusal, Reply, backoff
from acemath.models.generate.endpoint.requests import Asking, Request
from acemath.models.spec import EndpointModel
from acemath.notices import say

EMPTY_TRIES = 3  # a complete reply without text is accepted at this try
UNUSABLE_TRIES = 3  # of a request that gets unusable replies; it gets as many again at the end
WRONG_NAMES = 20  # replies of another model that end the call, if none of the right model came before
USELESS_BEFORE_GOOD = 100  # refusals and unusable replies that end the call, if no good reply came before
FIRST_CONTACT = 20.0  # seconds to reach a server that never replied
FIX = "check the url, the id of the model and the fields of the request"
GONE = "start the same command again when the server is back: finished work is kept"

Hand = Callable[[Request, Sequence[Choice] | str], None]


@dataclass
class Health:
    """What an endpoint did so far, over all calls of its engine."""

    good: int = 0
    useless: int = 0  # refusals and unusable replies
    faults: Counter[str] = field(default_factory=Counter)
    answered: bool = False  # it replied at all
    single: bool = False  # it gives only one sample for each request
    since: float = field(default_factory=time.monotonic)  # the last good reply, or the first try


@dataclass(frozen=True)
class Place:
    """Which model is asked, where responses and costs are kept, and who pays."""

    settings: EndpointModel
    account: Account
    budgets: Sequence[Budget]
    payer: str
    stage: str


class Asker:
    """Sends the requests of one call. `hand` gets a request with its choices, or with the reason why it has none."""

    def __init__(
        self, place: Place, asking: Asking, limiter: Limiter, health: Health, reader: Reader, hand: Hand
    ) -> None:
        self.place, self.settings, self.asking = place, place.settings, asking
        self.limiter, self.health, self.reader, self.hand = limiter, health, reader, hand
        self.client = Client(place.settings, asking.path, reader)
        self.stopped: UserError | None = None
        self._aside: list[Request] = []
        # By the first key of a request that was put aside: the number of its tries, and of empty replies.
        self._tried: dict[str, tuple[int, int]] = {}
        self._rng = random.Random()

    async def run(self, requests: Iterable[Request]) -> None:
        """Serve every request. UserError if the call had to end early, after the replies in flight arrived."""
        self._stopping = asyncio.Event()
        self.limiter.reset()
        self.health.since = time.monotonic()
        async with self.client:
            await self._serve_all(requests, last=False)
            # Requests that used up their tries get as many again at the end, when an outage may be over.
            aside, self._aside = self._aside, []
            await self._serve_all(aside, last=True)
        self.place.account.sync()
        for budget in self.place.budgets:
            if budget.exceeded:
                say(budget.exceeded)
        if self.stopped is not None:
            raise self.stopped

    async def _serve_all(self, requests: Iterable[Request], last: bool) -> None:
        room = asyncio.Semaphore(4 * self.limiter.ceiling)  # for requests in flight and waiting
        async with asyncio.TaskGroup() as tasks:
            for request in requests:
                await room.acquire()
                if self.stopped is not None:
                    break
                task = tasks.create_task(self._guarded(request, last))
                task.add_done_callback(lambda _: room.release())

    async def _guarded(self, request: Request, last: bool) -> None:
        try:
            await self._serve(request, last)
        except UserError as error:  # a full disk, say
            self._stop(error)

    async def _serve(self, request: Request, last: bool) -> None:
        """Send one request until it is answered, refused, or out of tries."""
        if len(request.samples) > 1 and self.health.single:
            await self._one_by_one(request, last)
            return
        before, empties = self._tried.pop(request.keys[0], (0, 0))
        failures = unusable = 0
        while self.stopped is None:
            reply: Reply | None = await self._try(request, believe_empty=empties >= EMPTY_TRIES - 1)
            if isinstance(reply, Good):
                rest = self._arrived(request, reply)
                if rest is None:
                    return
                if reply.bad is None:  # it holds fewer choices than requested
                    self.health.single = self.health.single or len(reply.choices) == 1
                    await self._serve(rest, last)
                    return
                request, reply = rest, reply.bad
            if reply is None:
                return
            if isinstance(reply, Refusal):
                await self._refused(request, reply, last)
                return
            failures += 1
            unusable += reply.unusable
            empties += reply.empty
            if failures >= self.settings.tries or unusable >= UNUSABLE_TRIES:
                self._give_up(request, reply, (before + failures, empties), last)
                return
            await self._sleep(max(backoff(failures, self._rng), reply.wait or 0.0))

    async def _try(self, request: Request, believe_empty: bool) -> Reply | None:
        """Send a request once and book what it cost; None if the call is ending."""
        taken = await self.limiter.take()
        most = self.asking.most(request)
        if not await self._reserved(most):
            self.limiter.give_back(taken, good=False, overloaded=False)
            return None
        account = self.place.account
        entry = account.begin(self.place.payer, self.place.stage, self.settings.id, most)
        reply: Reply | None = None
        spent, known, what = most, False, "stopped"  # holds if the call is cancelled
        try:
            reply = await self.client.post(self.asking.body(request), believe_empty)
            spent, known, what = self._cost(reply, most)
            if isinstance(reply, Good):
                found = self._found(request, reply)
                keys = [request.keys[at] for at in found]
                account.keep(entry, keys, list(found.values()), spent, known)
        finally:
            settle(self.place.budgets, most, spent)
            overloaded = isinstance(reply, Fault) and reply.overloaded
            self.limiter.give_back(taken, isinstance(reply, Good), overloaded)
            account.end(entry, what, spent if spent.tokens else None, known)
        self._watch(reply)
        return reply

    async def _reserved(self, most: Amount) -> bool:
        """Reserve the most that a request can cost. False, with nothing reserved, if the call is ending."""
        if self.stopped is None:
            try:
                await reserve(self.place.budgets, most)
            except BudgetReached as error:
                self._stop(error)
                return False
            if self.stopped is not None:  # while it waited
                settle(self.place.budgets, most, Amount())
        return self.stopped is None

    def _cost(self, reply: Reply, most: Amount) -> tuple[Amount, bool, str]:
        """What a reply cost, whether the server reported it, and the word for it in the ledger."""
        usage = reply.usage
        what = reply.kind if isinstance(reply, Fault) else "good" if isinstance(reply, Good) else "refused"
        if usage is not None:
            usd = self.settings.usd(usage.prompt_tokens, usage.completion_tokens)
            return Amount(usage.prompt_tokens, usage.completion_tokens, usd), True, what
        if isinstance(reply, Good) or (isinstance(reply, Fault) and reply.billed == "unknown"):
            return most, False, what
        return Amount(), True, what

    @staticmethod
    def _found(request: Request, reply: Good) -> dict[int, Choice]:
        """The usable choices, by the index of their sample in the request."""
        return {at: c for at, c in enumerate(reply.choices[: len(request.samples)]) if c is not None}

    def _arrived(self, request: Request, reply: Good) -> Request | None:
        """Hand over the usable choices. Returns a request for the samples that are missing, or None."""
        found = self._found(request, reply)
        self.hand(request.pick(list(found)), list(found.values()))
        missing = [at for at in range(len(request.samples)) if at not in found]
        return request.pick(missing) if missing else None

    async def _refused(self, request: Request, reply: Refusal, last: bool) -> None:
        if reply.wholesale or (reply.status == 403 and not self.health.good):
            self._stop(self._refusal(reply))
        elif len(request.samples) > 1:
            # The server may refuse only the number of samples.
            before = self.health.good
            await self._one_by_one(request, last)
            self.health.single = self.health.single or self.health.good > before
        else:
            self.hand(request, f"status {reply.status}: {reply.what}")

    async def _one_by_one(self, request: Request, last: bool) -> None:
        for at in range(len(request.samples)):
            await self._serve(request.pick([at]), last)

    def _give_up(self, request: Request, fault: Fault, tried: tuple[int, int], last: bool) -> None:
        if last:
            self.hand(request, f"unanswered after {tried[0]} tries: {fault.what}")
        else:
            self._tried[request.keys[0]] = tried
            self._aside.append(request)

    def _watch(self, reply: Reply) -> None:
        """Count a reply, and end the call if it cannot succeed."""
        health = self.health
        refused = [c.why for c in reply.choices if c is not None and c.why] if isinstance(reply, Good) else []
        if isinstance(reply, Good) and len(refused) < sum(c is not None for c in reply.choices):
            health.good, health.answered, health.since = health.good + 1, True, time.monotonic()
        elif not isinstance(reply, Fault) or (reply.unusable and not reply.empty):
            health.useless, health.answered = health.useless + 1, True
            if not health.good and health.useless >= USELESS_BEFORE_GOOD:
                self._stop(self._useless(refused[0] if isinstance(reply, Good) else reply.what))
        fault = reply.bad if isinstance(reply, Good) else reply
        if isinstance(fault, Fault):
            self._watch_fault(fault)

    def _watch_fault(self, reply: Fault) -> None:
        health, settings = self.health, self.settings
        health.faults[reply.kind] += 1
        health.answered = health.answered or reply.kind not in ("no connection", "stall")
        waited = time.monotonic() - health.since
        if reply.wait is not None:
            self._hold(reply.wait)
        if not health.good and health.faults["wrong model"] >= WRONG_NAMES:
            names = ", ".join(sorted(map(repr, self.reader.seen)))
            self._stop(
                UserError(
                    f"{settings.url} was asked for model {settings.id!r} and replies as {names}; correct the id of the "
                    "model, or set reports to the name that the server uses"
                )
            )
        elif not health.answered and reply.kind == "no connection" and waited > FIRST_CONTACT:
            self._stop(
                UserError(
                    f"{settings.url} cannot be reached: {reply.what}; check the url and that the server runs"
                )
            )
        elif waited > max(settings.patience, 1.5 * settings.timeout):
            self._stop(
                UserError(
                    f"{settings.url} gave no good reply for {waited:.0f} s (last: {reply.what}); {GONE}"
                )
            )

    def _hold(self, wait: float) -> None:
        if wait > self.settings.patience:
            why = f"{self.settings.url} asks to wait {wait:.0f} s, more than the patience of {self.settings.patience:g} s"
            self._stop(UserError(f"{why}; {GONE}"))
        else:
            self.limiter.hold(wait)

    def _refusal(self, reply: Refusal) -> UserError:
        settings = self.settings
        fix = FIX
        if reply.status in (401, 403):
            fix = f"check the key in the environment variable {settings.api_key_env}"
        elif reply.status in (402, 429):
            fix = "check the quota and the bill of the account"
        return UserError(
            f"{settings.url} refused model {settings.id!r}: status {reply.status}, {reply.what!r}; {fix}; "
            "responses that arrived are kept"
        )

    def _useless(self, what: str) -> UserError:
        return UserError(
            f"{self.settings.url} gave {self.health.useless} replies and no answer for model {self.settings.id!r} (last: "
            f"{what}); {FIX}"
        )

    def _stop(self, error: UserError) -> None:
        """Send nothing more. Replies in flight may still arrive."""
        if self.stopped is None:
            self.stopped = error
            self._stopping.set()
            self.limiter.open()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
