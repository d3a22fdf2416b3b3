"""From verdicts to scores: values by hand, and what every estimator promises.

A judge here is a table of verdicts by question: no server, no parser.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.canonical import PAIR_TYPES
from margintool.judge.asking.panel import Panel
from margintool.judge.item import REASONS, Item, Verdict
from margintool.judge.journal.journal import Stored
from margintool.judge.margins import Comparisons, Verdicts, comparisons, ratings, side_means
from margintool.sources import SOURCES, Scored, Settings
from mmpo_core.schema import HISTORY

NONE = Stored(None)
UNREAD = Stored(Verdict(None, reason="judge_refused", detail="it said no"))
FAILED = Stored(None, error="HTTP 500")


def said(value: float, read_from: Any = "json") -> Stored:
    return Stored(Verdict(value, read_from))


@dataclass
class Table:
    """Stands for a journal: what each (judge, answers as shown, draw) was answered."""

    answers: dict[tuple[str, tuple[str, ...], int], Stored] = field(default_factory=dict)

    def verdicts(self, keys: Sequence[Any]) -> dict[Any, Stored]:
        return {key: self.answers.get(key, NONE) for key in keys}


def asker(model: str) -> Any:
    def key(item: Item, draw: int) -> tuple[str, tuple[str, ...], int]:
        return model, item.answers, draw

    return SimpleNamespace(key=key)


def verdicts(table: Table, judges: str = "j", samples: int = 1, *, paired: bool = False) -> Any:
    return Verdicts(table, Panel([asker(model) for model in judges], samples, paired))


def item(*answers: str) -> Item:
    return Item("?", (), answers)


def test_draws_are_averaged_and_unreadable_ones_left_out() -> None:
    """Draws 6, refused, 9: mean 7.5 of two verdicts."""
    table = Table({("j", ("a",), 0): said(6), ("j", ("a",), 1): UNREAD, ("j", ("a",), 2): said(9)})
    found = ratings(verdicts(table, samples=3), [item("a")])
    assert (found.by_judge.tolist(), found.verdicts.tolist()) == ([[7.5]], [[2.0]])
    assert found.read_from.tolist() == [["json"]]


def test_an_answer_without_any_verdict_has_the_first_reason() -> None:
    table = Table({("j", ("a",), 0): UNREAD, ("j", ("b",), 0): FAILED})
    found = ratings(verdicts(table), [item("a"), item("b"), item("c")])
    assert np.isnan(found.by_judge).all()
    assert found.problems == [
        ("judge_refused", "it said no"),
        ("judge_failed", "HTTP 500"),
        ("judge_not_asked", REASONS["judge_not_asked"]),
    ]


def test_how_verdicts_were_read_is_told_together() -> None:
    table = Table({("j", ("a",), 0): said(6, "text"), ("j", ("a",), 1): said(7, "logprobs")})
    found = ratings(verdicts(table, samples=2), [item("a")])
    assert found.read_from.tolist() == [["logprobs+text"]]


def compared(first: Stored, second: Stored) -> Comparisons:
    """One pair (a, b): verdicts for whoever is shown first, a first and then b first."""
    table = Table({("j", ("a", "b"), 0): first, ("j", ("b", "a"), 0): second})
    return comparisons(verdicts(table, paired=True), [item("a", "b")])


@pytest.mark.parametrize(
    ("first", "second", "points_a", "points_b"),
    [
        (3.0, -3.0, 3.0, 0.0),  # a much better, both times
        (3.0, 1.0, 1.5, 0.5),  # the first place won twice: (3 - 1) / 2 = 1
        (2.0, 2.0, 1.0, 1.0),  # the orders contradict each other: a tie
        (0.0, -1.0, 0.5, 0.0),  # a tie, then a slightly better
        (-2.0, 2.0, 0.0, 2.0),  # b better, both times
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_both_orders_by_hand(first: float, second: float, points_a: float, points_b: float) -> None:
    found = compared(said(first), said(second))
    assert (found.points_a.tolist(), found.points_b.tolist()) == ([[points_a]], [[points_b]])
    assert (found.gap_first.tolist(), found.gap_second.tolist()) == ([[first]], [[-second]])


def test_one_order_alone_is_no_verdict_and_names_what_the_other_lacks() -> None:
    found = compared(said(3.0), UNREAD)
    assert np.isnan(found.points_a).all()
    (problem,) = found.problems
    assert problem is not None
    assert problem[0] == "judge_one_order"
    assert "it said no" in problem[1]


def test_neither_order_has_its_own_reason() -> None:
    assert compared(FAILED, UNREAD).problems == [("judge_failed", "HTTP 500")]


def test_a_judge_with_one_side_only_is_left_out_of_both_means() -> None:
    """Judge 1 rates 8 and 4, judge 2 rates only a: its 2 must not pull a's mean down."""
    a, b = side_means(np.array([[8.0, 2.0]]), np.array([[4.0, np.nan]]))
    assert (a.tolist(), b.tolist()) == ([8.0], [4.0])


