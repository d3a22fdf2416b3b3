"""Tokens drawn row by row: expected values by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mmpo_core.generation.asked import Sampling
from mmpo_core.generation.draws import DrawByRow, drawing

CHANCES = torch.tensor([0.5, 0.3, 0.2])
NO_IDS = torch.zeros((1, 1), dtype=torch.long)


class Given:
    """In place of a generator: gives these numbers, one after the other."""

    def __init__(self, *numbers: float) -> None:
        self._left = list(numbers)

    def random(self) -> float:
        return self._left.pop(0)


def drawn(scores: torch.Tensor, numbers: Sequence[float]) -> list[int]:
    """Return the token drawn in each row; every other token is out."""
    found = DrawByRow([Given(one) for one in numbers])(NO_IDS, scores)  # type: ignore[misc]
    assert (found > -torch.inf).sum(dim=1).tolist() == [1] * len(numbers)
    return found.argmax(dim=1).tolist()


def test_the_first_token_whose_cumulative_probability_exceeds_u() -> None:
    """Cumulative: 0.5, 0.8, 1.0. Each row is its own draw, B = 6."""
    numbers = [0.0, 0.49, 0.51, 0.79, 0.81, 0.999999]
    scores = CHANCES.log().repeat(len(numbers), 1)
    assert drawn(scores, numbers) == [0, 0, 1, 1, 2, 2]


def test_what_is_impossible_is_never_drawn() -> None:
    """Probability 0 at either end: u = 0 and u just below 1 give the tokens between."""
    low = -torch.inf
    scores = torch.tensor([[low, 0.0, 0.0, low]]).repeat(2, 1)
    assert drawn(scores, [0.0, 1 - 2**-53]) == [1, 2]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1.0), [0.5, 0.3, 0.2]),
        # squares 0.25, 0.09, 0.04 over their sum 0.38
        (Sampling(temperature=0.5), [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38]),
        # 0.5 and 0.3 make up 0.7
        (Sampling(temperature=1.0, top_p=0.7), [0.625, 0.375, 0.0]),
    ],
)
def test_shares_of_drawn_tokens(sampling: Sampling, expected: list[float]) -> None:
    """40,000 draws: the standard error of a share is at most 0.0025."""
    number = 40_000
    generators = [np.random.default_rng(n) for n in range(number)]
    found = CHANCES.log().repeat(number, 1)
    for step in drawing(sampling, generators):
        found = step(NO_IDS, found)
    shares = torch.bincount(found.argmax(dim=1), minlength=3) / number
    assert shares.tolist() == pytest.approx(expected, abs=0.01)


def test_nothing_is_drawn_at_temperature_zero() -> None:
    assert len(drawing(Sampling(temperature=0.0, top_p=0.5), [])) == 0
