"""Giving requests to the Batch API: once each, whatever is interrupted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from margintool.judge.batch import server as batch_server
from margintool.judge.batch.allowance import Allowance
from margintool.judge.batch.submit import SubmitOutcome, submit
from margintool.judge.cost.prices import Price, Prices
from margintool.judge.item import Reply, Verdict
from margintool.judge.journal.journal import Journal
from mmpo_core.errors import InputError
from tests.judge.batch_double import BatchDouble
from tests.judge.batch_journal import key, planned, requests

PRICES = Prices({"judge": Price(1e6, 1e6)})


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def server() -> BatchDouble:
    return BatchDouble()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(planned(tmp_path / "j.sqlite", requests(5)), write=True) as opened:
        yield opened


def _submit(journal: Journal, server: BatchDouble, **options: Any) -> SubmitOutcome:
    return submit(journal, server.client(), sleep=lambda _: None, **options)


def _given(server: BatchDouble) -> list[list[str]]:
    return [server.keys(batch_id) for batch_id in server.batches]


def test_waiting_requests_are_uploaded_in_order_and_held_back(
    journal: Journal, server: BatchDouble
) -> None:
    outcome = _submit(journal, server, max_requests=3)
    assert _given(server) == [[key(0), key(1), key(2)], [key(3), key(4)]]
    assert [(row.id, row.batch_id, row.requests) for row in outcome.batches] == [
        (1, "batch_1", 3),
        (2, "batch_2", 2),
    ]
    assert journal.count_waiting(wanted_only=False) == 0
    assert _submit(journal, server) == SubmitOutcome()


def test_the_server_is_told_the_file_and_the_batch_by_number_and_hash(
    journal: Journal, server: BatchDouble
) -> None:
    (row,) = _submit(journal, server).batches
    assert row.sha256 is not None
    tag = f"margintool-1-{row.sha256[:32]}"
    assert server.files["file-1"][0] == f"{tag}.jsonl"
    batch = server.batches["batch_1"]
    assert batch["metadata"] == {"margintool": tag}
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")


def test_answered_requests_are_not_given(journal: Journal, server: BatchDouble) -> None:
    journal.store([Reply(key(2), "{}", Verdict(1.0), 1, 1, "stop", 0.1, "http://x")])
    _submit(journal, server)
    assert _given(server) == [[key(0), key(1), key(3), key(4)]]


def test_wanted_only_leaves_the_others_waiting(tmp_path: Path, server: BatchDouble) -> None:
    path = planned(tmp_path / "w.sqlite", requests(4))
    with Journal.open(path, write=True) as journal:
        journal.plan(requests(1, start=2))
        submit(journal, server.client(), wanted_only=True)
        assert _given(server) == [[key(2)]]
        assert journal.count_waiting(wanted_only=False) == 3


def test_a_request_over_the_limit_of_bytes_keeps_a_reason_and_waits(
    tmp_path: Path, server: BatchDouble
) -> None:
    path = planned(tmp_path / "l.sqlite", [*requests(1), *requests(1, start=1, text="x" * 500)])
    with Journal.open(path, write=True) as journal:
        outcome = _submit(journal, server, max_bytes=400)
        assert outcome.too_large == 1
        assert _given(server) == [[key(0)]]
        error = journal.verdicts([key(1)])[key(1)].error
        assert error is not None
        assert "a batch file may have 400" in error
        assert journal.count_waiting(wanted_only=False) == 1


@pytest.mark.parametrize(
    "step", ["new_batch", "upload", "uploaded", "create", "created"], ids=lambda step: f"at {step}"
)
def test_an_interrupted_submit_goes_on_where_it_stopped(
    journal: Journal, server: BatchDouble, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Killed after the note, or before or after the effect of each later step.

    `uploaded` and `created` die between the server's deed and its note in the journal.
    """
    with monkeypatch.context() as patch:
        _kill_at(step, patch)
        with pytest.raises(Killed):
            _submit(journal, server)
    outcome = _submit(journal, server)
    assert _given(server) == [[key(number) for number in range(5)]]
    assert outcome.recovered == 1
    assert [row.batch_id for row in outcome.batches] == ["batch_1"]
    assert len(server.files) == 1


