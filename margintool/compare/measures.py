"""The numbers of N joined pairs. Pure functions on arrays; read by comparing.py.

**Which answer of a pair is "the first" is arbitrary, and no number here depends on it.** Plain
correlations of signed margins do: turn half of the pairs round, and both columns spread to both
sides of 0 and correlate more. So every pair is counted both ways, as (a, b) and as (-a, -b), as
`mmpo_core.calibration.both_ways` does with probabilities. The signed correlations are the usual
ones of these 2N points. What that comes to:

- Pearson: the mean is 0, so r = sum a b / sqrt(sum a^2 sum b^2).
- Spearman: among the 2N values, N and those nearer to 0 are below an a > 0. With the mid-rank
  R(|a|) among the N absolute values its rank is N + R(|a|), the mean rank is N + 1/2, and the
  ranks are antisymmetric: centred, sgn(a) (R(|a|) - 1/2). The formula for Pearson applies to them.
- Kendall: two pairs agree in the order of their margins and in that with one of them turned
  round; every pair is also compared with its own mirror, which asks for the same winner.

Signed correlations hold winner and size together: they are positive where the winners agree, be
the sizes unrelated. The correlations of sizes are those of |a| with |b| as they are: whether
pairs that are clear to one are clear to the other, whoever wins.
"""

from collections.abc import Callable

import numpy as np

from margintool.compare.joining import Joined
from margintool.compare.reading import Floats
from mmpo_core.calibration import accuracy, brier, nll, pair_ece

AGREEMENT: dict[str, str] = {
    "same_winner": "same winner, where both have one",
    "kendall_signed": "Kendall tau-b",
    "spearman_signed": "Spearman",
    "pearson_signed": "Pearson",
    "kendall_size": "Kendall tau-b",
    "spearman_size": "Spearman",
    "pearson_size": "Pearson",
}
"""Name -> what the table calls it; `_signed`: signed margins both ways, `_size`: without sign."""

CALIBRATION: dict[str, tuple[str, Callable[[Floats, Floats], float]]] = {
    "accuracy": ("accuracy", accuracy),
    "ece": ("ECE", pair_ece),
    "brier": ("Brier score", brier),
    "log_loss": ("log-loss", nll),
}
"""Name -> what the table calls it; predictions (N,), truth (N,) -> number."""


def agreement(a: Floats, b: Floats) -> dict[str, float]:
    """Return the numbers of AGREEMENT; NaN where one is not defined.

    A correlation is not defined where either side has no two different values.

    Args:
        a, b: (N,) signed margins, N >= 1.
    """
    size_a, size_b = np.abs(a), np.abs(b)
    rank_a, rank_b = _mid_ranks(size_a), _mid_ranks(size_b)
    return {
        "same_winner": same_winner(a, b),
        "kendall_signed": _kendall(np.concatenate([a, -a]), np.concatenate([b, -b])),
        "spearman_signed": _about_zero(_signed_ranks(a, rank_a), _signed_ranks(b, rank_b)),
        "pearson_signed": _about_zero(a, b),
        "kendall_size": _kendall(size_a, size_b),
        "spearman_size": _about_zero(rank_a - rank_a.mean(), rank_b - rank_b.mean()),
        "pearson_size": _about_zero(_centred(size_a), _centred(size_b)),
    }


def same_winner(a: Floats, b: Floats) -> float:
    """Return the share of equal signs among pairs that are a tie for neither; NaN without any."""
    both = np.sign(a) * np.sign(b)
    decided = int(np.count_nonzero(both))
    return float((both > 0).sum()) / decided if decided else float("nan")


def spearman_signed(a: Floats, b: Floats) -> float:
    """Return the rank correlation of (N,) signed margins, every pair both ways; else NaN."""
    rank_a, rank_b = (_signed_ranks(x, _mid_ranks(np.abs(x))) for x in (a, b))
    return _about_zero(rank_a, rank_b)


def _signed_ranks(margin: Floats, rank: Floats) -> Floats:
    """Return the centred ranks among the 2N values. rank: (N,) mid-ranks of the sizes."""
    return np.sign(margin) * (rank - 0.5)


def winners(margin: Floats) -> Floats:
    """Return (N,) outcomes: 1 where the first answer won, 0 where it lost, 1/2 for a tie."""
    return 0.5 + 0.5 * np.sign(margin)


def calibration(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Return the numbers of CALIBRATION; log_loss is infinite where a sure prediction failed.

    Args:
        predicted: (N,) probabilities that the first answer wins.
        truth: (N,) outcomes or probabilities of the same.
    """
    return {name: score(predicted, truth) for name, (_, score) in CALIBRATION.items()}


def all_numbers(pairs: Joined) -> dict[str, float]:
    """Return every number of N joined pairs.

    Those of `calibration` have a prefix: `a:outcome:` is A's target against B's winner,
    `a:target:` against B's target; `b:` the other way round.
    """
    found = agreement(pairs.margin_a, pairs.margin_b)
    sides = {
        "a": (pairs.target_a, pairs.margin_b, pairs.target_b),
        "b": (pairs.target_b, pairs.margin_a, pairs.target_a),
    }
    for side, (predicted, margin, target) in sides.items():
        for kind, truth in (("outcome", winners(margin)), ("target", target)):
            scores = calibration(predicted, truth)
            found |= {f"{side}:{kind}:{name}": value for name, value in scores.items()}
    return found


def _mid_ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _kendall(x: Floats, y: Floats) -> float:
    from scipy.stats import kendalltau

    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(kendalltau(x, y).statistic)


def _centred(values: Floats) -> Floats:
    # Exactly 0 where all are the same: a mean may be off by a rounding error.
    return np.zeros_like(values) if np.ptp(values) == 0 else values - values.mean()


def _about_zero(x: Floats, y: Floats) -> float:
    """Return sum x y / sqrt(sum x^2 sum y^2), whatever the scale; NaN where either is all 0."""
    largest_x, largest_y = float(np.abs(x).max()), float(np.abs(y).max())
    if largest_x == 0 or largest_y == 0:
        return float("nan")
    x, y = x / largest_x, y / largest_y  # squares of margins may leave the range of floats
    return float(np.clip((x @ y) / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))
