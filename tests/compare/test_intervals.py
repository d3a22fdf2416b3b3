"""Bootstrap intervals: those of mmpo_core.calibration, over prompts, also where they are many."""

import numpy as np
import pytest

from margintool.compare import intervals as module
from margintool.compare.intervals import Intervals, intervals
from margintool.compare.joining import Joined
from margintool.compare.measures import all_numbers
from margintool.progress import no_progress
from mmpo_core.calibration import bootstrap_interval


def drawn_pairs(count: int, per_prompt: int = 1, seed: int = 0) -> Joined:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count)
    b = a + rng.normal(size=count)
    target_a, target_b = (1 / (1 + np.exp(-x)) for x in (a, b))
    prompt = np.repeat(np.arange(count // per_prompt, dtype=np.uint64), per_prompt)
    return Joined(prompt, a, b, target_a, target_b, 0, 0)


def found(pairs: Joined, resamples: int = 200, seed: int = 0) -> Intervals:
    numbers = all_numbers(pairs)
    return intervals(pairs, numbers, resamples=resamples, seed=seed, progress=no_progress)


@pytest.mark.parametrize("per_prompt", [1, 5])
def test_all_intervals_are_those_of_one_number_at_a_time(per_prompt: int) -> None:
    pairs = drawn_pairs(60, per_prompt)
    together = found(pairs, resamples=20, seed=3)
    for name in all_numbers(pairs):
        alone = bootstrap_interval(
            lambda rows, name=name: all_numbers(pairs.take(rows))[name],
            pairs.prompt,
            resamples=20,
            seed=3,
        )
        assert together.bounds[name] == pytest.approx(alone, abs=1e-12)
    assert (together.prompts, together.drawn) == (60 // per_prompt,) * 2


def test_the_seed_decides() -> None:
    pairs = drawn_pairs(50)
    assert found(pairs, 20, seed=1) == found(pairs, 20, seed=1)
    assert found(pairs, 20, seed=1) != found(pairs, 20, seed=2)


def test_no_resamples_give_no_intervals() -> None:
    assert found(drawn_pairs(20), resamples=0) == Intervals({}, 20, 20, {})


def test_drawing_fewer_prompts_gives_about_the_same_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,500 prompts with two pairs each; then only 400 pairs, 200 prompts, in each resample."""
    pairs = drawn_pairs(3000, per_prompt=2)
    whole = found(pairs)
    monkeypatch.setattr(module, "MOST_PAIRS", 400)
    part = found(pairs)
    assert (whole.drawn, part.drawn) == (1500, 200)
    for name in ("same_winner", "kendall_signed", "pearson_size", "a:outcome:brier"):
        (low, high), (low_part, high_part) = whole.bounds[name], part.bounds[name]
        assert (high_part - low_part) == pytest.approx(high - low, rel=0.35)
        assert (low_part + high_part) / 2 == pytest.approx((low + high) / 2, abs=high - low)


def test_a_few_prompts_with_many_pairs_are_all_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 10)
    assert found(drawn_pairs(200, per_prompt=10), resamples=2).drawn == 20


def test_resamples_in_which_a_number_is_not_defined_are_counted() -> None:
    """Two pairs, one of them a tie: a resample of the tie alone (1 in 4) has no winners."""
    zero_one = np.array([0.0, 1.0])
    half = np.array([0.5, 0.7])
    pairs = Joined(np.array([1, 2], dtype=np.uint64), zero_one, zero_one, half, half, 0, 0)
    result = found(pairs, resamples=400)
    assert result.undefined["same_winner"] == pytest.approx(100, abs=35)
    assert result.bounds["same_winner"] == (1.0, 1.0)
    assert "a:outcome:brier" not in result.undefined


def test_what_is_infinite_or_not_defined_has_no_interval() -> None:
    sure = np.array([1.0, 1.0])
    pairs = Joined(np.array([1, 2], dtype=np.uint64), sure, -sure, sure, 1 - sure, 0, 0)
    result = found(pairs, resamples=5)
    assert "a:outcome:log_loss" not in result.bounds
    assert "pearson_size" not in result.bounds
    assert result.bounds["same_winner"] == (0.0, 0.0)
