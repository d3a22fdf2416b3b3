"""The stand-in's files and batches, through OpenAI's SDK."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest
from openai import OpenAI

from margintool.judge.mock.batch_input import read_lines
from margintool.judge.mock.question import message_hash
from tests.judge.conftest import MockJudge
from tests.judge.mock_bodies import body_of

Start = Callable[..., MockJudge]
Connect = Callable[[MockJudge], OpenAI]

ANSWERS = [" ".join(f"w{j}" for j in range(i)) for i in range(1, 41)]
BODIES = {f"answer {i}": body_of("single", answer) for i, answer in enumerate(ANSWERS)}


@pytest.fixture
def connect() -> Iterator[Connect]:
    with ExitStack() as clients:
        yield lambda judge: clients.enter_context(
            OpenAI(base_url=judge.url, api_key="none", max_retries=0)
        )


def line(custom_id: str, body: Any, **changes: Any) -> bytes:
    row = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(row | changes).encode() + b"\n"


def lines(bodies: dict[str, Any]) -> bytes:
    return b"".join(line(name, body) for name, body in bodies.items())


def started(client: OpenAI, data: bytes, **more: Any) -> Any:
    uploaded = client.files.create(file=("asked.jsonl", data), purpose="batch")
    return client.batches.create(
        input_file_id=uploaded.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        **more,
    )


def ended(client: OpenAI, batch: Any) -> Any:
    for _ in range(10):
        batch = client.batches.retrieve(batch.id)
        if batch.status in ("completed", "failed", "expired", "cancelled"):
            return batch
    raise AssertionError(f"the batch stays {batch.status}")


def rows_of(client: OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(row) for row in client.files.content(file_id).text.splitlines()]


def test_files(mock_judge: MockJudge, connect: Connect) -> None:
    client = connect(mock_judge)
    data = lines(BODIES)
    first = client.files.create(file=("asked.jsonl", data), purpose="batch")
    second = client.files.create(file=("more.jsonl", b"{}"), purpose="batch")
    assert (first.bytes, first.filename, first.purpose) == (len(data), "asked.jsonl", "batch")
    assert client.files.retrieve(first.id) == first
    assert client.files.content(first.id).content == data
    assert [found.id for found in client.files.list()] == [second.id, first.id]
    assert list(client.files.list(purpose="user_data")) == []
    with pytest.raises(openai.NotFoundError):
        client.files.content("file-none")
    with pytest.raises(openai.BadRequestError, match="batch"):
        client.files.create(file=("x.jsonl", b"{}"), purpose="fine-tune")


def test_a_batch_moves_on_with_each_look(mock_judge: MockJudge, connect: Connect) -> None:
    client = connect(mock_judge)
    batch = started(client, lines(BODIES), metadata={"journal": "abc"})
    seen = [batch.status]
    while seen[-1] != "completed" and len(seen) < 9:
        batch = client.batches.retrieve(batch.id)
        seen.append(batch.status)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert batch.metadata == {"journal": "abc"}
    assert (batch.request_counts.total, batch.request_counts.completed) == (40, 40)
    assert batch.completed_at >= batch.in_progress_at >= batch.created_at
    assert batch.error_file_id is None
    rows = rows_of(client, batch.output_file_id)
    assert {row["custom_id"] for row in rows} == BODIES.keys()
    assert [row["custom_id"] for row in rows] != list(BODIES), "rows come in another order"
    for row in rows:
        assert row["error"] is None
        assert row["response"]["status_code"] == 200
        asked = client.chat.completions.create(**BODIES[row["custom_id"]])
        body = row["response"]["body"]
        assert body["choices"][0]["message"]["content"] == asked.choices[0].message.content
    stats = mock_judge.stats()
    assert (stats["answered"], stats["batch_answered"]) == (40, 40)
    assert stats["messages"] == {message_hash(body): 2 for body in BODIES.values()}


def test_a_batch_that_takes_seconds(start_mock: Start, connect: Connect) -> None:
    client = connect(start_mock(batch_seconds=0.2))
    batch = started(client, lines(BODIES))
    time.sleep(0.3)
    assert client.batches.retrieve(batch.id).status == "completed"
    slow = connect(start_mock(batch_seconds=3600.0))
    batch = started(slow, lines(BODIES))
    assert [slow.batches.retrieve(batch.id).status for _ in range(5)] == ["validating"] * 5


def test_failed_rows_go_to_the_error_file_and_are_cured(
    start_mock: Start, connect: Connect
) -> None:
    client = connect(start_mock(batch_error_share=0.5, faults="refusal=0.2"))
    left, codes, sendings = dict(BODIES), set(), 0
    while left:
        batch = ended(client, started(client, lines(left)))
        good = rows_of(client, batch.output_file_id)
        bad = rows_of(client, batch.error_file_id)
        assert batch.status == "completed"
        assert {row["custom_id"] for row in good + bad} == left.keys()
        assert len(good) + len(bad) == len(left)
        assert (batch.request_counts.completed, batch.request_counts.failed) == (
            len(good),
            len(bad),
        )
        for row in bad:
            if row["error"]:
                assert row["response"] is None
                codes.add(row["error"]["code"])
            else:
                assert row["response"]["body"]["error"]["type"] == "server_error"
                codes.add(row["response"]["status_code"])
        left = {row["custom_id"]: BODIES[row["custom_id"]] for row in bad}
        sendings += 1
    assert sendings == 3, "two tries may fail, the third does not"
    assert codes == {"request_timeout", 500}


def test_where_every_row_fails_there_is_no_output_file(start_mock: Start, connect: Connect) -> None:
    client = connect(start_mock(structured=False))
    batch = ended(client, started(client, lines(BODIES)))
    assert (batch.status, batch.output_file_id) == ("completed", None)
    rows = rows_of(client, batch.error_file_id)
    assert {row["response"]["status_code"] for row in rows} == {400}
    assert {row["response"]["body"]["error"]["param"] for row in rows} == {"response_format"}


def test_an_expired_batch_keeps_what_it_finished(start_mock: Start, connect: Connect) -> None:
    client = connect(start_mock(batch_fate="expired"))
    batch = ended(client, started(client, lines(BODIES)))
    assert batch.status == "expired"
    assert batch.expired_at
    good, bad = rows_of(client, batch.output_file_id), rows_of(client, batch.error_file_id)
    assert (len(good), len(bad)) == (20, 20)
    assert {row["custom_id"] for row in good + bad} == BODIES.keys()
    assert {(row["error"]["code"], row["response"]) for row in bad} == {("batch_expired", None)}
    assert ended(client, started(client, lines(BODIES))).status == "completed"


def test_a_cancelled_batch(mock_judge: MockJudge, connect: Connect) -> None:
    client = connect(mock_judge)
    batch = started(client, lines(BODIES))
    client.batches.retrieve(batch.id)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = client.batches.retrieve(batch.id)
    assert batch.status == "cancelled"
    assert len(rows_of(client, batch.output_file_id)) == 20
    rest = rows_of(client, batch.error_file_id)
    assert {row["error"]["code"] for row in rest} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError, match="cancelled"):
        client.batches.cancel(batch.id)


def test_the_fates_cancelled_and_failed(start_mock: Start, connect: Connect) -> None:
    client = connect(start_mock(batch_fate="cancelled"))
    assert ended(client, started(client, lines(BODIES))).status == "cancelled"
    client = connect(start_mock(batch_fate="failed"))
    batch = ended(client, started(client, lines(BODIES)))
    assert (batch.status, batch.output_file_id) == ("failed", None)
    assert [error.code for error in batch.errors.data] == ["token_limit_exceeded"]


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (b"", "empty_file", None),
        (line("a", {"model": "m"}) + b"{\n", "invalid_json_line", 2),
        (line("a", {"model": "m"}) * 2, "duplicate_custom_id", 2),
        (line("a", {"model": "m"}, url="/v1/x"), "mismatched_url", 1),
        (line("a", {"model": "m"}, method="GET"), "invalid_method", 1),
        (line("a", "no object"), "missing_required_parameter", 1),
        (b"[1]\n", "missing_required_parameter", 1),
        (line("a", {"model": "m"}) + line("b", {"model": "n"}), "mismatched_model", None),
        (b"".join(line(str(i), {"model": "m"}) for i in range(4)), "too_many_tasks", None),
    ],
)
def test_bad_input_files(data: bytes, code: str, number: int | None) -> None:
    _, errors = read_lines(data, most=3)
    assert [(error["code"], error["line"]) for error in errors] == [(code, number)]


def test_a_bad_input_file_fails_the_batch(start_mock: Start, connect: Connect) -> None:
    client = connect(start_mock(batch_max_requests=39, batch_max_bytes=10**6))
    batch = ended(client, started(client, lines(BODIES)))
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("failed", None, None)
    assert [error.code for error in batch.errors.data] == ["too_many_tasks"]
    with pytest.raises(openai.BadRequestError, match="larger than 1000000"):
        client.files.create(file=("big.jsonl", b"x" * (10**6 + 1)), purpose="batch")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(
            input_file_id="file-none", endpoint="/v1/chat/completions", completion_window="24h"
        )
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_batches_are_listed_by_pages_newest_first(mock_judge: MockJudge, connect: Connect) -> None:
    client = connect(mock_judge)
    made = [started(client, lines(BODIES), metadata={"n": str(i)}).id for i in range(5)]
    page = client.batches.list(limit=2)
    assert [batch.id for batch in page.data] == made[:2:-1]
    assert page.has_more
    assert [batch.id for batch in client.batches.list(limit=2)] == made[::-1]
    assert next(batch.metadata for batch in client.batches.list()) == {"n": "4"}
