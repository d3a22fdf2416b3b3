"""One HTTP try at a time: what goes out, what comes back, and whether it may have been paid.

The SDK retries; this sees every try, its own first one and each repeat, below the SDK. Read by
client.py, which opens it, and by runner.py and probe.py through `ask`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import httpx2
from openai import DefaultAioHttpClient, OpenAIError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# What OpenAI and its likes name an account that cannot pay, in `code` or `type`.
UNPAID = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})

Trouble = Literal["time-out", "connection", "malformed reply"]


class HaltedError(OpenAIError):
    """The run stops: nothing more is sent. The SDK lets it through without a retry."""


class UnreachableError(OpenAIError):
    """The server takes no connection, and has taken none in this run."""


@dataclass
class Answer:
    """A chat completion as received.

    Args:
        raw: the JSON text.
        payload: the same, read; `choices` is a list with at least one object.
        seconds: from sending to the last byte, of the last try only.
    """

    raw: str
    payload: Mapping[str, Any]
    seconds: float


@dataclass(eq=False)
class Call:
    """One request through all its tries.

    Args:
        tries: how often it was sent.
        unseen: tries without a readable reply or a refusal: the server may have been paid for.
        on_wire: whether a try is under way.
        trouble: the kind of fault that the last try met, where the server gave no status for it.
        answer: the reply, once it is here.
    """

    tries: int = 0
    unseen: int = 0
    on_wire: bool = False
    trouble: Trouble | None = None
    answer: Answer | None = None


_CALL: ContextVar[Call] = ContextVar("call")


@dataclass
class Watch:
    """What is told of, and may hold back, each try.

    Args:
        timeout: seconds that a try may take, from sending to the last byte.
        before: awaited before each try; may wait, or raise HaltedError.
        on_contact: called when the server has answered a try, or a try is repeated.
        reached: whether the server ever took a connection.
    """

    timeout: float
    before: Callable[[Call], Awaitable[None]]
    on_contact: Callable[[], None] = field(default=lambda: None)
    reached: bool = False


async def ask(client: "AsyncOpenAI", call: Call, body: Mapping[str, Any]) -> Answer:
    """Send a chat completion and return the reply.

    Raises:
        openai.OpenAIError: after the last try; see faults.py.
    """
    token = _CALL.set(call)
    try:
        # post() rather than chat.completions.create(): that walks through all messages to
        # convert types which a body read from a journal does not have (0.7 ms a request).
        await client.post("/chat/completions", cast_to=str, body=dict(body))
    finally:
        _CALL.reset(token)
    if call.answer is None:
        raise AssertionError("a reply that was not checked came through")
    return call.answer


class WatchedHttp(DefaultAioHttpClient):
    """The SDK's aiohttp client (a third less CPU a request than its default), watched."""

    def __init__(self, *, watch: Watch, **options: Any) -> None:
        super().__init__(**options)
        self._watch = watch

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send one try; see Watch."""
        call = _CALL.get()
        await self._watch.before(call)
        call.tries += 1
        call.trouble = None
        if call.tries > 1:
            self._watch.on_contact()
        with _under_way(call):
            started = time.perf_counter()
            response = await self._try(request, call, **options)
            self._watch.reached = True
            if response.status_code == 200:
                self._accept(response, call, time.perf_counter() - started)
                self._watch.on_contact()
        if response.status_code == 429 and error_names(response.content) & UNPAID:
            response.headers["x-should-retry"] = "false"
        return response

    async def _try(self, request: httpx2.Request, call: Call, **options: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(self._watch.timeout):
                return await super().send(request, **options)
        except TimeoutError as error:
            call.trouble = "time-out"
            call.unseen += 1
            raise httpx2.ReadTimeout("no whole reply in time", request=request) from error
        except asyncio.CancelledError:
            call.unseen += 1
            raise
        except httpx2.TransportError as error:
            call.trouble = "connection"
            if not refused(error):
                call.unseen += 1
            elif not self._watch.reached:
                raise UnreachableError(str(error)) from error
            raise

    def _accept(self, response: httpx2.Response, call: Call, seconds: float) -> None:
        """Keep a reply that is a chat completion; make the SDK try again for any other."""
        try:
            raw = response.content.decode("utf-8")
            call.answer = Answer(raw, _completion(raw), seconds)
        except (ValueError, RecursionError) as error:
            call.unseen += 1
            call.trouble = "malformed reply"
            raise httpx2.RemoteProtocolError(
                f"the reply is no chat completion: {error}", request=response.request
            ) from error


@contextmanager
def _under_way(call: Call) -> Iterator[None]:
    call.on_wire = True
    try:
        yield
    finally:
        call.on_wire = False


def _completion(raw: str) -> Mapping[str, Any]:
    payload = json.loads(raw)
    choices = payload.get("choices") if isinstance(payload, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError(f"no choices in {raw[:200]!r}")
    return dict(payload)


def error_names(content: bytes) -> set[str]:
    """Return the `code` and `type` of an error's JSON body; none where it has none."""
    try:
        body = json.loads(content)
    except ValueError:
        return set()
    error = body.get("error") if isinstance(body, dict) else None
    return {str(error.get(name)) for name in ("code", "type")} if isinstance(error, dict) else set()


def refused(error: BaseException) -> bool:
    """Whether no connection came about at all, so that nothing can have been paid."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return True
        cause = cause.__cause__
    return False
