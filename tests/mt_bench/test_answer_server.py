"""Answers from a server: what is sent, what is kept, and what stops a run."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from margintool.answer_server import AnswerServer
from margintool.judge.mock.serving import serving_in_thread
from margintool.judge.mock.settings import MockOptions
from mmpo_core.errors import InputError, UnfinishedError
from mmpo_core.generation.answer_file import open_answers
from mmpo_core.generation.asked import Answer, Asked, Sampling
from mmpo_core.generation.fill import about_answers, answered
from tests.judge.scripted_server import Script, Server, Try, completion, error, good, scripted

SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_new_tokens=50, seed=3)


def ask(number: int, sampling: Sampling = SAMPLING) -> Asked:
    return Asked(({"role": "user", "content": f"question {number}"},), sampling)


ASKED = [ask(n) for n in range(12)]


def echo(one: Try) -> Any:
    return good(completion(f" to {one.question} \n"))


def answers(server: Server, asked: Sequence[Asked], folder: Path, **how: Any) -> list[Answer]:
    settings = {"concurrency": 3, "retries": 1, "timeout": 20.0} | how
    with open_answers(folder / "answers.jsonl") as file:
        return answered(AnswerServer("mine", server.url, **settings), asked, file)


def test_every_question_is_sent_once_and_kept(tmp_path: Path) -> None:
    with scripted(echo) as server:
        found = answers(server, ASKED, tmp_path)
        assert answers(server, ASKED, tmp_path) == found
    assert [one.text for one in found] == [f"to question {n}" for n in range(12)]
    assert {(one.finish, one.tokens) for one in found} == {("stop", 100)}
    assert sorted(one.question for one in server.tries) == sorted(
        f"question {n}" for n in range(12)
    )
    assert server.most_in_flight <= 3
    body = dict(server.tries[0].body)
    assert isinstance(body.pop("seed"), int)
    assert body == {
        "model": "mine",
        "messages": [{"role": "user", "content": server.tries[0].question}],
        "max_tokens": 50,
        "temperature": 0.7,
        "top_p": 0.9,
    }
    assert len({one.body["seed"] for one in server.tries}) == 12


def test_another_name_or_address_is_asked_anew(tmp_path: Path) -> None:
    with scripted(echo) as server, scripted(echo) as other:
        answers(server, ASKED[:1], tmp_path)
        answers(other, ASKED[:1], tmp_path)
        with open_answers(tmp_path / "answers.jsonl") as file:
            answered(AnswerServer("yours", server.url), ASKED[:1], file)
    assert (len(server.tries), len(other.tries)) == (2, 1)


def test_a_cut_answer_says_so(tmp_path: Path) -> None:
    cut = completion("and so")
    cut["choices"][0]["finish_reason"] = "length"
    del cut["usage"]
    with scripted(lambda _: good(cut)) as server:
        assert answers(server, ASKED[:1], tmp_path) == [Answer("and so", "length", None)]


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    with scripted(lambda _: good(completion("a\ud800b \u4e16"))) as server:
        (found,) = answers(server, ASKED[:1], tmp_path)
    assert found.text == "a?b \u4e16"


def failing(numbers: Sequence[int], answer: Any) -> Script:
    """Answer these questions so, all others well."""
    return lambda one: answer if int(one.question.split()[1]) in numbers else echo(one)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(400, "too long"), "HTTP 400: 400: too long"),
        (error(403, "moderated"), "HTTP 403: 403: moderated"),
        (good(completion(None)), "a reply without text"),  # type: ignore[arg-type]
    ],
)
def test_what_fails_is_asked_again_by_the_next_run(tmp_path: Path, answer: Any, said: str) -> None:
    with (
        scripted(failing([2, 5], answer)) as server,
        pytest.raises(
            UnfinishedError, match=f"without an answer: 2, the last: {said} .to 'question 5'"
        ),
    ):
        answers(server, ASKED, tmp_path)
    with open_answers(tmp_path / "answers.jsonl") as file:
        assert len(file) == 10


def test_a_thought_that_leaves_no_room_for_an_answer_is_an_empty_one(tmp_path: Path) -> None:
    """Asked again the model would do the same, and the run would never end."""
    cut = completion(None)  # type: ignore[arg-type]
    cut["choices"][0]["finish_reason"] = "length"
    with scripted(lambda _: good(cut)) as server:
        assert answers(server, ASKED[:1], tmp_path) == [Answer("", "length", 100)]


NEWEST = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    "'max_completion_tokens' instead.",
    "temperature": "Unsupported value: 'temperature' does not support 0.7 with this model. Only "
    "the default (1) value is supported.",
}


def test_openais_newest_models_are_asked_as_they_want(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their words, from the API; what they take is found once, whatever is under way meanwhile."""

    def script(one: Try) -> Any:
        unknown = next((words for name, words in NEWEST.items() if name in one.body), None)
        return echo(one) if unknown is None else error(400, unknown)

    with scripted(script, latency=0.02) as server:
        found = answers(server, ASKED, tmp_path)
        tries = len(server.tries)
        assert answers(server, ASKED, tmp_path) == found
    assert [one.text for one in found] == [f"to question {n}" for n in range(12)]
    assert all(one.own_temperature for one in found)
    assert len(server.tries) == tries <= 12 + 2 * 3  # each of 3 in flight is refused twice
    last = server.tries[-1].body
    assert last.keys() == {"model", "messages", "max_completion_tokens", "seed", "top_p"}
    assert last["max_completion_tokens"] == 50
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [("max_completion_tokens" in one, "own_temperature" in one) for one in said] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("max_completion_tokens", [True, False])
def test_the_mock_is_asked_in_either_form(tmp_path: Path, max_completion_tokens: bool) -> None:
    """Both of its forms take max_tokens; a temperature that it refuses is left out."""
    options = MockOptions(port=0, max_completion_tokens=max_completion_tokens, temperature=False)
    with serving_in_thread(options) as url, open_answers(tmp_path / "answers.jsonl") as file:
        found = answered(AnswerServer("mock-judge", url), ASKED[:4], file)
    facts = about_answers(AnswerServer("mock-judge", url), found)
    assert (facts["number"], facts["own_temperature"]) == (4, 4)


