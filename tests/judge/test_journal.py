"""The journal as a store: what goes in comes out, once, in order."""

import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.judge.item import Dialect, Reply, Request, Verdict
from margintool.judge.journal.journal import Failure, Journal, Stored, Usage
from mmpo_core.errors import InputError
from tests.judge.journal_rows import PAIR, SERVER, SINGLE, key, raw, reply, request


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open(path, write=True) as opened:
        yield opened


def waiting(journal: Journal, *, wanted_only: bool = True) -> list[str]:
    return [r.key for r in journal.waiting(wanted_only=wanted_only)]


def test_plan_counts_new_requests_only(journal: Journal) -> None:
    assert journal.plan([request(1), request(2), request(1)]) == 2
    assert journal.plan([request(2), request(3)]) == 1
    assert journal.known([key(1), key(3), key(9)]) == {key(1), key(3)}


def test_a_request_comes_back_as_planned(journal: Journal) -> None:
    asked = request(1, "Grüße \U0001f600 \x00", mode="pair")
    journal.plan([asked])
    assert list(journal.waiting(wanted_only=True)) == [asked]
    assert list(journal.requests([key(2), key(1)])) == [asked]


def test_waiting_is_in_planned_order_over_pages(journal: Journal) -> None:
    order = [number * 7919 % 1009 for number in range(1, 1009)]
    journal.plan(request(number) for number in order)
    assert waiting(journal) == [key(number) for number in order]
    assert journal.count_waiting(wanted_only=True) == 1008


@pytest.mark.parametrize("wanted_only", [True, False])
def test_a_page_is_not_sorted_out_of_all_that_is_left(journal: Journal, wanted_only: bool) -> None:
    """A sort for each page would make reading all pages quadratic in their number."""
    journal.plan(request(number) for number in range(300))
    asked: list[str] = []
    journal._db.set_trace_callback(asked.append)
    assert len(waiting(journal, wanted_only=wanted_only)) == 300
    journal._db.set_trace_callback(None)
    pages = [sql for sql in asked if "ORDER BY" in sql]
    assert len(pages) == 3
    for sql in pages:
        plan = " ".join(row[-1] for row in journal.rows(f"EXPLAIN QUERY PLAN {sql}"))
        assert "ORDER BY" not in plan


def test_what_is_stored_or_fails_meanwhile_is_yielded_once(journal: Journal) -> None:
    journal.plan(request(number) for number in range(700))
    seen = []
    for number, asked in enumerate(journal.waiting(wanted_only=True)):
        seen.append(asked.key)
        if number % 2:
            journal.store([reply(number)])
        else:
            journal.fail([Failure(asked.key, "HTTP 500")])
    assert seen == [key(number) for number in range(700)]
    assert waiting(journal) == [key(number) for number in range(0, 700, 2)]


def test_only_wanted_requests_are_restricted_to_this_run(path: Path) -> None:
    with Journal.open(path, write=True) as journal:
        journal.plan([request(1), request(2), request(3)])
    with Journal.open(path, write=True) as journal:
        assert waiting(journal) == []
        journal.plan([request(2)])
        journal.want([key(3), key(77)])
        assert waiting(journal) == [key(2), key(3)]
        assert waiting(journal, wanted_only=False) == [key(1), key(2), key(3)]
        assert journal.count_waiting(wanted_only=False) == 3


def test_the_first_reply_stays(journal: Journal) -> None:
    journal.plan([request(1), request(2)])
    assert journal.store([reply(1, 3.0)]) == 1
    assert journal.store([reply(1, 9.0), reply(2, 4.0)]) == 1
    assert journal.store([reply(1, 9.0)]) == 0
    verdicts = journal.verdicts([key(1), key(2)])
    assert [verdicts[key(n)].verdict for n in (1, 2)] == [Verdict(3.0), Verdict(4.0)]
    assert journal.spent() == {"gpt-4o": Usage(2, 2000, 200)}


