"""How far batches are, cancelling them, and what users are told of errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from margintool.judge.batch.collect import collect
from margintool.judge.batch.status import BatchStatus, cancel, status
from margintool.judge.batch.submit import submit
from margintool.judge.journal.journal import Journal
from mmpo_core.errors import InputError
from tests.judge.batch_double import BatchDouble
from tests.judge.batch_journal import parse, planned, requests


@pytest.fixture
def server() -> BatchDouble:
    return BatchDouble()


@pytest.fixture
def journal(tmp_path: Path, server: BatchDouble) -> Iterator[Journal]:
    """Four requests in two batches, open for reading only."""
    path = planned(tmp_path / "j.sqlite", requests(4))
    with Journal.open(path, write=True) as opened:
        submit(opened, server.client(), max_requests=2)
    with Journal.open(path, write=False) as opened:
        yield opened


def _states(found: list[BatchStatus]) -> list[tuple[int, str]]:
    return [(told.row.id, told.state) for told in found]


def test_status_is_the_servers_and_writes_nothing(journal: Journal, server: BatchDouble) -> None:
    counts = {"total": 2, "completed": 1, "failed": 1}
    server.batches["batch_2"] |= {"status": "in_progress", "request_counts": counts}
    found = status(journal, server.client())
    assert _states(found) == [(1, "validating"), (2, "in_progress")]
    assert (found[0].answered, found[0].failed) == (None, None)
    assert (found[1].answered, found[1].failed) == (1, 1)


def test_status_tells_why_a_batch_failed(journal: Journal, server: BatchDouble) -> None:
    errors = [
        {"code": "bad", "message": f"no {number}", "line": number, "param": None}
        for number in range(1, 8)
    ]
    server.batches["batch_1"] |= {"status": "failed", "errors": {"data": errors}}
    told = status(journal, server.client())[0]
    assert told.errors == (
        "line 1: bad: no 1; line 2: bad: no 2; line 3: bad: no 3; line 4: bad: no 4; "
        "line 5: bad: no 5 (and 2 more)"
    )


def test_status_of_batches_that_this_server_cannot_tell_of(
    tmp_path: Path, server: BatchDouble
) -> None:
    path = planned(tmp_path / "s.sqlite", requests(4))
    with Journal.open(path, write=True) as journal:
        submit(journal, server.client(), max_requests=1)
        journal.update_batch(1, served_by="http://elsewhere/v1")
        del server.batches["batch_2"]
        journal.update_batch(3, batch_id=None, state="uploaded")
        collect(journal, server.client(), parse=parse, abandon=[4])
        collected = journal.batches(open_only=True)
        assert [row.id for row in collected] == [1, 2, 3]
        journal.update_batch(3, batch_id=None, state="uploaded")
        found = status(journal, server.client())
    assert _states(found) == [(1, "elsewhere"), (2, "unknown"), (3, "uploaded"), (4, "abandoned")]


def test_cancel_asks_for_those_that_run(journal: Journal, server: BatchDouble) -> None:
    server.finish("batch_1", status="completed")
    assert _states(cancel(journal, server.client())) == [(2, "cancelling")]
    assert [batch["status"] for batch in server.batches.values()] == ["completed", "cancelling"]


def test_cancel_one(journal: Journal, server: BatchDouble) -> None:
    assert _states(cancel(journal, server.client(), [1])) == [(1, "cancelling")]
    assert server.batches["batch_2"]["status"] == "validating"
    with pytest.raises(InputError, match="no open batch 3"):
        cancel(journal, server.client(), [3])
