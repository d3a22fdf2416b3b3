"""What the demo concludes follows from the numbers, in every direction."""

import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from margintool.demo import results as results_module
from margintool.demo.heldout import Heldout, sigmoid
from margintool.demo.outcome import (
    MEASURES,
    Difference,
    as_dict,
    conclusion,
    differences,
    numbers,
    overconfidence,
    spread,
    t_interval,
    verdict,
)
from margintool.demo.plot import plot_results
from margintool.demo.settings import DemoOptions, budget
from margintool.demo.table import print_results
from mmpo_core.errors import InputError


def heldout(prompts=40, pairs=10):
    rng = np.random.default_rng(0)
    p_true = rng.uniform(0.05, 0.95, prompts * pairs)
    return Heldout(
        table=pa.table({}),
        p_true=p_true,
        majority=(p_true > 0.5).astype(float),
        prompt=[f"prompt {number}" for number in range(prompts) for _ in range(pairs)],
    )


def log_odds(p):
    return np.log(p / (1 - p))


def near_truth_and_overconfident(data, seeds=3):
    """One arm predicts the truth up to noise, the other three times its log-odds."""
    truth = log_odds(data.p_true)
    noise = [np.random.default_rng(s).normal(0, 0.1, truth.size) for s in range(seeds)]
    return (
        {s: truth + e for s, e in enumerate(noise)},
        {s: 3 * truth + e for s, e in enumerate(noise)},
    )


def test_sigmoid_by_hand_and_without_overflow():
    """sigma(ln 3) = 3/4; sigma(-1000) = 0 and sigma(1000) = 1 in float64."""
    found = sigmoid(np.array([0.0, math.log(3), -math.log(3), 1000.0, -1000.0]))
    np.testing.assert_allclose(found, [0.5, 0.75, 0.25, 1.0, 0.0], atol=1e-15)


def test_overconfidence_by_hand():
    """Predicted .9 (truth .6): .3 too sure. Predicted .2, so B at .8 (truth of B .9): -.1.
    The mean is .1.
    """
    assert overconfidence(np.array([0.9, 0.2]), np.array([0.6, 0.1])) == pytest.approx(0.1)


def test_t_interval_is_scipys():
    values = np.array([0.1, 0.3, 0.2, 0.25])
    wanted = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize(
    ("seeds", "prompts", "higher_is_better", "wanted"),
    [
        ((0.1, 0.2), (0.1, 0.3), True, "better"),
        ((0.1, 0.2), (0.1, 0.3), False, "worse"),
        ((-0.2, -0.1), (-0.3, -0.1), True, "worse"),
        ((-0.2, -0.1), (-0.3, -0.1), False, "better"),
        ((-0.1, 0.2), (0.1, 0.3), True, "no clear difference"),
        ((0.1, 0.2), (-0.1, 0.3), True, "no clear difference"),
        (None, (0.1, 0.3), True, "unknown"),
    ],
)
def test_a_verdict_needs_both_intervals_on_one_side(seeds, prompts, higher_is_better, wanted):
    assert verdict(seeds, prompts, higher_is_better=higher_is_better) == wanted


def test_differences_find_the_better_arm_whichever_it_is():
    data = heldout()
    good, bad = near_truth_and_overconfident(data)
    found = differences({"mmpo": good, "hard": bad}, data, resamples=50, seed=0)
    assert found["ece"].verdict == found["brier"].verdict == "better"
    turned = differences({"mmpo": bad, "hard": good}, data, resamples=50, seed=0)
    assert turned["ece"].verdict == turned["brier"].verdict == "worse"
    assert turned["ece"].mean == pytest.approx(-found["ece"].mean, abs=1e-12)


def test_equal_arms_show_no_clear_difference():
    data = heldout()
    good, _ = near_truth_and_overconfident(data)
    found = differences({"mmpo": good, "hard": good}, data, resamples=20, seed=0)
    assert {d.verdict for d in found.values()} == {"no clear difference"}


def test_the_sentence_says_what_came_out():
    def found(**verdicts):
        return {name: Difference(0.0, None, (0.0, 0.0), word) for name, word in verdicts.items()}

    assert conclusion(found(accuracy="no clear difference", ece="better", brier="better")) == (
        "On these simulated votes, MMPO targets are better than hard labels in ECE and Brier "
        "score; there is no clear difference in accuracy."
    )
    assert conclusion(found(accuracy="worse", ece="worse", brier="worse")) == (
        "On these simulated votes, MMPO targets are worse than hard labels in accuracy, ECE and "
        "Brier score."
    )
    assert conclusion(found(accuracy="unknown")).startswith("One seed shows no spread")


