"""Requests -> the input files of the Batch API, within its limits. Read by batch/submit.py.

A file is made from the journal whenever it is needed, the same bytes each time, so that none
has to be kept.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from margintool.judge.batch.server import ENDPOINT
from margintool.judge.item import Request
from mmpo_core.errors import InputError

# The API's own limits (https://developers.openai.com/api/docs/guides/batch, "Rate limits").
MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000


@dataclass
class Chunk:
    """Requests that fit into one file: their model, their keys in order, the file's bytes."""

    model: str
    keys: list[str] = field(default_factory=list)
    size: int = 0


@dataclass(frozen=True)
class TooLarge:
    """A request whose line alone is over the limit of bytes."""

    key: str
    size: int


def line(request: Request) -> bytes:
    """Return a request as a line of an input file.

    ASCII only: a lone surrogate has no UTF-8, and U+2028 ends a line for some readers.
    """
    row = {
        "custom_id": request.key,
        "method": "POST",
        "url": ENDPOINT,
        "body": dict(request.body),
    }
    return json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n"


def split(
    requests: Iterable[Request], *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES
) -> Iterator[Chunk | TooLarge]:
    """Yield chunks of one model each, as soon as they are full, and requests that fit nowhere.

    Args:
        requests: in the order in which they go into the files.
        max_requests: most requests in a file.
        max_bytes: most bytes of a file.

    Raises:
        InputError: if a limit is below 1.
    """
    for name, limit in (("requests", max_requests), ("bytes", max_bytes)):
        if limit < 1:
            raise InputError(f"the limit of {name} in a batch must be >= 1, got {limit}")
    filling: dict[str, Chunk] = {}
    for request in requests:
        size = len(line(request))
        if size > max_bytes:
            yield TooLarge(request.key, size)
            continue
        chunk = filling.setdefault(request.model, Chunk(request.model))
        if chunk.keys and (len(chunk.keys) == max_requests or chunk.size + size > max_bytes):
            yield chunk
            chunk = filling[request.model] = Chunk(request.model)
        chunk.keys.append(request.key)
        chunk.size += size
    yield from filling.values()


def write(requests: Iterable[Request], into: IO[bytes]) -> str:
    """Write the requests' lines to `into` and return the SHA-256 of what was written, as hex."""
    digest = hashlib.sha256()
    for request in requests:
        content = line(request)
        digest.update(content)
        into.write(content)
    return digest.hexdigest()
