"""Temperature: found where it is known, tried on other prompts, refused where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mmpo_core.errors import InputError
from mmpo_core.evaluate.temperature import fit_temperature, split_prompts, temperature
from mmpo_core.evaluation import cross_entropy, probability_of
from tests.core.evaluate.simulated import pairs

OPTIONS = {"bins": 10, "resamples": 50, "seed": 0}


def too_sure(factor, n=4000, prompts=1500, hard=False):
    """Log-odds that are `factor` times those of the targets."""
    some = pairs(n, prompts)
    right = some.h
    target = probability_of(right)
    if hard:
        target = (np.random.default_rng(1).uniform(size=n) < target).astype(float)
    return replace(some, h=factor * right, target=target)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0, 1e6])
def test_it_recovers_a_known_temperature(factor):
    found = fit_temperature(too_sure(factor))
    assert found.value == pytest.approx(factor, rel=1e-9)


def test_the_interval_holds_the_temperature_behind_outcomes():
    found = fit_temperature(too_sure(2.5, hard=True))
    assert found.low < 2.5 < found.high
    assert found.high / found.low < 1.5


def test_intervals_hold_about_as_often_as_they_say():
    """200 sets with outcomes: 95% give or take four standard errors of 1.5%."""
    held = 0
    for seed in range(200):
        some = pairs(400, 150, seed)
        drawn = np.random.default_rng(seed + 999).uniform(size=400)
        won = (drawn < probability_of(some.h)).astype(float)
        found = fit_temperature(replace(some, h=2 * some.h, target=won))
        held += found.low <= 2.0 <= found.high
    assert held / 200 >= 0.89


def test_it_is_the_minimum_of_the_mean_cross_entropy():
    some = pairs(300, 100)
    found = fit_temperature(some)
    best = minimize_scalar(
        lambda log_t: cross_entropy(some.h / np.exp(log_t), some.target).mean(),
        bracket=(-1.0, 1.0),
        tol=1e-12,
    )
    assert found.value == pytest.approx(np.exp(best.x), rel=1e-5)


def test_turning_pairs_round_changes_no_temperature():
    some = pairs(300, 100)
    flip = np.arange(300) % 3 == 0
    other = replace(
        some,
        h=np.where(flip, -some.h, some.h),
        target=np.where(flip, 1 - some.target, some.target),
    )
    assert fit_temperature(other).value == pytest.approx(fit_temperature(some).value, rel=1e-9)


def test_the_halves_share_no_prompt_and_hold_every_pair():
    some = replace(pairs(300, 101), margin=np.arange(300.0))
    first, second = split_prompts(some, seed=5)
    assert sorted([*first.margin, *second.margin]) == list(range(300))
    assert (first.prompts, second.prompts) == (50, 51)
    prompt_of = dict(zip(some.margin, some.prompt, strict=True))
    assert not {prompt_of[m] for m in first.margin} & {prompt_of[m] for m in second.margin}


def test_it_mends_what_is_too_sure_on_prompts_that_it_was_not_fitted_on():
    found = temperature(too_sure(4.0), **OPTIONS)
    assert found["reason"] is None
    assert found["temperature"]["value"] == pytest.approx(4.0, rel=1e-6)
    assert found["fitted_on"]["prompts"] + found["tried_on"]["prompts"] == 1500
    for name, row in found["metrics"].items():
        assert row["after"]["value"] < row["before"]["value"], name
        change = row["after"]["value"] - row["before"]["value"]
        assert row["change"]["value"] == pytest.approx(change, abs=1e-12)
        assert row["change"]["high"] < 0
        assert row["change"]["p"] < 0.05
    assert found["metrics"]["ece"]["after"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_it_is_fitted_on_one_half_and_tried_on_the_other():
    """With noise the halves want other temperatures; each number is of its own half."""
    some = too_sure(2.0, n=400, prompts=150, hard=True)
    fitted, tried = split_prompts(some, seed=0)
    expected = fit_temperature(fitted).value
    assert abs(expected - fit_temperature(tried).value) > 0.01
    found = temperature(some, **OPTIONS)
    assert found["temperature"]["value"] == expected
    assert found["fitted_on"] == {"pairs": len(fitted), "prompts": 75}
    assert found["tried_on"] == {"pairs": len(tried), "prompts": 75}
    nll = found["metrics"]["nll"]
    before, after = (cross_entropy(h, tried.target).mean() for h in (tried.h, tried.h / expected))
    assert nll["before"]["value"] == pytest.approx(before, abs=1e-12)
    assert nll["after"]["value"] == pytest.approx(after, abs=1e-12)


def test_too_few_prompts_are_refused_with_the_reason():
    found = temperature(pairs(500, 59), **OPTIONS)
    assert found["temperature"] is None
    assert found["reason"].startswith("59 prompts are too few: at least 30 to fit")
    assert temperature(pairs(500, 60), **OPTIONS)["temperature"] is not None


def test_log_odds_that_say_nothing_have_no_temperature():
    some = pairs(200, 80)
    against = replace(some, h=-(some.target - 0.5))
    with pytest.raises(InputError, match="larger reward margins do not go with larger targets"):
        fit_temperature(against)
    with pytest.raises(InputError, match="every reward margin is 0"):
        fit_temperature(replace(some, h=np.zeros(200)))
    found = temperature(against, **OPTIONS)
    assert found == {"temperature": None, "reason": found["reason"]}
    assert "the best T is infinite" in found["reason"]


def test_certain_and_always_right_has_no_temperature():
    some = pairs(200, 80)
    sure = replace(some, h=1 + np.abs(some.h), target=np.ones(200))
    with pytest.raises(InputError, match="the best T is 0"):
        fit_temperature(sure)
