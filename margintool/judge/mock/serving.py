"""Runs the stand-in on a port of this machine: until a signal (the command) or in a thread."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from margintool.judge.mock.server import MockServer
from margintool.judge.mock.settings import MockOptions
from margintool.judge.mock.stats import Stats
from mmpo_core.errors import InputError

HOST = "127.0.0.1"
_READY_SECONDS = 30.0


def serve(options: MockOptions, listening: Callable[[str], None]) -> Stats:
    """Serve until Ctrl-C or a termination signal, then return the counts.

    Args:
        options: how the stand-in behaves.
        listening: called with the base URL (http://.../v1) once requests are taken.

    Raises:
        InputError: if an option cannot be read or the port cannot be taken.
    """

    async def until_signal() -> Stats:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await _run(options, listening, stop)

    return asyncio.run(until_signal())


@contextmanager
def serving_in_thread(options: MockOptions) -> Iterator[str]:
    """Serve in a thread inside the `with`, which gets the base URL (http://.../v1).

    Raises:
        InputError: as `serve`.
    """
    urls: list[str] = []
    failures: list[BaseException] = []
    ready = threading.Event()
    stops: list[Callable[[], object]] = []

    async def until_left() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        await _run(options, listening, stop)

    def listening(url: str) -> None:
        urls.append(url)
        ready.set()

    def work() -> None:
        try:
            asyncio.run(until_left())
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=work, name="mock judge", daemon=True)
    thread.start()
    ready.wait(_READY_SECONDS)
    if failures:
        raise failures[0]
    try:
        yield urls[0]
    finally:
        stops[0]()
        thread.join()


async def _run(
    options: MockOptions, listening: Callable[[str], None], stop: asyncio.Event
) -> Stats:
    server = MockServer(options)
    runner = web.AppRunner(
        server.application(), access_log=None, handle_signals=False, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        # A backlog for clients that open hundreds of connections at once.
        site = web.TCPSite(runner, HOST, options.port, backlog=1024)
        await _start(site, options.port)
        port = runner.addresses[0][1]
        listening(f"http://{HOST}:{port}/v1")
        await stop.wait()
        return server.stats
    finally:
        await runner.cleanup()


async def _start(site: web.TCPSite, port: int) -> None:
    try:
        await site.start()
    except OSError as error:
        raise InputError(
            f"cannot listen on port {port} of {HOST}: {error.strerror}. Take another --port, "
            "or 0 for a free one."
        ) from error
