"""--max-cost: money is set aside for every request in flight, so that it is never exceeded.

Read by runner.py and probe.py.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from margintool.judge.cost.prices import Price, Prices
from margintool.judge.journal.records import Aside
from margintool.judge.reading.replies import used
from margintool.judge.running.records import RunSettings
from margintool.judge.running.wire import Call

# The run's own words, and the probe's.
OUT_OF_MONEY = (
    "the next request could cost more than is left of --max-cost {most:g} USD. Replies so far "
    "are kept; raise it and give the command again to go on"
)


def budget_of(settings: RunSettings, aside: Iterable[Aside]) -> "Budget | None":
    """Return the money that is left of --max-cost after what is spent already; None without it."""
    if settings.max_cost is None:
        return None
    return Budget(settings.max_cost, settings.prices, sum(one.dollars for one in aside))


@dataclass(eq=False)
class _Reserved:
    price: Price
    prompt_tokens: int
    # The most that one try can cost.
    dollars: float
    # Tries, already charged, that may have been paid for without a readable reply.
    unseen: int = 0


class Budget:
    """The money of one run, or of a probe.

    Args:
        most: --max-cost in US dollars.
        prices: with a price for every model that is asked.
        gone: US dollars of it that are spent already.
    """

    def __init__(self, most: float, prices: Prices, gone: float = 0.0) -> None:
        self._most = most
        self._prices = prices
        self.gone = gone
        self._set_aside = 0.0
        self._reserved: dict[Call, _Reserved] = {}
        # How much larger the server's count of a prompt was than the most we thought, at worst:
        # a server may add a system prompt of its own.
        self._undercount = 1.0
        self._changed = asyncio.Condition()

    async def set_aside(
        self, call: Call, model: str, prompt_tokens: int, reply_tokens: int
    ) -> bool:
        """Set aside the most that a try can cost; wait while requests in flight may free some.

        Args:
            call: what the money is for.
            model: the judge that is asked.
            prompt_tokens, reply_tokens: the most that either can have.

        Returns:
            Whether it fits; False only with nothing else in flight.
        """
        price = self._prices.of(model)
        if price is None:
            raise AssertionError(f"no price for {model}, though the run has a limit")
        dollars = price.cost(prompt_tokens * self._undercount, reply_tokens)
        async with self._changed:
            while not self._fits(dollars):
                if not self._reserved:
                    return False
                await self._changed.wait()
            self._set_aside += dollars
            self._reserved[call] = _Reserved(price, prompt_tokens, dollars)
        return True

    def covers_retry(self, call: Call) -> bool:
        """Charge tries whose replies were not seen; return whether one more try still fits."""
        self._charge_unseen(call, self._reserved[call])
        return self._fits(0.0)

    async def settle(self, call: Call) -> None:
        """Give back what was set aside, less what was, or may have been, spent.

        Where the server does not tell a reply's tokens, the whole amount counts as spent.
        """
        reserved = self._reserved.pop(call, None)
        if reserved is None:
            return
        self._charge_unseen(call, reserved)
        if call.answer is not None:
            self.gone += self._spent(reserved, *used(call.answer.payload))
        self._set_aside -= reserved.dollars
        async with self._changed:
            self._changed.notify_all()

    def _spent(self, reserved: _Reserved, prompt: int | None, reply: int | None) -> float:
        if prompt is None or reply is None:
            return reserved.dollars
        self._undercount = max(self._undercount, prompt / max(1, reserved.prompt_tokens))
        return reserved.price.cost(prompt, reply)

    def _charge_unseen(self, call: Call, reserved: _Reserved) -> None:
        self.gone += (call.unseen - reserved.unseen) * reserved.dollars
        reserved.unseen = call.unseen

    def _fits(self, dollars: float) -> bool:
        # A sum of many floats may miss a round limit by a hair.
        return self.gone + self._set_aside + dollars <= self._most * (1 + 1e-9)
