"""The journal's tables of batches: requests held back, let go, and told apart in what they cost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from margintool.judge.journal.journal import Failure, Journal, Usage
from tests.judge.journal_rows import SERVER, key, reply, request


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite", write=True) as opened:
        opened.plan(request(number) for number in range(6))
        yield opened


def waiting(journal: Journal) -> list[int]:
    return [int(r.key, 16) for r in journal.waiting(wanted_only=True)]


def keys(*numbers: int) -> list[str]:
    return [key(number) for number in numbers]


def test_a_batch_holds_its_requests_back_until_it_is_closed(journal: Journal) -> None:
    made = journal.new_batch(keys(4, 1, 2), "gpt-4o", served_by=SERVER)
    assert waiting(journal) == [0, 3, 5]
    assert journal.states(keys(0, 1, 9)) == {key(0): "waiting", key(1): "in_batch"}
    journal.store([reply(1)])
    journal.fail([Failure(key(2), "HTTP 500: in the error file")])
    assert journal.batch_keys(made) == keys(1, 2, 4)
    assert journal.close_batch(made, "expired") == 2
    assert waiting(journal) == [0, 2, 3, 4, 5]
    assert journal.states(keys(1)) == {key(1): "answered"}
    assert journal.batch_keys(made, unanswered=True) == keys(2, 4)


def test_fields_are_kept(journal: Journal) -> None:
    first = journal.new_batch(keys(0), "gpt-4o", served_by=SERVER, sha256="ab")
    second = journal.new_batch(keys(1, 2), "gpt-4o", served_by=SERVER)
    journal.update_batch(second, batch_id="batch_1", input_file_id="file-1", state="in_progress")
    journal.close_batch(first, "failed", "bad line")
    one, two = journal.batches()
    assert (one.id, one.state, one.open, one.error, one.sha256) == (
        first, "failed", False, "bad line", "ab",
    )  # fmt: skip
    assert (two.requests, two.state, two.open) == (2, "in_progress", True)
    assert (two.input_file_id, two.batch_id, two.output_file_id) == ("file-1", "batch_1", None)
    assert [row.id for row in journal.batches(open_only=True)] == [second]


def test_a_request_is_in_one_open_batch(journal: Journal) -> None:
    journal.store([reply(5)])
    first = journal.new_batch(keys(0, 1), "gpt-4o", served_by=SERVER)
    for wrong in (keys(1, 2), keys(5), keys(2, 77), keys(2, 2)):
        with pytest.raises(ValueError, match=r"1 of \d keys are not waiting"):
            journal.new_batch(wrong, "gpt-4o", served_by=SERVER)
    assert len(journal.batches()) == 1
    journal.close_batch(first, "cancelled")
    second = journal.new_batch(keys(1, 2), "gpt-4o", served_by=SERVER)
    assert journal.batch_keys(first) == keys(0, 1)
    assert journal.batch_keys(second) == keys(1, 2)


def test_wrong_fields_and_numbers_are_refused(journal: Journal) -> None:
    made = journal.new_batch(keys(0), "gpt-4o", served_by=SERVER)
    for wrong in ({"open": "0"}, {"id = 7 --": "x"}, {}):
        with pytest.raises(ValueError, match="unknown or no fields"):
            journal.update_batch(made, **wrong)
    with pytest.raises(ValueError, match="no batch 99"):
        journal.update_batch(99, state="x")
    with pytest.raises(ValueError, match="no batch 99"):
        journal.close_batch(99, "x")


def test_what_came_through_a_batch_is_told_apart(journal: Journal) -> None:
    """A reply counts for the batch that was open when it came, and not for one closed before."""
    made = journal.new_batch(keys(0, 1, 2), "gpt-4o", served_by=SERVER)
    journal.store([reply(0), reply(3)])
    journal.close_batch(made, "expired")
    journal.store([reply(1)])
    assert journal.spent(by_batch=True) == {"gpt-4o": Usage(1, 1000, 100)}
    assert journal.spent(by_batch=False) == {"gpt-4o": Usage(2, 2000, 200)}
    assert journal.spent() == {"gpt-4o": Usage(3, 3000, 300)}
    assert [row.by_batch for row in journal.replies()] == [True, False, False]
