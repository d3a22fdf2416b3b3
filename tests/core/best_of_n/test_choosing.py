"""Calibrated probabilities of winning, by hand and by their properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.best_of_n.choosing import choose, win_probability
from mmpo_core.errors import InputError

REWARDS = st.lists(st.integers(-40, 40).map(float), min_size=2, max_size=8)


def test_by_hand() -> None:
    """At T = 2, gaps of 2 ln 3 and 2 ln 9 become odds of 3 and 9: 0 against 2 ln 3 wins 1/4 and
    against 4 ln 3 wins 1/10; the middle one 3/4 and 1/4; the best 9/10 and 3/4."""
    step = 2 * math.log(3)
    found = win_probability([0.0, step, 2 * step], 2.0)
    assert found.tolist() == pytest.approx([0.175, 0.5, 0.825], abs=1e-12)


def test_where_rewards_are_equal_nothing_is_known() -> None:
    assert win_probability([4.0, 4.0, 4.0]).tolist() == pytest.approx([0.5] * 3)


@given(REWARDS, st.floats(0.1, 50))
def test_with_one_model_the_order_is_that_of_the_rewards(
    rewards: list[float], temperature: float
) -> None:
    found = win_probability(rewards, temperature)
    assert (np.diff(found[np.argsort(rewards, kind="stable")]) >= -1e-12).all()
    assert found.sum() == pytest.approx(len(rewards) / 2)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[choose(rewards, temperature)] == found.max()


def test_of_several_models_the_calibrated_one_decides() -> None:
    """The first model's gaps are large, but held-out pairs say T = 100: it knows next to nothing.
    By the mean of raw rewards answer 0 would win; by what is known answer 1 does."""
    rewards = np.array([[20.0, 0.0], [-1.0, 1.0]])
    assert int(np.argmax(rewards.mean(axis=0))) == 0
    assert choose(rewards, [100.0, 1.0]) == 1


def test_models_are_averaged() -> None:
    both = win_probability([[0.0, 1.0, 3.0], [2.0, 0.0, 5.0]], [1.0, 3.0])
    alone = [win_probability([0.0, 1.0, 3.0], 1.0), win_probability([2.0, 0.0, 5.0], 3.0)]
    assert both.tolist() == pytest.approx(np.mean(alone, axis=0).tolist())


def test_huge_gaps_are_certain_without_overflow() -> None:
    assert win_probability([-1e6, 1e6]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("rewards", "temperatures", "words"),
    [
        ([1.0], 1.0, "N >= 2"),
        ([1.0, math.inf], 1.0, "must be finite"),
        ([1.0, 2.0], 0.0, "temperatures must be"),
        ([1.0, 2.0], [1.0, 2.0], "1 models and 2 temperatures"),
    ],
)
def test_what_cannot_be_used_is_refused(
    rewards: list[float], temperatures: float | list[float], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        win_probability(rewards, temperatures)


def test_of_one_model_the_highest_reward_is_picked_at_any_temperature() -> None:
    """sigma(1e-9 / 1e9) is 1/2 in float64: by rounded probabilities the first would be picked."""
    rewards = [1.0, 1.0 + 1e-9]
    assert len(set(win_probability(rewards, 1e9).tolist())) == 1
    assert choose(rewards, 1e9) == 1