def _kill_at(step: str, patch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    update = Journal.update_batch
    field = {"uploaded": "input_file_id", "created": "batch_id"}.get(step)

    def update_or_die(journal: Journal, number: int, **fields: str | None) -> None:
        if field in fields:
            raise Killed
        update(journal, number, **fields)

    if step == "new_batch":
        patch.setattr("margintool.judge.batch.files.write", die)
    elif field is None:
        patch.setattr(batch_server, step, die)
    else:
        patch.setattr(Journal, "update_batch", update_or_die)


def test_a_batch_whose_creation_was_not_heard_of_is_not_created_twice(
    journal: Journal, server: BatchDouble
) -> None:
    server.break_after = ["POST batches"]
    (row,) = _submit(journal, server).batches
    assert row.batch_id == "batch_1"
    assert list(server.batches) == ["batch_1"]


def test_what_was_given_before_a_refusal_stays_given(
    journal: Journal, server: BatchDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = batch_server.create

    def once(*arguments: object, **options: object) -> object:
        if server.batches:
            server.refuse["POST batches"] = httpx2.Response(401, json={"error": {"message": "no"}})
        return create(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(batch_server, "create", once)
        with pytest.raises(openai.AuthenticationError):
            _submit(journal, server, max_requests=2)
    found = [(row.batch_id, row.state, row.open) for row in journal.batches()]
    assert found == [("batch_1", "validating", True), (None, "refused", False)]
    assert journal.count_waiting(wanted_only=False) == 3
    server.refuse.clear()
    _submit(journal, server, max_requests=2)
    assert _given(server) == [[key(0), key(1)], [key(2), key(3)], [key(4)]]


def test_a_begun_batch_of_another_server_is_left_alone(
    journal: Journal, server: BatchDouble
) -> None:
    journal.new_batch([key(0)], "judge", served_by="http://elsewhere/v1")
    outcome = _submit(journal, server)
    assert [row.id for row in outcome.elsewhere] == [1]
    assert _given(server) == [[key(1), key(2), key(3), key(4)]]


def test_an_upload_that_is_refused_holds_no_request_back(
    journal: Journal, server: BatchDouble
) -> None:
    server.refuse["POST files"] = httpx2.Response(404, json={"error": {"message": "no files"}})
    with pytest.raises(openai.NotFoundError):
        _submit(journal, server)
    assert journal.count_waiting(wanted_only=False) == 5


def test_a_creation_of_unknown_outcome_is_held_and_looked_for(
    journal: Journal, server: BatchDouble
) -> None:
    """Every try breaks off and the list cannot be read: whether there is a batch is not known."""
    server.break_after = ["POST batches"]
    server.refuse["GET batches"] = httpx2.Response(503, json={"error": {"message": "busy"}})
    with pytest.raises(openai.InternalServerError):
        _submit(journal, server)
    assert journal.count_waiting(wanted_only=False) == 0
    server.refuse["GET batches"] = httpx2.Response(401, json={"error": {"message": "no"}})
    with pytest.raises(openai.AuthenticationError):
        _submit(journal, server)
    assert journal.count_waiting(wanted_only=False) == 0
    server.refuse.clear()
    assert [row.batch_id for row in _submit(journal, server).batches] == ["batch_1"]
    assert list(server.batches) == ["batch_1"]


def test_money_goes_to_whole_requests_and_no_further(journal: Journal, server: BatchDouble) -> None:
    allowance = Allowance(3.5 * _dollars(journal), PRICES)
    outcome = _submit(journal, server, max_requests=2, allowance=allowance)
    assert _given(server) == [[key(0), key(1)], [key(2)]]
    assert "--max-cost" in str(outcome.stopped)
    assert journal.count_waiting(wanted_only=False) == 2


def test_money_that_is_enough_stops_nothing(journal: Journal, server: BatchDouble) -> None:
    outcome = _submit(journal, server, allowance=Allowance(5 * _dollars(journal), PRICES))
    assert (outcome.stopped, journal.count_waiting(wanted_only=False)) == (None, 0)


def test_what_was_spent_before_counts(journal: Journal, server: BatchDouble) -> None:
    one = _dollars(journal)
    outcome = _submit(journal, server, allowance=Allowance(2 * one, PRICES, gone=1.5 * one))
    assert (outcome.batches, outcome.stopped is None) == ([], False)


def test_a_begun_batch_is_paid_first_or_left(journal: Journal, server: BatchDouble) -> None:
    journal.new_batch([key(0), key(1)], "judge", served_by="http://judge/v1")
    one = _dollars(journal)
    outcome = _submit(journal, server, allowance=Allowance(1.5 * one, PRICES))
    assert (outcome.batches, outcome.recovered, server.calls.total()) == ([], 0, 0)
    assert outcome.stopped is not None
    outcome = _submit(journal, server, allowance=Allowance(2.5 * one, PRICES))
    assert [row.requests for row in outcome.batches] == [2]


def test_a_limit_needs_a_price(journal: Journal, server: BatchDouble) -> None:
    with pytest.raises(InputError, match="--max-cost: no price for model judge"):
        _submit(journal, server, allowance=Allowance(1.0, Prices({})))
    assert server.calls.total() == 0


def _dollars(journal: Journal) -> float:
    """What one of the five requests, all of one length, costs at most through the Batch API."""
    body = next(journal.waiting(wanted_only=False)).body
    (message,) = body["messages"]
    # The text, 4 tokens around it and 3 that open the reply, at USD 1 each and half in a batch.
    return (len(message["content"]) + 4 + 3) / 2