def test_spread_is_mean_and_sample_deviation():
    """1, 2, 6: mean 3, deviations -2, -1, 3, variance (4 + 1 + 9) / 2 = 7."""
    found = spread({0: {"x": 1.0}, 1: {"x": 2.0}, 2: {"x": 6.0}})
    assert found["mean"]["x"] == 3.0
    assert found["sd"]["x"] == pytest.approx(math.sqrt(7))
    assert spread({0: {"x": 1.0}})["sd"]["x"] is None


def test_true_probabilities_as_predictions_are_perfect_against_the_truth_alone():
    data = heldout()
    found = numbers(data.p_true, data)
    assert (found["accuracy"], found["brier"]) == (1.0, 0.0)
    assert found["ece"] == pytest.approx(0.0, abs=1e-12)
    assert found["majority_ece"] > 0.1


@pytest.fixture
def made(monkeypatch):
    """results.json of a demo whose models were never trained: predictions are made up here."""

    def make(seeds=3):
        data = heldout()
        monkeypatch.setattr(results_module, "default_gamma", lambda summary: 1.25)
        good, bad = near_truth_and_overconfident(data, seeds)
        gaps = {"mmpo": good, "hard": bad}
        options = DemoOptions(out="my demo", seeds=seeds)
        summary = SimpleNamespace(kept=1020, mean_target=0.72)
        made = results_module.make_results(options, budget(options), data, summary, gaps)
        return made, data, gaps

    return make


def test_the_table_shows_means_spread_verdicts_and_commands(made, capsys):
    results, _, _ = made()
    print_results(results)
    shown = capsys.readouterr().out
    arm = results["arms"]["hard"]
    assert f"{arm['mean']['ece']:.3f} ± {arm['sd']['ece']:.3f}" in shown
    assert "1020 training pairs, 400 held out, mean ± sd of 3 seeds" in shown
    assert " ".join(results["conclusion"].split()) in " ".join(shown.split())
    assert "margintool train 'my demo/pairs.parquet' --model tiny" in shown
    assert f"{arm['mean']['majority_ece']:.3f}" in " ".join(shown.split()).split("majorities")[1]


def test_one_seed_is_shown_without_spread_or_verdict(made, capsys):
    results, _, _ = made(seeds=1)
    print_results(results)
    shown = capsys.readouterr().out
    assert "400 held out, one seed" in shown
    assert "nothing can be concluded" in shown
    assert results["arms"]["mmpo"]["sd"]["ece"] is None


def test_the_picture_is_a_png_and_the_same_numbers_give_the_same_bytes(made, tmp_path):
    results, data, gaps = made()
    plot_results(results, data, gaps, tmp_path / "a.png")
    plot_results(results, data, gaps, tmp_path / "b.png")
    first = (tmp_path / "a.png").read_bytes()
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert first == (tmp_path / "b.png").read_bytes()


def test_differences_as_json_hold_intervals_and_verdict():
    found = as_dict({"ece": Difference(-0.1, (-0.2, -0.05), (-0.15, -0.06), "better")})
    assert found["ece"] == {
        "mean": -0.1,
        "interval_over_seeds": [-0.2, -0.05],
        "interval_over_prompts": [-0.15, -0.06],
        "verdict": "better",
    }


def test_every_measure_says_which_direction_is_better():
    data = heldout()
    perfect = numbers(data.p_true, data)
    poor = numbers(1 - data.p_true, data)
    for name, measure in MEASURES.items():
        assert (perfect[name] > poor[name]) == measure.higher_is_better


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seeds": 0}, "seeds must be at least 1"), ({"seed": -1}, "seed must lie between")],
)
def test_seeds_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        budget(DemoOptions(**options))


def test_both_arms_share_the_budget_and_only_the_targets_differ():
    """The printed train commands differ in gamma and in the output folder, in nothing else."""
    options = DemoOptions(out="d")
    mmpo, hard = results_module.commands(options, budget(options))[2:]
    assert hard.replace(" --gamma inf", "").replace("by-hand-hard", "by-hand-mmpo") == mmpo
