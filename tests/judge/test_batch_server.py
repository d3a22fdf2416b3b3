"""Talking to the files and batches endpoints: nothing is created twice."""

import io

import httpx2
import openai
import pytest

from margintool.judge.batch import server as batch_server
from margintool.judge.running.wire import UNPAID
from tests.judge.batch_double import BatchDouble

LINES = b'{"custom_id": "a"}\n{"custom_id": "b"}\n'


@pytest.fixture
def server() -> BatchDouble:
    return BatchDouble()


def _create(server: BatchDouble, waits: list[float] | None = None) -> str:
    sleep = (waits if waits is not None else []).append
    return batch_server.create(server.client(), "file-1", "margintool-1", sleep=sleep).id


def test_an_upload_arrives_byte_for_byte_and_is_found_by_its_name(server: BatchDouble) -> None:
    content = io.BytesIO(LINES)
    content.read()
    file_id = batch_server.upload(server.client(), "one.jsonl", content)
    assert server.files[file_id] == ("one.jsonl", LINES)
    assert batch_server.find_upload(server.client(), "one.jsonl") == file_id
    assert batch_server.find_upload(server.client(), "two.jsonl") is None


def test_an_upload_that_the_sdk_repeats_is_whole(server: BatchDouble) -> None:
    server.break_after = ["POST files"]
    file_id = batch_server.upload(server.client(), "one.jsonl", io.BytesIO(LINES))
    assert server.files[file_id] == ("one.jsonl", LINES)


def test_a_batch_whose_creation_was_not_heard_of_is_found_not_created_again(
    server: BatchDouble,
) -> None:
    server.break_after = ["POST batches"]
    assert _create(server) == "batch_1"
    assert list(server.batches) == ["batch_1"]


def test_a_passing_failure_is_tried_again_with_growing_waits(server: BatchDouble) -> None:
    server.refuse["POST batches"] = httpx2.Response(503, json={"error": {"message": "busy"}})
    waits: list[float] = []
    with pytest.raises(openai.InternalServerError):
        _create(server, waits)
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert server.calls["POST batches"] == 5


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, None), (401, None), *((429, code) for code in sorted(UNPAID))],
)
def test_a_lasting_failure_is_told_at_once(
    server: BatchDouble, status: int, code: str | None
) -> None:
    body = {"error": {"message": "no", "code": code}}
    server.refuse["POST batches"] = httpx2.Response(status, json=body)
    with pytest.raises(openai.APIStatusError):
        _create(server)
    assert server.calls["POST batches"] == 1


def test_a_download_that_breaks_off_starts_again() -> None:
    tries = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        tries.append(request)

        def pieces() -> object:
            yield LINES[:20]
            if len(tries) == 1:
                raise httpx2.ReadError("connection reset", request=request)
            yield LINES[20:]

        return httpx2.Response(200, content=pieces())

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(api_key="k", base_url="http://judge/v1", http_client=http_client)
    into = io.BytesIO()
    batch_server.download(client, "file-1", into)
    assert into.getvalue() == LINES
    assert len(tries) == 2
