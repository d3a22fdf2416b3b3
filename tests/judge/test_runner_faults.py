"""Faults of single tries: retried as often as asked for, then counted; the reply is never lost."""

import json
from pathlib import Path

import pytest

from margintool.judge.item import Request
from tests.judge.journal_rows import SINGLE, key
from tests.judge.run_helpers import errors, questions, run, values
from tests.judge.scripted_server import (
    Answer,
    Try,
    closing,
    completion,
    error,
    good,
    reset,
    scripted,
    slow,
    text,
)

WHOLE = json.dumps(completion())

# name -> what is answered, the kind that is counted, a word of the error
PASSING: dict[str, tuple[Answer, str, str]] = {
    "429": (error(429, "slow down", "rate_limit_exceeded"), "HTTP 429", "slow down"),
    "500": (error(500, "oops"), "HTTP 500", "oops"),
    "503 that is no JSON": (text("<html>busy</html>", 503), "HTTP 503", "busy"),
    "408": (error(408), "HTTP 408", "408"),
    "409": (error(409), "HTTP 409", "409"),
    "half a JSON": (text(WHOLE[: len(WHOLE) // 2]), "malformed reply", "no chat completion"),
    "an empty body": (text(""), "malformed reply", "no chat completion"),
    "another JSON": (text('{"error": {"message": "upstream"}}'), "malformed reply", "upstream"),
    "no choices": (text('{"choices": []}'), "malformed reply", "no choices"),
    "no object": (text("[1, 2]"), "malformed reply", "no choices"),
    "nested too deep": (text("[" * 200_000), "malformed reply", "no chat completion"),
    "bytes that are no text": (text(b'{"choices": [{"a": "\xff"}]}'), "malformed reply", "utf-8"),
    "a reset before the reply": (reset(0), "connection", ""),
    "a reset in its middle": (reset(40), "connection", ""),
    "too slow": (slow(5), "time-out", "in time"),
    "too slow, drop by drop": (slow(5, trickle=True), "time-out", "in time"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_is_retried_then_counted(name: str, tmp_path: Path) -> None:
    """Question 0 is answered at its second try; question 1 never."""
    fault, kind, word = PASSING[name]

    def script(one: Try) -> Answer:
        return good() if one.question == "question 0" and one.attempt == 1 else fault

    with scripted(script) as server, questions(tmp_path / "j", 2) as journal:
        outcome = run(journal, server.url, retries=1, timeout=0.4)
        assert values(journal, 2) == [7.0, None]
        assert outcome.failed == {kind: 1}
        assert outcome.stopped is None
        assert len(server.tries) == 4
        said = str(errors(journal, 2)[1])
        assert said.startswith(kind)
        assert word in said
        may_be_paid = kind in ("malformed reply", "connection", "time-out")
        assert outcome.unseen == (3 if may_be_paid else 0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_server_will_never_take_is_sent_once_and_the_run_goes_on(
    status: int, tmp_path: Path
) -> None:
    def script(one: Try) -> Answer:
        if one.question == "question 1":
            return error(status, "maximum context length", "context_length_exceeded")
        return good()

    with scripted(script) as server, questions(tmp_path / "j", 4) as journal:
        outcome = run(journal, server.url)
        assert values(journal, 4) == [7.0, None, 7.0, 7.0]
        assert outcome.failed == {f"HTTP {status}": 1}
        assert len(server.tries) == 4


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    """The SDK's own wait before a second try is 0.5 seconds at most."""

    def script(one: Try) -> Answer:
        return good() if one.attempt else error(429, **{"Retry-After": "1.2"})

    with scripted(script) as server, questions(tmp_path / "j", 1) as journal:
        assert run(journal, server.url).answered == 1
    assert server.tries[1].at - server.tries[0].at >= 1.2


def test_without_retries_a_request_is_sent_once(tmp_path: Path) -> None:
    with scripted(lambda _: error(500)) as server, questions(tmp_path / "j", 1) as journal:
        assert run(journal, server.url, retries=0).failed == {"HTTP 500": 1}
    assert len(server.tries) == 1


def test_text_that_utf8_cannot_hold_fails_alone(tmp_path: Path) -> None:
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 2) as journal:
        body = {"model": "m", "messages": [{"role": "user", "content": "half \ud83d"}]}
        journal.plan([Request(key(2), "m", SINGLE, 0, "f" * 16, body)])
        outcome = run(journal, server.url)
        assert outcome.failed == {"not sent": 1}
        assert values(journal, 2) == [7.0, 7.0]


def test_every_question_ends_with_its_reply_under_faults_of_all_kinds(tmp_path: Path) -> None:
    """Two faults and then a reply for each of 60 questions, 16 at a time: nothing asked again."""
    faults = [fault for name, (fault, _, _) in PASSING.items() if "slow" not in name]

    def script(one: Try) -> Answer:
        number = int(one.question.split()[1])
        return good() if one.attempt == 1 else faults[number % len(faults)]

    with scripted(script) as server, questions(tmp_path / "j", 60) as journal:
        outcome = run(journal, server.url, concurrency=16)
        assert values(journal, 60) == [7.0] * 60
        assert outcome.failed == {}
    assert len(server.tries) == 120


def test_a_server_that_closes_connections_costs_no_reply(tmp_path: Path) -> None:
    with scripted(lambda _: closing) as server, questions(tmp_path / "j", 20) as journal:
        assert run(journal, server.url).answered == 20
    assert len({one.question for one in server.tries}) == 20
