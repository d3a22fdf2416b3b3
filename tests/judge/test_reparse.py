"""Stored replies read again: verdicts change, replies and what was paid do not."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.item import Verdict
from margintool.judge.journal.journal import Journal
from margintool.judge.journal.lock import journal_lock
from margintool.judge.journal.reparse import ReparseSummary, reparse
from margintool.judge.task import Task
from margintool.judge_options import JournalOptions, SubmitOptions
from margintool.judge_runs import collect_batches, run_judge, submit_batches
from margintool.score_options import AskOptions
from mmpo_core.errors import InputError
from tests.judge.conftest import MockJudge
from tests.judge.journal_rows import SINGLE, key, raw, reply, request
from tests.judge.scripted_server import Answer, Try, completion, good, scripted
from tests.judge.test_score_gpt4 import metadata
from tests.score.conftest import run, write_jsonl

__all__ = ["run", "write_jsonl"]  # fixtures


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


def test_replies_that_come_later_are_read_with_the_pattern_too(
    run: Callable[..., Any], write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    """Two parsers in one journal would rate answers by two standards, and nothing would tell."""
    rows = [{"prompt": f"{n}?", "chosen": f"zork {n}", "rejected": f"bad {n}"} for n in range(4)]
    journal = tmp_path / "pairs.journal.sqlite"

    def ratings() -> set[float | None]:
        with Journal.open(journal, write=False) as opened:
            return {row.reply.verdict.value for row in opened.replies() if row.reply}

    def depth(one: Try) -> Answer:
        better = "zork" in one.question
        return good(completion(f"Depth: {3 if better else 2}. Rating: [[{9 if better else 7}]]"))

    with scripted(depth) as server:
        asked = {"judge_model": ("m",), "base_url": server.url, "journal": journal}
        run_judge(AskOptions(input=write_jsonl(rows[:2]), **asked))
        assert ratings() == {9.0, 7.0}
        reparse(journal, r"Depth: (\d)")
        summary, pairs, _ = run(rows[:3], source="gpt4", gamma=1.0, **asked)
        assert ratings() == {3.0, 2.0}
        assert {pair["margin_raw"] for pair in pairs} == {1.0}
        assert metadata(summary.out)["findings"]["pattern"] == r"Depth: (\d)"
        assert any(r"Depth: (\d)" in text for _, text in summary.findings)
        reparse(journal)
        summary, pairs, _ = run(rows, source="gpt4", gamma=1.0, **asked)
        assert ratings() == {9.0, 7.0}
        assert "pattern" not in metadata(summary.out)["findings"]


def test_replies_of_batches_are_read_with_the_pattern_too(
    write_jsonl: Callable[..., Path], tmp_path: Path, mock_judge: MockJudge
) -> None:
    journal = tmp_path / "pairs.journal.sqlite"
    given = write_jsonl([{"prompt": "?", "chosen": "good", "rejected": "bad"}])
    server = {"base_url": mock_judge.url, "journal": journal}
    submit_batches(SubmitOptions(input=given, judge_model=("mock-judge",), **server))
    reparse(journal, r'"rating": *(\d+)')
    while collect_batches(JournalOptions(**server))[1].in_batches:
        pass
    with Journal.open(journal, write=False) as opened:
        verdicts = [row.reply.verdict for row in opened.replies() if row.reply]
    assert [(v.read_from, v.value is None) for v in verdicts] == [("text", False)] * 2


def test_a_pattern_that_cannot_serve_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    with Journal.open(path, write=True):
        pass
    with pytest.raises(InputError, match="no regular expression"):
        reparse(path, "(")
    with Journal.open(path, write=False) as journal:
        assert journal.pattern is None
