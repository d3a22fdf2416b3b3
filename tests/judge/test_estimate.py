"""What a run would cost: counted, multiplied by hand, and honest about what is not known."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from margintool.judge.cost.estimate import estimate
from margintool.judge.cost.prices import Price, Prices
from margintool.judge.item import Request
from margintool.judge.journal.journal import Journal
from tests.judge.journal_rows import SERVER, key, reply, request

PRICES = Prices({"m": Price(1.0, 10.0, as_of="2026-01")})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite", write=True) as opened:
        yield opened


def asked(number: int, text: str = "x" * 400) -> Request:
    """A request of 3 + (4 + 3) + (4 + 100) = 114 tokens, by bytes / 4, and a limit of 100."""
    return request(number, text, model="m")


def test_nothing_known_yet() -> None:
    """2 * 114 = 228 tokens in; replies at most 2 * 100: (228 * 1 + 200 * 10) / 10^6 USD."""
    (one,) = estimate([asked(1), asked(2)], PRICES).models
    assert (one.requests, one.answered, one.in_batches, one.to_send) == (2, 0, 0, 2)
    assert one.prompt_tokens == 228
    assert one.reply_tokens == one.most_reply_tokens == 200
    assert one.cost == one.most_cost == pytest.approx(0.002228)
    assert one.counted_by == "estimate: UTF-8 bytes / 4"
    assert one.replies_from == "no replies to go by yet: the limit"


def test_what_is_answered_or_in_a_batch_is_not_counted_again(journal: Journal) -> None:
    """Two of five are left; the one reply had 40 tokens: 2 * 40 expected, 2 * 100 at most."""
    journal.plan(asked(number) for number in range(4))
    journal.store([reply(0, completion_tokens=40)])
    journal.new_batch([key(1), key(2)], "m", served_by=SERVER)
    found = estimate((asked(number) for number in range(5)), PRICES, journal=journal)
    (one,) = found.models
    assert (one.requests, one.answered, one.in_batches, one.to_send) == (5, 1, 2, 2)
    assert (one.reply_tokens, one.most_reply_tokens) == (80, 200)
    assert one.cost == pytest.approx((228 + 800) / 1e6)
    assert one.most_cost == pytest.approx((228 + 2000) / 1e6)
    assert one.replies_from == "40 each, the mean of the journal's replies"
    assert journal.counts().planned == 4


def test_the_mean_is_that_of_the_mode_and_below_the_limit(journal: Journal) -> None:
    journal.plan([asked(0), request(1, model="m", mode="pair")])
    journal.store([reply(0, completion_tokens=500), reply(1, 1.0, completion_tokens=20)])
    found = estimate([asked(2), request(3, model="m", mode="pair")], PRICES, journal=journal)
    assert found.models[0].reply_tokens == 100 + 20


def test_identical_requests_count_once() -> None:
    (one,) = estimate([asked(1), asked(2), asked(1)], PRICES).models
    assert one.requests == one.to_send == 2


def test_a_batch_has_its_price() -> None:
    (full,) = estimate([asked(1)], PRICES).models
    (half,) = estimate([asked(1)], PRICES, batch=True).models
    assert full.cost is not None
    assert half.cost == pytest.approx(full.cost / 2)
    assert "0.5 of it through the Batch API" in half.lines()[-1]


def test_the_limit_is_read_in_either_field() -> None:
    body = dict(asked(1).body)
    body["max_tokens"] = body.pop("max_completion_tokens") + 7
    (one,) = estimate([replace(asked(1), body=body)], PRICES).models
    assert one.most_reply_tokens == 107


def test_a_model_without_a_price_has_no_cost_and_no_total() -> None:
    found = estimate([asked(1), request(2, model="local")], PRICES)
    known, unknown = found.models
    assert known.cost is not None
    assert unknown.cost is unknown.most_cost is None
    assert found.cost is found.most_cost is None
    text = "\n".join(found.lines())
    assert "no price for model local: give --prices" in text
    assert "in all" not in text
    assert found.as_dict()["models"][1]["cost"] is None


def test_a_judge_with_nothing_left_to_send_needs_no_price(journal: Journal) -> None:
    journal.plan([request(2, model="local")])
    journal.store([reply(2)])
    found = estimate([asked(1), request(2, model="local")], PRICES, journal=journal)
    assert found.cost == found.models[0].cost is not None


def test_the_words() -> None:
    many = Prices({"m": Price(1000.0, 10_000.0, as_of="2026-01"), "n": Price(0.0, 0.0)})
    requests = [asked(1), asked(2), request(3, "x" * 400, model="n")]
    assert estimate(requests, many).lines() == [
        "m: 2 requests to send of 2; 0 answered already",
        "  prompt tokens 228 (estimate: UTF-8 bytes / 4)",
        "  reply tokens 200 expected (no replies to go by yet: the limit), at most 200",
        "  cost USD 2.23 expected, at most 2.23 "
        "(price as of 2026-01: 1000 in, 10000 out per million)",
        "n: 1 requests to send of 1; 0 answered already",
        "  prompt tokens 114 (estimate: UTF-8 bytes / 4)",
        "  reply tokens 100 expected (no replies to go by yet: the limit), at most 100",
        "  cost USD 0.00 expected, at most 0.00 (your price: 0 in, 0 out per million)",
        "in all USD 2.23 expected, at most 2.23",
    ]


def test_no_requests() -> None:
    assert estimate([], PRICES).lines() == []
