"""A chat completion as received -> a Reply to store. Nothing in a reply can make it get lost.

Read by runner.py and batch/reader.py.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from margintool.judge.item import Reply, Request, Verdict

Parse = Callable[[Request, Mapping[str, Any]], Verdict]
_MOST_TOKENS = 10**15


def read_reply(
    request: Request, payload: Mapping[str, Any], *, pattern: str | None = None
) -> Verdict:
    """Return what parse.py reads in a reply to a request, or a pattern where it can serve."""
    from margintool.judge.reading.parse import read_verdict

    mine = pattern if request.task.mode != "aspects" else None
    return read_verdict(request.task, payload, request.body, request.fence, mine)


def make_reply(
    request: Request,
    payload: Mapping[str, Any],
    raw: str,
    *,
    parse: Parse,
    seconds: float,
    served_by: str,
) -> Reply:
    """Return the reply to store. Usage and finish reason of a wrong type count as not given.

    Args:
        request: what was asked.
        payload: the chat completion; `choices` holds at least one object.
        raw: its JSON text as received.
        parse: reads the verdict. Where it raises, or returns no lawful verdict, the reply is
            stored without one: it was paid for, and `reparse` can read it later.
        seconds: how long the reply took.
        served_by: the address that was asked.
    """
    prompt_tokens, completion_tokens = used(payload)
    finish = payload["choices"][0].get("finish_reason")
    return Reply(
        key=request.key,
        raw=raw,
        verdict=_verdict(request, payload, parse),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        finish_reason=finish if isinstance(finish, str) else None,
        seconds=seconds,
        served_by=served_by,
    )


def used(payload: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the server's count of prompt and reply tokens; None for what it does not tell."""
    usage = payload.get("usage")
    if not isinstance(usage, dict):
        return None, None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _verdict(request: Request, payload: Mapping[str, Any], parse: Parse) -> Verdict:
    try:
        verdict = parse(request, payload)
    except Exception as error:
        return _unread(f"the parser failed: {type(error).__name__}: {error}")
    if verdict.value is not None and not math.isfinite(verdict.value):
        return _unread(f"the parser returned {verdict.value}")
    return verdict


def _unread(detail: str) -> Verdict:
    return Verdict(None, reason="judge_no_verdict", detail=detail[:500])


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
        return value
    return None
