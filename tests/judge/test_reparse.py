"""Stored replies read again: verdicts change, replies and what was paid do not."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.item import Verdict
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.journal.reparse import ReparseSummary, reparse
from margintool.judge.task import Task
from mmpo_core.errors import InputError
from tests.judge.journal_rows import SINGLE, key, raw, reply, request


def number_in(
    task: Task,
    completion: Mapping[str, Any],
    body: Mapping[str, Any],
    fence: str,
    pattern: str | None,
) -> Verdict:
    """A parser for these tests: the last match of the pattern."""
    assert (task, body["model"], fence) == (SINGLE, "gpt-4o", "f" * 16)
    text = completion["choices"][0]["message"]["content"]
    found = re.findall(pattern or r"\[\[(\d+)\]\]", text)
    if not found:
        return Verdict(None, reason="judge_no_verdict", detail="\ud800")
    return Verdict(float(found[-1]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "journal.sqlite"
    with Journal.open(where, write=True) as journal:
        journal.plan(request(number) for number in range(5))
        unread = Verdict(None, reason="judge_no_verdict", detail="?")
        journal.store(
            [
                reply(0, 7.0, raw=raw("[[7]]")),
                reply(1, verdict=unread, raw=raw("Score: 4")),
                reply(2, 9.0, raw=raw("none at all")),
                reply(3, 5.0, raw=raw("[[6]]")),
            ]
        )
    return where


def values(path: Path) -> list[float | None]:
    with Journal.open(path, write=False) as journal:
        found = journal.verdicts([key(number) for number in range(4)])
    return [one.verdict.value if one.verdict else None for one in found.values()]


def test_verdicts_follow_the_parser(path: Path) -> None:
    assert reparse(path, read_verdict=number_in) == ReparseSummary(4, 2, 0, 1)
    assert values(path) == [7.0, None, None, 6.0]
    assert reparse(path, read_verdict=number_in) == ReparseSummary(4, 0, 0, 0)


def test_with_a_pattern(path: Path) -> None:
    assert reparse(path, r"(?:Score: |\[\[)(\d)", read_verdict=number_in) == ReparseSummary(
        4, 3, 1, 1
    )
    assert values(path) == [7.0, 4.0, None, 6.0]


def test_replies_stay_as_they_were(path: Path) -> None:
    def held() -> list[Any]:
        with Journal.open(path, write=False) as journal:
            sql = "SELECT request, raw, prompt_tokens, seconds, finish_reason FROM replies"
            return [*journal.rows(sql), journal.spent(), journal.count_waiting(wanted_only=False)]

    before = held()
    reparse(path, read_verdict=number_in)
    assert held() == before


def test_more_replies_than_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, write=True) as journal:
        journal.plan(request(number) for number in range(1201))
        journal.store([reply(number, 1.0, raw=raw("[[3]]")) for number in range(1201)])
    assert reparse(path, read_verdict=number_in).changed == 1201
    with Journal.open(path, write=False) as journal:
        assert journal.rows("SELECT DISTINCT value FROM replies") == [(3.0,)]


def test_an_interruption_keeps_what_was_read_and_can_be_repeated(path: Path) -> None:
    def interrupted(*args: Any) -> Verdict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reparse(path, read_verdict=interrupted)
    assert reparse(path, read_verdict=number_in).changed == 2


def test_a_running_judge_is_not_disturbed(path: Path) -> None:
    with journal_lock(path), pytest.raises(InputError, match="is writing this journal"):
        reparse(path, read_verdict=number_in)
    assert values(path) == [7.0, None, 9.0, 5.0]


def test_no_journal_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such journal"):
        reparse(tmp_path / "none.sqlite", read_verdict=number_in)
    assert list(tmp_path.iterdir()) == []


def test_the_parser_is_the_projects_own_by_default(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal.open(path, write=True) as journal:
        journal.plan([request(0), request(1)])
        journal.store([reply(0, None, raw=raw("Fine.\nRating: [[8]]")), reply(1, raw=raw("high"))])
    assert reparse(path) == ReparseSummary(2, 2, 1, 1)
    with Journal.open(path, write=False) as journal:
        first, second = (journal.verdicts([key(n)])[key(n)].verdict for n in (0, 1))
    assert first is not None
    assert first.value == 8.0
    assert second is not None
    assert second.reason == "judge_no_verdict"


@pytest.mark.parametrize("pattern", ["(", "no group", "(two)(groups)"])
def test_a_pattern_that_cannot_serve_is_refused_before_anything_changes(
    path: Path, pattern: str
) -> None:
    with pytest.raises(InputError, match="--pattern"):
        reparse(path, pattern)
    assert values(path) == [7.0, None, 9.0, 5.0]