def test_a_foreign_reply_is_told_and_the_others_are_kept(journal: Journal) -> None:
    journal.plan([request(1)])
    with pytest.raises(InputError, match="a reply for 1 requests that this journal does not hold"):
        journal.store([reply(8), reply(1)])
    assert journal.verdicts([key(1)])[key(1)].verdict == Verdict(7.0)
    with pytest.raises(InputError, match="an error for 1 requests"):
        journal.fail([Failure(key(8), "HTTP 500")])


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(float("nan")),
        Verdict(float("inf")),
        Verdict(None),
        Verdict(3.0, reason="judge_empty"),
    ],
)
def test_a_null_without_a_reason_or_a_number_with_one_is_refused(
    journal: Journal, verdict: Verdict
) -> None:
    """SQLite would store NaN as null, and a null without a reason would be an invented verdict."""
    journal.plan([request(1)])
    with pytest.raises(ValueError, match="verdict"):
        journal.store([reply(1, verdict=verdict)])
    assert waiting(journal) == [key(1)]


def test_errors_are_kept_until_a_reply_comes(journal: Journal) -> None:
    journal.plan([request(1)])
    journal.fail([Failure(key(1), "HTTP 500", 6)])
    journal.fail([Failure(key(1), "timed out", 2)])
    assert journal.verdicts([key(1)]) == {key(1): Stored(None, "timed out")}
    assert journal.rows("SELECT attempts FROM failures") == [(8,)]
    journal.store([reply(1)])
    journal.fail([Failure(key(1), "too late")])
    assert journal.verdicts([key(1)]) == {key(1): Stored(Verdict(7.0))}


def test_verdicts_have_an_entry_for_every_key(journal: Journal) -> None:
    journal.plan(request(number) for number in range(2500))
    journal.store([reply(number, None if number % 3 else 5.0) for number in range(2400)])
    found = journal.verdicts([key(number) for number in range(2600)])
    assert len(found) == 2600
    assert found[key(3)].verdict == Verdict(5.0)
    assert found[key(4)].verdict == Verdict(None, reason="judge_empty")
    assert found[key(2450)] == found[key(2550)] == Stored(None)


def test_counts_by_state_reason_and_model(journal: Journal) -> None:
    journal.plan(request(number) for number in range(10))
    journal.plan(request(number, model="tiny") for number in range(10, 14))
    journal.store([reply(0), reply(1, None), reply(10, None)])
    journal.fail([Failure(key(2), "HTTP 500")])
    journal.new_batch([key(3), key(4)], "gpt-4o", served_by=SERVER)
    counts = journal.counts()
    assert (counts.planned, counts.answered, counts.failed) == (14, 3, 1)
    assert (counts.waiting, counts.in_batches) == (9, 2)
    assert counts.unreadable == {"judge_empty": 2}
    tiny = counts.by_model["tiny"]
    assert (tiny.planned, tiny.answered, tiny.waiting, tiny.in_batches) == (4, 1, 3, 0)
    assert counts.by_model["gpt-4o"].unreadable == {"judge_empty": 1}


def test_replies_without_a_token_count_are_told_apart(journal: Journal) -> None:
    journal.plan([request(1), request(2), request(3, mode="pair")])
    journal.store([reply(1), reply(2, prompt_tokens=None, completion_tokens=None)])
    assert journal.spent() == {"gpt-4o": Usage(2, 1000, 100, untold=1)}
    journal.store([reply(3, 1.0, completion_tokens=40)])
    assert journal.reply_tokens() == {("gpt-4o", "single"): 100.0, ("gpt-4o", "pair"): 40.0}


def test_an_empty_journal_has_counts(journal: Journal) -> None:
    assert journal.counts().planned == 0
    assert journal.spent() == {}
    assert journal.reply_tokens() == {}
    assert waiting(journal, wanted_only=False) == []


def test_dialects_are_kept_by_server_and_model(path: Path) -> None:
    plain = Dialect(structured=False, token_limit="max_tokens")
    with Journal.open(path, write=True) as journal:
        journal.keep_dialect("http://a/v1", "m", Dialect())
        journal.keep_dialect("http://a/v1", "m", plain)
    with Journal.open(path, write=False) as journal:
        assert journal.dialect("http://a/v1", "m") == plain
        assert journal.dialect("http://b/v1", "m") is None
        assert journal.dialect("http://a/v1", "n") is None


