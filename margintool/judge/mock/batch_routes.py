"""The stand-in's HTTP side of files and batches."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import BodyPartReader, web

from margintool.judge.mock.batches import Batches
from margintool.judge.mock.errors import ApiError
from margintool.judge.mock.files import Files
from margintool.judge.mock.settings import MockOptions

_PAGE = 20  # entries of a list, where the request does not say


class BatchRoutes:
    """Handlers of /v1/files and /v1/batches.

    Args:
        options: the limit of an upload.
        files: returns the files that are held now.
        batches: returns the batches that are held now.
    """

    def __init__(
        self, options: MockOptions, files: Callable[[], Files], batches: Callable[[], Batches]
    ) -> None:
        self._options = options
        self._files = files
        self._batches = batches

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files", self._list_files),
            web.get("/v1/files/{id}", self._show_file),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", self._create),
            web.get("/v1/batches", self._list_batches),
            web.get("/v1/batches/{id}", self._show_batch),
            web.post("/v1/batches/{id}/cancel", self._cancel),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        purpose, filename, data = "", "", None
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    continue
                if part.name == "purpose":
                    purpose = await part.text()
                elif part.name == "file":
                    filename, data = part.filename or "", await self._read(part)
        except (ValueError, AssertionError) as error:
            raise ApiError(400, f"The form could not be read: {error}") from error
        if purpose != "batch":
            raise ApiError(400, f"'{purpose}' is not one of ['batch'].", param="purpose")
        if data is None:
            raise ApiError(400, "Missing required parameter: 'file'.", param="file")
        return web.json_response(self._files().add(data, filename, "batch").as_json())

    async def _read(self, part: BodyPartReader) -> bytes:
        most, data = self._options.batch_max_bytes, bytearray()
        while chunk := await part.read_chunk(2**16):
            data += chunk
            if len(data) > most:
                raise ApiError(400, f"The file is larger than {most} bytes.", param="file")
        return bytes(data)

    async def _list_files(self, request: web.Request) -> web.Response:
        purpose = request.query.get("purpose")
        found = [f.as_json() for f in self._files().all() if purpose in (None, f.purpose)]
        return web.json_response(_page(request, found))

    async def _show_file(self, request: web.Request) -> web.Response:
        return web.json_response(self._files().get(request.match_info["id"]).as_json())

    async def _content(self, request: web.Request) -> web.Response:
        data = self._files().get(request.match_info["id"]).data
        return web.Response(body=data, content_type="application/octet-stream")

    async def _create(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
        except ValueError as error:
            raise ApiError(400, "We could not parse the JSON body of your request.") from error
        return web.json_response(self._batches().create(asked).seen)

    async def _list_batches(self, request: web.Request) -> web.Response:
        return web.json_response(_page(request, [b.seen for b in self._batches().all()]))

    async def _show_batch(self, request: web.Request) -> web.Response:
        batches = self._batches()
        batch = batches.get(request.match_info["id"])
        await batches.look(batch)
        return web.json_response(batch.seen)

    async def _cancel(self, request: web.Request) -> web.Response:
        batches = self._batches()
        batch = batches.get(request.match_info["id"])
        batches.cancel(batch)
        return web.json_response(batch.seen)


def _page(request: web.Request, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a page of a list: `limit` entries after the one with id `after`."""
    limit = int(request.query.get("limit", _PAGE))
    ids = [entry["id"] for entry in found]
    after = request.query.get("after")
    start = ids.index(after) + 1 if after in ids else 0
    page = found[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + limit < len(found),
    }
