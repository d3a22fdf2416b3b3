"""The Batch path end to end, against the stand-in judge over HTTP."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from margintool.judge.asking.asker import Asker
from margintool.judge.asking.prompts import load_wording
from margintool.judge.batch.client import open_batch_client
from margintool.judge.batch.collect import CollectOutcome, collect
from margintool.judge.batch.status import cancel, status
from margintool.judge.batch.submit import submit
from margintool.judge.item import Dialect, Item
from margintool.judge.journal.journal import Journal
from margintool.judge.running.client import Secret
from mmpo_core.errors import InputError, UnfinishedError
from tests.judge.conftest import MockJudge

StartMock = Callable[..., MockJudge]
KEY = Secret("sk-test-0123456789abcdef")


@contextmanager
def _journal(path: Path, count: int) -> Iterator[Journal]:
    """Open a journal with `count` questions about answers that begin with their number."""
    asker = Asker(
        load_wording("single"), "mock-judge", Dialect(), 0.0, 100, logprobs=False, salt="s"
    )
    with Journal.open(path, write=True) as journal:
        journal.plan(
            asker.request(Item("Say something.", (), (f"number {number} " + "word " * 9,)))
            for number in range(count)
        )
        yield journal


def _submit(journal: Journal, mock: MockJudge, **limits: int) -> int:
    with open_batch_client(mock.url, KEY, retries=0) as client:
        return len(submit(journal, client, **limits).batches)


def _collect_all(journal: Journal, mock: MockJudge) -> list[CollectOutcome]:
    """Collect until no batch is open; the stand-in's batches move on with each look."""
    outcomes = []
    with open_batch_client(mock.url, KEY, retries=0) as client:
        while journal.batches(open_only=True):
            outcomes.append(collect(journal, client))
    return outcomes


def _check_paid_once(journal: Journal, mock: MockJudge) -> int:
    """Check that each reply is about its own answer, and was given once; return how many."""
    rows = list(journal.replies())
    for row in rows:
        asked = row.request.body["messages"][-1]["content"]
        number = asked.split("number ")[1].split()[0]
        assert row.reply is not None
        assert row.reply.verdict.rationale is not None
        assert f'"number {number} ' in row.reply.verdict.rationale
    given = mock.stats()
    assert set(given["messages"].values()) <= {1}
    assert given["batch_answered"] == len(rows)
    return len(rows)


def test_failed_rows_are_given_again_until_all_are_answered(
    tmp_path: Path, start_mock: StartMock
) -> None:
    mock = start_mock(batch_error_share=0.4, seed=1)
    with _journal(tmp_path / "j.sqlite", 60) as journal:
        rounds = failed = 0
        while journal.count_waiting(wanted_only=False):
            _submit(journal, mock)
            failed += sum(outcome.rows.failed for outcome in _collect_all(journal, mock))
            rounds += 1
        assert _check_paid_once(journal, mock) == 60
        assert failed > 0
        assert rounds == 3
        assert journal.counts().failed == 0


@pytest.mark.parametrize("fate", ["expired", "cancelled"])
def test_a_batch_that_ends_early_is_collected_and_the_rest_given_again(
    tmp_path: Path, start_mock: StartMock, fate: str
) -> None:
    mock = start_mock(batch_fate="expired" if fate == "expired" else "completed")
    with _journal(tmp_path / "j.sqlite", 20) as journal:
        _submit(journal, mock)
        if fate == "cancelled":
            with open_batch_client(mock.url, KEY, retries=0) as client:
                status(journal, client)
                (told,) = cancel(journal, client)
                assert told.state == "cancelling"
        _collect_all(journal, mock)
        assert [(row.state, row.open) for row in journal.batches()] == [(fate, False)]
        assert 0 < _check_paid_once(journal, mock) < 20
        _submit(journal, mock)
        _collect_all(journal, mock)
        assert _check_paid_once(journal, mock) == 20


def test_a_failed_batch_lets_go_of_its_requests(tmp_path: Path, start_mock: StartMock) -> None:
    mock = start_mock(batch_fate="failed")
    with _journal(tmp_path / "j.sqlite", 20) as journal:
        _submit(journal, mock)
        _collect_all(journal, mock)
        (row,) = journal.batches()
        assert row.state == "failed"
        assert row.error is not None
        assert row.error.startswith("token_limit_exceeded: Enqueued token limit")
        assert journal.count_waiting(wanted_only=False) == 20
        _submit(journal, mock)
        _collect_all(journal, mock)
        assert _check_paid_once(journal, mock) == 20


def test_5000_requests_in_three_files(tmp_path: Path, start_mock: StartMock) -> None:
    mock = start_mock(batch_max_requests=2000)
    with _journal(tmp_path / "j.sqlite", 5000) as journal:
        assert _submit(journal, mock, max_requests=2000) == 3
        assert [row.requests for row in journal.batches()] == [2000, 2000, 1000]
        _collect_all(journal, mock)
        assert _check_paid_once(journal, mock) == 5000


_DYING = """
import os, signal, sys
from margintool.judge.batch.client import open_batch_client
from margintool.judge.batch.submit import submit
from margintool.judge.running.client import Secret
from margintool.judge.journal.journal import Journal

path, url, field = sys.argv[1:]
update = Journal.update_batch

def update_or_die(journal, number, **fields):
    if field in fields:
        os.kill(os.getpid(), signal.SIGKILL)
    update(journal, number, **fields)

Journal.update_batch = update_or_die
with Journal.open(path, write=True) as journal, open_batch_client(
    url, Secret("sk-test-0123456789abcdef"), retries=0
) as client:
    submit(journal, client)
"""


@pytest.mark.parametrize("field", ["input_file_id", "batch_id"])
def test_kill_9_between_a_deed_and_its_note(
    tmp_path: Path, mock_judge: MockJudge, field: str
) -> None:
    """The file is uploaded, or the batch created, and the process dies before it notes its id."""
    path = tmp_path / "j.sqlite"
    with _journal(path, 10):
        pass
    arguments = [sys.executable, "-c", _DYING, str(path), mock_judge.url, field]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    with Journal.open(path, write=True) as journal:
        _submit(journal, mock_judge)
        with open_batch_client(mock_judge.url, KEY, retries=0) as client:
            assert len(list(client.batches.list())) == 1
            assert len(list(client.files.list(purpose="batch"))) == 1
        _collect_all(journal, mock_judge)
        assert _check_paid_once(journal, mock_judge) == 10


def test_a_wrong_key_is_told_without_the_key(tmp_path: Path, start_mock: StartMock) -> None:
    mock = start_mock(api_key="sk-right-0123456789")
    with _journal(tmp_path / "j.sqlite", 1) as journal:
        with pytest.raises(InputError, match="API key is not accepted") as caught:
            _submit(journal, mock)
        assert KEY.value not in str(caught.value)
    assert KEY.value.encode() not in (tmp_path / "j.sqlite").read_bytes()


def test_a_server_without_the_batch_api(tmp_path: Path, mock_judge: MockJudge) -> None:
    nowhere = MockJudge(mock_judge.url.removesuffix("/v1"))
    with (
        _journal(tmp_path / "j.sqlite", 1) as journal,
        pytest.raises(InputError, match="no Batch API at this address"),
    ):
        _submit(journal, nowhere)


def test_a_server_that_is_away(tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else can take the port, and connections are refused.
        taken.bind(("127.0.0.1", 0))
        away = MockJudge(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        with (
            _journal(tmp_path / "j.sqlite", 1) as journal,
            pytest.raises(UnfinishedError, match="the same command, given again, goes on"),
        ):
            _submit(journal, away)
