"""Replies that could not be read are asked for again when told so, and are kept all the same."""

from pathlib import Path

import pytest

from margintool.judge.item import Verdict
from margintool.judge.journal.ask_again import ask_again
from margintool.judge.journal.journal import Journal
from mmpo_core.errors import InputError
from tests.judge.journal_rows import key, raw, reply, request


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four questions: one answered, one cut off, one refused, one not sent yet."""
    where = tmp_path / "journal.sqlite"
    with Journal.open(where, write=True) as journal:
        journal.plan(request(number) for number in range(4))
        cut = Verdict(None, reason="judge_truncated", detail="?")
        refused = Verdict(None, reason="judge_refused", detail="?")
        journal.store(
            [
                reply(0, 7.0),
                reply(1, verdict=cut, raw=raw("Well, ")),
                reply(2, verdict=refused, raw=raw("No.")),
            ]
        )
    return where


def waiting(path: Path) -> list[str]:
    with Journal.open(path, write=True) as journal:
        return [one.key for one in journal.waiting(wanted_only=False)]


def test_only_the_named_ones_wait_again(path: Path) -> None:
    assert ask_again(path, ["judge_truncated"]) == 1
    assert waiting(path) == [key(1), key(3)]


def test_without_a_reason_all_that_could_not_be_read(path: Path) -> None:
    assert ask_again(path) == 2
    assert waiting(path) == [key(1), key(2), key(3)]
    assert ask_again(path) == 0


def test_what_the_old_replies_cost_is_not_forgotten(path: Path) -> None:
    with Journal.open(path, write=False) as journal:
        before = journal.spent()
    ask_again(path)
    with Journal.open(path, write=True) as journal:
        assert journal.spent() == before
        journal.store([reply(1, 4.0)])
        assert journal.spent()["gpt-4o"].requests == before["gpt-4o"].requests + 1
        stored = journal.verdicts([key(1)])[key(1)].verdict
    assert stored is not None
    assert stored.value == 4.0


def test_a_larger_limit_is_written_into_the_requests_and_leaves_their_keys(path: Path) -> None:
    with Journal.open(path, write=False) as journal:
        limit = next(name for name in next(journal.all_rows()).request.body if "tokens" in name)
    ask_again(path, ["judge_truncated"], max_tokens=9999)
    with Journal.open(path, write=True) as journal:
        bodies = {one.key: one.body[limit] for one in journal.waiting(wanted_only=False)}
    assert bodies[key(1)] == 9999
    assert bodies[key(3)] != 9999


@pytest.mark.parametrize("reason", ["judge_failed", "truncated"])
def test_reasons_that_no_reply_has_are_refused(path: Path, reason: str) -> None:
    with pytest.raises(InputError, match="unknown reason"):
        ask_again(path, [reason])
