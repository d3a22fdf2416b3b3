"""What ends a run before its end: refusals, a server that is down, money, Ctrl-C, kill -9."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from margintool.judge.journal.journal import Journal
from tests.judge.run_helpers import errors, questions, run, values
from tests.judge.scripted_server import (
    Answer,
    Server,
    Try,
    completion,
    error,
    good,
    scripted,
    slow,
    text,
)

# name -> what is answered, words of the message
FINAL: dict[str, tuple[Answer, list[str]]] = {
    "key": (error(401, "Incorrect API key", "invalid_api_key"), ["401", "--api-key-file"]),
    "model": (error(404, "no such model", "model_not_found"), ["gpt-4o", "no such model"]),
    "model, as 400": (error(400, "no such model", "model_not_found"), ["gpt-4o"]),
    "method": (text("", 405), ["--base-url"]),
    "quota": (error(429, "You exceeded", "insufficient_quota"), ["quota", "billing"]),
    "quota, Retry-After": (
        error(429, "You exceeded", "insufficient_quota", **{"Retry-After": "1"}),
        ["quota"],
    ),
    "credit": (error(402, "Insufficient Balance"), ["Insufficient Balance", "billing"]),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_no_request_would_survive_stops_the_run_after_one(name: str, tmp_path: Path) -> None:
    fault, words = FINAL[name]
    with scripted(lambda _: fault) as server, questions(tmp_path / "j", 100) as journal:
        outcome = run(journal, server.url, concurrency=64, retries=5)
        assert len(server.tries) == 1
        assert outcome.why == "fatal"
        assert server.url in str(outcome.stopped)
        assert all(word in str(outcome.stopped) for word in words)
        assert (outcome.answered, outcome.failed) == (0, {})
        # Nothing is held against the requests: they wait as before.
        assert journal.count_waiting(wanted_only=False) == 100
        assert errors(journal, 100) == [None] * 100


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(403, "not allowed"), ["403: not allowed", "gpt-4o"]),
        (text("Not Found", 404), ["404: Not Found", "--base-url", "/v1"]),
    ],
)
def test_three_refusals_that_may_be_of_one_request_stop_the_run(
    fault: Answer, words: list[str], tmp_path: Path
) -> None:
    """One after the other: the rest of the 64 wait for a reply that there is not."""
    with scripted(lambda _: fault) as server, questions(tmp_path / "j", 100) as journal:
        outcome = run(journal, server.url, concurrency=64, retries=5)
        assert len(server.tries) == 3
        assert outcome.why == "fatal"
        assert all(word in str(outcome.stopped) for word in [server.url, *words])
        assert journal.count_waiting(wanted_only=False) == 100


def test_a_quota_that_runs_out_in_mid_run_keeps_what_was_answered(tmp_path: Path) -> None:
    """20 are answered; those in flight then, 8 at most, meet the empty quota."""

    def script(one: Try) -> Answer:
        return good() if one.number < 20 else error(429, "empty", "insufficient_quota")

    with scripted(script, latency=0.02) as server, questions(tmp_path / "j", 100) as journal:
        outcome = run(journal, server.url, concurrency=8)
        assert outcome.answered == 20
        assert outcome.why == "fatal"
        assert values(journal, 100).count(7.0) == 20
        assert 21 <= len(server.tries) <= 28


def test_a_server_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with questions(tmp_path / "j", 10) as journal:
        outcome = run(journal, url, retries=50)
        assert outcome.why == "fatal"
        assert f"{url}: cannot be reached" in str(outcome.stopped)
        assert outcome.unseen == 0


def test_a_server_that_fails_all_the_time_stops_the_run(tmp_path: Path) -> None:
    """50 failures in a row are too many, or 2 * concurrency."""
    for concurrency, most in ((4, 50), (40, 80)):
        with (
            scripted(lambda _: error(500, "broken")) as server,
            questions(tmp_path / f"{concurrency}", 300) as journal,
        ):
            outcome = run(journal, server.url, concurrency=concurrency, retries=0)
            assert outcome.why == "failures"
            assert f"{most} requests in a row failed" in str(outcome.stopped)
            assert "broken" in str(outcome.stopped)
            assert server.url in str(outcome.stopped)
            assert most <= len(server.tries) <= most + concurrency


def test_failures_with_replies_between_them_stop_nothing(tmp_path: Path) -> None:
    def script(one: Try) -> Answer:
        return good() if one.number % 30 == 0 else error(500)

    with scripted(script) as server, questions(tmp_path / "j", 200) as journal:
        outcome = run(journal, server.url, retries=0)
        assert outcome.stopped is None
        assert outcome.failed == {"HTTP 500": 193}


def test_max_cost_is_never_exceeded_and_nearly_used(tmp_path: Path) -> None:
    """A reply costs $11 (1,000 + 100 tokens, a cent each): $100 buys 9 of them.

    The limit of a reply is 100 tokens, so that what is set aside is what is spent.
    """
    with scripted(lambda _: good(), latency=0.02) as server, questions(tmp_path / "j", 50) as one:
        outcome = run(one, server.url, concurrency=16, max_cost=100.0)
        assert outcome.why == "max_cost"
        assert "--max-cost 100" in str(outcome.stopped)
        assert 8 <= outcome.answered <= 9
        assert outcome.cost == pytest.approx(outcome.answered * 11.0)
        assert len(server.tries) == outcome.answered
        assert one.count_waiting(wanted_only=False) == 50 - outcome.answered


def test_money_set_aside_and_not_used_buys_more(tmp_path: Path) -> None:
    """At most 100 tokens are set aside for a reply, 10 are used: 29 of $10.10, not 27 of $11."""
    cheap = completion(usage={"prompt_tokens": 1000, "completion_tokens": 10})
    with scripted(lambda _: good(cheap)) as server, questions(tmp_path / "j", 50) as journal:
        outcome = run(journal, server.url, max_cost=300.0)
        assert 28 <= outcome.answered <= 29
        assert outcome.cost is not None
        assert outcome.cost <= 300.0


def test_prompts_longer_than_was_counted_are_learnt_of(tmp_path: Path) -> None:
    """The server counts 1,000 tokens where we count 250: no more than the limit is spent."""
    with scripted(lambda _: good(), latency=0.01) as server, questions(tmp_path / "j", 80) as one:
        outcome = run(one, server.url, max_cost=200.0, most_tokens=lambda _: 250, concurrency=8)
        assert outcome.cost is not None
        assert 150.0 < outcome.cost <= 200.0


def test_tries_that_may_have_been_paid_count_against_max_cost(tmp_path: Path) -> None:
    """Every reply is cut and may cost $11: $100 is for 9."""
    with scripted(lambda _: text("{")) as server, questions(tmp_path / "j", 50) as journal:
        outcome = run(journal, server.url, concurrency=1, max_cost=100.0, retries=0)
        assert outcome.why == "max_cost"
        assert outcome.cost == 0.0
        assert outcome.unseen == len(server.tries) == 9


def test_a_retry_that_could_exceed_max_cost_is_not_made(tmp_path: Path) -> None:
    with scripted(lambda _: text("{")) as server, questions(tmp_path / "j", 1) as journal:
        outcome = run(journal, server.url, max_cost=20.0, retries=5)
        assert outcome.why == "max_cost"
        assert len(server.tries) == 1


CHILD = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from pathlib import Path
from margintool.judge.journal.journal import Journal
from margintool.judge.running import halt
from tests.judge.run_helpers import run
{before}
with Journal.open(Path(sys.argv[1]), write=True) as journal:
    outcome = run(journal, sys.argv[2], concurrency=8)
print(outcome.why, outcome.answered, outcome.unseen)
"""


