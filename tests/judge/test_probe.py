"""Finding out what a server takes: each thing it may refuse or not heed, and the count."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from margintool.judge.item import Dialect
from margintool.judge.journal.records import Aside, Usage
from margintool.judge.running.probe import Probed, ask_dialect
from mmpo_core.errors import InputError, UnfinishedError
from tests.judge.conftest import MockJudge
from tests.judge.run_helpers import MODEL, Told, settings
from tests.judge.scripted_server import (
    Answer,
    Script,
    Try,
    completion,
    error,
    good,
    scripted,
    slow,
    text,
)

TOKENS = [{"token": "7", "logprob": -0.1, "top_logprobs": []}]


def _reply(content: str = '{"rationale": "right", "rating": 10}', **choice: Any) -> Answer:
    payload = completion(content)
    payload["choices"][0] |= {"logprobs": {"content": TOKENS}} | choice
    return good(payload)


def _probe(script: Script) -> tuple[Probed, list[Try]]:
    with scripted(script) as server:
        return ask_dialect(settings(server.url), MODEL), server.tries


def test_a_server_that_takes_everything_is_asked_once() -> None:
    probed, tries = _probe(lambda _: _reply())
    assert probed == Probed(Dialect(), 1, Aside(MODEL, Usage(1, 1000, 100)))
    body = tries[0].body
    assert body["model"] == MODEL
    assert body["temperature"] == 0
    assert body["logprobs"] is True
    assert body["response_format"]["type"] == "json_schema"
    assert body["max_completion_tokens"] == 2048
    assert "json" not in json.dumps(body["messages"]).lower()


# What servers say -> the field that they refuse
REFUSALS = {
    "response_format": [
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
        "model.",
        "guided decoding is not enabled",
        "json_schema: unknown format",
    ],
    "temperature": [
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default "
        "(1) value is supported."
    ],
    "max_completion_tokens": [
        "Unsupported parameter: 'max_completion_tokens' is not supported with this model. Use "
        "'max_tokens' instead.",
        "body -> max_completion_tokens: extra fields not permitted",
    ],
    "logprobs": [
        "You are not allowed to request logprobs from this model",
        "top_logprobs must be at most 5",
    ],
}
LEFT_OUT = {
    "response_format": Dialect(structured=False),
    "temperature": Dialect(temperature=False),
    "max_completion_tokens": Dialect(token_limit="max_tokens"),
    "logprobs": Dialect(logprobs=False),
}


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("field", REFUSALS)
def test_what_is_refused_by_name_is_left_out(field: str, status: int) -> None:
    for words in REFUSALS[field]:
        probed, tries = _probe(
            lambda one, words=words: error(status, words) if field in one.body else _reply()  # type: ignore[misc]
        )
        assert probed.dialect == LEFT_OUT[field]
        assert probed.requests == len(tries) == 2


def test_several_refusals_one_after_the_other() -> None:
    """As a reasoning model: no temperature, no log-probabilities."""

    def script(one: Try) -> Answer:
        for field in ("temperature", "logprobs"):
            if field in one.body:
                return error(400, f"Unsupported parameter: '{field}'")
        return _reply()

    probed, tries = _probe(script)
    assert probed.dialect == Dialect(temperature=False, logprobs=False)
    assert probed.requests == len(tries) == 3


@pytest.mark.parametrize("field", REFUSALS)
def test_a_refusal_without_a_name_is_tracked_down(field: str) -> None:
    probed, _ = _probe(lambda one: text("Bad Request", 400) if field in one.body else _reply())
    assert probed.dialect == LEFT_OUT[field]


def test_a_server_that_wants_next_to_nothing() -> None:
    wanted = {"model", "messages", "max_tokens"}
    probed, _ = _probe(
        lambda one: _reply() if one.body.keys() <= wanted else text("Unprocessable", 422)
    )
    assert probed.dialect == Dialect(False, False, "max_tokens", False)


def test_a_schema_that_is_taken_and_not_heeded_shows_in_the_replies() -> None:
    for content in ("It is right. Rating: 10", '```json\n{"rating": 10}\n```', '{"rating": 10}'):
        probed, tries = _probe(lambda _, content=content: _reply(content))  # type: ignore[misc]
        assert probed.dialect == Dialect(structured=False)
        assert probed.requests == len(tries) == 3
        assert len({one.question for one in tries}) == 3


def test_one_refused_or_empty_reply_says_nothing_about_the_schema() -> None:
    probed, _ = _probe(
        lambda one: _reply("I cannot." if one.number == 0 else '{"rationale": "", "rating": 1}')
    )
    assert probed.dialect.structured
    assert probed.requests == 2


@pytest.mark.parametrize(
    ("content", "structured"), [("", True), ('{"rationale": "ver', True), ("Well, I", False)]
)
def test_a_reply_that_was_cut_is_judged_by_how_it_starts(content: str, structured: bool) -> None:
    probed, _ = _probe(lambda _: _reply(content, finish_reason="length"))
    assert probed.dialect.structured is structured


def test_log_probabilities_that_do_not_come_are_not_there() -> None:
    for missing in (None, {"content": None}, {"content": []}):
        probed, _ = _probe(lambda _, missing=missing: _reply(logprobs=missing))  # type: ignore[misc]
        assert probed.dialect == Dialect(logprobs=False)


def test_passing_faults_are_retried_and_counted() -> None:
    probed, _ = _probe(
        lambda one: _reply() if one.number else error(429, **{"Retry-After": "0.01"})
    )
    assert probed.dialect == Dialect()
    assert probed.requests == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error(401), "the API key is not accepted"),
        (error(404, code="model_not_found"), "no model 'gpt-4o'"),
        (error(429, code="insufficient_quota"), "quota"),
        (text("Bad Request", 400), "does not answer a small question .*Bad Request"),
        (error(503, "overloaded", **{"Retry-After": "0.01"}), "overloaded"),
    ],
)
def test_a_server_that_cannot_be_asked_is_an_error(fault: Answer, words: str) -> None:
    with scripted(lambda _: fault) as server, pytest.raises(InputError, match=words) as caught:
        ask_dialect(settings(server.url), MODEL)
    assert server.url in str(caught.value)


@pytest.mark.parametrize(
    "field", ["structured", "temperature", "logprobs", "max_completion_tokens"]
)
def test_the_stand_in_judge(field: str, start_mock: Callable[..., MockJudge]) -> None:
    names = {
        "structured": Dialect(structured=False),
        "temperature": Dialect(temperature=False),
        "logprobs": Dialect(logprobs=False),
        "max_completion_tokens": Dialect(token_limit="max_tokens"),
    }
    judge = start_mock(**{field: False})
    assert ask_dialect(settings(judge.url), "mock-judge").dialect == names[field]
    assert ask_dialect(settings(start_mock().url), "mock-judge").dialect == Dialect()


def _counted_out(most: int) -> Script:
    """Refuse replies that may be longer than `most`, in vLLM's words."""

    def script(one: Try) -> Answer:
        asked = one.body.get("max_completion_tokens") or one.body["max_tokens"]
        if asked > most:
            return error(
                400,
                f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's "
                "maximum context length is 2048 tokens",
            )
        return _reply()

    return script


