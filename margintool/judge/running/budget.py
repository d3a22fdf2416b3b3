"""--max-cost: money is set aside for every request in flight, so that it is never exceeded.

Read by runner.py.
"""

import asyncio
from dataclasses import dataclass

from margintool.judge.cost.prices import Price, Prices
from margintool.judge.item import Request
from margintool.judge.reading.replies import used
from margintool.judge.running.records import reply_limit
from margintool.judge.running.wire import Call

# A prompt's tokens may be an estimate: until replies tell more, twice as many are paid for.
_FIRST_UNDERCOUNT = 2.0


@dataclass(eq=False)
class _Reserved:
    price: Price
    prompt_tokens: int
    # The most that one try can cost.
    dollars: float
    # Tries, already charged, that may have been paid for without a readable reply.
    unseen: int = 0


class Budget:
    """The money of one run.

    Args:
        most: --max-cost in US dollars.
        prices: with a price for every model that is asked.
    """

    def __init__(self, most: float, prices: Prices) -> None:
        self._most = most
        self._prices = prices
        self._gone = 0.0
        self._set_aside = 0.0
        self._reserved: dict[Call, _Reserved] = {}
        # How much larger the server's count of a prompt was than ours, at worst.
        self._undercount = _FIRST_UNDERCOUNT
        self._changed = asyncio.Condition()

    async def set_aside(self, call: Call, request: Request, prompt_tokens: int) -> bool:
        """Set aside the most that a try can cost; wait while requests in flight may free some.

        Returns:
            Whether it fits; False only with nothing else in flight.
        """
        price = self._prices.of(request.model)
        if price is None:
            raise AssertionError(f"no price for {request.model}, though the run has a limit")
        dollars = price.cost(prompt_tokens * self._undercount, reply_limit(request.body))
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
            self._gone += self._spent(reserved, *used(call.answer.payload))
        self._set_aside -= reserved.dollars
        async with self._changed:
            self._changed.notify_all()

    def _spent(self, reserved: _Reserved, prompt: int | None, reply: int | None) -> float:
        if prompt is None or reply is None:
            return reserved.dollars
        self._undercount = max(self._undercount, prompt / max(1, reserved.prompt_tokens))
        return reserved.price.cost(prompt, reply)

    def _charge_unseen(self, call: Call, reserved: _Reserved) -> None:
        self._gone += (call.unseen - reserved.unseen) * reserved.dollars
        reserved.unseen = call.unseen

    def _fits(self, dollars: float) -> bool:
        # A sum of many floats may miss a round limit by a hair.
        return self._gone + self._set_aside + dollars <= self._most * (1 + 1e-9)
