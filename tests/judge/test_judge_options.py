"""`judge run` and `judge submit`: what is not heeded is refused, and a dry run writes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.batch.files import MAX_BYTES, MAX_REQUESTS
from margintool.judge.journal.journal import Journal
from margintool.judge_options import SubmitOptions
from margintool.judge_runs import estimated_run, run_judge, submit_batches
from margintool.score_options import AskOptions
from mmpo_core.errors import InputError
from tests.judge.conftest import MockJudge
from tests.judge.journal_rows import reply, request
from tests.judge.judged_pairs import make_rows
from tests.score.conftest import write_jsonl

__all__ = ["write_jsonl"]  # fixture


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Four questions, one answered."""
    path = tmp_path / "j.sqlite"
    with Journal.open(path, write=True) as opened:
        opened.plan(request(number) for number in range(4))
        opened.store([reply(0)])
    return path


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"judge_model": ("another",)}, "--judge-model"),
        ({"template": "/nonexistent"}, "--template"),
        ({"samples": 3, "mode": "pair"}, "--mode, --samples"),
        ({"limit": 5}, "--limit"),
        ({"map": "prompt=question"}, "--map"),
        ({"scale": "1,5"}, "--scale"),
    ],
)
@pytest.mark.parametrize("ask", [run_judge, submit_batches, estimated_run])
def test_without_input_no_question_can_be_changed(
    journal: Path, ask: Callable[..., Any], options: dict[str, Any], named: str
) -> None:
    kind = SubmitOptions if ask is submit_batches else AskOptions
    with pytest.raises(InputError, match=f"^{named}: no meaning without --input"):
        ask(kind(journal=journal, base_url="http://127.0.0.1:9/v1", **options))


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"rpm": 0}, {"timeout": 0.0}])
def test_without_input_options_are_checked_too(journal: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="must be >"):
        run_judge(AskOptions(journal=journal, base_url="http://127.0.0.1:9/v1", **options))


@pytest.mark.parametrize(
    "options", [{"concurrency": 4}, {"rpm": 10}, {"tpm": 10}, {"timeout": 5.0}]
)
def test_batches_have_no_pace(journal: Path, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InputError, match=f"^--{name}: no meaning for batches"):
        submit_batches(SubmitOptions(journal=journal, **options))


@pytest.mark.parametrize("batch", [False, True])
def test_a_dry_run_without_input_tells_what_waits(journal: Path, batch: bool) -> None:
    before = journal.read_bytes()
    (found,) = estimated_run(AskOptions(journal=journal), batch=batch).models
    assert (found.model, found.to_send, found.most_reply_tokens) == ("gpt-4o", 3, 300)
    full = estimated_run(AskOptions(journal=journal)).cost
    assert full is not None
    assert found.cost == pytest.approx(full / 2 if batch else full)
    assert journal.read_bytes() == before


def test_a_dry_run_needs_a_journal_or_an_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such journal"):
        estimated_run(AskOptions(journal=tmp_path / "none.sqlite"))
    assert list(tmp_path.iterdir()) == []


def test_the_limits_of_a_batch_are_the_apis() -> None:
    options = SubmitOptions(journal="j")
    assert (options.max_requests, options.max_bytes) == (MAX_REQUESTS, MAX_BYTES)


def test_submit_gives_no_more_than_max_cost_can_pay(
    write_jsonl: Callable[..., Path], tmp_path: Path, mock_judge: MockJudge
) -> None:
    """A prompt token costs USD 1, half of it in a batch; replies are free."""
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"mock-judge": {"input": 1e6, "output": 0.0}}))
    server = {"journal": tmp_path / "j.sqlite", "base_url": mock_judge.url, "prices": prices}
    given = {"input": write_jsonl(make_rows(5)), "judge_model": ("mock-judge",)}
    outcome = submit_batches(SubmitOptions(**server, **given, max_cost=12_000.0))
    assert outcome.stopped is not None
    assert "--max-cost 12000 USD" in outcome.stopped
    (row,) = outcome.batches
    assert 0 < row.requests < 10
    again = submit_batches(SubmitOptions(**server, max_cost=0.0))
    assert (again.batches, again.stopped is None) == ([], False)
    rest = submit_batches(SubmitOptions(**server))
    assert (rest.stopped, rest.batches[0].requests) == (None, 10 - row.requests)
