"""What two orders say: counts, rates and the advantage of the first place, worked out by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.orders import OrderCounts, merged_gap

NONE = float("nan")


def counted(first: list[float], second: list[float]) -> OrderCounts:
    counts = OrderCounts()
    counts.add(np.array(first), np.array(second))
    return counts


def test_each_kind_of_pair_is_counted_once():
    """Of 6 pairs with both orders, for a shown first and second: (2, 1) and (0, 0) agree, (3, -1)
    the first place won twice, (-1, 2) the second, (1, 0) and (0, -2) have a tie in one order.
    """
    counts = counted(
        [2, 0, 3, -1, 1, 0, 5, NONE, NONE],
        [1, 0, -1, 2, 0, -2, NONE, -1, NONE],
    )
    assert (counts.pairs, counts.both, counts.one_order, counts.unjudged) == (9, 6, 2, 1)
    assert (counts.agree, counts.tie_changes, counts.flips) == (2, 2, 2)
    assert (counts.first_won, counts.second_won) == (1, 1)
    assert counts.share(counts.flips) == pytest.approx(2 / 6)


def test_advantage_is_half_the_difference_and_its_interval_normal():
    """Gaps (3, 1), (1, -3), (0, 0): advantages 1, 2, 0, mean 1, variance 1 (n - 1 = 2), standard
    error 1 / sqrt(3) = 0.57735, times 1.959964 = 1.131586.
    """
    counts = counted([3, 1, 0], [1, -3, 0])
    assert counts.advantage == 1.0
    assert counts.interval == pytest.approx((1 - 1.131586, 1 + 1.131586), abs=1e-6)


def test_a_judge_that_adds_half_a_point_to_the_first_is_seen_through():
    """Gaps q + 0.5 with a first, q - 0.5 with b first: the merged gap is q again."""
    q = np.array([2.0, -1.0, 0.25])
    counts = OrderCounts()
    counts.add(q + 0.5, q - 0.5)
    assert counts.advantage == 0.5
    assert counts.interval == (0.5, 0.5)
    assert merged_gap(q + 0.5, q - 0.5).tolist() == q.tolist()
    assert (counts.first_won, counts.second_won, counts.agree) == (1, 0, 2)


def test_a_missing_order_leaves_no_merged_gap():
    merged = merged_gap(np.array([1.0, NONE, 2.0]), np.array([NONE, 3.0, -4.0]))
    assert np.isnan(merged).tolist() == [True, True, False]
    assert merged[2] == -1.0


def test_which_answer_is_called_a_does_not_matter():
    """Named the other way round, b's gap shown first is -(a's gap shown second)."""
    first, second = [2.0, -1, 3, 0, NONE], [1.0, 2, -1, -2, 1]
    swapped = counted([-x for x in second], [-x for x in first])
    assert swapped.as_dict() == counted(first, second).as_dict()


GAPS = st.one_of(st.just(NONE), st.integers(-3, 3).map(float))


@given(st.lists(st.tuples(GAPS, GAPS)), st.integers(0, 20))
def test_parts_add_up_to_the_whole(pairs: list[tuple[float, float]], cut: int):
    """Halves of small integers add up exactly in any order."""
    first, second = np.array(pairs, dtype=float).reshape(-1, 2).T
    parts = OrderCounts()
    parts.add(first[:cut], second[:cut])
    parts.add(first[cut:], second[cut:])
    whole = counted(first.tolist(), second.tolist())
    assert parts == whole
    assert whole.agree + whole.tie_changes + whole.flips == whole.both
    assert whole.pairs == len(pairs)


def test_nothing_judged_is_null_not_a_number():
    for counts in (counted([], []), counted([NONE], [NONE]), counted([1.0], [NONE])):
        found = json.loads(json.dumps(counts.as_dict(), allow_nan=False))
        assert found["flip_rate"] is None
        assert found["first_advantage"] is None
        assert found["first_advantage_95"] is None
    assert [label for label, _ in counted([1.0], [NONE]).lines()] == ["orders"]


def test_one_pair_has_an_advantage_without_an_interval():
    counts = counted([2.0], [1.0])
    assert counts.advantage == 0.5
    assert counts.as_dict()["first_advantage_95"] is None
    assert "interval" not in str(counts.lines())


def test_huge_gaps_give_null_where_the_range_of_floats_ends():
    counts = counted([1e308, 1e308, float("inf")], [-1e308, -1e308, 1.0])
    assert (counts.first_won, counts.one_order) == (2, 1)
    assert counts.interval is None
    json.dumps(counts.as_dict(), allow_nan=False)


def test_lines_say_all_of_it():
    lines = dict(counted([3, 1, 0, NONE], [1, -3, 0, 2]).lines("rating points"))
    assert lines["orders"] == "3 pairs judged in both orders; 1 in one only"
    assert lines["agree"] == "2 (66.7%) have the same outcome in both orders"
    assert lines["flips"] == "1 (33.3%) have another winner when swapped"
    assert lines["tie changes"] == "0 (0.0%) have a winner in one order only"
    assert lines["position"] == (
        "the first answer won both orders in 1 (33.3%), the second in 0 (0.0%)"
    )
    assert lines[""] == "being shown first adds +1 rating points (95% interval -0.132 to +2.13)"
