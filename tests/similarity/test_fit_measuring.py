"""Correlations and their intervals, and what they are said to mean."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from margintool.similarity.fit.measuring import figures, spearman
from margintool.similarity.fit.words import notes, verdict
from mmpo_core.calibration import resampled_rows

Numbers = np.ndarray


def example(pairs: int = 60, seed: int = 0) -> tuple[Numbers, Numbers, dict[str, Numbers]]:
    """Margins, prompts of two pairs each, a bad and a good distance."""
    rng = np.random.default_rng(seed)
    margin = rng.integers(0, 6, pairs).astype(float)
    distances = {"before": rng.random(pairs), "after": margin / 10 + 0.1 * rng.random(pairs)}
    return margin, np.arange(pairs) // 2, distances


def test_correlations_are_those_of_scipy() -> None:
    margin, prompts, distances = example()
    found = figures(margin, prompts, distances, of="after", seed=0, resamples=50)
    for name, distance in distances.items():
        expected = {
            "spearman": stats.spearmanr(margin, distance).statistic,
            "pearson": stats.pearsonr(margin, distance).statistic,
        }
        for measure, value in expected.items():
            assert found[name][measure]["value"] == pytest.approx(value, abs=1e-12)


def test_intervals_are_of_whole_prompts_and_gains_are_paired() -> None:
    """Against a loop over the same resamples, with scipy's correlations."""
    margin, prompts, distances = example()
    found = figures(margin, prompts, distances, of="after", seed=3, resamples=100)
    values, gains = [], []
    for rows in resampled_rows(prompts, resamples=100, seed=3):
        both = [stats.spearmanr(margin[rows], d[rows]).statistic for d in distances.values()]
        values.append(both[1])
        gains.append(both[1] - both[0])
    for drawn, of in ((values, found["after"]), (gains, found["before"]["gain"])):
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert of["spearman"]["low"] == pytest.approx(low, abs=1e-12)
        assert of["spearman"]["high"] == pytest.approx(high, abs=1e-12)


def test_pairs_told_many_times_are_no_more_evidence() -> None:
    """Every pair five times within its prompt: the same intervals."""
    margin, prompts, distances = example(40)
    once = figures(margin, prompts, distances, of="after", seed=0, resamples=50)
    again = figures(
        np.repeat(margin, 5),
        np.repeat(prompts, 5),
        {name: np.repeat(distance, 5) for name, distance in distances.items()},
        of="after",
        seed=0,
        resamples=50,
    )
    for bound in ("value", "low", "high"):
        assert again["before"]["gain"]["spearman"][bound] == pytest.approx(
            once["before"]["gain"]["spearman"][bound], abs=1e-12
        )


def test_the_same_distances_gain_nothing() -> None:
    margin, prompts, distances = example()
    same = {"before": distances["after"], "after": distances["after"]}
    gain = figures(margin, prompts, same, of="after", seed=0, resamples=50)["before"]["gain"][
        "spearman"
    ]
    assert gain == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_distances_that_are_all_the_same_have_no_correlation() -> None:
    margin, prompts, distances = example()
    found = figures(
        margin,
        prompts,
        {"before": np.full(60, 0.1), "after": distances["after"]},
        of="after",
        seed=0,
        resamples=50,
    )
    nothing = {"value": None, "low": None, "high": None}
    assert found["before"]["spearman"] == found["before"]["gain"]["pearson"] == nothing
    assert found["after"]["spearman"]["value"] > 0.5
    assert np.isnan(spearman(margin, np.full(60, 0.1)))