def test_a_dialect_that_no_longer_holds_is_forgotten_alone(path: Path) -> None:
    with Journal.open(path, write=True) as journal:
        journal.keep_dialect("http://a/v1", "m", Dialect())
        journal.keep_dialect("http://b/v1", "m", Dialect())
        journal.forget_dialect("http://a/v1", "m")
        assert journal.dialect("http://a/v1", "m") is None
        assert journal.dialect("http://b/v1", "m") == Dialect()


def test_each_journal_has_a_salt_of_its_own(tmp_path: Path) -> None:
    salts = []
    for name in ("a", "b"):
        for _ in range(2):
            with Journal.open(tmp_path / name, write=True) as journal:
                salts.append(journal.salt)
    assert salts[0] == salts[1]
    assert salts[2] == salts[3] != salts[0]
    assert len(salts[0]) == 32


def test_replies_and_all_rows(journal: Journal) -> None:
    journal.plan(request(number) for number in range(600))
    journal.store([reply(number, float(number % 10)) for number in range(0, 600, 2)])
    journal.fail([Failure(key(1), "HTTP 500")])
    answered = list(journal.replies())
    assert [row.reply for row in answered] == [
        reply(number, float(number % 10)) for number in range(0, 600, 2)
    ]
    rows = list(journal.all_rows())
    assert [row.request for row in rows] == [request(number) for number in range(600)]
    assert rows[1].error == "HTTP 500"
    assert rows[1].reply is rows[3].reply is rows[3].error is None


def test_revised_verdicts_replace_the_old_ones(journal: Journal) -> None:
    journal.plan([request(1), request(2)])
    journal.store([reply(1, None), reply(2, 4.0)])
    better = Verdict(8.0, "json", {"honesty": 8.0}, "words")
    journal.revise([(key(1), better)])
    assert journal.verdicts([key(1), key(2)]) == {
        key(1): Stored(better),
        key(2): Stored(Verdict(4.0)),
    }
    assert next(journal.replies()).reply == reply(1, raw=raw("Rating: [[None]]"), verdict=better)


def test_planning_takes_no_more_memory_for_more_requests(journal: Journal) -> None:
    """The tenfold number of requests, planned and read, within the same memory."""

    def peak(first: int, count: int) -> int:
        gc.collect()
        tracemalloc.start()
        journal.plan(request(n, f"{n} " + "x" * 2000) for n in range(first, first + count))
        for _ in journal.waiting(wanted_only=False):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = peak(0, 500)
    assert peak(500, 5000) < 1.5 * few


texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


@given(content=texts, rationale=texts, raw_reply=texts, error=texts)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_survives(
    tmp_path: Path, content: str, rationale: str, raw_reply: str, error: str
) -> None:
    r"""Bodies and raw replies to the letter, lone surrogates ("\ud800" in JSON) among them."""
    where = tmp_path / "texts.sqlite"
    with Journal.open(where, write=True) as journal:
        number = journal.counts().planned * 2
        asked = request(number, content)
        got: Reply = reply(number, raw=raw_reply, verdict=Verdict(1.0, rationale=rationale))
        other: Request = request(number + 1, content)
        journal.plan([asked, other])
        journal.store([got])
        journal.fail([Failure(other.key, error)])
    readable = rationale.encode("utf-8", "replace").decode()
    with Journal.open(where, write=False) as journal:
        assert list(journal.requests([asked.key])) == [asked]
        rows = list(journal.all_rows())
        assert rows[-2].reply is not None
        assert rows[-2].reply.raw == raw_reply
        assert rows[-2].reply.verdict == Verdict(1.0, rationale=readable)
        assert rows[-1].error == error.encode("utf-8", "replace").decode()


def test_tasks_are_stored_once(journal: Journal) -> None:
    journal.plan(request(number, mode="pair" if number % 2 else "single") for number in range(600))
    assert len(journal.rows("SELECT json FROM tasks")) == 2
    tasks = [asked.task for asked in journal.waiting(wanted_only=True)]
    assert tasks == [PAIR if number % 2 else SINGLE for number in range(600)]
