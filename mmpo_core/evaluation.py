"""How good a model's preference probabilities are on held-out pairs: metrics of an evaluation.

Each pair gives h, the model's log-odds that the chosen answer is better, its target p, and its
margin. sigma(h) is the model's probability. Numpy; the arithmetic is calibration.py's. Read by
trainer.py, which gathers the pairs, and train.py, which puts the table by margin into run.json.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.calibration import accuracy, brier, pair_ece
from mmpo_core.errors import InputError

Floats = npt.NDArray[np.float64]

MARGIN_BINS = 4
_COLUMNS = ("h", "target", "margin")


class EvaluationPairs:
    """Collects the pairs of an evaluation, batch by batch, on the CPU."""

    def __init__(self) -> None:
        self._batches: list[dict[str, Floats]] = []

    def add(self, **columns: Any) -> None:
        """Count a batch in: h, target and margin, (B,) tensors."""
        self._batches.append({name: columns[name].cpu().double().numpy() for name in _COLUMNS})

    def take(self) -> dict[str, Floats]:
        """Return h, target and margin of all pairs, (N,) float64 each, and start over.

        N is 0 on a process that had no batch.
        """
        batches, self._batches = self._batches, []
        return {
            name: np.concatenate([np.zeros(0), *(batch[name] for batch in batches)])
            for name in _COLUMNS
        }


def probability_of(h: npt.ArrayLike) -> Floats:
    """Return sigma(h), float64, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -np.asarray(h, dtype=np.float64))))


def cross_entropy(h: Floats, target: Floats) -> Floats:
    """Return each pair's -t ln sigma(h) - (1 - t) ln sigma(-h) in nats, finite for finite h."""
    return np.asarray(target * np.logaddexp(0.0, -h) + (1.0 - target) * np.logaddexp(0.0, h))


def evaluation_metrics(h: npt.ArrayLike, target: npt.ArrayLike) -> dict[str, float]:
    """Return accuracy, nll, brier and ece of sigma(h) against the targets.

    accuracy counts a pair whose sides are level, by the model or by the target, one half. nll is
    the mean cross-entropy against the target in nats, from h itself, so that it stays finite
    where sigma(h) rounds to 0 or 1. ece counts every pair both ways round (calibration.py says
    why), in 10 bins of sigma(h).

    Args:
        h: (N,) log-odds.
        target: (N,) p = P(chosen is better).

    Raises:
        InputError: if there is no pair, an h is not finite, or a target no probability.
    """
    gaps = np.asarray(h, dtype=np.float64)
    wanted = np.asarray(target, dtype=np.float64)
    lost = int(np.sum(~np.isfinite(gaps)))
    if lost:
        raise InputError(f"the reward margins of {lost} of {len(gaps)} pairs are not finite")
    predicted = probability_of(gaps)
    return {
        "accuracy": accuracy(predicted, wanted),
        "nll": float(np.mean(cross_entropy(gaps, wanted))),
        "brier": brier(predicted, wanted),
        "ece": pair_ece(predicted, wanted),
    }


def by_margin(
    h: npt.ArrayLike, target: npt.ArrayLike, margin: npt.ArrayLike, *, bins: int = MARGIN_BINS
) -> list[dict[str, float]]:
    """Return a row for each bin of the margin: does the model tell clear pairs from close ones?

    Bins are quantiles of these pairs' margins: bin k holds those above its lower edge up to its
    upper edge, the first also the least margin. Where many margins are equal bins are uneven, and
    those that no pair falls in are left out.

    Returns:
        For each bin with pairs, in ascending order: bin (from 1), pairs, lowest and highest margin
        in it, and the means of accuracy, predicted (sigma(h)) and target.
    """
    margins = np.asarray(margin, dtype=np.float64)
    predicted, wanted = probability_of(h), np.asarray(target, dtype=np.float64)
    edges = np.quantile(margins, np.arange(1, bins) / bins)
    number = np.searchsorted(edges, margins, side="left")
    rows = []
    for k in np.unique(number):
        here = number == k
        rows.append(
            {
                "bin": int(k) + 1,
                "pairs": int(here.sum()),
                "lowest_margin": float(margins[here].min()),
                "highest_margin": float(margins[here].max()),
                "accuracy": accuracy(predicted[here], wanted[here]),
                "predicted": float(predicted[here].mean()),
                "target": float(wanted[here].mean()),
            }
        )
    return rows


def flat(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the table by margin as metrics: accuracy_margin_q1, predicted_margin_q1, ..."""
    return {
        f"{name}_margin_q{row['bin']}": row[name]
        for name in ("accuracy", "predicted")
        for row in rows
    }
