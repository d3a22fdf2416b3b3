"""Texts and rows as a journal keeps them: packed on the way in, records on the way out."""

import json
import zlib
from collections.abc import Mapping
from math import isfinite
from typing import Any, cast

from margintool.judge.item import Reply, Request, Source, Verdict
from margintool.judge.task import Task

Row = tuple[Any, ...]

# The columns that `request`, `verdict` and `reply` below read, in their order.
REQUEST_COLUMNS = "r.key, r.model, r.task, r.draw, r.fence, r.body"
VERDICT_COLUMNS = "a.value, a.read_from, a.aspects, a.rationale, a.reason, a.detail"
REPLY_COLUMNS = (
    f"{VERDICT_COLUMNS}, a.raw, a.prompt_tokens, a.completion_tokens, a.finish_reason, "
    "a.seconds, a.served_by"
)


def pack(text: str) -> bytes:
    """Return text compressed. Lone surrogates, which JSON's \\u escapes can make, survive."""
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def unpack(packed: bytes) -> str:
    """Return what `pack` was given. Raises zlib.error where a byte has changed."""
    return zlib.decompress(packed).decode("utf-8", "surrogatepass")


def pack_body(body: Mapping[str, Any]) -> bytes:
    """Return a request's body as compressed JSON, its keys in their order."""
    return pack(json.dumps(dict(body), ensure_ascii=False, separators=(",", ":")))


def plain(text: str | None) -> str | None:
    """Return text that SQLite and Parquet take: a lone surrogate becomes "?".

    Only for what is derived from a raw reply, which is itself kept exactly.
    """
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def verdict_row(verdict: Verdict) -> Row:
    """Return a verdict as VERDICT_COLUMNS."""
    if verdict.value is not None and not isfinite(verdict.value):
        raise ValueError(f"a verdict's value must be finite or None, not {verdict.value}")
    if (verdict.value is None) != (verdict.reason is not None):
        raise ValueError(f"a verdict has a value or a reason, and not both: {verdict}")
    aspects = None if verdict.aspects is None else json.dumps(dict(verdict.aspects))
    return (
        verdict.value,
        verdict.read_from,
        aspects,
        plain(verdict.rationale),
        verdict.reason,
        plain(verdict.detail),
    )


def reply_row(reply: Reply) -> Row:
    """Return a reply as REPLY_COLUMNS."""
    return (
        *verdict_row(reply.verdict),
        pack(reply.raw),
        reply.prompt_tokens,
        reply.completion_tokens,
        plain(reply.finish_reason),
        reply.seconds,
        reply.served_by,
    )


def verdict(row: Row) -> Verdict:
    """Return the verdict in a row that holds VERDICT_COLUMNS."""
    value, read_from, aspects, rationale, reason, detail = row
    read = None if aspects is None else json.loads(aspects)
    return Verdict(value, cast(Source, read_from), read, rationale, reason, detail)


def reply(key: str, row: Row) -> Reply:
    """Return the reply in a row that holds REPLY_COLUMNS."""
    raw, *rest = row[6:]
    return Reply(key, unpack(raw), verdict(row[:6]), *rest)


def request(row: Row, tasks: Mapping[int, Task]) -> Request:
    """Return the request in a row that holds REQUEST_COLUMNS."""
    key, model, task, draw, fence, body = row
    return Request(key, model, tasks[task], draw, fence, json.loads(unpack(body)))
