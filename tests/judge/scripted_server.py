"""A chat completions server that answers each try as a test's script says. For the runner."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Try:
    """One try as it arrived.

    Args:
        number: 0, 1, ... over all tries.
        attempt: 0, 1, ... over the tries of this question.
        body: the request's JSON.
        at: seconds, monotonic.
    """

    number: int
    attempt: int
    body: Mapping[str, Any]
    at: float

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Script = Callable[[Try], Answer]


@dataclass
class Server:
    """What a script server saw."""

    url: str = ""
    tries: list[Try] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_in_flight: int = 0
    in_flight: int = 0


@contextmanager
def scripted(script: Script, *, latency: float = 0.0) -> Iterator[Server]:
    """Serve on a free port, in a thread, until the block ends."""
    server = Server()
    loop = asyncio.new_event_loop()
    attempts: Counter[str] = Counter()

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        question = str(body["messages"][-1]["content"])
        one = Try(len(server.tries), attempts[question], body, time.monotonic())
        attempts[question] += 1
        server.tries.append(one)
        server.keys.add(request.headers.get("Authorization", ""))
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        try:
            await asyncio.sleep(latency)
            return await script(one)(request)
        finally:
            server.in_flight -= 1

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def completion(
    content: str = '{"rationale": "fine", "rating": 7}', **changes: Any
) -> dict[str, Any]:
    """Return a chat completion of 1000 + 100 tokens."""
    message = {"role": "assistant", "content": content}
    payload: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return payload | changes


def good(payload: Mapping[str, Any] | None = None) -> Answer:
    return text(json.dumps(payload or completion()))


def text(body: str | bytes, status: int = 200, **headers: str) -> Answer:
    whole = body.encode() if isinstance(body, str) else body

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=whole, status=status, headers=headers, content_type="application/json"
        )

    return answer


async def closing(request: web.Request) -> web.StreamResponse:
    """Answer, then close the connection without having said so."""
    response = await good()(request)
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        request.transport.close()
    return response


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Answer:
    body = {"error": {"message": message, "type": "some_error", "param": None, "code": code}}
    return text(json.dumps(body), status, **headers)


def reset(sent: int) -> Answer:
    """Send so many bytes of a reply and break the connection; 0: not even its head."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if sent:
            response.content_length = 500
            await response.prepare(request)
            await response.write(json.dumps(completion()).encode()[:sent])
        request.transport.abort()
        return response

    return answer


def slow(seconds: float, *, trickle: bool = False) -> Answer:
    """Answer after a while; with `trickle` a blank now and then keeps the connection busy."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if trickle:
            await response.prepare(request)
        until = time.monotonic() + seconds
        with suppress(ConnectionError):
            while time.monotonic() < until:
                await asyncio.sleep(0.05)
                if trickle:
                    await response.write(b" ")
            if not trickle:
                await response.prepare(request)
            await response.write(json.dumps(completion()).encode())
        return response

    return answer
