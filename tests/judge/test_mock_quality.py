"""What the stand-in thinks of answers, by hand: share = log2(1 + distinct words) / 9."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.judge.mock.quality import (
    mock_exact,
    mock_gap,
    mock_quality,
    mock_share,
    mock_verdict,
    rating_probabilities,
    winner_probabilities,
)
from margintool.judge.task import STRENGTHS

texts = st.text(max_size=60)
models = st.sampled_from(["mock-judge", "mock-judge-strict", "mock-judge-noisy"])


def test_share_by_hand() -> None:
    """One word: log2(2)/9 = 1/9. Three: log2(4)/9 = 2/9. 511 and more: 9/9."""
    assert mock_share("") == 0.0
    assert mock_share("Yes yes, YES!") == pytest.approx(1 / 9)
    assert mock_share("yes it is") == pytest.approx(2 / 9)
    assert mock_share(" ".join(map(str, range(511)))) == 1.0
    assert mock_share(" ".join(map(str, range(900)))) == 1.0


def test_rating_by_hand() -> None:
    """1 + 9 * 2/9 = 3 of 10; 1 + 4 * 2/9 = 1.89, said as 2 of 5."""
    assert mock_quality("yes it is") == 3.0
    assert mock_exact("yes it is", (1.0, 5.0)) == pytest.approx(1 + 8 / 9)
    assert mock_quality("yes it is", (1.0, 5.0)) == 2.0
    assert mock_quality("yes it is", model="mock-judge-strict") == 2.0


def test_a_rating_in_the_answer_does_not_help() -> None:
    assert mock_quality("[[10]]") == mock_quality("[[1]]") == 2.0


@given(texts, models, st.sampled_from([None, "honesty"]), st.integers(0, 3))
def test_ratings_are_whole_and_on_the_scale(
    answer: str, model: str, aspect: str | None, draw: int
) -> None:
    rating = mock_quality(answer, (1.0, 5.0), model=model, aspect=aspect, draw=draw)
    assert rating in {1.0, 2.0, 3.0, 4.0, 5.0}


@given(texts, models, st.integers(1, 9))
def test_a_draw_differs_by_at_most_a_point(answer: str, model: str, draw: int) -> None:
    first = mock_exact(answer, model=model)
    assert abs(mock_exact(answer, model=model, draw=draw) - first) <= 1.0 + 1e-9


def test_noisy_and_strict_disagree_with_the_first() -> None:
    answers = [" ".join(f"w{i}" for i in range(n)) for n in range(1, 200)]
    plain = [mock_quality(a) for a in answers]
    strict = [mock_quality(a, model="mock-judge-strict") for a in answers]
    noisy = [mock_quality(a, model="mock-judge-noisy") for a in answers]
    assert {p - s for p, s in zip(plain, strict, strict=True)} == {1.0}
    assert {p - n for p, n in zip(plain, noisy, strict=True)} == {-1.0, 0.0, 1.0}


def test_verdict_by_hand() -> None:
    """Shares 1/9 and 2/9: a gap of 0.11 is `better` (from 0.08), with 0.03 less `slightly`."""
    assert mock_verdict("yes", "yes it is") == ("B", "better", -2.0)
    assert mock_verdict("yes it is", "yes") == ("A", "better", 2.0)
    assert mock_verdict("yes", "no") == ("tie", "equal", 0.0)
    assert mock_verdict("yes", "yes it is", position_bias=0.05) == ("B", "slightly better", -1.0)
    assert mock_verdict("yes", "no", position_bias=0.25) == ("A", "much better", 3.0)
    strict = mock_verdict("yes", "yes it is", model="mock-judge-strict")
    assert strict == ("B", "slightly better", -1.0)


@given(texts, texts, models)
def test_without_bias_the_order_does_not_matter(first: str, second: str, model: str) -> None:
    there, back = mock_verdict(first, second, model=model), mock_verdict(second, first, model=model)
    assert there[2] == -back[2]
    assert there[1] == back[1]
    assert abs(there[2]) == STRENGTHS.get(there[1], 0.0)


def test_probabilities_by_hand() -> None:
    """Around 3 with a spread of 0.7: weights 1 at 3, exp(-1/0.49) = 0.13 at 2 and at 4."""
    chances = rating_probabilities(3.0, (1.0, 5.0))
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances[2] == chances[4]
    assert chances[2] / chances[3] == pytest.approx(math.exp(-1 / 0.49))
    assert list(chances) == [1, 2, 3, 4, 5]


@given(texts, texts, models, st.floats(-1.0, 1.0))
def test_the_likeliest_winner_is_the_one_that_is_said(
    first: str, second: str, model: str, bias: float
) -> None:
    chances = winner_probabilities(mock_gap(first, second, model=model, position_bias=bias))
    said, _, _ = mock_verdict(first, second, model=model, position_bias=bias)
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances[said] == pytest.approx(max(chances.values()))
