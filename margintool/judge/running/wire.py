"""One HTTP try at a time: what goes out, what comes back, and whether it may have been paid.

The SDK retries; this sees every try, its own first one and each repeat, below the SDK. Read by
client.py, which opens it, and by runner.py and probe.py through `ask`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import httpx2
from openai import DefaultAioHttpClient, OpenAIError

from margintool.judge.running.received import completion, decoded

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# What OpenAI and its likes name an account that cannot pay, in `code` or `type`.
UNPAID = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})

# A chat completion with the log-probabilities of 10,000 tokens has a tenth of that.
MOST_BYTES = 16 * 2**20
# Of a body that is unpacked, these no longer tell the truth.
_OF_PACKED = frozenset({"content-encoding", "content-length", "transfer-encoding"})

Trouble = Literal["time-out", "connection", "malformed reply", "reply too large"]


class HaltedError(OpenAIError):
    """The run stops: nothing more is sent. The SDK lets it through without a retry."""


class UnreachableError(OpenAIError):
    """The server takes no connection, and has taken none in this run."""


class TooLargeError(OpenAIError):
    """A reply over MOST_BYTES. Not asked for again: the next one is paid for and no smaller."""


@dataclass
class Answer:
    """A chat completion as received.

    Args:
        raw: the JSON text, the API key in it hidden.
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
    """The SDK's aiohttp client (a third less CPU a request than its default), watched.

    Args:
        watch: told of each try.
        hide: takes the API key out of what a server says.
    """

    def __init__(self, *, watch: Watch, hide: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._watch = watch
        self._hide = hide

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
            response, content = await self._try(request, call, **options)
            self._watch.reached = True
            if response.is_success:
                self._accept(response, content, call, time.perf_counter() - started)
                self._watch.on_contact()
                # The reply is in `call`; the SDK would decode it a second time.
                return httpx2.Response(response.status_code, request=request)
        if response.status_code == 429 and error_names(content) & UNPAID:
            response.headers["x-should-retry"] = "false"
        return _with_body(response, content)

    async def _try(
        self, request: httpx2.Request, call: Call, **options: Any
    ) -> tuple[httpx2.Response, bytes]:
        """Return the response and its body, which is read here."""
        try:
            async with asyncio.timeout(self._watch.timeout):
                response = await super().send(request, **options | {"stream": True})
                return response, await _body(response)
        except TimeoutError as error:
            call.trouble = "time-out"
            call.unseen += 1
            raise httpx2.ReadTimeout("no whole reply in time", request=request) from error
        except asyncio.CancelledError:
            call.unseen += 1
            raise
        except TooLargeError:
            call.trouble = "reply too large"
            call.unseen += 1
            raise
        except httpx2.TransportError as error:
            call.trouble = "connection"
            if not refused(error):
                call.unseen += 1
            elif not self._watch.reached:
                raise UnreachableError(str(error)) from error
            raise
        except (httpx2.RequestError, aiohttp.ClientError) as error:
            # Packed wrongly, redirected without end, or no HTTP at all.
            raise _malformed(call, request, error) from error

    def _accept(
        self, response: httpx2.Response, content: bytes, call: Call, seconds: float
    ) -> None:
        """Keep a reply that is a chat completion; make the SDK try again for any other."""
        try:
            # Hidden before it is read: a verdict may quote the key too.
            raw = self._hide(decoded(content, response.charset_encoding))
            call.answer = Answer(raw, completion(raw), seconds)
        except (ValueError, RecursionError) as error:
            raise _malformed(call, response.request, error) from error


def _malformed(call: Call, request: httpx2.Request, error: Exception) -> httpx2.RemoteProtocolError:
    """Note a reply that cannot be read; return what makes the SDK try again."""
    call.unseen += 1
    call.trouble = "malformed reply"
    return httpx2.RemoteProtocolError(f"the reply is no chat completion: {error}", request=request)


async def _body(response: httpx2.Response) -> bytes:
    """Return a response's body, unpacked; no more of it than MOST_BYTES is held."""
    parts: list[bytes] = []
    size = 0
    try:
        async with aclosing(response.aiter_bytes()) as body:
            async for part in body:
                size += len(part)
                if size > MOST_BYTES:
                    raise TooLargeError(f"the reply has more than {MOST_BYTES:,} bytes")
                parts.append(part)
    finally:
        await response.aclose()
    return b"".join(parts)


def _with_body(response: httpx2.Response, content: bytes) -> httpx2.Response:
    headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _OF_PACKED]
    return httpx2.Response(
        response.status_code,
        headers=headers,
        content=content,
        request=response.request,
        extensions=response.extensions,
    )


@contextmanager
def _under_way(call: Call) -> Iterator[None]:
    call.on_wire = True
    try:
        yield
    finally:
        call.on_wire = False


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
