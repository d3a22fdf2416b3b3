"""The simulated votes follow the model that simulate.py states."""

import gzip
import json
import math

import numpy as np
import pytest

from margintool.demo.settings import SCORING
from margintool.pipeline import score
from margintool.simulate import (
    ANSWER_WORDS,
    PROMPTS,
    WORDS,
    WORTHS,
    SimulationOptions,
    simulate,
    write_rows,
)
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_pairs

MANY = SimulationOptions(train_prompts=400, heldout_prompts=60, seed=3)


def voters(rows):
    """N of every row: each score holds one upvote of the author's own."""
    return np.array([row["score_A"] + row["score_B"] - 2 for row in rows])


def test_true_probability_is_bradley_terry_of_the_words_in_the_text():
    """ln(p / (1 - p)) = sum of A's worths - sum of B's, the worths looked up word by word."""
    worth = dict(zip(WORDS, WORTHS, strict=True))
    for row in simulate(MANY).train:
        gap = sum(worth[w] for w in row["human_ref_A"].split())
        gap -= sum(worth[w] for w in row["human_ref_B"].split())
        p = row["p_true_A"]
        assert math.log(p / (1 - p)) == pytest.approx(gap, abs=1e-12)


def test_best_and_worst_word_change_the_odds_threefold():
    assert WORTHS[0] == pytest.approx(math.log(3))
    assert WORTHS[-1] == pytest.approx(-math.log(3))
    assert np.all(np.diff(WORTHS) < 0)


def test_votes_are_binomial_around_the_truth():
    """z = (k - N p) / sqrt(N p (1 - p)) has mean 0 and variance 1 over independent pairs.

    1,200 pairs: the mean's standard error is 0.029; 4 of them is 0.12. The variance of z^2 is
    about 2, so its mean's standard error is 0.041; 0.17 is 4 of them.
    """
    rows = simulate(MANY).train
    n = voters(rows)
    p = np.array([row["p_true_A"] for row in rows])
    k = np.array([row["score_A"] - 1 for row in rows])
    z = (k - n * p) / np.sqrt(n * p * (1 - p))
    assert abs(z.mean()) < 0.12
    assert z.var() == pytest.approx(1.0, abs=0.17)


def test_voters_are_odd_at_least_five_and_heavy_tailed():
    n = voters(simulate(MANY).train)
    assert np.all(n % 2 == 1)
    assert n.min() == 5
    assert np.median(n) == pytest.approx(20, abs=3)
    assert n.max() > 10 * np.median(n)


def test_scores_are_positive_and_never_tie_so_nothing_is_selected():
    drawn = simulate(MANY)
    assert len(drawn.train) == 400 * 3
    assert len(drawn.heldout) == 60 * 10
    for row in drawn.train + drawn.heldout:
        assert min(row["score_A"], row["score_B"]) >= 1
        assert row["score_A"] != row["score_B"]
        assert row["labels"] == (row["score_A"] > row["score_B"])


def test_splits_share_no_prompt_and_no_answer():
    drawn = simulate(MANY)
    train, heldout = (
        {row[name] for row in rows for name in ("history", "human_ref_A", "human_ref_B")}
        for rows in (drawn.train, drawn.heldout)
    )
    assert not train & heldout


def test_a_longer_answer_is_not_a_better_one():
    """|corr(length difference, ln odds)| over 1,200 pairs: its standard error is 0.03."""
    rows = simulate(MANY).train
    longer = [len(row["human_ref_A"]) - len(row["human_ref_B"]) for row in rows]
    odds = [math.log(row["p_true_A"] / (1 - row["p_true_A"])) for row in rows]
    assert abs(np.corrcoef(longer, odds)[0, 1]) < 0.15


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    small = {"train_prompts": 5, "heldout_prompts": 2}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_rows(simulate(SimulationOptions(seed=seed, **small)).train, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_more_training_prompts_leave_the_heldout_texts_as_they_are():
    few = simulate(SimulationOptions(train_prompts=5, heldout_prompts=3)).heldout
    more = simulate(SimulationOptions(train_prompts=9, heldout_prompts=3)).heldout
    assert few == more


def test_score_reads_it_as_shp_and_targets_are_the_shares_of_the_votes(tmp_path):
    """gamma 1 on the log ratio: sigma(ln(s_c / s_r)) = s_c / (s_c + s_r); nothing is rejected."""
    rows = simulate(SimulationOptions(train_prompts=20)).train
    write_rows(rows, tmp_path / "votes.jsonl.gz")
    with gzip.open(tmp_path / "votes.jsonl.gz", "rt") as file:
        assert [json.loads(line) for line in file] == rows
    summary = score(input=tmp_path / "votes.jsonl.gz", out=tmp_path / "pairs.parquet", **SCORING)
    assert (summary.layout, summary.read, summary.kept) == ("shp", 60, 60)
    pairs = read_pairs(tmp_path / "pairs.parquet")
    share = pairs.score_chosen / (pairs.score_chosen + pairs.score_rejected)
    np.testing.assert_allclose(pairs.p_chosen, share, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_prompts": 0}, "train_prompts must be at least 1"),
        ({"heldout_answers": 1}, "heldout_answers must be at least 2"),
        ({"voters": 0.5}, "voters must be at least 1"),
        ({"train_prompts": len(PROMPTS)}, "different prompts"),
        ({"train_answers": math.perm(len(WORDS), ANSWER_WORDS)}, "different answers"),
    ],
)
def test_impossible_sizes_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        simulate(SimulationOptions(**options))
