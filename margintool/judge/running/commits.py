"""The journal during a run: read and written by one thread, so that no fsync holds the run up.

Read by runner.py.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from margintool.judge.item import Reply, Request
from margintool.judge.journal.journal import Failure, Journal

T = TypeVar("T")
PAGE = 256


class JournalThread:
    """Hands out waiting requests and takes replies, each safe on the disk before `keep` returns.

    Whatever replies and failures have come while the last transaction was written go into the
    next one together. Use as `async with`.

    Args:
        journal: open for writing, used by nothing else meanwhile.
        wanted_only: only requests that this run wants.
    """

    def __init__(self, journal: Journal, *, wanted_only: bool) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._waiting = journal.waiting(wanted_only=wanted_only)
        self._page: deque[Request] = deque()
        self._turn = asyncio.Lock()
        self._queue: list[tuple[Reply | Failure, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "JournalThread":
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            if self._writer is not None:
                await self._writer
        finally:
            self._thread.shutdown()

    async def next_request(self) -> Request | None:
        """Return the next request to be sent, or None where there is none left."""
        async with self._turn:
            if not self._page:
                self._page.extend(await self._call(lambda: list(islice(self._waiting, PAGE))))
            return self._page.popleft() if self._page else None

    async def keep(self, result: Reply | Failure) -> None:
        """Store a reply or an error; it is on the disk when this returns.

        Raises:
            InputError: if the journal cannot be written.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((result, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        # Shielded: a run that is cancelled still stores what it was given.
        await asyncio.shield(done)

    async def _write(self) -> None:
        """Write until nothing waits."""
        while self._queue:
            batch, self._queue = self._queue, []
            results = [result for result, _ in batch]
            try:
                await self._call(partial(self._store, results))
            except Exception as error:
                for _, done in batch:
                    done.set_exception(error)
            else:
                for _, done in batch:
                    done.set_result(None)
        self._writer = None

    def _store(self, results: list[Reply | Failure]) -> None:
        replies = [result for result in results if isinstance(result, Reply)]
        failures = [result for result in results if isinstance(result, Failure)]
        if replies:
            self._journal.store(replies)
        if failures:
            self._journal.fail(failures)

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
