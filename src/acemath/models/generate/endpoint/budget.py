"""Budgets that stop before they are exceeded.

A request reserves the most it can cost before it is sent: its prompt (no more tokens than bytes, and some for the
chat template) and `max_tokens` for each sample. What is spent, what is reserved and the new request together must fit.
When the reply comes the reservation becomes what the server counted; where a reply was lost after the request had been
sent, nobody knows what was billed, and the whole reservation counts as spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from acemath.errors import UserError

TEMPLATE_TOKENS = 64  # that a server's chat template may add to a prompt


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of prompts and of responses, and what they cost in US dollars."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.usd + other.usd,
        )

    def __sub__(self, other: Amount) -> Amount:
        return self + Amount(-other.prompt_tokens, -other.completion_tokens, -other.usd)

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prompt_tokens + self.completion_tokens


class BudgetReached(UserError):
    """The next request could exceed a budget. What arrived is kept; a higher budget goes on from there."""


@dataclass
class Budget:
    """One limit in money, in tokens, or in both, over everything that is booked on it.

    `name` says whose it is: in messages, and in the ledger. None: no limit.
    """

    name: str
    usd: float | None = None
    tokens: int | None = None
    spent: Amount = Amount()
    reserved: Amount = Amount()
    waiting: list[asyncio.Future[None]] = field(default_factory=list, repr=False)

    def fits(self, most: Amount) -> bool:
        """Whether a request that costs at most so much may be sent now."""
        after = self.spent + self.reserved + most
        return (self.usd is None or after.usd <= self.usd + 1e-9) and (
            self.tokens is None or after.tokens <= self.tokens
        )

    def describe(self, most: Amount) -> str:
        """Why a request does not fit, and what to do."""
        limit = (
            f"{self.usd:.4f} US$"
            if self.usd is not None and (self.spent + most).usd > self.usd
            else f"{self.tokens or 0:,} tokens"
        )
        return (
            f"the budget of {self.name}, {limit}, is reached: {self.spent.usd:.4f} US$ and {self.spent.tokens:,} tokens are "
            f"spent and the next request could cost {most.usd:.4f} US$ and {most.tokens:,} tokens; what arrived is kept: "
            "raise the budget and start the same command again"
        )


async def reserve(budgets: Sequence[Budget], most: Amount) -> None:
    """Wait until a request that costs at most so much fits every budget; BudgetReached where it never will."""
    while True:
        tight = next((b for b in budgets if not b.fits(most)), None)
        if tight is None:
            for budget in budgets:
                budget.reserved += most
            return
        if tight.reserved.tokens <= 0:
            raise BudgetReached(tight.describe(most))
        # Others in flight may come out cheaper than they could: what they give back may be enough.
        change = asyncio.get_running_loop().create_future()
        tight.waiting.append(change)
        await change


def settle(budgets: Sequence[Budget], most: Amount, spent: Amount) -> None:
    """A request ended: its reservation goes, what it cost stays."""
    for budget in budgets:
        budget.reserved -= most
        budget.spent += spent
        waiting, budget.waiting = budget.waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
