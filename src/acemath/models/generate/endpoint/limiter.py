"""The limit on requests in flight: it grows while replies are good, and is halved when the server is overloaded.

A 429, a 503 or a time-out means overload. The limit is halved at most once in a round, because requests that were sent
before the last halving say nothing about the new limit. It doubles with every round of good replies until the first
halving; after that a sixteenth of the ceiling is added in each round. A Retry-After holds back all requests.
"""

from __future__ import annotations

import asyncio
from collections import deque

START, FLOOR = 8, 2


class Limiter:
    """Admits requests, at most `ceiling` at once. `limit` is kept from one call of the engine to the next."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit: float = min(START, ceiling)
        self.most = 0  # the most requests in flight so far
        self.halvings = 0
        self.flying = 0  # requests in flight now
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = 0.0  # loop time
        self._opening: asyncio.TimerHandle | None = None
        self._opened = False

    async def take(self) -> int:
        """Wait until a request may be sent. Returns the number of halvings so far, for `give_back`."""
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
            # It grows only if it was used: otherwise the good reply says nothing about a higher limit.
            step = 1.0 if not self.halvings else self.ceiling / 16 / self.limit
            self.limit = min(float(self.ceiling), self.limit + step)
        self._leave()

    def hold(self, seconds: float) -> None:
        """Send no new request for `seconds`, as the server asked with Retry-After."""
        loop = asyncio.get_running_loop()
        self._closed_until = max(self._closed_until, loop.time() + seconds)
        if self._opening is not None:
            self._opening.cancel()
        self._opening = loop.call_at(self._closed_until, self._admit)

    def open(self) -> None:
        """Admit all that wait, whatever the limit: the call is ending, and they will send nothing."""
        self._closed_until, self._opened = 0.0, True
        self._admit()

    def reset(self) -> None:
        """Prepare for a new event loop: nothing is in flight or waits, and the limit stays."""
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
