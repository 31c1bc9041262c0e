"""One call of the engine: every request sent, retried, booked and handed over, many at once.

It runs on an event loop of its own thread; `EndpointEngine.generate` reads what it hands over. Everything that ends the
call early (a reached budget, a refusal of everything, a server that is gone) first lets what is in flight arrive.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from acemath.engines.endpoint.account import Account
from acemath.engines.endpoint.budget import Amount, Budget, BudgetReached, reserve, settle
from acemath.engines.endpoint.client import Client
from acemath.engines.endpoint.limiter import Limiter
from acemath.engines.endpoint.replies import Choice, Fault, Good, Reader, Refusal, Reply, backoff
from acemath.engines.endpoint.requests import Asking, Request
from acemath.engines.endpoint.settings import Endpoint
from acemath.errors import UserError

EMPTY_TRIES = 3  # an answer without text is believed after so many
WRONG_NAMES = 20  # replies of another model before the first right one, until the name must be a mistake
REFUSED_BEFORE_GOOD = 100  # refusals before the first good reply, until the request itself must be a mistake
FIRST_CONTACT = 20.0  # seconds to reach a server that has never said anything
GONE = "start the same command again when it is well: finished work is kept"

Hand = Callable[[Request, Sequence[Choice] | str], None]


@dataclass
class Health:
    """What an endpoint has done so far, over all calls of its engine."""

    good: int = 0
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    answered: bool = False  # anything at all came over HTTP
    single: bool = False  # it answers one sample a request, whatever it is asked
    since: float = field(default_factory=time.monotonic)  # the last good reply, or the first try


@dataclass(frozen=True)
class Place:
    """Who asks and who pays."""

    settings: Endpoint
    account: Account
    budgets: Sequence[Budget]
    payer: str
    stage: str


class Asker:
    """Sends the requests of one call. `hand` gets each request's choices, or the reason why there are none."""

    def __init__(
        self, place: Place, asking: Asking, limiter: Limiter, health: Health, reader: Reader, hand: Hand
    ) -> None:
        self.place, self.settings, self.asking = place, place.settings, asking
        self.limiter, self.health, self.reader, self.hand = limiter, health, reader, hand
        self.client = Client(place.settings, asking.path, reader)
        self.stopped: UserError | None = None
        self._aside: list[Request] = []
        self._rng = random.Random()

    async def run(self, requests: Iterable[Request]) -> None:
        """Serve every request. UserError where the call had to end early, after what was in flight arrived."""
        self._stopping = asyncio.Event()
        self.limiter.reset()
        self.health.since = time.monotonic()
        async with self.client:
            await self._serve_all(requests, last=False)
            # Those that used up their tries get as many again when everybody else is done: by then an outage is over.
            aside, self._aside = self._aside, []
            await self._serve_all(aside, last=True)
        self.place.account.sync()
        if self.stopped is not None:
            raise self.stopped

    async def _serve_all(self, requests: Iterable[Request], last: bool) -> None:
        room = asyncio.Semaphore(
            4 * self.limiter.ceiling
        )  # requests that fly, wait to fly, or wait to try again
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
        """Try one request until it is answered, refused, or out of tries."""
        if len(request.samples) > 1 and self.health.single:
            await self._one_by_one(request, last)
            return
        failures = empties = 0
        while self.stopped is None:
            reply = await self._try(request, accept_empty=empties >= EMPTY_TRIES - 1)
            if reply is None:
                return
            if isinstance(reply, Good):
                await self._answered(request, reply, last)
                return
            if isinstance(reply, Refusal):
                await self._refused(request, reply, last)
                return
            failures += 1
            empties += reply.empty is not None
            if failures >= self.settings.tries:
                self._give_up(request, reply, last)
                return
            await self._sleep(max(backoff(failures, self._rng), reply.wait or 0.0))

    async def _try(self, request: Request, accept_empty: bool) -> Reply | None:
        """Send a request once and book what it cost; None where the call is ending."""
        taken = await self.limiter.take()
        most = self.asking.most(request)
        if not await self._reserved(most):
            self.limiter.give_back(taken, good=False, overloaded=False)
            return None
        account = self.place.account
        entry = account.begin(self.place.payer, self.place.stage, self.settings.model, most)
        reply: Reply | None = None
        spent, known, what = most, False, "stopped"  # what it comes to where the call is cancelled
        try:
            reply = await self.client.post(self.asking.body(request))
            if accept_empty and isinstance(reply, Fault) and reply.empty is not None:
                reply = reply.empty
            spent, known, what = self._cost(reply, most)
            if isinstance(reply, Good):
                count = len(request.samples)
                account.keep(entry, request.keys[: len(reply.choices)], reply.choices[:count], spent)
        finally:
            settle(self.place.budgets, most, spent)
            overloaded = isinstance(reply, Fault) and reply.overloaded
            self.limiter.give_back(taken, isinstance(reply, Good), overloaded)
            account.end(entry, what, spent if spent.tokens else None, known)
        self._watch(reply)
        return reply

    async def _reserved(self, most: Amount) -> bool:
        """Reserve what a request can cost; False, with nothing reserved, where the call is ending."""
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
        """What a reply cost, whether the server said so, and the word for it in the ledger."""
        usage = reply.usage
        what = reply.kind if isinstance(reply, Fault) else "good" if isinstance(reply, Good) else "refused"
        if usage is not None:
            usd = self.settings.usd(usage.prompt_tokens, usage.completion_tokens)
            return Amount(usage.prompt_tokens, usage.completion_tokens, usd), True, what
        if isinstance(reply, Good) or (isinstance(reply, Fault) and reply.billed == "unknown"):
            return most, False, what
        return Amount(), True, what

    async def _answered(self, request: Request, reply: Good, last: bool) -> None:
        got = min(len(reply.choices), len(request.samples))
        self.hand(request.cut(0, got), reply.choices[:got])
        if got == len(request.samples):
            return
        if got == 1:
            self.health.single = True
        await self._serve(request.cut(got), last)

    async def _refused(self, request: Request, reply: Refusal, last: bool) -> None:
        if reply.wholesale or (reply.status == 403 and not self.health.good):
            self._stop(self._refusal(reply))
        elif len(request.samples) > 1:
            # Perhaps it is the number of samples that it refuses.
            before = self.health.good
            await self._one_by_one(request, last)
            self.health.single = self.health.single or self.health.good > before
        else:
            self.hand(request, f"status {reply.status}: {reply.what}")

    async def _one_by_one(self, request: Request, last: bool) -> None:
        for at in range(len(request.samples)):
            await self._serve(request.cut(at, at + 1), last)

    def _give_up(self, request: Request, fault: Fault, last: bool) -> None:
        if last:
            self.hand(request, f"unanswered after {2 * self.settings.tries} tries: {fault.what}")
        else:
            self._aside.append(request)

    def _watch(self, reply: Reply) -> None:
        """Count a reply, and end the call where there is no hope."""
        health, settings = self.health, self.settings
        if isinstance(reply, Good):
            health.good, health.answered, health.since = health.good + 1, True, time.monotonic()
            return
        if isinstance(reply, Refusal):
            health.refused, health.answered = health.refused + 1, True
            if not health.good and health.refused >= REFUSED_BEFORE_GOOD:
                self._stop(self._refusal(reply))
            return
        health.faults[reply.kind] += 1
        health.answered = health.answered or reply.kind not in ("no connection", "stall")
        waited = time.monotonic() - health.since
        if reply.wait is not None:
            self._hold(reply.wait)
        if not health.good and health.faults["wrong model"] >= WRONG_NAMES:
            names = ", ".join(sorted(map(repr, self.reader.seen)))
            self._stop(
                UserError(
                    f"{settings.url} was asked for model {settings.model!r} and answers as {names}; correct the model's name, "
                    "or say with reports what it is called there"
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
            asked = f"{self.settings.url} asks to wait {wait:.0f} s, more than the patience of {self.settings.patience:g} s"
            self._stop(UserError(f"{asked}; {GONE}"))
        else:
            self.limiter.hold(wait)

    def _refusal(self, reply: Refusal) -> UserError:
        settings = self.settings
        fix = "check the url, the model's name and the request's fields"
        if reply.status in (401, 403):
            fix = f"check the key in the environment variable {settings.api_key_env}"
        elif reply.status in (402, 429):
            fix = "check the bill of that account"
        return UserError(
            f"{settings.url} refused model {settings.model!r}: status {reply.status}, {reply.what!r}; {fix}; "
            "what arrived is kept"
        )

    def _stop(self, error: UserError) -> None:
        """Send nothing more; what is in flight may still arrive."""
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
