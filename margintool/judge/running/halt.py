"""Stopping a run before its end: why, and what becomes of requests in flight. Read by runner.py."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from margintool.judge.running.records import Why
from margintool.judge.running.wire import Call

# How long replies under way, which are paid for, are waited for after Ctrl-C.
GRACE_SECONDS = 5.0
_BY_SIGNAL = ("interrupted", "terminated")


class Halt:
    """Whether a run stops, and the requests that it has under way."""

    def __init__(self) -> None:
        self.why: Why | None = None
        self.message: str | None = None
        self._called = asyncio.Event()
        self._calls: dict[Call, asyncio.Task[Any]] = {}

    def __bool__(self) -> bool:
        return self._called.is_set()

    def stop(self, why: Why | None, message: str | None) -> None:
        """Stop the run: nothing more is sent. The first reason stays."""
        if not self:
            self.why, self.message = why, message
            self._called.set()

    @contextmanager
    def working_on(self, call: Call) -> Iterator[None]:
        """Note that the current task works on a request, and may be cancelled in the block."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("not called in a task")
        self._calls[call] = task
        try:
            yield
        finally:
            del self._calls[call]

    async def give_up_calls(self, timeout: float) -> None:
        """Wait for the stop; then cancel what only waits, and what is on the wire in a while.

        Args:
            timeout: seconds that a try may take.
        """
        await self._called.wait()
        self._cancel([call for call in self._calls if not call.on_wire])
        await asyncio.sleep(GRACE_SECONDS if self.why in _BY_SIGNAL else timeout)
        self._cancel(list(self._calls))

    def _cancel(self, calls: list[Call]) -> None:
        for call in calls:
            self._calls[call].cancel()
