"""Faults on request: each kind as a client sees it, and that they depend on no timing."""

import asyncio
import json
import time
from collections.abc import Callable
from http.client import HTTPResponse, IncompleteRead
from typing import Any
from urllib.request import Request, urlopen

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI

from margintool.judge.mock.faults import CONTENT, KINDS, TRANSPORT, FaultPlan, parse_faults
from margintool.judge.mock.quality import mock_quality
from mmpo_core.errors import InputError
from tests.judge.conftest import MockJudge
from tests.judge.mock_bodies import MANY, ONE, body_of

Ask = Callable[..., Any]
Start = Callable[..., MockJudge]


def test_shares_by_kind_and_over_all_kinds() -> None:
    assert parse_faults(None) == {}
    assert parse_faults("error=0.1, empty=0.02") == {"error": 0.1, "empty": 0.02}
    assert parse_faults("0.22") == pytest.approx(dict.fromkeys(KINDS, 0.22 / 11))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("often", "'often' is no share"),
        ("1.5", "'1.5' is no share"),
        ("nan", "'nan' is no share"),
        ("eror=0.1", "Did you mean 'error'"),
        ("error=", "'' is no share"),
        ("error=0.6,slow=0.6", "add up to 1.2"),
    ],
)
def test_bad_shares_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_faults(text)


def test_shares_are_met_and_transport_faults_end() -> None:
    plan = FaultPlan({"error": 0.3, "empty": 0.1}, seed=1)
    questions = [f"{i:032x}" for i in range(4000)]
    assert sum(plan.transport(q, 0) == "error" for q in questions) == pytest.approx(1200, abs=120)
    assert sum(plan.transport(q, 1) == "error" for q in questions) == pytest.approx(1200, abs=120)
    assert not any(plan.transport(q, 2) for q in questions)
    assert sum(plan.content(q) == "empty" for q in questions) == pytest.approx(400, abs=80)


@given(st.text(), st.integers(0, 5), st.integers(0, 9))
def test_faults_are_fixed_by_question_try_and_seed(question: str, attempt: int, seed: int) -> None:
    shares = dict.fromkeys(KINDS, 0.1)
    first, second = FaultPlan(shares, seed), FaultPlan(shares, seed)
    assert first.transport(question, attempt) == second.transport(question, attempt)
    assert first.content(question) == second.content(question)
    assert first.content(question) in (None, *CONTENT)
    assert first.transport(question, attempt) in (None, *TRANSPORT)


def test_rate_limit_and_error_are_cured_by_retries(start_mock: Start, ask: Ask) -> None:
    for kind, failure in [
        ("rate-limit", openai.RateLimitError),
        ("error", openai.InternalServerError),
    ]:
        judge = start_mock(faults=f"{kind}=1", retry_after=0.02)
        with pytest.raises(failure) as caught:
            ask(judge, body_of("single", ONE))
        if kind == "rate-limit":
            assert caught.value.response.headers["retry-after"] == "0.02"
            assert caught.value.code == "rate_limit_exceeded"
        reply = ask(judge, body_of("single", ONE), max_retries=2)
        assert json.loads(reply.choices[0].message.content)["rating"] == mock_quality(ONE)
        stats = judge.stats()
        assert (stats["received"], stats["answered"]) == (3, 1)
        assert stats["faults"] == {kind: 2}


def post(judge: MockJudge, body: dict[str, Any]) -> HTTPResponse:
    data = json.dumps(body).encode()
    request = Request(f"{judge.url}/chat/completions", data, {"Content-Type": "application/json"})
    response: HTTPResponse = urlopen(request, timeout=30)
    return response


def test_reset_in_mid_reply(start_mock: Start, ask: Ask) -> None:
    judge = start_mock(faults="reset=1")
    body = body_of("single", ONE)
    with post(judge, body) as response:
        assert response.status == 200  # the reply has begun
        with pytest.raises((ConnectionResetError, IncompleteRead)):
            response.read()
    with pytest.raises(openai.APIConnectionError):
        ask(judge, body)
    assert ask(judge, body).choices[0].finish_reason == "stop"
    assert judge.stats()["answered"] == 1


