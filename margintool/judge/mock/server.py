"""The stand-in judge's HTTP side: chat completions, models, counts. batch_routes.py has the rest.

aiohttp, because `datasets` brings it already and a handler can reset a connection in mid-reply.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from margintool.judge.mock.answering import Answering
from margintool.judge.mock.batch_routes import BatchRoutes
from margintool.judge.mock.batches import Batches
from margintool.judge.mock.errors import ApiError, quota_used_up, rate_limited, server_failed
from margintool.judge.mock.files import Files
from margintool.judge.mock.quality import MODELS
from margintool.judge.mock.settings import MockOptions
from margintool.judge.mock.stats import Stats

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Memory:
    """All that the stand-in remembers, from one reset to the next."""

    def __init__(self, options: MockOptions) -> None:
        self.stats = Stats()
        self.answering = Answering(options)
        self.files = Files()
        self.batches = Batches(options, self.answering, self.stats, self.files)


class MockServer:
    """The application and what it remembers.

    Args:
        options: how the stand-in behaves.

    Raises:
        InputError: if `options.faults` cannot be read.
    """

    def __init__(self, options: MockOptions) -> None:
        self.options = options
        self._memory = _Memory(options)

    @property
    def stats(self) -> Stats:
        """The counts since the last reset."""
        return self._memory.stats

    def application(self) -> web.Application:
        """Return the aiohttp application with every route."""
        application = web.Application(
            middlewares=[self._guarded], client_max_size=self.options.batch_max_bytes + 2**20
        )
        batches = BatchRoutes(
            self.options, lambda: self._memory.files, lambda: self._memory.batches
        )
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{id}", self._model),
                web.get("/mock/stats", self._show_stats),
                web.post("/mock/reset", self._reset),
                *batches.routes(),
            ]
        )
        return application

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the key and turn errors into OpenAI's form."""
        try:
            self._check_key(request)
            return await handler(request)
        except ApiError as error:
            return web.json_response(error.body, status=error.status, headers=error.headers)
        except web.HTTPException as error:
            unknown = ApiError(error.status, f"{error.reason}: {request.method} {request.path}")
            return web.json_response(unknown.body, status=error.status)

    def _check_key(self, request: web.Request) -> None:
        wanted = self.options.api_key
        if wanted is None or not request.path.startswith("/v1/"):
            return
        if request.headers.get("Authorization") != f"Bearer {wanted}":
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        memory = self._memory
        memory.stats.arrive()
        try:
            return await self._respond(request, memory)
        except ApiError as error:
            memory.stats.refused += error.status < 500 and error.status != 429
            raise
        finally:
            memory.stats.in_flight -= 1

    async def _respond(self, request: web.Request, memory: _Memory) -> web.StreamResponse:
        body = await _json_body(request)
        answering, stats, options = memory.answering, memory.stats, self.options
        question = answering.read(body)
        fault = answering.plan.transport(question.key, answering.attempt(question, "chat"))
        await asyncio.sleep(options.latency + (options.slow_seconds if fault == "slow" else 0.0))
        if fault:
            stats.faults[fault] += 1
        if fault == "rate-limit":
            raise rate_limited(options.retry_after)
        if fault == "error":
            raise server_failed()
        if options.quota is not None and stats.answered >= options.quota:
            raise quota_used_up()
        reply, content_fault = answering.answer(question, body)
        payload = json.dumps(reply).encode()
        if fault == "malformed":
            return web.Response(body=payload[: len(payload) // 2], content_type="application/json")
        if fault == "reset":
            return await _reset_in_mid_reply(request, payload)
        response = web.Response(body=payload, content_type="application/json")
        if await _deliver(request, response):
            stats.count_answer(question.message, content_fault)
        else:
            stats.lost += 1
        return response

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [_model_object(m) for m in MODELS]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in MODELS:
            raise ApiError(404, f"The model `{name}` does not exist.", code="model_not_found")
        return web.json_response(_model_object(name))

    async def _show_stats(self, _request: web.Request) -> web.Response:
        return web.json_response(self.stats.as_json())

    async def _reset(self, _request: web.Request) -> web.Response:
        """Forget everything: counts, tries, files, batches."""
        self._memory = _Memory(self.options)
        return web.json_response({"reset": True})


async def _json_body(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from error


async def _deliver(request: web.Request, response: web.Response) -> bool:
    """Send a reply; return whether it went out whole while the client was there."""
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        return False
    return request.transport is not None and not request.transport.is_closing()


async def _reset_in_mid_reply(request: web.Request, payload: bytes) -> web.StreamResponse:
    """Send half of the reply, then reset the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(payload)
    await response.prepare(request)
    await response.write(payload[: len(payload) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "margintool"}
