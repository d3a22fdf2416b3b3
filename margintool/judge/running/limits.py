"""Requests and tokens a minute. Read by runner.py."""

import asyncio

from aiolimiter import AsyncLimiter

MINUTE = 60.0
# Shares of a minute's allowance that may go out at once.
_PARTS = 600


class Limits:
    """Holds work back so that any minute sees at most so many requests and tokens.

    Spread evenly, with next to no burst: a bucket that holds a whole minute's allowance would
    let through twice as much in the first minute.

    Args:
        rpm: most requests a minute, or None.
        tpm: most tokens a minute, or None.
    """

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._requests = None if rpm is None else _Bucket(rpm)
        self._tokens = None if tpm is None else _Bucket(tpm)

    async def request(self) -> None:
        """Wait until one more request may be sent; every try counts."""
        if self._requests is not None:
            await self._requests.take(1)

    async def tokens(self, number: int) -> None:
        """Wait until so many more tokens, of prompt and reply, may be asked for."""
        if self._tokens is not None:
            await self._tokens.take(number)


class _Bucket:
    def __init__(self, per_minute: int) -> None:
        # From full, a minute sees at most burst + leak * MINUTE < per_minute + 1.
        self._burst = max(1, per_minute // _PARTS)
        seconds = MINUTE * self._burst / (per_minute - self._burst + 1)
        self._limiter = AsyncLimiter(self._burst, seconds)
        self._turn = asyncio.Lock()

    async def take(self, amount: int) -> None:
        # First come, first served: the limiter itself lets small amounts overtake large ones.
        # In pieces: it refuses amounts larger than its bucket.
        async with self._turn:
            while amount > 0:
                piece = min(amount, self._burst)
                await self._limiter.acquire(piece)
                amount -= piece