def test_a_limit_that_is_too_large_is_no_other_form(tmp_path: Path) -> None:
    """Its refusal names max_completion_tokens too; asked in that form it would be refused again."""
    refusal = error(400, "max_tokens or max_completion_tokens is too large: 50. At most 16")
    with (
        scripted(lambda _: refusal) as server,
        pytest.raises(UnfinishedError, match="without an answer: 1, the last: HTTP 400"),
    ):
        answers(server, ASKED[:1], tmp_path)
    assert ["max_tokens" in one.body for one in server.tries] == [True]


def test_where_every_question_is_refused_the_run_stops(tmp_path: Path) -> None:
    """50 refusals, not one for each of 200 questions."""
    with (
        scripted(lambda _: error(400, "no max_tokens")) as server,
        pytest.raises(UnfinishedError, match="50 questions in a row failed, the last: HTTP 400"),
    ):
        answers(server, [ask(n) for n in range(200)], tmp_path)
    assert len(server.tries) <= 53  # and those in flight meanwhile


def test_a_retry_is_not_a_second_answer(tmp_path: Path) -> None:
    def once(one: Try) -> Any:
        return echo(one) if one.attempt else error(500, **{"retry-after-ms": "1"})

    with scripted(once) as server:
        assert len(answers(server, ASKED[:3], tmp_path)) == 3
    assert len(server.tries) == 6


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "--server-key-file"), (404, "the model's name and --server-url"), (405, "--server-url")],
)
def test_a_server_that_refuses_stops_the_run(tmp_path: Path, status: int, said: str) -> None:
    with (
        scripted(lambda _: error(status)) as server,
        pytest.raises(UnfinishedError, match=said) as raised,
    ):
        answers(server, ASKED, tmp_path)
    assert raised.value.status == 1
    assert len(server.tries) <= 6  # three, and those in flight meanwhile


def test_no_server(tmp_path: Path) -> None:
    with scripted(echo) as server:
        pass
    with pytest.raises(UnfinishedError, match="cannot be reached"):
        answers(server, ASKED, tmp_path)
    with pytest.raises(InputError, match="not an address"):
        AnswerServer("mine", "localhost")


def test_ctrl_c_keeps_what_came_and_the_next_run_asks_for_the_rest(tmp_path: Path) -> None:
    def interrupting(one: Try) -> Any:
        if one.number == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return echo(one)

    with scripted(interrupting, latency=0.05) as server:
        with pytest.raises(
            UnfinishedError, match=r"interrupted\. Answers so far are kept"
        ) as raised:
            answers(server, ASKED, tmp_path, concurrency=1)
        assert raised.value.status == 130
        with open_answers(tmp_path / "answers.jsonl") as file:
            kept = len(file)
        assert 4 <= kept < 12
        asked = len(server.tries)
        assert len(answers(server, ASKED, tmp_path)) == 12
    assert len(server.tries) - asked == 12 - kept
