"""How many requests are in flight: more while the server is well, half as many when it is overloaded.

A 429, a 503 or a time-out says "too much". The limit is halved at most once a round: requests that were sent before
the last halving say nothing about the new limit. Until the first halving the limit doubles with every round of good
replies, after it a sixteenth of the ceiling is added. A Retry-After holds back every request, not only the one that
was told.
"""

from __future__ import annotations

import asyncio
from collections import deque

START, FLOOR = 8, 2


class Limiter:
    """Hands out places for requests. `limit` survives from one call of the engine to the next."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit: float = min(START, ceiling)
        self.most = 0  # the most that were ever in flight
        self.halvings = 0
        self.flying = 0  # requests in flight now
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0  # loop time
        self._opening: asyncio.TimerHandle | None = None
        self._opened = False

    async def take(self) -> int:
        """Wait for a place; returns the number of halvings so far, which `give_back` is told."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()
            raise
        return self.halvings

    def give_back(self, taken: int, good: bool, overloaded: bool) -> None:
        """A request ended: `taken` is what `take` returned for it."""
        if overloaded and taken == self.halvings:
            self.limit = max(min(FLOOR, self.ceiling), self.limit / 2)
            self.halvings += 1
        elif good and self.flying >= self.limit * 0.5:
            # A limit that is not made use of has proved nothing, so it does not grow.
            step = 1.0 if not self.halvings else self.ceiling / 16 / self.limit
            self.limit = min(float(self.ceiling), self.limit + step)
        self._leave()

    def hold(self, seconds: float) -> None:
        """No new request for so long: the server said Retry-After."""
        loop = asyncio.get_running_loop()
        self._closed_until = max(self._closed_until, loop.time() + seconds)
        if self._opening is not None:
            self._opening.cancel()
        self._opening = loop.call_at(self._closed_until, self._admit)

    def open(self) -> None:
        """Let everybody who waits go, whatever the limit: they only want to leave."""
        self._closed_until, self._opened = 0.0, True
        self._admit()

    def reset(self) -> None:
        """Before a new event loop: nobody flies, nobody waits; the limit stays."""
        self.flying, self._closed_until, self._opening, self._opened = 0, 0.0, None, False
        self._waiting.clear()

    def _leave(self) -> None:
        self.flying -= 1
        self._admit()

    def _admit(self) -> None:
        if self._waiting and asyncio.get_running_loop().time() < self._closed_until:
            return
        while self._waiting and (self._opened or self.flying < int(self.limit)):
            place = self._waiting.popleft()
            if place.cancelled():
                continue
            self.flying += 1
            self.most = max(self.most, self.flying)
            place.set_result(None)
