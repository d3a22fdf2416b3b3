"""Event loops for library code, and what Ctrl-C does to one. Read by runner.py and probe.py."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

T = TypeVar("T")


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end: in a thread of its own where a loop runs here (notebooks).

    An exception in the waiting thread, such as a notebook's interrupt, cancels it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    cancels: list[Callable[[], object]] = []

    async def cancellable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            cancels.append(lambda: loop.call_soon_threadsafe(task.cancel))
        return await main()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(cancellable()))
        try:
            return running.result()
        except BaseException:
            if not running.done():
                for cancel in cancels:
                    cancel()
            raise


@contextmanager
def on_interrupt(stop: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `stop` with the first Ctrl-C or SIGTERM; a second one does what it did before.

    Outside the main thread, where Python takes no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def first(number: signal.Signals) -> None:
        restore()
        stop(number)

    # Windows' loops take no handlers: there Ctrl-C cancels the run as a whole.
    with suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, first, number)
            before[number] = handler
    try:
        yield
    finally:
        restore()
