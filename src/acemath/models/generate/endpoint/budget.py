"""Budgets that stop before they are exceeded.

Before a request is sent, it reserves the most that it can cost: as many tokens as its prompt has bytes, some more for
the chat template, and the token limit for each sample. What is spent and reserved must stay within the budget. When the
reply comes, the tokens that the server counted replace the reservation. If the reply is lost after the request was sent,
nobody knows what was billed, and the whole reservation counts as spent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from acemath.errors import UserError

TEMPLATE_TOKENS = 64  # the most that a server's chat template adds to a prompt


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of prompts and responses, and their price in US dollars."""

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
        """Tokens of prompts and responses together."""
        return self.prompt_tokens + self.completion_tokens


class BudgetReached(UserError):
    """The next request could exceed a budget. Responses that arrived are kept, and a higher budget continues."""


@dataclass
class Budget:
    """A limit in US dollars, in tokens, or both; None is no limit. `name` is the payer's, for messages."""

    name: str
    usd: float | None = None
    tokens: int | None = None
    spent: Amount = Amount()
    reserved: Amount = Amount()
    waiting: list[asyncio.Future[None]] = field(default_factory=list, repr=False)

    def fits(self, most: Amount) -> bool:
        """Whether a request that costs at most `most` may be sent now."""
        after = self.spent + self.reserved + most
        return (self.usd is None or after.usd <= self.usd + 1e-9) and (
            self.tokens is None or after.tokens <= self.tokens
        )

    @property
    def exceeded(self) -> str:
        """What was spent beyond the limit, in words; "" if nothing. A server may count more tokens than a request allows."""
        if (self.usd is None or self.spent.usd <= self.usd + 1e-9) and (self.tokens is None or self.spent.tokens <= self.tokens):
            return ""
        return (
            f"the budget of {self.name} was exceeded: {self.spent.usd:.4f} US$ and {self.spent.tokens:,} tokens are spent, because the server "
            "counted more tokens than its requests allowed"
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
            f"spent and the next request could cost {most.usd:.4f} US$ and {most.tokens:,} tokens; raise the budget and start "
            "the same command again: responses that arrived are kept"
        )


async def reserve(budgets: Sequence[Budget], most: Amount) -> None:
    """Reserve `most` in every budget, as soon as it fits. BudgetReached if it never will."""
    while True:
        tight = next((b for b in budgets if not b.fits(most)), None)
        if tight is None:
            for budget in budgets:
                budget.reserved += most
            return
        if tight.reserved.tokens <= 0:
            raise BudgetReached(tight.describe(most))
        # Requests in flight may cost less than they reserved, so wait for one to end.
        change = asyncio.get_running_loop().create_future()
        tight.waiting.append(change)
        await change


def settle(budgets: Sequence[Budget], most: Amount, spent: Amount) -> None:
    """A request ended: replace its reservation by what it cost."""
    for budget in budgets:
        budget.reserved -= most
        budget.spent += spent
        waiting, budget.waiting = budget.waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
