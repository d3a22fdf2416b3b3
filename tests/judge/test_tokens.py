"""Token counts: exact only with the model's encoding at hand, and never by the network."""

import hashlib
from pathlib import Path

import pytest
import tiktoken

from margintool.judge.cost import tokens
from margintool.judge.cost.tokens import (
    Encoded,
    Estimated,
    body_tokens,
    counter,
    message_tokens,
    most_body_tokens,
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tiktoken cache, and a network that nobody may use."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))

    def refuse(path: str) -> bytes:
        raise AssertionError(f"went to the network for {path}")

    monkeypatch.setattr("tiktoken.load.read_file", refuse)
    return tmp_path


def cached_file(cache: Path, encoding: str) -> Path:
    """Where tiktoken itself keeps the file, by its own naming."""
    url = f"https://openaipublic.blob.core.windows.net/encodings/{encoding}.tiktoken"
    return cache / hashlib.sha1(url.encode()).hexdigest()


def bytes_encoding(name: str) -> tiktoken.Encoding:
    """An encoding without merges: a token a byte."""
    return tiktoken.Encoding(
        name,
        pat_str=r"(?s:.+)",
        mergeable_ranks={bytes([value]): value for value in range(256)},
        special_tokens={"<|endoftext|>": 256},
    )


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "llama-3-8b", "gpt-oss-20b", ""])
def test_without_the_file_it_is_an_estimate_and_says_so(cache: Path, model: str) -> None:
    found = counter(model)
    assert not found.exact
    assert found.how == "estimate: UTF-8 bytes / 4"
    assert list(cache.iterdir()) == []


def test_a_file_that_tiktoken_would_replace_is_not_used(cache: Path) -> None:
    """tiktoken deletes a cached file with another hash and downloads it again."""
    path = cached_file(cache, "o200k_base")
    path.write_bytes(b"cut short")
    assert not counter("gpt-4o").exact
    assert path.read_bytes() == b"cut short"


def test_with_the_file_tiktoken_counts(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"as it should be"
    cached_file(cache, "cl100k_base").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(tokens.ENCODINGS, "cl100k_base", digest)
    monkeypatch.setattr("tiktoken.get_encoding", bytes_encoding)
    found = counter("gpt-4-turbo-2024-04-09")
    assert (found.exact, found.how) == (True, "tiktoken cl100k_base")
    assert found.count("héllo") == 6
    assert not counter("gpt-4o").exact
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # turns tiktoken's cache off
    assert not counter("gpt-4").exact


def test_the_cache_is_looked_for_where_tiktoken_does(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiktoken, asked for the encoding, reads the very file whose place is computed here."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
        monkeypatch.setenv(variable, str(cache))
        for encoding, digest in tokens.ENCODINGS.items():
            asked: list[tuple[str, str | None]] = []

            def note(
                url: str, expected_hash: str | None = None, asked: list[object] = asked
            ) -> bytes:
                asked.append((url, expected_hash))
                return b"YQ== 0\n"

            monkeypatch.setattr("tiktoken.load.read_file_cached", note)
            from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS

            ENCODING_CONSTRUCTORS[encoding]()
            assert asked == [(f"{tokens.FILES}/{encoding}.tiktoken", digest)]


def test_special_tokens_in_an_answer_are_text() -> None:
    """tiktoken's encode() raises on them; the server takes them as text: 13 bytes."""
    assert Encoded(bytes_encoding("b")).count("<|endoftext|>") == 13


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本", 2), ("\ud800", 1)]
)
def test_the_estimate_by_hand(text: str, count: int) -> None:
    assert Estimated().count(text) == count


def test_lone_surrogates_are_counted() -> None:
    assert Encoded(bytes_encoding("b")).count("a\ud800") > 1


def test_messages_by_hand() -> None:
    """3 before the reply; each message 4 and its content: 3 + (4 + 2) + (4 + 1) = 14."""
    messages = [{"role": "system", "content": "a" * 8}, {"role": "user", "content": "b"}]
    assert message_tokens(messages, Estimated().count) == 14
    assert message_tokens([], Estimated().count) == 3


def test_at_most_a_token_a_byte_without_the_encoding_and_exact_with_it() -> None:
    """3 + 4 around one message, then 6 bytes; encoded 4 to a token."""
    body = {"messages": [{"role": "user", "content": "日本"}]}
    assert most_body_tokens(body, Estimated()) == 3 + 4 + 6
    assert body_tokens(body, Estimated()) == 3 + 4 + 2
    exact = Encoded(bytes_encoding("b"))
    assert most_body_tokens(body, exact) == body_tokens(body, exact) == 3 + 4 + 6


def test_a_json_schema_is_counted() -> None:
    """{"type":"x"} has 12 bytes, 3 tokens."""
    body = {"messages": [], "response_format": {"type": "x"}}
    assert body_tokens(body, Estimated()) == 6
    assert body_tokens({"messages": []}, Estimated()) == 3
