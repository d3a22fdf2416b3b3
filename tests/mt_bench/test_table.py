"""Means and intervals by hand."""

import numpy as np
import pytest

from margintool.mt_bench.table import table

NONE = np.nan


def test_means_by_category_and_turn() -> None:
    """Three questions, turn 1 and 2 in turn: writing (8, 6) and (4, none), math (none, none).

    writing: turn 1 (8 + 4) / 2 = 6, turn 2 6, both (8 + 6 + 4) / 3 = 6; one without a rating.
    math: nothing to average. All: the same as writing, with three without.
    """
    rating = np.array([8.0, 6.0, 4.0, NONE, NONE, NONE])
    found = table(rating, ["writing", "writing", "math"], bootstrap=0, seed=0)
    assert {name: (m.value, m.rated, m.unrated) for name, m in found.overall.items()} == {
        "turn_1": (6.0, 2, 1),
        "turn_2": (6.0, 1, 2),
        "both": (6.0, 3, 3),
    }
    assert list(found.by_category) == ["writing", "math"]
    writing, math = found.by_category["writing"], found.by_category["math"]
    assert [(m.value, m.rated, m.unrated) for m in writing.values()] == [
        (6.0, 2, 0),
        (6.0, 1, 1),
        (6.0, 3, 1),
    ]
    assert [(m.value, m.low, m.rated, m.unrated) for m in math.values()] == [
        (None, None, 0, 1),
        (None, None, 0, 1),
        (None, None, 0, 2),
    ]


def test_the_mean_over_both_turns_is_over_answers_not_over_turns() -> None:
    """Turn 1: 1, 1, 1; turn 2: 9 and two without. (1 + 1 + 1 + 9) / 4 = 3, not (1 + 9) / 2."""
    rating = np.array([1.0, 9.0, 1.0, NONE, 1.0, NONE])
    found = table(rating, ["a"] * 3, bootstrap=0, seed=0)
    assert found.overall["both"].value == 3.0


def test_intervals_are_over_questions() -> None:
    """Both answers to a question get the same rating: 2 for one, 8 for the other.

    A resample of two questions has the mean 2, 5 or 8, with chances 1/4, 1/2, 1/4: the interval
    is [2, 8]. Were the four answers drawn one by one, 2 would come in 1 of 16 resamples as well,
    but each question's own turn has no spread at all.
    """
    found = table(np.array([2.0, 2.0, 8.0, 8.0]), ["a", "b"], bootstrap=200, seed=0)
    both = found.overall["both"]
    assert (both.value, both.low, both.high) == (5.0, 2.0, 8.0)


def test_one_question_has_no_interval() -> None:
    """Drawn whole, its mean is (1 + 9) / 2 in every resample, which is no certainty.

    So it is where another question has no rating.
    """
    both = table(np.array([1.0, 9.0, NONE, NONE]), ["a"] * 2, bootstrap=50, seed=0).overall["both"]
    assert (both.value, both.low, both.high) == (5.0, None, None)


def test_the_seed_decides() -> None:
    rating = np.random.default_rng(0).uniform(1, 10, 40)
    once, again, other = (table(rating, ["a"] * 20, bootstrap=40, seed=s) for s in (1, 1, 2))
    assert once == again != other
    assert other.overall["both"].value == pytest.approx(rating.mean())