def test_a_model_with_a_small_context_is_asked_within_the_runs_limit() -> None:
    with scripted(_counted_out(256)) as server:
        assert ask_dialect(settings(server.url), MODEL, max_tokens=256).dialect == Dialect()
        assert [one.body["max_completion_tokens"] for one in server.tries] == [2048, 256]


def test_a_limit_that_is_too_large_as_well_is_an_error() -> None:
    with (
        scripted(_counted_out(256)) as server,
        pytest.raises(InputError, match="maximum context length is 2048"),
    ):
        ask_dialect(settings(server.url), MODEL, max_tokens=1024)


@pytest.mark.parametrize(("failing", "tries"), [(0, 3), (1, 1)])
def test_one_failure_of_the_server_is_no_refusal(failing: int, tries: int) -> None:
    """Without retries too: what failed once is asked again after something else was taken."""

    def script(one: Try) -> Answer:
        return error(500, "oops") if one.number == failing else _reply()

    with scripted(script) as server:
        assert ask_dialect(settings(server.url, retries=0), MODEL).dialect == Dialect()
        assert len(server.tries) == tries


def test_a_failure_that_comes_again_is_a_refusal() -> None:
    def script(one: Try) -> Answer:
        return error(500, "oops") if "logprobs" in one.body else _reply()

    with scripted(script) as server:
        found = ask_dialect(settings(server.url, retries=0), MODEL).dialect
        assert found == Dialect(logprobs=False)


def test_a_server_that_hangs_is_tried_three_times_and_the_wait_is_told() -> None:
    told = Told()
    with scripted(lambda _: slow(5)) as server:
        with pytest.raises(InputError, match="does not answer a small question"):
            ask_dialect(settings(server.url, timeout=0.2, retries=5), MODEL, progress=told)
        assert len(server.tries) == 3
    assert told.started == [("asking the server how it wants to be asked", None)]


def test_the_questions_are_paid_for_out_of_max_cost() -> None:
    """A reply of 2,048 tokens would cost $20.48, the prompt apart; what comes costs $11."""
    with scripted(lambda _: _reply()) as server:
        for most in (0.0, 20.0):
            with pytest.raises(UnfinishedError, match=f"--max-cost {most:g} USD"):
                ask_dialect(settings(server.url, max_cost=most), MODEL)
        assert server.tries == []
        found = ask_dialect(settings(server.url, max_cost=100.0), MODEL)
        assert found.aside.used == Usage(1, 1000, 100)
        assert found.aside.dollars == pytest.approx(11.0)
        with pytest.raises(UnfinishedError):
            ask_dialect(settings(server.url, max_cost=100.0), MODEL, aside=[found.aside] * 9)
        assert len(server.tries) == 1


def test_a_limit_without_a_price_is_refused_before_a_question_is_paid_for() -> None:
    with scripted(lambda _: _reply()) as server:
        with pytest.raises(InputError, match="--max-cost: no price for model another"):
            ask_dialect(settings(server.url, max_cost=100.0), "another")
        assert server.tries == []


def test_answers_that_cannot_be_read_count_against_max_cost() -> None:
    with scripted(lambda _: text("{")) as server:
        with pytest.raises(UnfinishedError):
            ask_dialect(settings(server.url, max_cost=60.0), MODEL)
        assert len(server.tries) == 2


def test_answers_without_a_token_count_are_told_apart() -> None:
    payload = completion('{"rationale": "right", "rating": 10}', usage=None)
    with scripted(lambda _: good(payload)) as server:
        assert ask_dialect(settings(server.url), MODEL).aside.used == Usage(1, 0, 0, untold=1)
