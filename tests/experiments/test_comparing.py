"""Lines, differences and verdicts: expected values by hand, planted and null effects."""

import dataclasses
import json
import math

import numpy as np
import pytest

from margintool.experiments.calibration import best_tempered
from margintool.experiments.calibration import statistics_of as calibration_statistics
from margintool.experiments.comparing import (
    UNCLEAR,
    UNKNOWN,
    by_metrics,
    difference,
    finding,
    less,
    measure,
)
from margintool.experiments.line import correlation, intercept, slope
from margintool.experiments.options import CalibrationOptions
from margintool.experiments.overfitting import rise_of
from margintool.experiments.record import AGREES, DISAGREES, OPEN, PAPER, Record, finished_seconds
from margintool.experiments.running import time_left
from margintool.experiments.synthetic import GAMMAS, add_wrong_gammas
from margintool.experiments.synthetic import statistics_of as synthetic_statistics
from mmpo_core.evaluate.intervals import Estimate, estimate
from mmpo_core.evaluate.pairs import Pairs
from mmpo_core.evaluate.predictions import Predictions
from mmpo_core.evaluation import probability_of


def pairs_with(margin, h, prompt):
    margin, prompt = np.asarray(margin, float), np.asarray(prompt)
    return Pairs(
        h=np.asarray(h, float),
        target=probability_of(margin),
        label=np.ones(len(margin)),
        margin=margin,
        prompt=prompt,
        prompts=int(prompt.max()) + 1,
    )


def predictions_of(h, margin, prompt):
    count = len(margin)
    return Predictions(
        pair_id=np.array([f"p{i}" for i in range(count)]),
        prompt_id=np.asarray(prompt),
        source=np.array(["s"] * count),
        margin=margin,
        target=probability_of(margin),
        h=h,
        chosen_score=h,
        rejected_score=np.zeros(count),
        chosen_tokens=np.ones(count),
        rejected_tokens=np.ones(count),
        tie=np.zeros(count, bool),
    )


def simulated_arms(noise, seeds=4, prompts=150):
    """Arm -> seed -> predictions: h = margin + noise[arm], independent between seeds."""
    rng = np.random.default_rng(5)
    prompt = np.repeat(np.arange(prompts), 3)
    margin = rng.exponential(1.0, prompts * 3)
    return {
        arm: {
            seed: predictions_of(margin + sd * rng.standard_normal(margin.size), margin, prompt)
            for seed in range(seeds)
        }
        for arm, sd in noise.items()
    }


def test_the_line_by_hand():
    """h = 0.5 + 3 m, gamma 2: slope on 2 m is 1.5, at margin 0 h is 0.5, correlation 1."""
    margin = [0.0, 1.0, 2.0, 5.0]
    pairs = pairs_with(margin, [0.5 + 3 * m for m in margin], [0, 0, 1, 1])
    made = {"slope": slope(pairs, 2.0), "at0": intercept(pairs, 2.0), "r": correlation(pairs, 2.0)}
    values = {name: one.value for name, one in estimate(made, pairs, resamples=0).items()}
    assert values == pytest.approx({"slope": 1.5, "at0": 0.5, "r": 1.0})


def test_the_line_is_that_of_numpy_in_every_resample():
    rng = np.random.default_rng(0)
    pairs = pairs_with(rng.random(60), rng.standard_normal(60), np.repeat(np.arange(20), 3))
    made = {"slope": slope(pairs, 1.0), "at0": intercept(pairs, 1.0), "r": correlation(pairs, 1.0)}
    found = estimate(made, pairs, resamples=5, seed=3)
    steep, at0 = np.polyfit(pairs.margin, pairs.h, 1)
    assert found["slope"].value == pytest.approx(steep)
    assert found["at0"].value == pytest.approx(at0)
    assert found["r"].value == pytest.approx(np.corrcoef(pairs.margin, pairs.h)[0, 1])
    drawn = np.random.default_rng(3).integers(0, 20, 20)
    rows = np.concatenate([np.flatnonzero(pairs.prompt == one) for one in drawn])
    first = np.polyfit(pairs.margin[rows], pairs.h[rows], 1)[0]
    assert found["slope"].draws[0] == pytest.approx(first)


