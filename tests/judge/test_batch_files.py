"""Splitting requests into files within the limits, and the files' bytes."""

import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.judge.batch.files import Chunk, TooLarge, line, split, write
from margintool.judge.item import Request
from mmpo_core.errors import InputError
from tests.judge.batch_journal import TASK, key, requests


def _keys(asked: list[Request], **limits: int) -> list[list[str]]:
    return [part.keys for part in split(asked, **limits) if isinstance(part, Chunk)]


def test_a_line_is_what_the_api_wants() -> None:
    row = json.loads(line(requests(1)[0]))
    assert row == {
        "custom_id": key(0),
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "judge", "messages": [{"role": "user", "content": "0 "}]},
    }


def test_a_line_is_one_line_of_ascii_and_keeps_every_character() -> None:
    text = "größer \u2028 \x85 \U0001f600 \ud800"
    content = line(requests(1, text=text)[0])
    assert content.isascii()
    assert content.splitlines() == [content.removesuffix(b"\n")]
    assert json.loads(content)["body"]["messages"][0]["content"] == f"0 {text}"


def test_the_limit_of_requests_starts_a_new_file() -> None:
    parts = _keys(requests(5), max_requests=2)
    assert parts == [[key(0), key(1)], [key(2), key(3)], [key(4)]]


def test_the_limit_of_bytes_counts_whole_lines_and_is_itself_allowed() -> None:
    asked = requests(5)
    size = len(line(asked[0]))
    assert [len(part) for part in _keys(asked, max_bytes=2 * size)] == [2, 2, 1]
    assert [len(part) for part in _keys(asked, max_bytes=2 * size - 1)] == [1] * 5


def test_a_request_over_the_limit_is_told_and_the_others_go_on() -> None:
    asked = requests(1) + requests(1, start=1, text="x" * 999) + requests(1, start=2)
    size = len(line(asked[1]))
    parts = list(split(asked, max_bytes=size - 1))
    assert parts[0] == TooLarge(key(1), size)
    assert [part.keys for part in parts[1:] if isinstance(part, Chunk)] == [[key(0), key(2)]]


def test_a_file_holds_one_model() -> None:
    mixed = [
        request
        for pair in zip(requests(3), requests(3, model="other", start=10), strict=True)
        for request in pair
    ]
    parts = [part for part in split(mixed) if isinstance(part, Chunk)]
    assert [(part.model, part.keys) for part in parts] == [
        ("judge", [key(0), key(1), key(2)]),
        ("other", [key(10), key(11), key(12)]),
    ]


def test_no_requests_make_no_file() -> None:
    assert list(split([])) == []


@pytest.mark.parametrize("limits", [{"max_requests": 0}, {"max_bytes": -1}])
def test_a_limit_below_one_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(InputError, match="must be >= 1"):
        list(split(requests(1), **limits))


@given(
    sizes=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 300)), max_size=30),
    max_requests=st.integers(1, 7),
    max_bytes=st.integers(150, 900),
)
def test_every_request_is_in_one_file_or_told_and_no_limit_is_passed(
    sizes: list[tuple[str, int]], max_requests: int, max_bytes: int
) -> None:
    asked = {
        key(number): Request(key(number), model, TASK, 0, "", {"x": "y" * size})
        for number, (model, size) in enumerate(sizes)
    }
    parts = list(split(asked.values(), max_requests=max_requests, max_bytes=max_bytes))
    told = [part.key for part in parts if isinstance(part, TooLarge)]
    chunks = [part for part in parts if isinstance(part, Chunk)]
    assert sorted(told + [k for part in chunks for k in part.keys]) == sorted(asked)
    assert told == [k for k in asked if len(line(asked[k])) > max_bytes]
    for part in chunks:
        assert 1 <= len(part.keys) <= max_requests
        assert part.size == sum(len(line(asked[k])) for k in part.keys) <= max_bytes
        assert {asked[k].model for k in part.keys} == {part.model}


def test_a_file_is_its_lines_and_their_hash() -> None:
    into = io.BytesIO()
    sha256 = write(requests(3), into)
    assert into.getvalue() == b"".join(map(line, requests(3)))
    assert sha256 == hashlib.sha256(into.getvalue()).hexdigest()
