"""METRICS against independent implementations and hand values; symmetries; resampled rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from mmpo_core.calibration import drawn_groups, pair_ece
from mmpo_core.evaluate.intervals import estimate
from mmpo_core.evaluate.metrics import MAIN, METRICS
from mmpo_core.evaluate.pairs import Pairs, pairs_of
from tests.core.evaluate import simulated

BINS = 10
# What is asked in the file's own orientation: the log-odds of the answer that won.
ORIENTED = {name for name in METRICS if name.startswith("reward_margin")} | {"spearman"}


def values(pairs, names=tuple(METRICS), bins=BINS):
    statistics = {name: METRICS[name].make(pairs, bins) for name in names}
    return {name: e.value for name, e in estimate(statistics, pairs, resamples=0).items()}


def made(h, target, label, margin=None, prompt=None):
    h = np.asarray(h, float)
    prompt = np.arange(len(h)) if prompt is None else np.asarray(prompt)
    margin = np.zeros(len(h)) if margin is None else np.asarray(margin, float)
    columns = (np.asarray(target, float), np.asarray(label, float), margin, prompt)
    return Pairs(h, *columns, prompts=int(prompt.max()) + 1)


def outcomes(n=2000, seed=3):
    """Pairs of either orientation with outcomes of 0 and 1 as both truths."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.01, 0.99, n)
    won = (rng.uniform(size=n) < p**1.5).astype(float)
    return made(np.log(p / (1 - p)), won, won, margin=2 * won - 1)


