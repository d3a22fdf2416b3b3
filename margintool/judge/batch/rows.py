"""One line of a batch's output or error file. Read by batch_collect.py."""

import json
from dataclasses import dataclass
from typing import Any

from margintool.judge.running.received import choice_error, has_choice


@dataclass(frozen=True)
class Answered:
    """A request that was answered: its key and the chat completion, with at least one choice."""

    key: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Unanswered:
    """A request that the server gave up on: its key, the HTTP status if any, why."""

    key: str
    status: int | None
    message: str


Row = Answered | Unanswered


def read_row(line: bytes) -> Row | None:
    """Return what a line says, or None where it is not a row of a batch's output.

    A row is {"custom_id", "response": {"status_code", "body"} | null, "error": {...} | null}.
    A request refused by the endpoint has a response with another status than 200; one that was
    never run, because the batch expired or was cancelled, has an error and no response. See
    https://developers.openai.com/api/docs/guides/batch.
    """
    found = _object(line)
    key = found.get("custom_id")
    if not isinstance(key, str):
        return None
    response = found.get("response")
    if not isinstance(response, dict):
        return Unanswered(key, None, _words(found.get("error")))
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, dict) and has_choice(body):
        failed = choice_error(body)
        return Answered(key, body) if failed is None else Unanswered(key, 200, _words(failed))
    error = found.get("error") or (body.get("error") if isinstance(body, dict) else body)
    code = status if isinstance(status, int) else None
    return Unanswered(key, code, f"HTTP {status}: {_words(error)}")


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(error: object) -> str:
    if isinstance(error, dict):
        parts = [str(error[name]) for name in ("code", "message") if error.get(name)]
        if parts:
            return ": ".join(parts)
    return str(error) if error else "no chat completion and no error in the row"
