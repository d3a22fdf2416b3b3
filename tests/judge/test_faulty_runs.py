"""A fifth of all requests go wrong, in every way that the stand-in knows, 64 at a time.

Every pair must end with the right margin or the reason that its fault gives it, and every answer
that the server delivered must be in the journal, once. Transport faults (429, 500, slow replies,
resets, malformed JSON) are cured by retries and leave no trace in the pairs; content faults
(refusals, empty, cut, filtered or senseless replies) are paid for, stored, and never asked again.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.judge.journal.journal import Journal
from margintool.judge.mock.faults import CONTENT, TRANSPORT
from margintool.judge_runs import run_judge
from margintool.score_options import AskOptions
from tests.judge.conftest import MockJudge
from tests.judge.judged_pairs import Sent, check_endings, check_paid_once, make_rows
from tests.score.conftest import run, write_jsonl

__all__ = ["run", "write_jsonl"]  # fixtures

FIFTH = "0.2"
CONCURRENCY = 64


def replies_in(journal: Path) -> int:
    with Journal.open(journal, write=False) as opened:
        return opened.counts().answered


def judged(run: Callable[..., Any], judge: MockJudge, rows: Any, **options: Any) -> Any:
    asked = {"judge_model": ("mock-judge",), "base_url": judge.url, "concurrency": CONCURRENCY}
    return run(rows, source="gpt4", **{**asked, **options})


@pytest.mark.parametrize("mode", ["single", "pair"])
@pytest.mark.parametrize("number", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_every_pair_ends_right_and_every_answer_is_paid_once(
    run: Callable[..., Any],
    start_mock: Callable[..., MockJudge],
    tmp_path: Path,
    mode: str,
    number: int,
) -> None:
    judge = start_mock(faults=FIFTH, latency=0.1, slow_seconds=0.5)
    rows = make_rows(number)
    summary, pairs, rejects = judged(run, judge, rows, mode=mode)
    journal = tmp_path / "pairs.journal.sqlite"
    sent, stats = Sent.read(journal, FIFTH), judge.stats()
    endings = sent.endings(rows, mode)
    check_endings(rows, endings, pairs, rejects)
    check_paid_once(sent, stats, replies_in(journal))
    # The faults did happen, and as many as the reasons say.
    assert all(stats["faults"].get(kind) for kind in TRANSPORT)
    assert len(sent.questions) == 2 * number
    assert summary.rejected == Counter(e.reason for e in endings if e.reason)
    assert CONCURRENCY / 2 < stats["max_in_flight"] <= CONCURRENCY


def test_faults_are_counted_alike_on_both_sides(
    run: Callable[..., Any],
    start_mock: Callable[..., MockJudge],
    write_jsonl: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Asked first, scored later: `score` then sends nothing."""
    judge = start_mock(faults=FIFTH, slow_seconds=0.2)
    rows = make_rows(150)
    journal = tmp_path / "pairs.journal.sqlite"
    outcome, counts = run_judge(
        AskOptions(
            input=write_jsonl(rows),
            journal=journal,
            judge_model=("mock-judge",),
            base_url=judge.url,
            concurrency=CONCURRENCY,
        )
    )
    sent, stats = Sent.read(journal, FIFTH), judge.stats()
    faults, mine = stats["faults"], Counter(fault for fault in sent.faults.values() if fault)
    assert (outcome.answered, outcome.failed, counts.answered) == (300, {}, 300)
    assert sum(outcome.unreadable.values()) == mine.total()
    # The probe's question may have met a fault too: it is the only one more.
    assert sum((Counter(faults) - mine)[kind] for kind in CONTENT) <= 1
    assert all(mine[kind] for kind in CONTENT)
    # Each request is an answer or one of the faults that give none.
    lost = sum(faults[kind] for kind in ("rate-limit", "error", "reset", "malformed"))
    assert stats["received"] == stats["answered"] + lost
    # A reply that was cut may have been paid for: it is no answer, and it is told.
    cut = faults["reset"] + faults["malformed"]
    assert cut - 1 <= outcome.unseen <= cut
    _, pairs, rejects = judged(run, judge, rows)
    check_endings(rows, sent.endings(rows, "single"), pairs, rejects)
    assert judge.stats()["received"] == stats["received"]


@pytest.mark.slow
def test_replies_that_come_too_late_are_asked_for_again_and_told(
    run: Callable[..., Any], start_mock: Callable[..., MockJudge], tmp_path: Path
) -> None:
    """A slow reply outlasts --timeout: its client is gone, so that it is no delivered answer."""
    judge = start_mock(faults="slow=0.1", slow_seconds=20.0)
    rows = make_rows(300)
    _, pairs, rejects = judged(run, judge, rows, timeout=10.0)
    journal = tmp_path / "pairs.journal.sqlite"
    sent, stats = Sent.read(journal, None), judge.stats()
    check_endings(rows, sent.endings(rows, "single"), pairs, rejects)
    check_paid_once(sent, stats, replies_in(journal))
    assert rejects == []
    assert stats["received"] > stats["answered"]