def pairs(texts: Sequence[tuple[str, str]], **columns: list[Any]) -> pa.Table:
    n = len(texts)
    data = {
        **{name: [None] * n for name in PAIR_TYPES},
        "prompt": ["?"] * n,
        "history": [[]] * n,
        "response_a": [a for a, _ in texts],
        "response_b": [b for _, b in texts],
        **columns,
    }
    return pa.table({name: pa.array(data[name], kind) for name, kind in PAIR_TYPES.items()})


def full_table() -> Table:
    """Verdicts of judges x and y on answers 0 to 4: ratings 1 to 5 and 2, 2, 4, 4, 6."""
    by_judge = {"x": [1, 2, 3, 4, 5], "y": [2, 2, 4, 4, 6]}
    table = Table()
    for judge, values in by_judge.items():
        for a, value in enumerate(values):
            table.answers[judge, (str(a),), 0] = said(value)
            for b, other in enumerate(values):
                table.answers[judge, (str(a), str(b)), 0] = said(
                    float(np.clip(value - other + (judge == "y"), -3, 3))  # y likes the first
                )
    return table


def score(table: pa.Table, mode: str) -> Scored:
    found = verdicts(full_table(), "xy", paired=mode == "pair")
    return SOURCES["gpt4"].score_pairs(table, Settings(mode, verdicts=found))


answer = st.integers(0, 4).map(str)
rows = st.lists(st.tuples(answer, answer).filter(lambda pair: pair[0] != pair[1]), min_size=1)


@pytest.mark.parametrize("mode", sorted(SOURCES["gpt4"].margins))
@given(texts=rows, cut=st.integers(0, 10))
def test_margins_do_not_depend_on_the_batch(
    mode: str, texts: list[tuple[str, str]], cut: int
) -> None:
    whole = score(pairs(texts), mode)
    parts = [score(pairs(part), mode) for part in (texts[:cut], texts[cut:]) if part]
    np.testing.assert_array_equal(np.concatenate([part.gap for part in parts]), whole.gap)
    extra = [part.extra for part in parts if part.extra is not None]
    assert pa.concat_tables(extra).to_pydict() == (whole.extra or pa.table({})).to_pydict()


@pytest.mark.parametrize("mode", sorted(SOURCES["gpt4"].margins))
@given(texts=rows)
def test_swapping_the_answers_flips_the_sign(mode: str, texts: list[tuple[str, str]]) -> None:
    there = score(pairs(texts), mode)
    back = score(pairs([(b, a) for a, b in texts]), mode)
    np.testing.assert_allclose(there.gap, -back.gap, atol=1e-12)
    np.testing.assert_allclose(there.gap, there.score_a - there.score_b, atol=1e-12)
    np.testing.assert_allclose(there.score_a, back.score_b, atol=1e-12)


def test_single_and_pair_margins_of_two_judges_by_hand() -> None:
    """Answers 4 and 0. single: x 5 and 1, y 6 and 2: means 5.5 and 1.5, gap 4.

    pair: x says 3 (clipped from 4) in both orders; y says 3 where 4 is first (4 + 1, clipped)
    and -3 (-4 + 1) where 0 is first: gap 3.
    """
    single, pair = (score(pairs([("4", "0")]), mode) for mode in ("single", "pair"))
    assert (single.score_a[0], single.score_b[0], single.gap[0]) == (5.5, 1.5, 4.0)
    assert (pair.gap[0], pair.weight[0]) == (3.0, 4.0)
    assert single.weight[0] == 2.0


