"""Metrics of an evaluation: by hand, against calibration.py and scikit-learn, and in a run."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from mmpo_core import calibration
from mmpo_core.errors import InputError
from mmpo_core.evaluation import (
    EvaluationPairs,
    by_margin,
    evaluation_metrics,
    flat,
    probability_of,
)
from mmpo_core.reward import RewardTrainer
from mmpo_core.trainer import MMPOTrainer, PairTrainer
from tests.core.small_models import IdCollator
from tests.core.test_trainer import make, pairs_with_targets

LN3 = float(np.log(3))
pair_lists = st.lists(
    st.tuples(st.floats(-8, 8), st.floats(0.5, 1), st.floats(0, 9)), min_size=1, max_size=30
).map(lambda rows: np.array(rows).T)


def test_metrics_by_hand():
    """sigma(ln 3) = 3/4, sigma(-ln 3) = 1/4, sigma(0) = 1/2 against targets 3/4, 3/4 and 1.

    Accuracy: right, wrong, level: (1 + 0 + 1/2) / 3. Brier: (0 + 1/4 + 1/4) / 3.
    NLL: 3/4 ln(4/3) + 1/4 ln 4, 3/4 ln 4 + 1/4 ln(4/3), ln 2: (ln 4 + ln(4/3) + ln 2) / 3.
    ECE, pairs both ways in tenths: 3/4 against 3/4 and 1/4 (from the second turned round), mean
    gap |3/4 - 1/2| over two sixths, the same of their mirrors, 1/2 against (1 + 0) / 2: no gap.
    """
    metrics = evaluation_metrics([LN3, -LN3, 0.0], [0.75, 0.75, 1.0])
    assert metrics == pytest.approx(
        {
            "accuracy": 0.5,
            "nll": (np.log(4) + np.log(4 / 3) + np.log(2)) / 3,
            "brier": 1 / 6,
            "ece": 4 / 6 * 0.25,
        }
    )


@given(pair_lists)
def test_metrics_equal_calibration_on_the_same_arrays(columns: Any):
    h, target, _ = columns
    predicted = 1 / (1 + np.exp(-h))
    metrics = evaluation_metrics(h, target)
    assert metrics["accuracy"] == calibration.accuracy(probability_of(h), target)
    assert metrics["nll"] == pytest.approx(calibration.nll(predicted, target), rel=1e-9, abs=1e-12)
    assert metrics["brier"] == pytest.approx(calibration.brier(predicted, target), abs=1e-12)
    both = calibration.both_ways(probability_of(h), target)
    assert metrics["ece"] == calibration.ece(*both)


def test_metrics_equal_scikit_learn_for_certain_targets():
    """A pair in a random orientation has outcome 1 or 0; here every pair is turned that way."""
    draw = np.random.default_rng(3)
    h = draw.normal(0.5, 2, 400)
    turned = draw.uniform(size=400) < 0.5
    outcome, predicted = np.where(turned, 0, 1), probability_of(np.where(turned, -h, h))
    metrics = evaluation_metrics(h, np.ones(400))
    assert metrics["nll"] == pytest.approx(log_loss(outcome, predicted))
    assert metrics["brier"] == pytest.approx(brier_score_loss(outcome, predicted))
    assert metrics["accuracy"] == np.mean((predicted > 0.5) == outcome)


def test_extreme_gaps_stay_finite():
    """1000 nats: sigma rounds to 0 or 1; the NLL of the wrong side is 1000 p."""
    metrics = evaluation_metrics([1000.0, -1000.0], [0.75, 1.0])
    assert metrics["nll"] == pytest.approx((0.25 * 1000 + 1000) / 2)
    assert all(np.isfinite(value) for value in metrics.values())
    with pytest.raises(InputError, match="margins of 1 of 2 pairs are not finite"):
        evaluation_metrics([float("nan"), 1.0], [0.75, 1.0])


def test_bins_of_the_margin_by_hand():
    """Margins 1 to 8: quartiles 2.75, 4.5, 6.25, so two pairs a bin; the model is right above 4."""
    margin = np.arange(1.0, 9.0)
    h = np.where(margin > 4, LN3, -LN3)
    rows = by_margin(h, np.full(8, 0.9), margin)
    assert [row["bin"] for row in rows] == [1, 2, 3, 4]
    assert [row["pairs"] for row in rows] == [2, 2, 2, 2]
    assert [row["accuracy"] for row in rows] == [0, 0, 1, 1]
    assert [row["predicted"] for row in rows] == pytest.approx([0.25, 0.25, 0.75, 0.75])
    assert [row["target"] for row in rows] == pytest.approx([0.9] * 4)
    assert [(row["lowest_margin"], row["highest_margin"]) for row in rows] == [
        (1, 2), (3, 4), (5, 6), (7, 8)
    ]  # fmt: skip
    assert flat(rows)["accuracy_margin_q3"] == 1
    assert flat(rows)["predicted_margin_q1"] == pytest.approx(0.25)


def test_bins_without_pairs_are_left_out():
    """Five of six margins are 1: all quartiles are 1, and what lies above them is bin 4."""
    rows = by_margin(np.ones(6), np.ones(6), [1, 1, 1, 1, 1, 5])
    assert [(row["bin"], row["pairs"]) for row in rows] == [(1, 5), (4, 1)]
    assert sorted(flat(rows)) == [
        "accuracy_margin_q1", "accuracy_margin_q4", "predicted_margin_q1", "predicted_margin_q4"
    ]  # fmt: skip


@given(pair_lists)
def test_bins_hold_every_pair_once_and_average_to_the_whole(columns: Any):
    h, target, margin = columns
    rows = by_margin(h, target, margin)
    assert sum(row["pairs"] for row in rows) == len(h)
    mean = sum(row["pairs"] * row["accuracy"] for row in rows) / len(h)
    assert mean == pytest.approx(evaluation_metrics(h, target)["accuracy"])
    for below, above in pairwise(rows):
        assert below["highest_margin"] < above["lowest_margin"]


@given(pair_lists, st.randoms())
def test_the_order_of_pairs_does_not_matter(columns: Any, random: Any):
    order = list(range(columns.shape[1]))
    random.shuffle(order)
    shuffled = columns[:, order]
    ours, theirs = evaluation_metrics(*columns[:2]), evaluation_metrics(*shuffled[:2])
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert flat(by_margin(*columns)) == pytest.approx(flat(by_margin(*shuffled)), abs=1e-12)


def test_pairs_are_collected_in_order_and_taken_once():
    pairs = EvaluationPairs()
    for h in ([1.0, 2.0], [], [3.0]):
        column = torch.tensor(h)
        pairs.add(h=column, target=column / 4, margin=column * 2)
    taken = pairs.take()
    assert {name: values.tolist() for name, values in taken.items()} == {
        "h": [1, 2, 3], "target": [0.25, 0.5, 0.75], "margin": [2, 4, 6]
    }  # fmt: skip
    assert all(values.shape == (0,) for values in pairs.take().values())


def gaps_one_by_one(trainer: PairTrainer, pairs: list[dict[str, Any]]) -> list[float]:
    with torch.no_grad():
        values = [trainer.pair_losses(trainer.model, IdCollator()([pair]))[1] for pair in pairs]
    return [float(value["rewards/margins"]) for value in values]


@pytest.mark.parametrize("kind", [MMPOTrainer, RewardTrainer])
def test_an_evaluation_reports_them_over_all_its_pairs(kind: type[PairTrainer], tmp_path: Path):
    """Batches of 2, 2, 2 and 1; twice, as nothing of the first evaluation may stay."""
    pairs = pairs_with_targets(7)
    trainer = make(kind, tmp_path, pairs, evaluate=pairs)
    h = gaps_one_by_one(trainer, pairs)
    target = [pair["target"] for pair in pairs]
    rows = by_margin(h, target, [pair["margin"] for pair in pairs])
    for _ in range(2):
        metrics = trainer.evaluate()
        for name, value in (evaluation_metrics(h, target) | flat(rows)).items():
            assert metrics[f"eval_{name}"] == pytest.approx(value, rel=1e-6, abs=1e-6), name
    for ours, theirs in zip(trainer.margin_table, rows, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)
    assert trainer.state.log_history[-1]["eval_ece"] == metrics["eval_ece"]