def _start(path: Path, server: Server, before: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(before=before), str(path), server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
    )


def _wait_for(server: Server, tries: int, child: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 60
    while len(server.tries) < tries:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_an_interrupted_run_stores_the_replies_in_flight(
    tmp_path: Path, number: int, reason: str
) -> None:
    with questions(tmp_path / "j", 200):
        pass
    with scripted(lambda _: good(), latency=0.3) as server:
        child = _start(tmp_path / "j", server)
        _wait_for(server, 20, child)
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
        sent = len(server.tries)
    assert (child.returncode, err) == (0, "")
    why, answered, unseen = out.split()
    assert why == reason
    assert int(answered) == sent < 200
    assert unseen == "0"
    with Journal.open(tmp_path / "j", write=False) as journal:
        assert values(journal, 200).count(7.0) == sent


def test_a_second_interrupt_does_not_wait_for_replies(tmp_path: Path) -> None:
    with questions(tmp_path / "j", 200):
        pass

    def script(one: Try) -> Answer:
        return good() if one.number < 10 else slow(60)

    with scripted(script) as server:
        child = _start(tmp_path / "j", server, before="halt.GRACE_SECONDS = 600")
        _wait_for(server, 18, child)
        interrupts = 0
        while child.poll() is None and interrupts < 100:  # two at once may count as one
            child.send_signal(signal.SIGINT)
            interrupts += 1
            time.sleep(0.5)
        _, err = child.communicate(timeout=30)
    assert interrupts > 1
    assert child.returncode != 0
    assert "KeyboardInterrupt" in err
    with Journal.open(tmp_path / "j", write=False) as journal:
        assert values(journal, 200).count(7.0) == 10


def test_an_interrupt_in_a_notebook_ends_the_run_and_keeps_replies(tmp_path: Path) -> None:
    """A cell's loop runs: the run has a thread of its own, and Ctrl-C reaches the cell's."""

    def script(one: Try) -> Answer:
        if one.number == 5:
            signal.pthread_kill(main, signal.SIGINT)
        return good() if one.number < 5 else slow(60)

    main = threading.main_thread().ident
    assert main is not None
    with scripted(script) as server, questions(tmp_path / "j", 20) as journal:

        async def cell() -> None:
            # The loop's own handler would only cancel the cell once it awaits something.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(journal, server.url, concurrency=1)

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(cell())
        assert values(journal, 20).count(7.0) == 5
        assert len(server.tries) == 6


def test_after_kill_9_only_what_has_no_reply_is_sent(tmp_path: Path) -> None:
    """Two kills: a question is asked again only if it was in flight, 8 at most for each."""
    with questions(tmp_path / "j", 150):
        pass
    with scripted(lambda _: good(), latency=0.02) as server:
        for round_ in (1, 2):
            child = _start(tmp_path / "j", server)
            _wait_for(server, 40 * round_, child)
            child.kill()
            child.communicate()
            with Journal.open(tmp_path / "j", write=False) as journal:
                kept = values(journal, 150).count(7.0)
            assert len(server.tries) - kept <= 8 * round_
        with Journal.open(tmp_path / "j", write=True) as journal:
            assert run(journal, server.url).stopped is None
            assert values(journal, 150) == [7.0] * 150
        asked = Counter(one.question for one in server.tries)
    assert len(asked) == 150
    assert sum(asked.values()) - 150 <= 2 * 8
