"""evaluate_predictions: what evaluation.json holds, alignment of models, parts and curves."""

import json
import math

import numpy as np
import pytest

from mmpo_core.errors import InputError
from mmpo_core.evaluate.breakdown import by_quantile
from mmpo_core.evaluate.curves import reliability_rows, risk_coverage_rows
from mmpo_core.evaluate.evaluating import align, evaluate_predictions
from mmpo_core.evaluate.metrics import MAIN, METRICS
from mmpo_core.evaluate.pairs import pairs_of
from mmpo_core.evaluation import evaluation_metrics
from tests.core.evaluate.simulated import pairs, predictions

QUICK = {"resamples": 20, "seed": 0}


@pytest.fixture(scope="module")
def two():
    models = {"dpo": predictions(200, 80, seed=1), "mmpo": predictions(200, 80, seed=2)}
    return models, evaluate_predictions(models, **QUICK)


def test_the_content_is_strict_json_and_as_the_docstring_says(two):
    _, report = two
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["settings"] == {
        "resamples": 20,
        "seed": 0,
        "bins": 10,
        "parts": 5,
        "level": 0.95,
    }
    model = report["models"]["mmpo"]
    assert set(model["metrics"]) == set(METRICS)
    assert all(set(one) == {"value", "low", "high"} for one in model["metrics"].values())
    assert model["pairs"] == 200
    assert model["prompts"] == 80
    assert model["tie_share"] == model["ties"] / 200 > 0
    assert (model["kind"], model["gamma"], model["beta"]) == ("policy", 1.0, 0.1)


def test_values_are_those_that_training_reports(two):
    """The held-out metrics of a run and of its evaluation are the same numbers."""
    models, report = two
    for name, one in models.items():
        found = report["models"][name]["metrics"]
        for metric, value in evaluation_metrics(one.h, one.target).items():
            assert found[metric]["value"] == pytest.approx(value, abs=1e-12), metric


def test_every_value_lies_in_or_near_its_interval(two):
    for model in two[1]["models"].values():
        for name in ("accuracy", "nll", "brier", "reward_margin", "spearman"):
            one = model["metrics"][name]
            assert one["low"] < one["value"] < one["high"], name


def test_parts_hold_every_pair_once(two):
    for model in two[1]["models"].values():
        for table in ("by_margin", "by_source", "by_length_difference"):
            assert sum(row["pairs"] for row in model[table]) == 200, table
            assert sum(row["ties"] for row in model[table]) == model["ties"], table
            assert all(set(row["metrics"]) == set(MAIN) for row in model[table]), table
        assert [row["name"] for row in model["by_source"]] == ["ratings", "shp"]
        total = sum(row["pairs"] * row["metrics"]["nll"]["value"] for row in model["by_source"])
        assert total / 200 == pytest.approx(model["metrics"]["nll"]["value"], abs=1e-9)


def test_parts_are_by_margin_and_by_tokens_of_chosen_less_those_of_rejected(two):
    models, report = two
    for name, one in models.items():
        longer = one.chosen_tokens - one.rejected_tokens
        for table, values in (("by_margin", one.margin), ("by_length_difference", longer)):
            rows = report["models"][name][table]
            assert (rows[0]["lowest"], rows[-1]["highest"]) == (values.min(), values.max())
            for row in rows:
                inside = (values >= row["lowest"]) & (values <= row["highest"])
                assert row["pairs"] == inside.sum(), table
                mean = row["metrics"]["reward_margin"]["value"]
                assert mean == pytest.approx(one.h[inside].mean(), abs=1e-12), table


def test_parts_are_quantiles_and_equal_values_stay_together():
    """Ten values, five at 0: fifths end at 0, 0, 2, 4 and 6, so that four parts remain."""
    some = pairs(10, 10)
    values = [0, 0, 0, 0, 0, 2, 3, 4, 5, 6]
    rows = by_quantile(some, values, bins=10, **QUICK)
    assert [(row["lowest"], row["highest"], row["pairs"]) for row in rows] == [
        (0.0, 0.0, 5),
        (2.0, 2.0, 1),
        (3.0, 4.0, 2),
        (5.0, 6.0, 2),
    ]


def test_differences_are_of_the_same_draws(two):
    rows = two[1]["differences"]
    assert [row["metric"] for row in rows] == list(METRICS)
    models = two[1]["models"]
    for row in rows:
        assert (row["a"], row["b"]) == ("dpo", "mmpo")
        a, b = (models[name]["metrics"][row["metric"]]["value"] for name in ("dpo", "mmpo"))
        assert row["value"] == pytest.approx(a - b, abs=1e-12)
        assert 0 < row["p"] <= 1


def test_a_model_does_not_differ_from_itself():
    one = predictions()
    report = evaluate_predictions({"a": one, "b": one}, **QUICK)
    assert all(row["value"] == 0 and row["p"] == 1 for row in report["differences"])


def test_rows_are_aligned_by_pair():
    one, other = predictions(), predictions(seed=3)
    order = np.random.default_rng(0).permutation(len(one))
    shuffled = align({"a": one, "b": other.take(order)})["b"]
    assert shuffled.pair_id.tolist() == one.pair_id.tolist()
    assert shuffled.h.tolist() == other.h.tolist()
    straight = evaluate_predictions({"a": one, "b": other}, **QUICK)
    assert evaluate_predictions({"a": one, "b": other.take(order)}, **QUICK) == straight


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n": 39}, r"b and a are not of the same pairs: 39 and 40, 39 in both"),
        ({"pair_id": [f"x {i}" for i in range(40)]}, "40 and 40, 0 in both"),
        ({"target": np.full(40, 0.5)}, r"other targets for the same pairs \(pair pair \d+: 0.5"),
        ({"tie": np.ones(40, bool)}, "differ in the prompts or ties"),
        ({"prompt_id": np.zeros(40)}, "differ in the prompts or ties"),
    ],
)
def test_other_pairs_and_targets_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        evaluate_predictions({"a": predictions(), "b": predictions(**other)}, **QUICK)