def test_equal_margins_have_no_slope():
    pairs = pairs_with([1.0, 1.0], [0.3, 0.7], [0, 1])
    found = estimate({"slope": slope(pairs, 1.0)}, pairs, resamples=0)
    assert math.isnan(found["slope"].value)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_linear_model_trained_on_known_margins_has_slope_gamma(gamma):
    """Margins are linear in the features, so the loss can be least for all pairs at once."""
    import torch

    from mmpo_core.losses.functions import soft_bradley_terry

    rng = np.random.default_rng(1)
    features, worth = rng.standard_normal((300, 4)), np.array([1.0, -0.5, 0.3, 0.0])
    margin = features @ worth
    x, target = torch.tensor(features), torch.sigmoid(gamma * torch.tensor(margin))
    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        loss = soft_bradley_terry(x @ weights, target).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    h = (x @ weights).detach().numpy()
    turned = np.sign(margin)
    pairs = pairs_with(turned * margin, turned * h, np.arange(300))
    made = {"own": slope(pairs, gamma), "raw": slope(pairs, 1.0), "at0": intercept(pairs, gamma)}
    values = {name: one.value for name, one in estimate(made, pairs, resamples=0).items()}
    assert values == pytest.approx({"own": 1.0, "raw": gamma, "at0": 0.0}, abs=1e-3)


def test_over_seeds_by_hand():
    """1, 2, 3: mean 2, sd 1, t(2) = 4.3027, so 2 -+ 4.3027 / sqrt(3) = -0.484 to 4.484."""
    found = finding([Estimate(float(v), np.empty(0)) for v in (1, 2, 3)])
    assert (found.mean, found.sd, found.over_prompts) == (2.0, 1.0, None)
    assert found.over_seeds == pytest.approx((-0.4841, 4.4841), abs=1e-4)
    assert found.verdict("less") == UNCLEAR


def test_the_interval_over_prompts_is_of_the_mean_over_seeds():
    """Draws 0, 1, 2 and 2, 3, 4: their means 1, 2, 3."""
    found = finding([Estimate(1.0, np.array([0.0, 1, 2])), Estimate(3.0, np.array([2.0, 3, 4]))])
    assert found.over_prompts == pytest.approx(np.quantile([1, 2, 3], [0.025, 0.975]))


def test_one_seed_shows_nothing():
    assert finding([Estimate(5.0, np.full(9, 5.0))]).verdict("more") == UNKNOWN


@pytest.mark.parametrize(
    ("values", "better", "word"),
    [
        ((1.0, 1.1, 1.2), "more", "better"),
        ((1.0, 1.1, 1.2), "less", "worse"),
        ((-1.0, -1.1, -1.2), "less", "better"),
        ((1.0, 1.1, 1.2), None, "higher"),
        ((-1.0, -1.1, -1.2), None, "lower"),
    ],
)
def test_words_of_clear_differences(values, better, word):
    assert finding([Estimate(v, np.full(20, v)) for v in values]).verdict(better) == word


def test_clear_over_seeds_is_not_enough():
    """All seeds above 0, but prompts drawn again often give a mean below it."""
    draws = np.array([-1.0, 3.0] * 20)
    assert finding([Estimate(v, draws) for v in (1.0, 1.1, 1.2)]).verdict("more") == UNCLEAR


def test_a_planted_effect_is_found():
    arms = simulated_arms({"good": 0.1, "bad": 2.0})
    measured = measure(arms, by_metrics(("nll", "brier", "accuracy")), resamples=200, seed=0)
    assert difference(measured, "good", "bad", "nll").verdict("less") == "better"
    assert difference(measured, "bad", "good", "nll").verdict("less") == "worse"
    assert difference(measured, "good", "bad", "accuracy").verdict("more") == "better"


def test_no_effect_is_not_called_clear():
    arms = simulated_arms({"one": 1.0, "other": 1.0})
    measured = measure(arms, by_metrics(("nll", "brier", "accuracy")), resamples=200, seed=0)
    for metric in ("nll", "brier", "accuracy"):
        assert difference(measured, "one", "other", metric).verdict("less") == UNCLEAR


def test_the_slope_of_matched_margins_is_one():
    measured = measure(
        simulated_arms({"mmpo": 0.3}),
        lambda pairs, arm: {"slope": slope(pairs, 1.0)},
        resamples=200,
        seed=0,
    )
    off = less(measured, "mmpo", "slope", 1.0)
    assert abs(off.mean) < 0.05
    assert off.verdict() == UNCLEAR
    assert less(measured, "mmpo", "slope", 2.0).verdict() == "lower"


