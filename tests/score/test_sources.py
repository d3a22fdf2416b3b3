"""Margin sources: contract over the registry, hand-derived values, and properties."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from margintool.canonical import PAIR_TYPES
from margintool.sources import SOURCES, Scored, Settings
from margintool.sources.base import first_reason
from margintool.sources.ratings import rate
from margintool.sources.shp import ESTIMATORS

# Judged sources look verdicts up: tests/judge/test_margins.py has the same contract for them.
READERS = {name: source for name, source in SOURCES.items() if source.needs_scores}
EVERY_ESTIMATOR = [(s.name, margin) for s in READERS.values() for margin in s.margins]
PAIR_ESTIMATORS = [pair for pair in EVERY_ESTIMATOR if pair != ("ratings", "mean")]
counts = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=25)


def canonical(score_a: list, score_b: list, **columns: list) -> pa.Table:
    """Canonical pairs with these scores and otherwise plain columns."""
    n = len(score_a)
    defaults = {
        "prompt": ["p"] * n,
        "history": [[]] * n,
        "response_a": ["a"] * n,
        "response_b": ["b"] * n,
        "score_a": score_a,
        "score_b": score_b,
    }
    data = {**{name: [None] * n for name in PAIR_TYPES}, **defaults, **columns}
    return pa.table({name: pa.array(data[name], kind) for name, kind in PAIR_TYPES.items()})


def score(source: str, margin: str, table: pa.Table, **settings: object) -> Scored:
    return SOURCES[source].score_pairs(table, Settings(margin, **settings))


@pytest.mark.parametrize(("source", "margin"), PAIR_ESTIMATORS)
@given(rows=counts, cut=st.integers(0, 25))
def test_estimators_do_not_depend_on_the_batch(
    source: str, margin: str, rows: list[tuple[int, int]], cut: int
) -> None:
    table = canonical([a for a, _ in rows], [b for _, b in rows])
    whole = score(source, margin, table).gap
    parts = [score(source, margin, t).gap for t in (table[:cut], table[cut:]) if t.num_rows]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("source", "margin"), PAIR_ESTIMATORS)
@given(rows=counts)
def test_swapping_the_answers_flips_the_sign_and_the_sign_follows_the_scores(
    source: str, margin: str, rows: list[tuple[int, int]]
) -> None:
    a, b = [list(side) for side in zip(*rows, strict=True)]
    there = score(source, margin, canonical(a, b)).gap
    back = score(source, margin, canonical(b, a)).gap
    np.testing.assert_allclose(there, -back, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(np.sign(there), np.sign(np.array(a) - np.array(b)))


@pytest.mark.parametrize("margin", ["log-ratio", "posterior"])
@given(a=st.integers(0, 1000), b=st.integers(0, 1000))
def test_more_votes_for_a_never_lower_its_margin(margin: str, a: int, b: int) -> None:
    gap = ESTIMATORS[margin](np.array([a, a + 1.0]), np.array([float(b), float(b)]))
    assert gap[1] > gap[0]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_log_ratio_of_positive_counts_is_the_plain_log_ratio(a: int, b: int) -> None:
    gap = score("shp", "log-ratio", canonical([a], [b])).gap[0]
    assert gap == pytest.approx(math.log(a / b), rel=1e-12, abs=1e-12)


def test_log_ratio_with_a_zero_adds_one_half_to_both() -> None:
    """3:0 is ln(3.5 / 0.5) = ln 7; 0:0 is a tie."""
    gap = score("shp", "log-ratio", canonical([3, 0], [0, 0])).gap
    np.testing.assert_allclose(gap, [math.log(7), 0.0], rtol=1e-15)


def test_posterior_by_hand() -> None:
    """digamma(n + 1) - digamma(m + 1) = 1/(m+1) + ... + 1/n: 2:1 is 1/2, 3:0 is 1 + 1/2 + 1/3."""
    gap = score("shp", "posterior", canonical([2, 3, 0], [1, 0, 0])).gap
    np.testing.assert_allclose(gap, [1 / 2, 11 / 6, 0.0], rtol=1e-13)


def test_posterior_is_the_mean_log_odds_of_the_beta_posterior() -> None:
    """E[ln(q / (1 - q))] under Beta(8, 4), by numerical integration."""
    density = stats.beta(8, 4).pdf
    mean, _ = integrate.quad(lambda q: math.log(q / (1 - q)) * density(q), 0, 1)
    assert score("shp", "posterior", canonical([7], [3])).gap[0] == pytest.approx(mean, rel=1e-9)


def test_posterior_counts_few_votes_for_less() -> None:
    few, many = score("shp", "posterior", canonical([2, 200], [1, 100])).gap
    assert few < many < math.log(2)


def test_diff_is_the_vote_difference_also_of_negative_counts() -> None:
    scored = score("shp", "diff", canonical([5, -3], [2, -10]))
    assert scored.gap.tolist() == [3, 7]
    assert scored.weight.tolist() == [7, 1]


@pytest.mark.parametrize("margin", ["log-ratio", "posterior"])
def test_negative_counts_are_rejected_by_name(margin: str) -> None:
    scored = score("shp", margin, canonical([5, -1], [2, 3]))
    assert scored.reason.to_pylist() == [None, "votes_negative"]
    assert "-1 and 3 votes" in scored.detail[1].as_py()
    assert math.isnan(scored.gap[1])


def test_weight_is_the_number_of_votes_or_what_the_layout_says() -> None:
    scored = score("shp", "diff", canonical([1.5, 7], [1.5, 3], votes=[3.0, None]))
    assert scored.weight.tolist() == [3, 10]


@pytest.mark.parametrize("source", sorted(READERS))
def test_unreadable_scores_name_their_reason_and_value(source: str) -> None:
    scores = ["N/A", None, "inf", "3"]
    scored = score(source, next(iter(SOURCES[source].margins)), canonical(scores, ["1"] * 4))
    kind = {"shp": "votes", "ratings": "rating"}[source]
    assert scored.reason.to_pylist() == [
        f"{kind}_not_a_number",
        f"{kind}_missing",
        f"{kind}_not_finite",
        None,
    ]
    assert "'N/A'" in scored.detail[0].as_py()
    assert np.isnan(scored.gap[:3]).all()
    assert np.isfinite(scored.gap[3])


def test_a_layouts_own_reason_stays_first() -> None:
    table = canonical(["N/A"], ["1"], reason=["empty_prompt"], detail=["no prompt"])
    scored = score("shp", "diff", table)
    assert (scored.reason[0].as_py(), scored.detail[0].as_py()) == ("empty_prompt", "no prompt")


def test_ratings_outside_the_scale_are_rejected() -> None:
    """-1 is how judges mark a failure."""
    scored = score("ratings", "overall", canonical([-1, 11, 10], [5, 5, 1]), scale=(1.0, 10.0))
    assert scored.reason.to_pylist() == ["rating_out_of_scale", "rating_out_of_scale", None]
    assert scored.gap[2] == 9
    assert "-1 lies outside the scale 1 to 10" in scored.detail[0].as_py()


def test_a_given_gap_is_the_margin_row_by_row() -> None:
    table = canonical([None, 4], [None, 1], gap=[-2.0, None])
    scored = score("ratings", "overall", table)
    assert scored.gap.tolist() == [-2, 3]
    assert np.isnan(scored.score_a[0])
    assert scored.reason.null_count == 2


def test_a_given_gap_outside_its_scale_is_rejected() -> None:
    scored = score("ratings", "overall", canonical([None], [None], gap=[4.0]), scale=(-3.0, 3.0))
    assert scored.reason.to_pylist() == ["rating_out_of_scale"]


def responses(ratings: list, aspects: list[dict[str, str | None]]) -> pa.Table:
    none = pa.nulls(len(ratings), pa.string())
    read = {"rating": pa.array(ratings), "reason": none, "detail": none}
    return pa.table({**read, "aspects": pa.array(aspects)} if aspects else read)


def test_mean_of_aspects_by_hand() -> None:
    """(2 + 3 + 4) / 3 = 3; the overall rating is not read."""
    table = responses(["N/A"], [{"helpfulness": "2", "honesty": "3", "truthfulness": "4"}])
    names = ("helpfulness", "honesty", "truthfulness")
    rated = rate(table, Settings("mean", (1.0, 5.0), names))
    assert rated.rating.tolist() == [3]
    assert rate(table, Settings("mean", (1.0, 5.0), names[:2])).rating.tolist() == [2.5]


def test_one_bad_aspect_rejects_the_response_and_is_named() -> None:
    table = responses([1, 1], [{"a": "N/A", "b": "4"}, {"a": "2", "b": "4"}])
    rated = rate(table, Settings("mean", (1.0, 5.0), ("a", "b")))
    assert rated.reason.to_pylist() == ["rating_not_a_number", None]
    assert rated.detail[0].as_py() == "a rating 'N/A' is not a number"
    assert math.isnan(rated.rating[0])
    assert rated.rating[1] == 3


ratings_as_found = st.one_of(
    st.none(), st.sampled_from(["N/A", "", "-1", "11", " 7 ", "nan"]), st.integers(1, 10).map(str)
)


@pytest.mark.parametrize("margin", ["overall", "mean"])
@given(rows=st.lists(st.tuples(ratings_as_found, ratings_as_found), min_size=1), cut=st.integers(0))
def test_rating_responses_does_not_depend_on_the_batch(
    margin: str, rows: list[tuple[str | None, str | None]], cut: int
) -> None:
    kind = pa.struct([("a", pa.string()), ("b", pa.string())])
    table = responses([a for a, _ in rows], [])
    table = table.set_column(0, "rating", pa.array([a for a, _ in rows], pa.string()))
    table = table.append_column("aspects", pa.array([{"a": a, "b": b} for a, b in rows], kind))
    settings = Settings(margin, (1.0, 10.0), ("a", "b") if margin == "mean" else ())
    whole = rate(table, settings)
    parts = [rate(t, settings) for t in (table[: cut % 7], table[cut % 7 :]) if t.num_rows]
    np.testing.assert_array_equal(np.concatenate([p.rating for p in parts]), whole.rating)
    assert [r for p in parts for r in p.reason.to_pylist()] == whole.reason.to_pylist()
    assert [d for p in parts for d in p.detail.to_pylist()] == whole.detail.to_pylist()
    assert np.isnan(whole.rating).tolist() == [r is not None for r in whole.reason.to_pylist()]


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_every_source_documents_its_margins(source: str) -> None:
    entry = SOURCES[source]
    assert entry.margins.keys() == entry.unit.keys()
    assert entry.about
    assert all(entry.margins.values())


def test_first_reason_takes_the_first_candidate_row_by_row() -> None:
    def column(*values: str | None) -> pa.Array:
        return pa.array(values, pa.string())

    reason, detail = first_reason(
        (column(None, None, "x", None), column(None, None, "dx", None)),
        (column(None, "y", "y", None), column(None, "dy", "dy", None)),
        (column("z", "z", None, None), column("dz", "dz", None, None)),
    )
    assert reason.to_pylist() == ["z", "y", "x", None]
    assert detail.to_pylist() == ["dz", "dy", "dx", None]