def test_a_repeated_pair_is_refused():
    with pytest.raises(InputError, match="a: a pair_id is there more than once"):
        evaluate_predictions({"a": predictions().take([0, 0])}, **QUICK)


def test_prompts_may_be_named_otherwise():
    one = predictions()
    named = predictions(prompt_id=[f"p{i}" for i in one.prompt_id])
    assert evaluate_predictions({"a": one, "b": named}, **QUICK)["differences"]


@pytest.mark.parametrize("options", [{"parts": 0}, {"resamples": -1}, {"seed": -1}])
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="at least"):
        evaluate_predictions({"a": predictions()}, **options)


@pytest.mark.parametrize("bins", [0, 1, 5, 15])
def test_bins_around_one_half_are_refused(bins):
    """All at sigma(h) = 0.55 and won: the error is 0.45. In a bin around 0.5 each pair's mirror
    image, 0.45 and lost, would cancel it: an ECE of 0."""
    some = predictions(h=[np.log(0.55 / 0.45)] * 40, target=[1.0] * 40)
    with pytest.raises(InputError, match="bins must be an even number"):
        evaluate_predictions({"a": some}, bins=bins)
    found = evaluate_predictions({"a": some}, bins=2, **QUICK)["models"]["a"]["metrics"]
    assert found["ece"]["value"] == pytest.approx(0.45, abs=1e-12)


def test_nothing_to_evaluate_is_refused():
    with pytest.raises(InputError, match="no predictions"):
        evaluate_predictions({})
    with pytest.raises(InputError, match="a: there is no pair"):
        evaluate_predictions({"a": predictions().take(np.zeros(40, bool))})


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_pairs_give_nulls_and_no_nan(n):
    report = evaluate_predictions({"a": predictions(n, 1, gamma=math.inf)}, **QUICK)
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text)["models"]["a"]["gamma"] == "inf"
    assert report["models"]["a"]["metrics"]["accuracy"]["low"] is None
    assert report["models"]["a"]["temperature"]["temperature"] is None


def test_far_log_odds_stay_finite():
    h = np.where(np.arange(40) % 2, 1e5, -1e5)
    report = evaluate_predictions({"a": predictions(h=h)}, **QUICK)
    assert math.isfinite(report["models"]["a"]["metrics"]["nll_hard"]["value"])


def test_reliability_by_hand():
    """h = ln 3 for prompts with targets 3/4 and 1, a tie in labels: (0.7, 0.8] and its mirror."""
    two_pairs = predictions(
        2, 2, h=[np.log(3)] * 2, margin=[1, 1], target=[0.75, 1.0], tie=[False, True]
    )
    rows = reliability_rows(pairs_of(two_pairs), bins=10, **QUICK)
    assert [row["count"] for row in rows] == [0, 0, 2, 0, 0, 0, 0, 2, 0, 0]
    upper, lower = rows[7], rows[2]
    assert (upper["predicted"], upper["true"], upper["won"]) == pytest.approx((0.75, 0.875, 0.75))
    assert (upper["true_low"], upper["true_high"]) == pytest.approx((0.75, 1.0))
    assert lower["true"] == pytest.approx(1 - 0.875)
    assert {rows[0][name] for name in ("predicted", "true", "true_low", "won")} == {None}


def test_a_bin_of_one_prompt_has_no_interval():
    """Prompt 0 alone is in (0.7, 0.8], with two pairs; two prompts are in (0.9, 1]."""
    some = predictions(
        4, 3, h=[np.log(3)] * 2 + [3.0] * 2, target=[0.6, 0.9, 0.8, 1.0], prompt_id=[0, 0, 1, 2]
    )
    rows = reliability_rows(pairs_of(some), bins=10, **QUICK)
    alone, several = rows[7], rows[9]
    assert (alone["true"], alone["true_low"], alone["true_high"]) == (0.75, None, None)
    assert (several["true_low"], several["true_high"]) == pytest.approx((0.8, 1.0))


def test_the_reliability_table_adds_up_to_ece(two):
    for model in two[1]["models"].values():
        rows = [row for row in model["reliability"] if row["count"]]
        gap = sum(row["count"] * abs(row["predicted"] - row["true"]) for row in rows)
        assert gap / 400 == pytest.approx(model["metrics"]["ece"]["value"], abs=1e-12)


def test_risk_coverage_by_hand():
    """|h| = 3, 2, 2, 1; right, wrong, right, a tie: risks 0, 1/3 (both at 2), 3/8."""
    some = predictions(
        4,
        4,
        h=[3.0, -2.0, 2.0, 1.0],
        margin=[1, 1, 1, 0],
        target=[0.7, 0.7, 0.7, 0.5],
        tie=[False, False, False, True],
    )
    assert risk_coverage_rows(pairs_of(some)) == [
        {"coverage": 0.25, "risk": 0.0, "threshold": 3.0},
        {"coverage": 0.75, "risk": pytest.approx(1 / 3), "threshold": 2.0},
        {"coverage": 1.0, "risk": pytest.approx(3 / 8), "threshold": 1.0},
    ]


def test_a_long_curve_is_thinned_and_ends_at_full_coverage():
    some = pairs(5000, 100)
    rows = risk_coverage_rows(some)
    assert len(rows) == 100
    assert rows[-1]["coverage"] == 1.0
    assert rows[-1]["risk"] == pytest.approx(1 - some.hits.mean())
