"""Which field of a request a server's refusal is about. Read by probe.py and failures.py."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import openai

from margintool.judge.item import Dialect

# A field of Dialect -> its value where the server does not take it.
WITHOUT: dict[str, Any] = {
    "token_limit": "max_tokens",
    "logprobs": False,
    "structured": False,
    "temperature": False,
}
# What a refusal names -> the field of Dialect that it is about; the first match counts.
_NAMED = (
    ("max_completion_tokens", "token_limit"),
    ("logprobs", "logprobs"),
    ("response_format", "structured"),
    ("json_schema", "structured"),
    ("json schema", "structured"),
    ("structured output", "structured"),
    ("guided", "structured"),
    ("grammar", "structured"),
    ("temperature", "temperature"),
)
# A field of Dialect -> the field of a request's body where the server takes it.
_IN_BODY = {
    "token_limit": "max_completion_tokens",
    "logprobs": "logprobs",
    "structured": "response_format",
    "temperature": "temperature",
}
# Such a refusal may name the token limit too, which is not at fault.
_SIZE = ("too large", "too long", "context", "exceed")


def named(error: openai.APIStatusError, dialect: Dialect) -> str | None:
    """Return the field of `dialect`, not yet left out, that a refusal is about.

    None if it does not say.
    """
    text = _text(error)
    for words, name in _NAMED:
        if words in text and getattr(dialect, name) != WITHOUT[name]:
            return name
    return None


def without(dialect: Dialect, name: str) -> Dialect:
    """Return a dialect that does without a field."""
    return replace(dialect, **{name: WITHOUT[name]})


def about_size(error: openai.APIStatusError) -> bool:
    """Whether a refusal says that prompt and reply would be too long."""
    text = _text(error)
    return any(words in text for words in _SIZE)


def no_longer_taken(
    error: Exception, dialect: Dialect | None, body: Mapping[str, Any]
) -> str | None:
    """Return the field of a body that a server refuses though it is known to take it, or None."""
    if not isinstance(error, openai.APIStatusError) or error.status_code not in (400, 422):
        return None
    name = None if dialect is None or about_size(error) else named(error, dialect)
    field = None if name is None else _IN_BODY[name]
    return field if field in body else None


def _text(error: openai.APIStatusError) -> str:
    return f"{error.param} {error.response.text}".lower()
