"""What a failed request means for its run: its own fault, the server's, or everyone's."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.item import Dialect, Reply, Request
from margintool.judge.journal.journal import Journal
from margintool.judge.running.client import served_by
from tests.judge.journal_rows import SINGLE, key
from tests.judge.run_helpers import MODEL, errors, questions, run, values
from tests.judge.scripted_server import Answer, Try, error, good, scripted

TOO_LONG = error(400, "This model's maximum context length is 8192", "context_length_exceeded")
MODERATED = error(403, "your input was flagged")
NO_SCHEMA = error(400, "response_format json_schema is not supported")


def _number(one: Try) -> int:
    return int(one.question.split()[-1])


def test_requests_that_are_refused_for_good_hold_up_no_others(tmp_path: Path) -> None:
    def script(one: Try) -> Answer:
        return TOO_LONG if _number(one) < 60 else good()

    with scripted(script) as server, questions(tmp_path / "j", 200) as journal:
        outcome = run(journal, server.url, concurrency=16)
        assert outcome.stopped is None
        assert outcome.failed == {"HTTP 400": 60}
        assert values(journal, 200) == [None] * 60 + [7.0] * 140
        assert len(server.tries) == 200


def test_refusals_do_not_hide_that_the_server_is_down(tmp_path: Path) -> None:
    """Every other request is refused: the 50th fault of the server itself ends the run."""

    def script(one: Try) -> Answer:
        return TOO_LONG if one.number % 2 else error(502, "bad gateway")

    with scripted(script) as server, questions(tmp_path / "j", 300) as journal:
        outcome = run(journal, server.url, concurrency=1, retries=0)
        assert outcome.why == "failures"
        assert outcome.failed == {"HTTP 502": 50, "HTTP 400": 49}
        assert "50 requests in a row failed" in str(outcome.stopped)


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("which", [0, 7])
def test_what_one_request_is_refused_for_is_its_own(
    which: int, status: int, tmp_path: Path
) -> None:
    """The very first one, or one among others: in every run the others are answered."""

    def script(one: Try) -> Answer:
        return error(status, "your input was flagged") if _number(one) == which else good()

    with scripted(script) as server, questions(tmp_path / "j", 20) as journal:
        for answered in (19, 0):
            outcome = run(journal, server.url)
            assert outcome.stopped is None
            assert outcome.answered == answered
            assert outcome.failed == {f"HTTP {status}": 1}
        assert errors(journal, 20)[which] == f"HTTP {status}: {status}: your input was flagged"


def test_many_refusals_after_a_reply_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor while the reply is still on its way to a slow disk."""
    store = Journal.store

    def slowly(self: Journal, replies: Sequence[Reply]) -> int:
        time.sleep(0.3)
        return store(self, replies)

    monkeypatch.setattr(Journal, "store", slowly)

    def script(one: Try) -> Answer:
        return good() if _number(one) in (0, 59) else MODERATED

    with scripted(script) as server, questions(tmp_path / "j", 60) as journal:
        outcome = run(journal, server.url)
        assert (outcome.answered, outcome.failed) == (2, {"HTTP 403": 58})
        assert outcome.stopped is None


def test_a_model_that_is_gone_stops_the_run_after_replies_too(tmp_path: Path) -> None:
    def script(one: Try) -> Answer:
        return good() if one.number < 5 else error(404, "no such model", "model_not_found")

    with scripted(script) as server, questions(tmp_path / "j", 60) as journal:
        outcome = run(journal, server.url, concurrency=1)
        assert (outcome.why, outcome.answered) == ("fatal", 5)
        assert len(server.tries) == 6


def _structured(journal: Journal, number: int, **fields: Any) -> None:
    """Plan questions with a schema."""
    body: Mapping[str, Any] = {"response_format": {"type": "json_schema"}} | fields
    journal.plan(
        Request(key(i), MODEL, SINGLE, 0, "f" * 16, {**_message(i), **body}) for i in range(number)
    )


