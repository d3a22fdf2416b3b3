"""Bootstrap intervals: the same as calibration.bootstrap_interval, and how often they hold."""

from dataclasses import replace

import numpy as np
import pytest

from mmpo_core.calibration import bootstrap_interval
from mmpo_core.errors import InputError
from mmpo_core.evaluate.intervals import Estimate, estimate
from mmpo_core.evaluate.metrics import METRICS
from mmpo_core.evaluate.paired import difference_to_dict, differences
from tests.core.evaluate.simulated import pairs


def estimates(some, names, **options):
    return estimate({name: METRICS[name].make(some, 10) for name in names}, some, **options)


def test_the_interval_is_that_of_bootstrap_interval_with_the_same_seed():
    some = pairs(200, 60)
    found = estimates(some, ["brier"], resamples=300, seed=7)["brier"].interval()
    squares = (some.predicted - some.target) ** 2
    expected = bootstrap_interval(
        lambda rows: float(squares[rows].mean()), some.prompt, resamples=300, seed=7
    )
    assert found == pytest.approx(expected, abs=1e-12)


def test_draws_do_not_depend_on_what_else_is_measured_or_on_blocks(monkeypatch):
    some = pairs(100, 40)
    alone = estimates(some, ["ece"], resamples=50)["ece"].draws
    monkeypatch.setattr("mmpo_core.evaluate.intervals._MOST_COUNTS", 40 * 7)
    together = estimates(some, list(METRICS), resamples=50)["ece"].draws
    np.testing.assert_allclose(together, alone, atol=1e-12)
    assert np.unique(alone).size > 40


def test_another_seed_draws_other_prompts():
    some = pairs(100, 40)
    first, second = (
        estimates(some, ["nll"], resamples=20, seed=seed)["nll"].draws for seed in (0, 1)
    )
    assert not np.allclose(first, second)


def test_pairs_of_one_prompt_are_drawn_together():
    """Ten copies of each pair say nothing new: the interval is that of the pairs alone."""
    some = pairs(50, 50)
    copies = some.take(np.repeat(np.arange(50), 10))
    names = ("accuracy", "ece", "spearman", "aurc", "l2_debiased")
    once, tenfold = (estimates(each, names, resamples=100) for each in (some, copies))
    for name in names:
        assert tenfold[name].interval() == pytest.approx(once[name].interval(), abs=1e-9), name


def test_one_prompt_and_no_resamples_have_no_interval():
    one = pairs(5, 1)
    found = estimates(one, ["accuracy"])["accuracy"]
    assert found.to_dict() == {"value": found.value, "low": None, "high": None}
    assert estimates(pairs(9, 3), ["nll"], resamples=0)["nll"].interval() is None


def test_what_is_not_defined_is_null():
    found = Estimate(float("nan"), np.array([1.0, 2.0]))
    assert found.to_dict() == {"value": None, "low": None, "high": None}
    infinite = Estimate(1.0, np.array([np.nan, 1.0, np.inf, 1.0]))
    assert infinite.to_dict() == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_no_pair_and_negative_settings_are_refused():
    some = pairs(4, 2)
    with pytest.raises(InputError, match="no pair to measure"):
        estimates(some.take(np.zeros(4, bool)), ["nll"])
    with pytest.raises(InputError, match="at least 0, got -1 and 0"):
        estimates(some, ["nll"], resamples=-1)


def test_difference_by_hand():
    """a - b = 0.1; draws 0.1, 0.3, -0.1, 0.2: one of four at or below 0: p = 2 (1 + 1) / 5."""
    a = Estimate(0.5, np.array([0.5, 0.7, 0.3, 0.6]))
    b = Estimate(0.4, np.full(4, 0.4))
    found = difference_to_dict(a, b)
    assert found["value"] == pytest.approx(0.1)
    assert found["p"] == pytest.approx(0.8)
    low, high = np.quantile([0.1, 0.3, -0.1, 0.2], [0.025, 0.975])
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))


def test_a_model_does_not_differ_from_itself_and_p_is_never_0():
    same = Estimate(0.5, np.linspace(0, 1, 99))
    assert difference_to_dict(same, same) == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}
    above = Estimate(2.5, np.linspace(2, 3, 99))
    assert difference_to_dict(above, same)["p"] == pytest.approx(2 / 100)


def test_without_draws_there_is_no_p():
    a, b = Estimate(1.0, np.empty(0)), Estimate(0.5, np.empty(0))
    assert difference_to_dict(a, b) == {"value": 0.5, "low": None, "high": None, "p": None}


def test_differences_cover_every_two_models_and_metric():
    one = {"nll": Estimate(1.0, np.ones(3)), "ece": Estimate(0.1, np.ones(3))}
    rows = differences({"a": one, "b": one, "c": one})
    assert [(row["a"], row["b"], row["metric"]) for row in rows] == [
        (a, b, metric) for a, b in ("ab", "ac", "bc") for metric in ("nll", "ece")
    ]


def test_on_the_same_draws_a_difference_is_surer_than_two_intervals():
    """h and h + 0.05: the constant gap in mean h has an interval of no width."""
    some = pairs(100, 50)
    a = estimates(some, ["reward_margin"], resamples=200)["reward_margin"]
    b = Estimate(a.value + 0.05, a.draws + 0.05)
    assert a.interval()[1] - a.interval()[0] > 0.5
    found = difference_to_dict(b, a)
    assert found["low"] == pytest.approx(0.05)
    assert found["high"] == pytest.approx(0.05)


def nearly_calibrated(n, prompts, seed):
    some = pairs(n, prompts, seed=seed)
    won = np.random.default_rng(seed + 5).uniform(size=n) < some.predicted
    return replace(some, h=0.9 * some.h, target=won.astype(float))


def coverage(names, simulated, *, prompts, resamples, of=pairs):
    """Share of simulated sets of clustered pairs whose interval holds the true number."""
    whole = of(600_000, 240_000, seed=10**6)
    true = {name: e.value for name, e in estimates(whole, names, resamples=0).items()}
    held = dict.fromkeys(names, 0)
    for at in range(simulated):
        some = of(5 * prompts // 2, prompts, seed=50_000 + at)
        found = estimates(some, names, resamples=resamples, seed=at)
        for name in names:
            low, high = found[name].interval()
            held[name] += low <= true[name] <= high
    return {name: count / simulated for name, count in held.items()}


@pytest.mark.slow
def test_95_percent_intervals_hold_in_93_to_97_percent_of_1000_simulated_sets():
    """1,000 pairs of 400 prompts each. Chance moves a share of 1,000 by 0.7% (standard error)."""
    names = (
        *("accuracy", "nll", "brier", "reward_margin", "ece", "ece_hard", "l2_debiased", "mce"),
        *("spearman", "aurc"),
    )
    found = coverage(names, 1000, prompts=400, resamples=1000)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


@pytest.mark.slow
def test_near_0_the_debiased_error_has_an_interval_that_holds_and_the_plain_ones_do_not():
    """Outcomes by sigma(h) as targets of 0.9 h: ECE 0.015. See docs/evaluation.md."""
    found = coverage(
        ("ece", "mce", "l2_debiased"), 400, prompts=400, resamples=400, of=nearly_calibrated
    )
    assert found["l2_debiased"] >= 0.93, found
    assert 0.4 <= found["ece"] <= 0.6, found
    assert found["mce"] <= 0.2, found


def test_intervals_hold_about_as_often_as_they_say():
    """100 sets: 95% give or take four standard errors of 2.2%."""
    found = coverage(("accuracy", "nll"), 100, prompts=200, resamples=200)
    assert all(share >= 0.86 for share in found.values()), found
