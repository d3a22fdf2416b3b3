"""Ratings by category and turn, with intervals. Numbers only; read by run.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmpo_core.calibration import Floats, Rows, bootstrap_interval

# column of the table -> the turns in it
COLUMNS: Mapping[str, tuple[int, ...]] = {"turn_1": (1,), "turn_2": (2,), "both": (1, 2)}


@dataclass(frozen=True)
class Mean:
    """A mean rating.

    Args:
        value: over the answers that have a rating; None where none has.
        low, high: its 95% interval over questions; None without one, as of a single question.
        rated: answers with a rating.
        unrated: answers without one, which are in no mean.
    """

    value: float | None
    low: float | None
    high: float | None
    rated: int
    unrated: int

    def as_json(self) -> dict[str, Any]:
        """Return the mean as mt_bench.json holds it."""
        return {
            "mean": self.value,
            "interval": None if self.low is None else [self.low, self.high],
            "rated": self.rated,
            "unrated": self.unrated,
        }


Line = dict[str, Mean]


@dataclass(frozen=True)
class Table:
    """Mean ratings: for each of COLUMNS, over all questions and by category."""

    overall: Line
    by_category: dict[str, Line]

    def as_json(self) -> dict[str, Any]:
        """Return the table as mt_bench.json holds it."""
        return {
            "overall": {name: mean.as_json() for name, mean in self.overall.items()},
            "by_category": {
                category: {name: mean.as_json() for name, mean in line.items()}
                for category, line in self.by_category.items()
            },
        }


def table(
    rating: Floats,
    categories: Sequence[str],
    *,
    bootstrap: int,
    seed: int,
) -> Table:
    """Return the mean ratings with bootstrap intervals over questions.

    Args:
        rating: (2 N,) turn 1 and turn 2 of each question in turn; NaN for none.
        categories: N, one a question.
        bootstrap: resamples; 0 for no intervals.
        seed: of the resamples.
    """
    question = np.repeat(np.arange(len(categories)), 2)
    turn = np.tile([1, 2], len(categories))
    category = np.repeat(np.asarray(categories), 2)

    def line(chosen: Rows) -> Line:
        return {
            name: _mean(
                rating[rows := chosen[np.isin(turn[chosen], turns)]],
                question[rows],
                bootstrap,
                seed,
            )
            for name, turns in COLUMNS.items()
        }

    return Table(
        line(np.arange(len(rating))),
        {name: line(np.flatnonzero(category == name)) for name in dict.fromkeys(categories)},
    )


def _mean(rating: Floats, question: Rows, bootstrap: int, seed: int) -> Mean:
    there = ~np.isnan(rating)
    rated, unrated = int(there.sum()), int((~there).sum())
    if not rated:
        return Mean(None, None, None, 0, unrated)
    known = rating[there]
    low = high = None
    if bootstrap and len(set(question[there].tolist())) > 1:
        low, high = bootstrap_interval(
            lambda rows: float(known[rows].mean()),
            question[there],
            resamples=bootstrap,
            seed=seed,
        )
    return Mean(float(known.mean()), low, high, rated, unrated)