@given(st.lists(st.tuples(st.floats(0, 1e200), st.floats(0, 2)), min_size=3))
def test_spearman_of_anything(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    found = spearman(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def made(after: float, **gains: tuple[float, float, float]) -> dict[str, Any]:
    """Figures with only what words are made of."""

    def estimate(value: float, low: float, high: float) -> dict[str, Any]:
        return {"spearman": {"value": value, "low": low, "high": high}}

    found: dict[str, Any] = {
        name: {**estimate(0.0, -1.0, 1.0), "gain": estimate(*gain)} for name, gain in gains.items()
    }
    return found | {"after": estimate(after, after - 0.1, after + 0.1)}


BETTER, WORSE, UNSURE = (0.2, 0.1, 0.3), (-0.2, -0.3, -0.1), (0.1, -0.01, 0.2)
UNSHOWN = "Fitting is not shown to help"


def said(figures: dict[str, Any], *, fresh_head: bool = False) -> str:
    return " ".join(verdict(figures, fresh_head=fresh_head))


def test_words_of_a_fit_that_helped() -> None:
    words = said(made(0.4, before=BETTER, length=BETTER))
    assert "Fitting helped: on test pairs Spearman with the margin changed by +0.200" in words
    assert "It is better than the answers' difference in length" in words


@pytest.mark.parametrize("fresh_head", [False, True])
@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (WORSE, "Fitting made it worse: on test pairs Spearman with the margin changed by -0.200"),
        (UNSURE, f"{UNSHOWN}: on test pairs Spearman with the margin changed by +0.100"),
        ((-0.1, -0.2, 0.01), f"{UNSHOWN}: on test pairs Spearman with the margin changed by -0.1"),
        ((0.1, 0.0, 0.2), UNSHOWN),
        ((-0.1, -0.2, 0.0), UNSHOWN),
    ],
)
def test_words_say_no_more_than_the_interval(
    gain: tuple[float, float, float], expected: str, fresh_head: bool
) -> None:
    words = said(made(0.4, before=gain, length=UNSURE), fresh_head=fresh_head)
    assert words.startswith(expected)
    assert "helped" not in words
    assert "did not help" not in words
    assert ("the interval is not above 0" in words) == (gain != WORSE)
    assert "not shown to be better than the answers' difference in length" in words


def test_less_wrong_than_before_is_no_help() -> None:
    """From -0.5 to -0.3: the interval is above 0, and distances still fall as margins grow."""
    words = said(made(-0.3, before=BETTER, length=UNSURE))
    assert words.startswith(UNSHOWN)
    assert "distances still fall as margins grow (Spearman -0.300" in words
    assert "not above 0" not in words


def test_a_new_head_is_no_measure_of_what_fitting_gains() -> None:
    figures = made(0.4, before=BETTER, length=UNSURE, embedder=BETTER)
    words = said(figures, fresh_head=True)
    assert "Fitting helped" not in words
    assert "a new head of random weights" in words
    assert "It is better than the base model's embeddings without any fitting" in words


def test_words_where_the_fitted_model_says_nothing() -> None:
    figures = made(0.4, before=BETTER, length=BETTER)
    figures["after"]["spearman"]["value"] = None
    assert said(figures) == (
        "Fitting is not shown to help: the fitted model gives all test pairs the same distance."
    )
    figures = made(0.4, before=BETTER, length=BETTER)
    figures["before"]["gain"]["spearman"] = {"value": None, "low": None, "high": None}
    assert said(figures).startswith(f"{UNSHOWN}: the base model gives all test pairs the same")


def test_notes() -> None:
    counts = {"test": {"pairs": 50, "prompts": 29, "ties": 0}}
    cut = {"what": "texts", "limit": 256, "of": 1600, "over": 1200, "share": 0.75}
    found = notes(counts, left_out=3, fresh_head=True, unbounded=True, cut=cut)
    assert [note.split()[:3] for note in found] == [
        ["the", "test", "rests"],
        ["3", "test", "pairs"],
        ["the", "base", "model"],
        ["the", "base", "cross-encoder's"],
        ["1,200", "of", "1,600"],
    ]
    assert "training texts (75.0%) are longer than the 256 tokens" in found[-1]
    pairs = {"what": "pairs", "limit": 512, "of": 4, "over": 1, "share": 0.25}
    found = notes(counts, left_out=0, fresh_head=False, unbounded=False, cut=pairs)
    assert "1 of 4 training pairs (25.0%) were cut to what the model reads, 512" in found[-1]
    counts["test"]["prompts"] = 30
    assert notes(counts, left_out=0, fresh_head=False, unbounded=False, cut=cut | {"over": 0}) == []
