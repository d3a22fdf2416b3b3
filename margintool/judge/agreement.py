"""How far several judges agree on the same pairs. Read by margintool/findings.py.

Spearman's rank correlation of every two judges, how often they name the same winner, and for all
judges together Krippendorff's alpha: 1 is perfect agreement, 0 what chance would give.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Margins = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TwoJudges:
    """Two judges on the pairs of which both have a margin.

    Args:
        judges: their names.
        pairs: how many pairs that are.
        same_winner: share of them with the same winner, or a tie for both; None without pairs.
        spearman: rank correlation of their signed margins; None where it is not defined: fewer
            than two pairs, or a judge whose margins are all the same.
    """

    judges: tuple[str, str]
    pairs: int
    same_winner: float | None
    spearman: float | None

    def line(self) -> str:
        """Return it for the terminal."""
        winner = "none" if self.same_winner is None else f"{self.same_winner:.1%}"
        return (
            f"{' and '.join(self.judges)}: same winner {winner}, "
            f"Spearman {_shown(self.spearman)}, {self.pairs:,} pairs"
        )


@dataclass(frozen=True)
class Agreement:
    """What J judges say of the same pairs.

    Args:
        pairs: pairs of which at least two judges have a margin.
        alpha_interval: Krippendorff's alpha of the margins; None where it is not defined: no
            such pair, or all margins the same.
        alpha_ordinal: the same of their ranks.
        two: every two judges.
    """

    pairs: int
    alpha_interval: float | None
    alpha_ordinal: float | None
    two: tuple[TwoJudges, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a file's metadata: null where there is no number."""
        two = [{**asdict(each), "judges": list(each.judges)} for each in self.two]
        return {**asdict(self), "two": two}

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) for the terminal."""
        alpha = (
            f"Krippendorff's alpha {_shown(self.alpha_interval)} (interval), "
            f"{_shown(self.alpha_ordinal)} (ordinal), {self.pairs:,} pairs"
        )
        return [("agreement", alpha), *(("", each.line()) for each in self.two)]


def _shown(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def agreement(margins: Margins, judges: Sequence[str]) -> Agreement:
    """Return how far J judges agree on N pairs.

    Args:
        margins: (N, J) each judge's signed margin for the same one of the two answers; NaN for
            none. Which answer that is has an influence on Spearman and alpha, none on the winner.
        judges: J names.
    """
    from scipy.stats import rankdata

    finite = np.where(np.isfinite(margins), margins, np.nan).astype(np.float64)
    shared = finite[(~np.isnan(finite)).sum(axis=1) > 1]
    ranks = rankdata(shared, nan_policy="omit").reshape(shared.shape)
    return Agreement(
        pairs=len(shared),
        alpha_interval=alpha(shared),
        alpha_ordinal=alpha(ranks),
        two=tuple(
            _two_judges((judges[i], judges[j]), finite[:, i], finite[:, j])
            for i, j in combinations(range(len(judges)), 2)
        ),
    )


def alpha(values: Floats) -> float | None:
    """Return Krippendorff's alpha for interval data, of values of N units by J observers.

    alpha = 1 - D_o / D_e, with the mean squared difference of two observers' values of one unit
    and of any two values (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011). A sum
    of squared differences of m values is m * SS, so that with the variances s^2 (over m - 1)
    D_o / D_e = sum_u m_u s_u^2 / (n s^2). The ordinal metric is the squared difference of mean
    ranks: alpha of the ranks.

    The package krippendorff gives the same numbers (the tests compare them), but allocates
    N * V * V for V different values: 300 MB for 20,000 pairs and 25 values, and the margins of a
    mean over orders, draws or log-probabilities have thousands.

    Args:
        values: (N, J) with at least two values in every row; NaN for none.

    Returns:
        Alpha, or None where it is not defined: no rows, or no two different values.
    """
    present = ~np.isnan(values)
    if not present.any() or np.nanmin(values) == np.nanmax(values):
        return None
    observed = (present.sum(axis=1) * np.nanvar(values, axis=1, ddof=1)).sum()
    expected = present.sum() * np.nanvar(values, ddof=1)
    return float(1 - observed / expected)


def _two_judges(judges: tuple[str, str], first: Floats, second: Floats) -> TwoJudges:
    """Return the agreement of two judges on N pairs."""
    from scipy.stats import spearmanr

    shared = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[shared], second[shared]
    if not len(first):
        return TwoJudges(judges, 0, None, None)
    same = float((np.sign(first) == np.sign(second)).mean())
    constant = np.ptp(first) == 0 or np.ptp(second) == 0
    rank_correlation = None if constant else float(spearmanr(first, second).statistic)
    return TwoJudges(judges, len(first), same, rank_correlation)
