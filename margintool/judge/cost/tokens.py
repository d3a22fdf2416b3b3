"""How many tokens a request has: exactly by tiktoken where that works offline, else estimated.

Read by estimate.py, and by the runner for --tpm and --max-cost. Nothing here touches the network:
tiktoken would download an encoding's file that is not in its cache.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import tiktoken

# Around each message and before the reply, as OpenAI's cookbook counts ("How to count tokens
# with tiktoken"): 3 tokens and the role's, one token; 3 that open the reply.
PER_MESSAGE = 4
PER_REPLY = 3

BYTES_PER_TOKEN = 4

Count = Callable[[str], int]

# Encoding -> SHA-256 of its file, as tiktoken demands it: with another one it would download.
ENCODINGS = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
FILES = "https://openaipublic.blob.core.windows.net/encodings"


class Counter(Protocol):
    """Counts the tokens of a text."""

    @property
    def exact(self) -> bool:
        """Whether the model's own encoding counts."""

    @property
    def how(self) -> str:
        """How it counts, in words."""

    def count(self, text: str) -> int:
        """Return the number of tokens."""

    def most(self, text: str) -> int:
        """Return a number of tokens that the model does not exceed."""


class Estimated:
    """A token for every 4 bytes of UTF-8: about right for English, for other texts a guess."""

    exact = False
    how = f"estimate: UTF-8 bytes / {BYTES_PER_TOKEN}"

    def count(self, text: str) -> int:
        """Return the estimate, rounded up."""
        return -(-self.most(text) // BYTES_PER_TOKEN)

    def most(self, text: str) -> int:
        """Return the bytes of UTF-8: no token of a byte-level encoding has less than one."""
        return len(text.encode("utf-8", "surrogatepass"))


class Encoded:
    """Counts with a tiktoken encoding."""

    exact = True

    def __init__(self, encoding: "tiktoken.Encoding") -> None:
        self._encoding = encoding
        self.how = f"tiktoken {encoding.name}"

    def count(self, text: str) -> int:
        """Return the number of tokens; `<|endoftext|>` in a text is text, as for the server."""
        return len(self._encoding.encode_ordinary(text))

    def most(self, text: str) -> int:
        """Return the number of tokens, which is exact."""
        return self.count(text)


def counter(model: str) -> Counter:
    """Return how to count the tokens of a model's requests, without touching the network."""
    from tiktoken import get_encoding
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return Estimated()
    return Encoded(get_encoding(name)) if _cached(name) else Estimated()


def _cached(encoding: str) -> bool:
    """Return whether the encoding's file lies whole where tiktoken looks for it."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder == "" or encoding not in ENCODINGS:
        return False  # an empty name turns the cache off
    where = Path(folder) if folder else Path(tempfile.gettempdir(), "data-gym-cache")
    name = hashlib.sha1(f"{FILES}/{encoding}.tiktoken".encode()).hexdigest()
    return _digest(where / name) == ENCODINGS[encoding]


@cache
def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def message_tokens(messages: Iterable[Mapping[str, Any]], count: Count) -> int:
    """Return the prompt tokens of chat messages, with what the chat format adds around them."""
    contents = (count(str(message["content"])) for message in messages)
    return PER_REPLY + sum(PER_MESSAGE + content for content in contents)


def body_tokens(body: Mapping[str, Any], counter: Counter) -> int:
    """Return the prompt tokens of a request's body: its messages, and its JSON schema if any.

    A server shows the schema to the model in a form that is not published; its text is counted.
    """
    return _body_tokens(body, counter.count)


def most_body_tokens(body: Mapping[str, Any], counter: Counter) -> int:
    """Return a number that the prompt tokens of a request's body do not exceed."""
    return _body_tokens(body, counter.most)


def reply_limit(body: Mapping[str, Any]) -> int:
    """Return the most tokens that a request's reply may have."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def _body_tokens(body: Mapping[str, Any], count: Count) -> int:
    schema = body.get("response_format")
    extra = 0 if schema is None else count(json.dumps(schema, separators=(",", ":")))
    return message_tokens(body["messages"], count) + extra
