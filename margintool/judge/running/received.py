"""What a server sent -> a chat completion, or why it is none. Read by wire.py and batch/rows.py."""

import json
from collections.abc import Mapping
from typing import Any


def decoded(content: bytes, charset: str | None) -> str:
    """Return a body as text: UTF-8, with a byte order mark or not, else as the server declares.

    Raises:
        ValueError: if it is neither.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if charset is None:
            raise
    try:
        return content.decode(charset)
    except LookupError as error:
        raise ValueError(str(error)) from error


def completion(raw: str) -> Mapping[str, Any]:
    """Return a chat completion: `choices` holds at least one object, which tells of no error.

    Raises:
        ValueError: if the text is no JSON, or no such object.
        RecursionError: if it is nested too deep.
    """
    payload = json.loads(raw)
    if not has_choice(payload):
        raise ValueError(f"no choices in {raw[:200]!r}")
    error = choice_error(payload)
    if error is not None:
        raise ValueError(f"the judge failed: {error}")
    return dict(payload)


def has_choice(payload: object) -> bool:
    """Whether JSON has a choice, as a chat completion has."""
    choices = payload.get("choices") if isinstance(payload, dict) else None
    return isinstance(choices, list) and bool(choices) and isinstance(choices[0], dict)


def choice_error(payload: Mapping[str, Any]) -> object | None:
    """Return the error that stands in a choice instead of a reply, or None.

    Proxies answer so, with status 200, where the server behind them fails after they have begun.
    """
    choice: Mapping[str, object] = payload["choices"][0]
    if choice.get("error"):
        return choice["error"]
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if choice.get("finish_reason") == "error" and not content:
        return "finish_reason is error, and there is no content"
    return None
