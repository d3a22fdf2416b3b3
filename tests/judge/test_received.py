"""Replies that are odd on the wire: each is kept as it can be read, or fails with its reason."""

import gzip
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from margintool.judge.reading.replies import read_reply
from margintool.judge.running.runner import run_requests
from margintool.judge.running.wire import MOST_BYTES
from tests.judge.run_helpers import errors, questions, run, settings, values
from tests.judge.scripted_server import Answer, completion, good, scripted, text

WHOLE = json.dumps(completion())
KEY = "sk-test-0123456789abcdef"


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206])
def test_a_reply_with_any_status_of_success_is_kept(status: int, tmp_path: Path) -> None:
    with (
        scripted(lambda _: text(WHOLE, status)) as server,
        questions(tmp_path / "j", 2) as journal,
    ):
        assert run(journal, server.url).answered == 2
        assert len(server.tries) == 2


def test_a_success_without_a_reply_is_tried_again(tmp_path: Path) -> None:
    with (
        scripted(lambda one: good() if one.attempt else text("", 204)) as server,
        questions(tmp_path / "j", 1) as journal,
    ):
        outcome = run(journal, server.url)
        assert (outcome.answered, outcome.unseen, len(server.tries)) == (1, 1, 2)


ACCENTED = json.dumps(completion('{"rationale": "très café", "rating": 7}'), ensure_ascii=False)


def _typed(content: bytes, content_type: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, headers={"Content-Type": content_type})

    return answer


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"\xef\xbb\xbf" + ACCENTED.encode(), "application/json"),
        (ACCENTED.encode("latin-1"), "application/json; charset=iso-8859-1"),
        # What it is counts for more than what it is called.
        (ACCENTED.encode(), "application/json; charset=iso-8859-1"),
        (gzip.compress(b"\xef\xbb\xbf" + ACCENTED.encode()), "gzip"),
    ],
)
def test_a_byte_order_mark_and_another_charset_lose_no_reply(
    content: bytes, content_type: str, tmp_path: Path
) -> None:
    packed = text(content, 200, **{"Content-Encoding": "gzip"})
    answer = packed if content_type == "gzip" else _typed(content, content_type)
    with scripted(lambda _: answer) as server, questions(tmp_path / "j", 1) as journal:
        assert run(journal, server.url).answered == 1
        (row,) = journal.replies()
        assert row.reply is not None
        assert row.reply.raw == ACCENTED
        assert len(server.tries) == 1


@pytest.mark.parametrize("charset", ["no-such-one", "rot13", "utf-8"])
def test_bytes_that_are_not_in_the_charset_they_declare_fail(charset: str, tmp_path: Path) -> None:
    answer = _typed(ACCENTED.encode("latin-1"), f"application/json; charset={charset}")
    with scripted(lambda _: answer) as server, questions(tmp_path / "j", 1) as journal:
        assert run(journal, server.url, retries=0).failed == {"malformed reply": 1}


def _choice(**fields: Any) -> Answer:
    message = {"role": "assistant", "content": ""}
    return good(completion(choices=[{"index": 0, "message": message} | fields]))


@pytest.mark.parametrize(
    "answer",
    [
        _choice(finish_reason="error", error={"code": 502, "message": "upstream"}),
        _choice(finish_reason="stop", error={"message": "upstream"}),
        _choice(
            finish_reason="error", error="upstream", message={"content": '{"rationale": "half'}
        ),
        _choice(finish_reason="error"),
    ],
)
def test_a_choice_that_is_an_error_is_tried_again_and_never_a_reply(
    answer: Answer, tmp_path: Path
) -> None:
    def script(one: Any) -> Answer:
        return good() if one.question == "question 0" and one.attempt else answer

    with scripted(script) as server, questions(tmp_path / "j", 2) as journal:
        outcome = run(journal, server.url, retries=1)
        assert values(journal, 2) == [7.0, None]
        assert outcome.failed == {"malformed reply": 1}
        assert "the judge failed" in str(errors(journal, 2)[1])


def test_an_odd_finish_reason_with_a_whole_reply_is_a_reply(tmp_path: Path) -> None:
    payload = completion()
    payload["choices"][0].update(finish_reason="error", error=None)
    with scripted(lambda _: good(payload)) as server, questions(tmp_path / "j", 1) as journal:
        assert run(journal, server.url).answered == 1


def _large(pieces: int) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        with suppress(ConnectionError):
            await response.write(WHOLE.encode())
            for _ in range(pieces):
                await response.write(b" " * 2**20)
        return response

    return answer


def test_a_reply_without_end_is_a_failure_and_is_not_asked_for_again(tmp_path: Path) -> None:
    packed = text(gzip.compress(b" " * (MOST_BYTES + 1)), 200, **{"Content-Encoding": "gzip"})
    answers = [_large(100_000), packed, _large(15)]
    with (
        scripted(lambda one: answers[int(one.question[-1])]) as server,
        questions(tmp_path / "j", 3) as journal,
    ):
        outcome = run(journal, server.url, retries=3)
        assert values(journal, 3) == [None, None, 7.0]
        assert outcome.failed == {"reply too large": 2}
        assert outcome.unseen == 2
        assert len(server.tries) == 3
        assert "16,777,216 bytes" in str(errors(journal, 3)[0])


@pytest.mark.parametrize(
    "fault",
    [
        text(b"no gzip at all", 200, **{"Content-Encoding": "gzip"}),
        text("", 307, Location="/v1/chat/completions"),
    ],
)
def test_what_may_have_been_paid_before_it_broke_counts_against_max_cost(
    fault: Answer, tmp_path: Path
) -> None:
    """Each try may have cost $11: two fit into $25."""
    with scripted(lambda _: fault) as server, questions(tmp_path / "j", 5) as journal:
        outcome = run(journal, server.url, max_cost=25.0, retries=5, concurrency=1)
        assert outcome.why == "max_cost"
        assert outcome.unseen == 2
        assert server.tries


@contextmanager
def _raw(answer: bytes) -> Iterator[str]:
    """Serve the same bytes, HTTP or not, to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(2**16)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_fails_its_request_alone(answer: bytes, tmp_path: Path) -> None:
    with _raw(answer) as url, questions(tmp_path / "j", 2) as journal:
        outcome = run(journal, url, retries=0)
        assert outcome.failed == {"malformed reply": 2}
        assert outcome.unseen == 2


@pytest.mark.parametrize(
    "content",
    [
        f'{{"rationale": "you sent Bearer {KEY}", "rating": 7}}',
        f"{KEY} Rating: [[99]]",
        f"no verdict, but {KEY}",
    ],
)
def test_a_verdict_does_not_quote_the_key(content: str, tmp_path: Path) -> None:
    with (
        questions(tmp_path / "j", 1) as journal,
        scripted(lambda _: good(completion(content))) as server,
    ):
        run_requests(journal, settings(server.url), wanted_only=False, parse=read_reply)
        unpacked = str(list(journal.all_rows()))
        assert "[API key]" in unpacked
        assert KEY not in unpacked
    with sqlite3.connect(tmp_path / "j") as db:
        assert KEY not in str(db.execute("SELECT * FROM replies").fetchall())
