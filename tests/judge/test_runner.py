"""The runner: every waiting request sent once, every reply stored before it counts."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

import pytest

from margintool.judge.item import Request, Verdict
from margintool.judge.journal.journal import Journal
from margintool.judge.running.records import RunOutcome
from margintool.judge.running.runner import run_requests
from mmpo_core.errors import InputError
from tests.judge.journal_rows import key, reply, request
from tests.judge.run_helpers import Told, errors, questions, run, settings, seven, values
from tests.judge.scripted_server import Answer, Try, completion, error, good, scripted, text


def test_every_question_is_sent_once_and_its_reply_kept_as_received(tmp_path: Path) -> None:
    payload = completion("Größe 8", system_fingerprint="fp_1")
    raw = json.dumps(payload, indent=2, ensure_ascii=False)
    told = Told()
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 30) as journal:
        server_settings = settings(server.url)
        outcome = run_requests(
            journal, server_settings, wanted_only=False, parse=seven, progress=told
        )
        assert values(journal, 30) == [7.0] * 30
        assert outcome == RunOutcome(
            answered=30,
            prompt_tokens=30_000,
            completion_tokens=3_000,
            cost=pytest.approx(30 * 11.0),
            seconds=outcome.seconds,
        )
    assert sorted(one.question for one in server.tries) == sorted(
        f"question {i}" for i in range(30)
    )
    assert told.started == [("judging", 30)]
    assert told.done == 30
    assert told.notes[0].endswith("/s  $11.00  0 failed")

    with scripted(lambda _: text(raw)) as server, questions(tmp_path / "k", 1) as journal:
        run(journal, server.url + "/")
        (row,) = journal.replies()
        assert row.reply is not None
        assert row.reply.raw == raw
        assert row.reply.served_by == server.url
        assert row.reply.finish_reason == "stop"
        assert 0 < row.reply.seconds < 10


def test_the_body_is_sent_as_it_stands_in_the_journal(tmp_path: Path) -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "naïve \U0001f600 \x00"}],
        "max_tokens": 5,
        "some_field_of_this_server": {"a": [1, None]},
    }
    with scripted(lambda _: good()) as server, Journal.open(tmp_path / "j", write=True) as journal:
        journal.plan([Request(key(0), "m", request(0).task, 0, "f" * 16, body)])
        outcome = run(journal, server.url)
        assert server.tries[0].body == body
        assert outcome.cost is None  # m has no price: no number


def test_the_real_parser_is_the_default(tmp_path: Path) -> None:
    content = "Fine.\nRating: [[4]]"
    with (
        scripted(lambda _: good(completion(content))) as server,
        questions(tmp_path / "j", 1) as journal,
    ):
        run_requests(journal, settings(server.url), wanted_only=False)
        assert values(journal, 1) == [4.0]


def test_a_second_run_sends_only_what_has_no_reply(tmp_path: Path) -> None:
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 10) as journal:
        journal.store([reply(i, 3.0) for i in range(0, 10, 2)])
        run(journal, server.url)
        assert values(journal, 10) == [3.0, 7.0] * 5
        assert sorted(one.question for one in server.tries) == [
            f"question {i}" for i in range(1, 10, 2)
        ]
        assert run(journal, server.url).answered == 0
        assert len(server.tries) == 5


def test_only_wanted_requests_are_sent_where_it_is_asked_for(tmp_path: Path) -> None:
    with questions(tmp_path / "j", 5):
        pass
    with scripted(lambda _: good()) as server, Journal.open(tmp_path / "j", write=True) as journal:
        journal.want([key(3), key(1)])
        run_requests(journal, settings(server.url), wanted_only=True, parse=seven)
        assert values(journal, 5) == [None, 7.0, None, 7.0, None]


def test_no_more_than_concurrency_in_flight_and_the_first_goes_alone(tmp_path: Path) -> None:
    with (
        scripted(lambda _: good(), latency=0.05) as server,
        questions(tmp_path / "j", 40) as journal,
    ):
        run(journal, server.url, concurrency=7)
    assert server.most_in_flight == 7
    assert server.tries[1].at - server.tries[0].at >= 0.05


@pytest.mark.parametrize("result", [ValueError("bad \U0001f600"), Verdict(float("nan"))])
def test_a_parser_that_fails_loses_no_reply(tmp_path: Path, result: object) -> None:
    def parse(asked: Request, payload: object) -> Verdict:
        if asked.key != key(1):
            return Verdict(7.0)
        if isinstance(result, Verdict):
            return result
        raise ValueError("bad \U0001f600")

    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 3) as journal:
        outcome = run_requests(journal, settings(server.url), wanted_only=False, parse=parse)
        assert values(journal, 3) == [7.0, None, 7.0]
        verdict = journal.verdicts([key(1)])[key(1)].verdict
        assert verdict is not None
        assert verdict.reason == "judge_no_verdict"
        assert "ValueError: bad" in str(verdict.detail) or "returned nan" in str(verdict.detail)
        assert outcome.answered == 3
        assert outcome.unreadable == {"judge_no_verdict": 1}


def test_usage_of_the_wrong_kind_is_not_told(tmp_path: Path) -> None:
    odd = [None, 5, {"prompt_tokens": "9", "completion_tokens": -1}, {"prompt_tokens": 10**30}]
    with (
        scripted(lambda one: good(completion(usage=odd[int(one.question[-1])]))) as server,
        questions(tmp_path / "j", 4) as journal,
    ):
        outcome = run(journal, server.url)
        assert outcome.answered == 4
        assert (outcome.prompt_tokens, outcome.completion_tokens) == (0, 0)
        assert {row.reply.prompt_tokens for row in journal.replies() if row.reply} == {None}


def test_replies_that_come_together_are_committed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 in flight, all at once: far fewer transactions than replies, and none before its own."""
    sizes = []
    store = Journal.store

    def counted(self: Journal, replies: list[object]) -> int:
        sizes.append(len(replies))
        return store(self, replies)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "store", counted)
    with (
        scripted(lambda _: good(), latency=0.05) as server,
        questions(tmp_path / "j", 257) as journal,
    ):
        run(journal, server.url, concurrency=64)
    assert sum(sizes) == 257
    assert max(sizes) <= 64
    assert len(sizes) < 200


