"""--max-cost for batches: what is given can be charged, whatever becomes of it. Read by submit.py.

Nobody tells what a batch has cost before it has ended, so each request counts with the most that
it can cost: its prompt and its limit of reply tokens, at the Batch API's price.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import takewhile

from margintool.judge.cost.prices import Prices, no_price
from margintool.judge.cost.tokens import counter, most_body_tokens, reply_limit
from margintool.judge.item import Request
from mmpo_core.errors import InputError


class Allowance:
    """The money of one `judge submit`.

    Args:
        most: --max-cost in US dollars; None for no limit.
        prices: what models cost.
        gone: US dollars of it that are spent already.
    """

    def __init__(self, most: float | None, prices: Prices, gone: float = 0.0) -> None:
        self._most = most
        self._prices = prices
        self._gone = gone
        self._counter = cache(counter)
        self.is_used_up = False

    @property
    def stopped(self) -> str | None:
        """What to tell the user where a request did not fit, else None."""
        if not self.is_used_up:
            return None
        return (
            f"--max-cost {self._most:g} USD pays for no more, if each reply is as long as it may "
            "be. The rest waits: give the command again to go on"
        )

    def check_prices(self, models: Iterable[str]) -> None:
        """Raise InputError for a model without a price, if there is a limit."""
        for model in models:
            if self._most is not None and self._prices.of(model) is None:
                raise InputError(f"--max-cost: {no_price(model)}")

    def covers(self, requests: Iterable[Request]) -> bool:
        """Count requests in if the money is enough for all of them; return whether it is."""
        if self._most is None:
            return True
        dollars = self._gone + sum(map(self._dollars, requests))
        # A sum of many floats may miss a round limit by a hair.
        if dollars > self._most * (1 + 1e-9):
            self.is_used_up = True
            return False
        self._gone = dollars
        return True

    def within(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Yield requests up to the first that the money is not enough for; none after that."""
        if not self.is_used_up:
            yield from takewhile(lambda request: self.covers([request]), requests)

    def _dollars(self, request: Request) -> float:
        price = self._prices.of(request.model)
        if price is None:
            raise AssertionError(f"no price for {request.model}, though the run has a limit")
        prompt = most_body_tokens(request.body, self._counter(request.model))
        return price.cost(prompt, reply_limit(request.body), batch=True)
