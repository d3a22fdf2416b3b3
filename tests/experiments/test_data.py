"""The experiments' pairs: true probabilities, raters of another taste, own data split."""

import json
import math

import numpy as np
import pytest

from margintool.experiments.data import (
    EXCHANGED,
    MIDDLE,
    known_margins,
    noisy_ratings,
    own_data,
    quality_of,
    raters_taste,
    simulated_ratings,
    simulated_votes,
    voters_taste,
)
from margintool.simulate import SimulationOptions, simulate
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_metadata, read_pairs
from tests.score.conftest import shp_row

SIZES = SimulationOptions(train_prompts=10, heldout_prompts=6, heldout_answers=3, seed=4)


def test_held_out_targets_are_the_true_probabilities(tmp_path):
    data = simulated_votes(tmp_path, SIZES)
    held_out = read_pairs(data.held_out)
    truth = {
        frozenset((row["human_ref_A"], row["human_ref_B"])): row["p_true_A"]
        for row in simulate(SIZES).heldout
    }
    assert len(held_out) == len(truth) == 18
    for pair in held_out.itertuples():
        p = truth[frozenset((pair.chosen, pair.rejected))]
        assert pair.p_chosen == pytest.approx(max(p, 1 - p), abs=1e-9)


def test_targets_to_train_on_are_shares_of_votes(tmp_path):
    """Scores are votes + 1: the target is score / (score + score)."""
    train = read_pairs(simulated_votes(tmp_path, SIZES).train)
    share = train.score_chosen / (train.score_chosen + train.score_rejected)
    assert len(train) == 30
    assert np.allclose(train.p_chosen, share)


def test_known_margins_are_differences_of_quality(tmp_path):
    worth, train = voters_taste(), read_pairs(known_margins(tmp_path, SIZES).train)
    assert len(train) == 30
    for pair in train.itertuples():
        gap = quality_of(pair.chosen, worth) - quality_of(pair.rejected, worth)
        assert pair.margin == pytest.approx(gap, abs=1e-9)


def test_raters_exchange_the_worths_of_four_words():
    voters, raters = voters_taste(), raters_taste()
    for one, other in EXCHANGED.items():
        assert (raters[one], raters[other]) == (voters[other], voters[one])
    same = voters.keys() - EXCHANGED.keys() - set(EXCHANGED.values())
    assert len(same) == len(voters) - 4
    assert all(raters[word] == voters[word] for word in same)


def test_ratings_are_points_around_the_middle_and_follow_quality():
    """`apt` and `off` are worth ln 3 and -ln 3: 1.5 * 2 ln 3 = 3.30 points apart."""
    row = {"human_ref_A": "apt", "human_ref_B": "off"}
    rate = noisy_ratings(voters_taste(), 0)
    points = np.array([rate(row) for _ in range(4000)])
    assert points.min() >= 1
    assert points.max() <= 10
    assert points.mean() == pytest.approx(MIDDLE, abs=0.1)
    # clipping at 1 and 10 takes a little of it
    assert (points[:, 0] - points[:, 1]).mean() == pytest.approx(3 * math.log(3), abs=0.25)


def test_one_rater_agrees_with_bradley_terry(monkeypatch):
    """Before rounding matters, P(A over B) is sigma(ln 3) = 3/4; ties of rounding count half."""
    monkeypatch.setattr("margintool.experiments.data.RATERS", 1)
    worth = {"good": math.log(3) / 2, "bad": -math.log(3) / 2}
    rate = noisy_ratings(worth, 1)
    row = {"human_ref_A": "good", "human_ref_B": "bad"}
    gaps = np.array([np.subtract(*rate(row)) for _ in range(8000)])
    wins = np.mean(gaps > 0) + 0.5 * np.mean(gaps == 0)
    assert wins == pytest.approx(0.75, abs=0.02)


def test_ratings_are_other_pairs_with_targets_of_the_defaults(tmp_path):
    votes, ratings = simulated_votes(tmp_path, SIZES), simulated_ratings(tmp_path, SIZES)
    assert read_metadata(ratings.train)["normalizer"]["name"] == "rms"
    mean = read_pairs(ratings.train).p_chosen.mean()
    assert mean == pytest.approx(0.75, abs=1e-3)
    texts = [set(read_pairs(one.train).chosen) for one in (votes, ratings)]
    assert texts[0] != texts[1]
    asked = [
        {prompt for file in (one.train, one.held_out) for prompt in read_pairs(file).prompt}
        for one in (votes, ratings)
    ]
    assert asked[0].isdisjoint(asked[1])


def test_own_data_is_split_by_prompts(tmp_path):
    raw = tmp_path / "votes.jsonl"
    rows = [shp_row(3 + n, 2 + n % 2, n) for n in range(20)]
    raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = own_data(raw, tmp_path / "data", limit=None, seed=0)
    train, held_out = read_pairs(data.train), read_pairs(data.held_out)
    assert data.name == "votes"
    assert len(train) + len(held_out) == data.record["pairs"] + data.record["held_out_pairs"] > 0
    assert not set(train.prompt) & set(held_out.prompt)
    again = own_data(data.train, tmp_path / "again", limit=4, seed=0)
    assert again.record["pairs"] + again.record["held_out_pairs"] == 4


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        own_data(tmp_path / "none.parquet", tmp_path, limit=None, seed=0)
