"""The main metrics of parts of the pairs: by margin, by source, by difference in length.

In each part the prompts that have pairs in it are drawn. Read by evaluating.py.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.evaluate.intervals import estimate
from mmpo_core.evaluate.metrics import MAIN, METRICS
from mmpo_core.evaluate.pairs import Floats, Pairs

PARTS = 5

Row = dict[str, Any]


def by_quantile(
    pairs: Pairs, values: npt.ArrayLike, *, parts: int = PARTS, bins: int, resamples: int, seed: int
) -> list[Row]:
    """Return a row for each part of about equally many pairs, in ascending order of a column.

    Edges are quantiles of the values: a part holds those above its lower edge up to its upper
    edge, the first also the least value. Equal values stay together, so that parts may be uneven
    or fewer.

    Args:
        pairs: N pairs.
        values: (N,) what they are sorted by.
        parts: how many, at most.
        bins, resamples, seed: as in evaluate_predictions.

    Returns:
        Rows with lowest and highest value, pairs, prompts, ties, and metrics of MAIN.
    """
    column = np.asarray(values, dtype=np.float64)
    edges = np.quantile(column, np.arange(1, parts) / parts, method="inverted_cdf")
    number = np.searchsorted(edges, column, side="left")
    return [
        {"lowest": float(column[here].min()), "highest": float(column[here].max())}
        | _measured(pairs.take(here), bins, resamples, seed)
        for here in _masks(number)
    ]


def by_label(
    pairs: Pairs, labels: npt.NDArray[Any], *, bins: int, resamples: int, seed: int
) -> list[Row]:
    """Return a row for each label, those with most pairs first.

    Args:
        pairs: N pairs.
        labels: (N,).
        bins, resamples, seed: as in evaluate_predictions.

    Returns:
        Rows with name, pairs, prompts, ties, and metrics of MAIN.
    """
    rows = [
        {"name": str(labels[here][0])} | _measured(pairs.take(here), bins, resamples, seed)
        for here in _masks(labels)
    ]
    return sorted(rows, key=lambda row: -row["pairs"])


def _masks(labels: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.bool_]]:
    for label in np.unique(labels):
        yield labels == label


def _measured(part: Pairs, bins: int, resamples: int, seed: int) -> Row:
    statistics = {name: METRICS[name].make(part, bins) for name in MAIN}
    found = estimate(statistics, part, resamples=resamples, seed=seed)
    return counts(part.label, part.prompts) | {
        "metrics": {name: one.to_dict() for name, one in found.items()}
    }


def counts(label: Floats, prompts: int) -> Row:
    """Return pairs, prompts and ties (pairs without a winner). label: (N,)."""
    return {"pairs": len(label), "prompts": prompts, "ties": int(np.sum(label == 0.5))}