def test_by_hand():
    """h = ln 3, -ln 3, ln 3, 0: sigma = 3/4, 1/4, 3/4, 1/2; targets 3/4, 3/4, 1/2, 1; the third a
    tie, the others won.

    accuracy: 1, 0, 1/2, 1/2. NLL against targets: with a = ln 4/3, b = ln 4: (3a + b)/4,
    (3b + a)/4, (a + b)/2, ln 2. Brier: 0, 1/4, 1/16, 1/4. Hard, labels 1, 1, 1/2, 1: NLL a, b,
    (a + b)/2, ln 2; Brier 1/16, 9/16, 1/16, 1/4.
    ECE, likelier side first: 3/4 against 3/4, 1/4, 1/2: |3/4 - 1/2| of three; 1/2 against (1 + 0)/2
    both ways: no gap. So ECE = 3/4 * 1/4, the maximum 1/4; hard 1, 0, 1/2: the same.
    h: mean ln 3 / 4; sd: sum of squares 3 ln^2 3 - ln^2 3 / 4 = 11/4 ln^2 3, by 3.
    AURC: |h| = ln 3 for three pairs at once, errors 0, 1, 1/2: risk 1/2; then with the fourth's
    1/2: 1/2. Area 1/2.
    """
    ln3, a, b = np.log(3), np.log(4 / 3), np.log(4)
    pairs = made([ln3, -ln3, ln3, 0.0], [0.75, 0.75, 0.5, 1.0], [1, 1, 0.5, 1], [1, 1, 0, 2])
    found = values(pairs)
    expected = {
        "accuracy": 0.5,
        "nll": ((3 * a + b) / 4 + (3 * b + a) / 4 + (a + b) / 2 + np.log(2)) / 4,
        "brier": (1 / 4 + 1 / 16 + 1 / 4) / 4,
        "nll_hard": (a + b + (a + b) / 2 + np.log(2)) / 4,
        "brier_hard": (1 / 16 + 9 / 16 + 1 / 16 + 1 / 4) / 4,
        "ece": 3 / 16,
        "ece_hard": 3 / 16,
        "mce": 1 / 4,
        "reward_margin": ln3 / 4,
        "reward_margin_sd": ln3 * np.sqrt(11 / 12),
        "reward_margin_p50": ln3 / 2,
        "aurc": 0.5,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_debiased_by_hand():
    """One bin, h = ln 3 (p = 3/4), prompts A: targets 1, 1; B: 1/2. Both ways there are two bins
    with mirrored gaps, so the one from 0.7 tells.

    p - t: -1/4, -1/4 and 1/4: mean -1/12. Sums by prompt -1/2 of 2 and 1/4 of 1; less n_g times
    the mean: -1/3 and 1/3. var = 2/1 (1/9 + 1/9) / 9 = 4/81. 1/144 - 4/81 < 0: 0.
    With targets 1, 1 and 7/8: p - t = -1/4, -1/4, -1/8: mean -5/24; -1/2 + 5/12 = -1/12 and
    -1/8 + 5/24 = 1/12: var = 2 (1/144 + 1/144) / 9 = 1/324. 25/576 - 1/324 = 209/5184.
    """
    prompt = [0, 0, 1]
    clear = made([np.log(3)] * 3, [1, 1, 0.5], [1, 1, 1], prompt=prompt)
    assert values(clear, ["l2_debiased"])["l2_debiased"] == 0.0
    close = made([np.log(3)] * 3, [1, 1, 7 / 8], [1, 1, 1], prompt=prompt)
    expected = np.sqrt(209 / 5184)
    assert values(close, ["l2_debiased"])["l2_debiased"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn_to_1e_9(seed):
    pairs = outcomes(seed=seed)
    found, p, y = values(pairs), pairs.predicted, pairs.label
    assert found["brier_hard"] == pytest.approx(brier_score_loss(y, p), abs=1e-9)
    assert found["nll_hard"] == pytest.approx(log_loss(y, p), abs=1e-9)
    assert found["accuracy"] == pytest.approx(np.mean((p > 0.5) == (y > 0.5)), abs=1e-9)
    doubled_p, doubled_y = np.concatenate([p, 1 - p]), np.concatenate([y, 1 - y])
    true, mean = calibration_curve(doubled_y, doubled_p, n_bins=BINS)
    weight = np.histogram(doubled_p, bins=BINS, range=(0, 1))[0] / len(doubled_p)
    assert found["ece_hard"] == pytest.approx(np.sum(weight * np.abs(true - mean)), abs=1e-9)
    assert found["mce"] == pytest.approx(np.max(np.abs(true - mean)), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_soft_scores_agree_with_a_loop_over_pairs(seed):
    """ECE by going through the pairs one by one, the likelier side first, ceil(10 p) as the bin."""
    pairs = simulated.pairs(700, 200, seed=seed)
    gaps = {}
    nll = brier = 0.0
    for h, t in zip(pairs.h, pairs.target, strict=True):
        p = 1 / (1 + np.exp(-h))
        nll += -(t * np.log(p) + (1 - t) * np.log(1 - p)) / 700
        brier += (p - t) ** 2 / 700
        p, t = (p, t) if p >= 0.5 else (1 - p, 1 - t)
        gaps.setdefault(int(np.ceil(10 * p)), []).append(p - t)
    found = values(pairs)
    expected = sum(abs(sum(each)) for each in gaps.values()) / 700
    assert found["ece"] == pytest.approx(expected, abs=1e-9)
    assert found["ece"] == pytest.approx(pair_ece(pairs.predicted, pairs.target), abs=1e-12)
    largest = max(abs(np.mean(each)) for each in gaps.values())
    assert found["mce"] == pytest.approx(largest, abs=1e-9)
    assert found["nll"] == pytest.approx(nll, abs=1e-9)
    assert found["brier"] == pytest.approx(brier, abs=1e-9)


def test_debiased_error_is_that_of_kumar_liang_and_ma_where_theirs_applies():
    """Hard labels, one prediction a bin, independent pairs: gap^2 - y (1 - y) / (n - 1)."""
    rng = np.random.default_rng(8)
    p = rng.choice([0.55, 0.65, 0.75, 0.85, 0.95], 900)
    y = (rng.uniform(size=900) < p - 0.1).astype(float)
    total = 0.0
    for level in np.unique(p):
        here = y[p == level]
        bias = here.mean() * (1 - here.mean()) / (len(here) - 1)
        total += len(here) / 900 * ((level - here.mean()) ** 2 - bias)
    pairs = made(np.log(p / (1 - p)), y, y)
    assert values(pairs)["l2_debiased"] == pytest.approx(np.sqrt(total), abs=1e-9)


def test_debiased_error_has_no_bias_where_the_plain_one_has():
    """h with noise in the targets, calibrated on average: the squares of 400 sets, 40 pairs each.

    Noise in targets comes in prompts of two. The plain squared error is about the variance of the
    bins' gaps; the debiased one before it is cut at 0 is 0 on average: its mean is within four of
    its standard errors.
    """
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(400):
        p = np.full(40, 0.75)
        t = 0.75 + np.repeat(rng.uniform(-0.2, 0.2, 20), 2)
        pairs = made(np.log(p / (1 - p)), t, np.ones(40), prompt=np.repeat(np.arange(20), 2))
        statistic = METRICS["l2_debiased"].make(pairs, BINS)
        count, gap, gap_gap, gap_count, count_count, prompts = statistic.table.sum(0).reshape(6, -1)
        at = 7
        mean = gap[at] / count[at]
        spread = gap_gap[at] - 2 * mean * gap_count[at] + mean**2 * count_count[at]
        debiased = mean**2 - spread / count[at] ** 2 * prompts[at] / (prompts[at] - 1)
        assert statistic.finish(statistic.table.sum(0)) == pytest.approx(
            np.sqrt(max(debiased, 0)), abs=1e-12
        )
        squares.append((mean**2, debiased))
    plain, debiased = np.array(squares).T
    assert plain.mean() == pytest.approx(0.4**2 / 12 / 20, rel=0.25)
    assert abs(debiased.mean()) < 4 * debiased.std() / 20


def test_equal_mass_bins_hold_equally_many_pairs():
    """Ten predictions, both ways 20, four bins of five."""
    p = np.array([0.51, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
    pairs = made(np.log(p / (1 - p)), np.ones(10), np.ones(10))
    doubled = np.sort(np.concatenate([p, 1 - p]))
    truth = np.concatenate([np.zeros(10), np.ones(10)])
    groups = np.split(np.arange(20), 4)
    expected = sum(5 / 20 * abs(doubled[g].mean() - truth[g].mean()) for g in groups)
    found = values(pairs, ["ece_equal_mass"], bins=4)["ece_equal_mass"]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ranks_agree_with_scipy(seed):
    pairs = simulated.pairs(500, 100, seed=seed, ties=0.3)
    pairs = replace(pairs, h=np.round(pairs.h, 1))  # many ties in both
    found = values(pairs, ["spearman", "spearman_both_ways"])
    h, m = pairs.h, pairs.margin
    assert found["spearman"] == pytest.approx(spearmanr(h, m).statistic, abs=1e-9)
    both = spearmanr(np.concatenate([h, -h]), np.concatenate([m, -m])).statistic
    assert found["spearman_both_ways"] == pytest.approx(both, abs=1e-9)


def test_spread_and_quantiles_agree_with_numpy():
    pairs = simulated.pairs(333, 100)
    found = values(pairs)
    assert found["reward_margin_sd"] == pytest.approx(np.std(pairs.h, ddof=1), abs=1e-12)
    for share in (5, 25, 50, 75, 95):
        expected = np.quantile(pairs.h, share / 100)
        assert found[f"reward_margin_p{share:02}"] == pytest.approx(expected, abs=1e-12)


def test_what_is_not_defined_is_nan():
    one = made([1.0], [0.7], [1.0], [1.0])
    found = values(one)
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {"reward_margin_sd", "spearman"}


def test_pairs_from_predictions_are_chosen_first():
    made_pairs = pairs_of(simulated.predictions())
    tie = simulated.predictions().tie
    assert tie.any()
    assert made_pairs.label.tolist() == np.where(tie, 0.5, 1.0).tolist()
    assert made_pairs.prompts == 20


rows = st.lists(
    st.tuples(st.floats(-8, 8), st.floats(0.0, 4.0).map(lambda m: round(m, 2)), st.integers(0, 4)),
    min_size=3,
    max_size=30,
)


def from_rows(rows):
    h, margin, prompt = np.array(rows).T
    _, prompt = np.unique(prompt, return_inverse=True)
    label = np.where(margin == 0, 0.5, 1.0)
    return made(h, 1 / (1 + np.exp(-margin)), label, margin, prompt)


@given(rows, st.integers(0, 2**30))
@settings(deadline=None, max_examples=50)
def test_turning_pairs_round_changes_nothing(rows, turned):
    pairs = from_rows(rows)
    flip = np.array([(turned >> i) & 1 for i in range(len(pairs))], bool)
    other = replace(
        pairs,
        h=np.where(flip, -pairs.h, pairs.h),
        target=np.where(flip, 1 - pairs.target, pairs.target),
        label=np.where(flip, 1 - pairs.label, pairs.label),
        margin=np.where(flip, -pairs.margin, pairs.margin),
    )
    names = [name for name in METRICS if name not in ORIENTED]
    before, after = values(pairs, names), values(other, names)
    assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_the_order_of_pairs_changes_nothing(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    before, after = values(from_rows(rows)), values(from_rows(shuffled))
    assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


@given(rows)
@settings(deadline=None, max_examples=50)
def test_ranges(rows):
    found = values(from_rows(rows))
    for name in ("accuracy", "brier", "brier_hard", "ece", "ece_hard", "ece_equal_mass", "aurc"):
        assert 0 <= found[name] <= 1, name
    assert found["ece"] <= found["mce"] + 1e-12


def resampled(pairs, drawn):
    """The rows of drawn prompts, each draw a prompt of its own, and their prompts."""
    rows = [np.flatnonzero(pairs.prompt == prompt) for prompt in drawn]
    number = np.repeat(np.arange(len(drawn)), [len(each) for each in rows])
    return replace(pairs.take(np.concatenate(rows)), prompt=number, prompts=len(drawn))


@pytest.mark.parametrize("name", [name for name in METRICS if name != "ece_equal_mass"])
def test_a_resample_is_the_metric_of_the_resampled_rows(name):
    """Counts instead of rows are exact, for every metric but the one whose edges are fixed."""
    pairs = simulated.pairs(60, 20, ties=0.2)
    metric = METRICS[name]
    draws = estimate({name: metric.make(pairs, BINS)}, pairs, resamples=25, seed=4)[name].draws
    expected = [
        values(resampled(pairs, drawn), [name])[name]
        for drawn in drawn_groups(20, resamples=25, seed=4)
    ]
    np.testing.assert_allclose(draws, expected, atol=1e-10)


def test_main_metrics_are_metrics():
    assert set(MAIN) <= set(METRICS)