def _message(number: int) -> dict[str, Any]:
    content = [{"role": "user", "content": f"question {number}"}]
    return {"model": MODEL, "messages": content, "max_tokens": 100}


def test_a_server_that_takes_something_no_longer_is_asked_anew_next_time(tmp_path: Path) -> None:
    with scripted(lambda _: NO_SCHEMA) as server, Journal.open(tmp_path / "j", write=True) as one:
        _structured(one, 40)
        one.keep_dialect(served_by(server.url), MODEL, Dialect())
        one.keep_dialect("http://another/v1", MODEL, Dialect())
        outcome = run(one, server.url, concurrency=16)
        assert outcome.why == "fatal"
        assert "refuses 'response_format', which it took for 'gpt-4o'" in str(outcome.stopped)
        assert len(server.tries) == 3
        assert one.dialect(served_by(server.url), MODEL) is None
        assert one.dialect("http://another/v1", MODEL) == Dialect()


def test_two_questions_are_enough_to_ask_anew(tmp_path: Path) -> None:
    with scripted(lambda _: NO_SCHEMA) as server, Journal.open(tmp_path / "j", write=True) as one:
        _structured(one, 2)
        one.keep_dialect(served_by(server.url), MODEL, Dialect())
        assert run(one, server.url).failed == {"HTTP 400": 2}
        assert one.dialect(served_by(server.url), MODEL) is None


# name -> what the server answers, how it is known to be asked, what the requests have besides
KEPT: dict[str, tuple[Any, Dialect, dict[str, Any]]] = {
    "another reason": (lambda _: error(400, "no"), Dialect(), {}),
    "its size": (
        lambda _: error(400, "max_completion_tokens is too large: context of 2048"),
        Dialect(),
        {"max_completion_tokens": 100},
    ),
    "known not to take it": (lambda _: NO_SCHEMA, Dialect(structured=False), {}),
    "not in the request": (lambda _: error(400, "temperature"), Dialect(), {}),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_refusals_are_the_requests_own(name: str, tmp_path: Path) -> None:
    script, dialect, fields = KEPT[name]
    with scripted(script) as server, Journal.open(tmp_path / "j", write=True) as journal:
        _structured(journal, 40, **fields)
        journal.keep_dialect(served_by(server.url), MODEL, dialect)
        outcome = run(journal, server.url)
        assert outcome.failed == {"HTTP 400": 40}
        assert outcome.stopped is None
        assert journal.dialect(served_by(server.url), MODEL) == dialect


def test_a_reply_shows_that_a_server_is_asked_as_it_wants(tmp_path: Path) -> None:
    """Two refusals, then replies: a request may say `json_schema` for reasons of its own."""

    def script(one: Try) -> Answer:
        return NO_SCHEMA if _number(one) < 2 else good()

    with scripted(script) as server, Journal.open(tmp_path / "j", write=True) as journal:
        _structured(journal, 10)
        journal.keep_dialect(served_by(server.url), MODEL, Dialect())
        assert run(journal, server.url).answered == 8
        assert journal.dialect(served_by(server.url), MODEL) == Dialect()


def test_what_a_command_tells_of_a_run_with_failures(tmp_path: Path) -> None:
    """Status 1 with some or all failed, 0 with all answered or nothing to do."""

    def script(one: Try) -> Answer:
        return good() if _number(one) < answering else TOO_LONG

    with scripted(script) as server, questions(tmp_path / "j", 3) as journal:
        for answering in (0, 1):
            outcome = run(journal, server.url)
            assert outcome.status == 1
            assert f"{3 - answering} requests failed" in str(outcome.unfinished)
            assert "maximum context length" in str(outcome.unfinished)
        answering = 3
        for answered in (2, 0):
            outcome = run(journal, server.url)
            assert (outcome.status, outcome.unfinished) == (0, None)
            assert outcome.answered == answered