def test_few_requests_are_held_in_memory_however_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of 256 read by the journal, the same handed out, and those of 8 workers."""
    alive: WeakValueDictionary[str, Request] = WeakValueDictionary()
    most = 0
    waiting = Journal.waiting

    def watched(self: Journal, *, wanted_only: bool) -> Iterator[Request]:
        nonlocal most
        for one in waiting(self, wanted_only=wanted_only):
            alive[one.key] = one
            most = max(most, len(alive))
            yield one

    monkeypatch.setattr(Journal, "waiting", watched)
    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 900) as journal:
        assert run(journal, server.url, concurrency=8).answered == 900
    assert most <= 2 * 256 + 2 * 8


def test_a_run_inside_a_running_loop(tmp_path: Path) -> None:
    """Notebooks have a loop of their own."""

    async def cell(journal: Journal, url: str) -> RunOutcome:
        return run(journal, url)

    with scripted(lambda _: good()) as server, questions(tmp_path / "j", 2) as journal:
        assert asyncio.run(cell(journal, server.url)).answered == 2


def test_a_journal_that_cannot_be_written_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Journal, replies: object) -> int:
        raise InputError("the disk is full")

    with (
        scripted(lambda _: good(), latency=0.05) as server,
        questions(tmp_path / "j", 50) as journal,
    ):
        monkeypatch.setattr(Journal, "store", full)
        with pytest.raises(InputError, match="the disk is full"):
            run(journal, server.url)
    assert len(server.tries) <= 4


def test_a_failure_is_kept_with_its_attempts_and_asked_again(tmp_path: Path) -> None:
    def script(_: Try) -> Answer:
        return error(500, "over\nloaded", **{"Retry-After": "0.01"}) if broken else good()

    broken = True
    with scripted(script) as server, questions(tmp_path / "j", 2) as journal:
        outcome = run(journal, server.url)
        assert outcome.answered == 0
        assert outcome.failed == {"HTTP 500": 2}
        assert outcome.stopped is None
        assert errors(journal, 2) == ["HTTP 500: 500: over loaded"] * 2
        assert len(server.tries) == 6
        broken = False
        assert run(journal, server.url).answered == 2
        assert errors(journal, 2) == [None, None]
