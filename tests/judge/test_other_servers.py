"""One journal and several servers: what is answered is not asked again, wherever the rest goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.judge_runs import run_judge
from margintool.judging import estimated
from margintool.score_options import AskOptions
from tests.judge.conftest import MockJudge
from tests.judge.judged_pairs import make_rows
from tests.judge.scripted_server import Answer, Server, Try, completion, error, good, scripted
from tests.judge.test_score_gpt4 import metadata
from tests.score.conftest import run, write_jsonl

__all__ = ["run", "write_jsonl"]  # fixtures

NOWHERE = "http://127.0.0.1:9/v1"
ROWS = make_rows(4)  # 8 answers, no two alike


def text_only(one: Try) -> Answer:
    """A server that takes no schema, and rates everything 7."""
    if "response_format" in one.body:
        return error(400, "response_format is not supported")
    return good(completion("Fine.\nRating: [[7]]"))


def asked(server: Server) -> list[Try]:
    """What was asked about answers, without the questions that find out how to ask."""
    return [one for one in server.tries if "capital of France" not in one.question]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "pairs.journal.sqlite"


def judge(given: Path, url: str, journal: Path, **more: Any) -> AskOptions:
    return AskOptions(
        input=given, judge_model=("mock-judge",), base_url=url, journal=journal, **more
    )


def test_a_whole_journal_needs_no_server_and_no_key(
    run: Callable[..., Any],
    mock_judge: MockJudge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"source": "gpt4", "judge_model": ("mock-judge",)}
    summary, pairs, _ = run(ROWS, base_url=mock_judge.url, **options)
    first = summary.out.read_bytes()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for url in (NOWHERE, None):  # nothing listens; OpenAI's own, which needs a key
        again, same, _ = run(ROWS, base_url=url, **options)
        assert same == pairs
        assert again.out.read_bytes() == first


def test_a_server_that_takes_something_else_is_asked_for_the_rest_only(
    write_jsonl: Callable[..., Path], journal: Path, mock_judge: MockJudge
) -> None:
    few, all_rows = write_jsonl(ROWS[:3], "few.jsonl"), write_jsonl(ROWS, "all.jsonl")
    run_judge(judge(few, mock_judge.url, journal))
    with scripted(text_only) as server:
        for given, to_send in ((few, 0), (all_rows, 2)):
            options = judge(given, server.url, journal)
            assert sum(m.to_send for m in estimated(options).models) == to_send
            before = len(asked(server))
            outcome, counts = run_judge(options)
            assert (outcome.answered, counts.waiting) == (to_send, 0)
            assert len(asked(server)) - before == to_send
            assert bool(server.tries) == bool(to_send)
    assert counts.unreadable == {}


def test_questions_that_wait_are_written_anew_for_another_server(
    write_jsonl: Callable[..., Path], journal: Path
) -> None:
    """Planned with a schema for a server that then answered nothing, sent without one."""
    given = write_jsonl(ROWS)

    def broken(one: Try) -> Answer:
        return (
            good() if "capital of France" in one.question else error(400, "out of order for today")
        )

    with scripted(broken) as server:
        outcome, counts = run_judge(judge(given, server.url, journal))
        assert (outcome.answered, counts.waiting) == (0, 8)
        assert all("response_format" in one.body for one in asked(server))
    with scripted(text_only) as server:
        outcome, counts = run_judge(judge(given, server.url, journal))
        assert (outcome.answered, counts.planned, counts.waiting) == (8, 8, 0)
        assert not any("response_format" in one.body for one in asked(server))
    assert counts.unreadable == {}


def test_several_servers_behind_one_name_are_told(
    run: Callable[..., Any], mock_judge: MockJudge
) -> None:
    options = {"source": "gpt4", "judge_model": ("mock-judge",), "gamma": 1.0}
    summary, _, _ = run(ROWS[:3], base_url=mock_judge.url, **options)
    assert "servers" not in metadata(summary.out)["findings"]
    with scripted(text_only) as server:
        summary, _, _ = run(ROWS, base_url=server.url, **options)
    (told,) = [text for label, text in summary.findings if label == "warning"]
    assert told.startswith("mock-judge was asked at several addresses")
    assert f"6 by {mock_judge.url}" in told
    assert f"2 by {server.url}" in told
    made = metadata(summary.out)
    assert made["findings"]["servers"] == {"mock-judge": [6, 2]}
    # A pair file is given to others: it says how many, not where.
    assert "127.0.0.1" not in str(made)


def test_a_server_that_takes_no_schema_any_more_is_asked_how_it_wants_to_be_asked_again(
    write_jsonl: Callable[..., Path], journal: Path
) -> None:
    few, all_rows = write_jsonl(ROWS[:1], "few.jsonl"), write_jsonl(ROWS, "all.jsonl")
    changed = False
    with scripted(lambda one: text_only(one) if changed else good()) as server:
        run_judge(judge(few, server.url, journal))
        changed = True
        stopped, _ = run_judge(judge(all_rows, server.url, journal))
        assert stopped.why == "fatal"
        assert "response_format" in str(stopped.stopped)
        before = len(asked(server))
        outcome, counts = run_judge(judge(all_rows, server.url, journal))
        # The two that are answered stay so, whatever form they were asked in.
        assert (outcome.answered, counts.planned, counts.waiting) == (6, 8, 0)
        assert len(asked(server)) - before == 6