def test_malformed_json(start_mock: Start) -> None:
    judge = start_mock(faults="malformed=1")
    with post(judge, body_of("single", ONE)) as response:
        assert response.status == 200
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.load(response)
    assert judge.stats()["answered"] == 0


def test_a_slow_reply_to_a_client_that_has_gone_is_lost(start_mock: Start, ask: Ask) -> None:
    judge = start_mock(faults="slow=1", slow_seconds=0.5)
    with pytest.raises(openai.APITimeoutError):
        ask(judge, body_of("single", ONE), timeout=0.1)
    while judge.stats()["in_flight"]:
        time.sleep(0.02)
    stats = judge.stats()
    assert (stats["answered"], stats["lost"], stats["messages"]) == (0, 1, {})
    assert ask(judge, body_of("single", ONE)).choices[0].finish_reason == "stop"
    assert judge.stats()["answered"] == 1


@pytest.mark.parametrize(
    ("kind", "finish"),
    [
        ("refusal", "stop"),
        ("filtered", "content_filter"),
        ("truncated", "length"),
        ("empty", "stop"),
        ("no-verdict", "stop"),
        ("out-of-scale", "stop"),
    ],
)
def test_content_faults_stay(start_mock: Start, ask: Ask, kind: str, finish: str) -> None:
    judge = start_mock(faults=f"{kind}=1")
    for structured in (True, False):
        choices = [
            ask(judge, body_of("single", MANY, structured=structured, salt=salt)).choices[0]
            for salt in ("one journal", "another journal")
        ]
        assert choices[0] == choices[1]
        assert choices[0].finish_reason == finish
        message = choices[0].message
        if kind == "refusal" and structured:
            assert message.content is None
            assert message.refusal.startswith("I'm sorry")
        elif kind == "refusal":
            assert message.content.startswith("I'm sorry")
        elif kind in ("filtered", "empty"):
            assert message.content == ""
        elif kind == "out-of-scale":
            assert "97" in message.content
        else:
            assert f"{mock_quality(MANY):g}" not in message.content
    assert judge.stats()["faults"] == {kind: 4}


def test_quota(start_mock: Start, ask: Ask) -> None:
    judge = start_mock(quota=2)
    ask(judge, body_of("single", ONE))
    ask(judge, body_of("single", MANY))
    with pytest.raises(openai.RateLimitError) as caught:
        ask(judge, body_of("single", ONE))
    assert caught.value.code == "insufficient_quota"
    assert judge.stats()["answered"] == 2


def test_many_at_once_with_all_faults_end_alike(start_mock: Start) -> None:
    """Two runs at different concurrency and with different fences read the same verdicts."""
    answers = [" ".join(f"w{j}" for j in range(i)) for i in range(1, 61)]

    async def replies(judge: MockJudge, salt: str, at_once: int) -> list[str | None]:
        gate = asyncio.Semaphore(at_once)
        # The SDK retries transport faults but not a malformed reply.
        async with AsyncOpenAI(base_url=judge.url, api_key="none", max_retries=2) as client:

            async def one(answer: str) -> str | None:
                async with gate:
                    reply = await client.chat.completions.create(
                        **body_of("single", answer, salt=salt)
                    )
                    return reply.choices[0].message.content

            return await asyncio.gather(*map(one, answers))

    faults = "rate-limit=0.1,error=0.1,reset=0.1,slow=0.05,refusal=0.1,empty=0.1,truncated=0.1"
    judge = start_mock(faults=faults, retry_after=0.01, slow_seconds=0.05)
    first = asyncio.run(replies(judge, "one journal", 4))
    stats = judge.stats()
    assert stats["answered"] == len(answers)
    assert set(stats["messages"].values()) == {1}
    assert stats["received"] > stats["answered"]
    assert stats["max_in_flight"] <= 4
    assert first == asyncio.run(replies(judge, "another journal", 30))