def test_a_flip_is_marked() -> None:
    """Answers 0 and 1 for y: ratings equal, so the first place wins by 1 in both orders."""
    table = full_table()
    found = verdicts(table, "y", paired=True)
    scored = SOURCES["gpt4"].score_pairs(pairs([("0", "1")]), Settings("pair", verdicts=found))
    assert scored.extra is not None
    assert (scored.gap[0], scored.extra["judge_flipped"].to_pylist()) == (0.0, [True])


def test_rows_with_a_reason_of_their_own_are_not_looked_up_and_keep_their_place() -> None:
    table = pairs([("4", "0"), ("9", "9"), ("0", "4")], reason=[None, "empty_response", None])
    scored = score(table, "single")
    assert scored.reason.to_pylist() == [None, "empty_response", None]
    np.testing.assert_array_equal(scored.gap, [4.0, np.nan, -4.0])


def test_reasons_about_the_inputs_scores_do_not_count() -> None:
    table = pairs([("4", "0")], reason=["score_conflict"], detail=["overall 9, aspects 1"])
    scored = score(table, "single")
    assert (scored.reason.to_pylist(), scored.gap.tolist()) == ([None], [4.0])


def test_weights_count_the_verdicts_that_are_in_the_margin() -> None:
    """Judge 1 rates a three times and b once: 2 / (1/3 + 1/1) = 1.5. Judge 2 rates only a: 0."""
    table = Table({("1", ("a",), draw): said(8) for draw in range(3)})
    table.answers |= {("1", ("b",), 0): said(4), ("2", ("a",), 0): said(2)}
    found = verdicts(table, "12", samples=3)
    scored = SOURCES["gpt4"].score_pairs(pairs([("a", "b")]), Settings("single", verdicts=found))
    assert (scored.weight[0], scored.gap[0]) == (1.5, 4.0)


def test_weights_of_comparisons_count_both_orders() -> None:
    """Three draws one way, one the other: 4 / (1/3 + 1/1) = 3. Judge 2 lacks an order: 0."""
    table = Table({("1", ("a", "b"), draw): said(1) for draw in range(3)})
    table.answers |= {("1", ("b", "a"), 0): said(-1), ("2", ("a", "b"), 0): said(3, "text")}
    found = verdicts(table, "12", samples=3, paired=True)
    scored = SOURCES["gpt4"].score_pairs(pairs([("a", "b")]), Settings("pair", verdicts=found))
    assert (scored.weight[0], scored.gap[0]) == (3.0, 1.0)
    assert scored.extra is not None
    assert scored.extra["judge_read_from"].to_pylist() == ["json"]  # judge 2 is not in it
    assert scored.extra["judge_scores_a"].to_pylist() == [[1.0, None]]


def test_means_of_the_same_numbers_in_another_order_are_a_tie() -> None:
    """Four judges rate a 3, 3, 5, 4 thirds and b the same in another order."""
    table = Table()
    for judge, a, b in zip("1234", (3, 4, 5, 4), (5, 4, 4, 3), strict=True):
        table.answers |= {(judge, ("a",), 0): said(a / 3), (judge, ("b",), 0): said(b / 3)}
    found = verdicts(table, "1234")
    scored = SOURCES["gpt4"].score_pairs(pairs([("a", "b")]), Settings("single", verdicts=found))
    assert scored.gap.tolist() == [0.0]


def test_an_answer_that_one_judge_did_not_rate_is_not_ranked() -> None:
    table = full_table()
    table.answers["y", ("1",), 0] = UNREAD
    responses = pa.table(
        {
            "prompt": ["?", "?"],
            "history": pa.array([[], []], HISTORY),
            "response": ["1", "2"],
            "reason": pa.nulls(2, pa.string()),
            "detail": pa.nulls(2, pa.string()),
        }
    )
    rate = SOURCES["gpt4"].rate
    assert rate is not None
    rated = rate(responses, Settings("single", verdicts=verdicts(table, "xy")))
    assert rated.reason.to_pylist() == ["judge_refused", None]
    np.testing.assert_array_equal(rated.rating, [np.nan, 3.5])


def test_a_gap_of_the_inputs_own_is_kept_as_the_score_of_the_answer_it_favours() -> None:
    scored = score(pairs([("4", "0"), ("0", "4")], gap=[2.0, -3.0]), "single")
    assert scored.extra is not None
    assert scored.extra["given_score_a"].to_pylist() == [2.0, 0.0]
    assert scored.extra["given_score_b"].to_pylist() == [0.0, 3.0]
