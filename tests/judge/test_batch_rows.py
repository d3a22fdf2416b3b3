"""Rows of a batch's output and error files."""

import json

import pytest

from margintool.judge.batch.rows import Answered, Unanswered, read_row
from tests.judge.batch_double import answered, completion, never_run, refused


def _line(row: object) -> bytes:
    return json.dumps(row).encode()


def test_an_answered_row_gives_its_key_and_the_chat_completion() -> None:
    assert read_row(_line(answered("k1"))) == Answered("k1", completion())


def test_a_row_that_the_endpoint_refused_keeps_status_and_message() -> None:
    row = read_row(_line(refused("k1", 400, "too long")))
    assert row == Unanswered("k1", 400, "HTTP 400: too long")


def test_an_expired_row_has_no_status() -> None:
    row = read_row(_line(never_run("k1")))
    assert row == Unanswered("k1", None, "batch_expired: This request could not be executed.")


def test_a_200_without_choices_is_not_an_answer() -> None:
    response = {"status_code": 200, "body": {"choices": []}}
    row = read_row(_line({"custom_id": "k1", "response": response}))
    assert isinstance(row, Unanswered)
    assert row.message == "HTTP 200: no chat completion and no error in the row"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"error": {"code": 502, "message": "upstream"}}, "502: upstream"),
        ({"finish_reason": "error", "message": {"content": ""}}, "finish_reason is error"),
    ],
)
def test_a_choice_that_is_an_error_is_not_an_answer(choice: object, words: str) -> None:
    response = {"status_code": 200, "body": {"choices": [choice]}}
    row = read_row(_line({"custom_id": "k1", "response": response}))
    assert isinstance(row, Unanswered)
    assert words in row.message


def test_a_status_with_a_text_for_a_body() -> None:
    response = {"status_code": 502, "body": "Bad gateway"}
    row = read_row(_line({"custom_id": "k1", "response": response}))
    assert row == Unanswered("k1", 502, "HTTP 502: Bad gateway")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'{"custom_id": "k1", "resp',
        b"[1]",
        b'{"response": null}',
        b'{"custom_id": 3}',
        b"\xff",
    ],
)
def test_what_is_not_a_row_is_none(line: bytes) -> None:
    assert read_row(line) is None