def test_the_rise_by_hand():
    """NLL 0.7, 0.5, 0.6 at epochs 1, 2, 3: lowest 0.5 at 2, and 0.1 more at the end."""
    curve = {"epoch": np.array([1.0, 2, 3]), "nll": np.array([0.7, 0.5, 0.6])}
    values = {name: one.value for name, one in rise_of(curve).items()}
    assert values == pytest.approx({"lowest_nll": 0.5, "rise": 0.1, "lowest_at": 2.0})


@pytest.mark.parametrize(
    ("word", "expected", "outcome"),
    [
        ("better", "better", AGREES),
        ("worse", "better", DISAGREES),
        (UNCLEAR, "better", OPEN),
        (UNKNOWN, "better", OPEN),
        ("lower", UNCLEAR, DISAGREES),
        (UNCLEAR, UNCLEAR, OPEN),
    ],
)
def test_what_is_said_of_a_claim(word, expected, outcome):
    record = Record("calibration", [])
    record.add_claim("A claim", word, expected, PAPER)
    [claim] = record.claims
    assert claim == {"claim": "A claim", "whose": PAPER, "here": word, "outcome": outcome}


def test_training_seeds_follow_the_seed(tmp_path):
    options = CalibrationOptions(out=tmp_path, seed=3, seeds=2)
    assert options.training_seeds == [3, 4]


def test_what_is_left_by_the_runs_that_are_finished(tmp_path):
    """Of 8 runs 3 took 60, 60 and 90 s: 5 more of 70 s are 5.8 min."""
    for number, seconds in enumerate([60.0, 60.0, 90.0, None]):
        run = tmp_path / "sweeps" / "dpo" / "runs" / str(number)
        run.mkdir(parents=True)
        status = "unfinished" if seconds is None else "finished"
        (run / "run.json").write_text(json.dumps({"status": status, "seconds": seconds}))
    found = finished_seconds(tmp_path)
    assert sorted(found) == [60.0, 60.0, 90.0]
    assert time_left(found, 8) == ", about 6 min left"
    assert time_left(found, 3) == time_left([], 8) == ""
    assert time_left([5.0], 3) == ", less than a minute left"


def test_the_best_temperature_mends_scale_and_nothing_else():
    """h = 3 m: T is 3 and no error is left. Where all margins are 0, none fits."""
    rng = np.random.default_rng(2)
    margin = rng.exponential(1.0, 300)
    prompt = np.repeat(np.arange(100), 3)
    found = best_tempered(pairs_with(margin, 3 * margin, prompt), "dpo")
    assert found.h == pytest.approx(margin, rel=1e-6)
    level = pairs_with(margin, np.zeros(300), prompt)
    assert best_tempered(level, "dpo") is level


def test_calibration_is_measured_with_the_best_temperature_too():
    """Of 3 m and m + noise only the first is right after its temperature."""
    arms = simulated_arms({"mmpo": 0.0, "noisy": 2.0})
    for seed, one in arms["mmpo"].items():
        arms["mmpo"][seed] = dataclasses.replace(one, h=3 * one.margin)
    measured = measure(arms, calibration_statistics, resamples=50, seed=0)
    ece, tempered = (measured["mmpo"][0][name].value for name in ("ece", "ece_tempered"))
    assert ece > 0.1
    assert tempered == pytest.approx(0.0, abs=1e-6)
    assert difference(measured, "mmpo", "noisy", "ece_tempered").verdict("less") == "better"


def test_a_wrong_gamma_is_measured_against_the_truth():
    """h = m / 2 lies on the line of gamma 0.5, and is not the true log-odds."""
    arms = simulated_arms(dict.fromkeys([*GAMMAS, "dpo"], 0.0))
    for seed, one in arms["mmpo-gamma0.5"].items():
        arms["mmpo-gamma0.5"][seed] = dataclasses.replace(one, h=one.margin / 2)
    measured = measure(arms, synthetic_statistics, resamples=20, seed=0)
    half, right = measured["mmpo-gamma0.5"][0], measured["mmpo-gamma1"][0]
    assert (half["slope"].value, half["slope_on_margin"].value) == pytest.approx((1.0, 0.5))
    gap = np.mean(probability_of(arms["dpo"][0].margin) - probability_of(arms["dpo"][0].margin / 2))
    assert half["ece"].value == pytest.approx(gap)  # in every bin predictions lie on one side
    assert right["ece"].value == pytest.approx(0.0, abs=1e-12)
    record = Record("synthetic", [])
    add_wrong_gammas(record, measured, {arm: arm for arm in arms})
    assert [one["here"] for one in record.claims] == ["worse", UNCLEAR, UNCLEAR]
