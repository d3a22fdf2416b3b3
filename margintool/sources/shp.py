"""Source `shp`: margins from votes, as in the Stanford Human Preferences data.

Any pair of vote counts will do: Reddit scores (layout shp), counts or annotators' choices
(layout votes_pair). Margins are in log-odds, except `diff`, which is in votes.
Dataset card: data_cards/stanfordnlp-shp.md.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from margintool.numbers import to_numbers
from margintool.sources.base import Floats, Scored, Settings, Source, first_reason, mark
from margintool.sources.reading import unreadable

PRIOR = 1.0


def log_ratio(votes_a: Floats, votes_b: Floats) -> Floats:
    """Return ln(a / b), the Bradley-Terry log-odds of the votes. (N,) counts >= 0.

    Where either count is 0, 1/2 is added to both (the Haldane-Anscombe correction), so that
    3:0 is ln(3.5 / 0.5), and 0:0 is a tie. Counts that are both positive are used as they are.
    """
    zero = (votes_a == 0) | (votes_b == 0)
    half = np.where(zero, 0.5, 0.0)
    # A difference of logarithms: the ratio itself may leave the range of floats.
    return np.asarray(np.log(votes_a + half) - np.log(votes_b + half))


def diff(votes_a: Floats, votes_b: Floats) -> Floats:
    """Return a - b, the raw vote difference of the MMPO paper's code. Any finite counts."""
    with np.errstate(over="ignore"):  # an infinite difference is rejected by name
        return np.asarray(votes_a - votes_b)


def posterior(votes_a: Floats, votes_b: Floats) -> Floats:
    """Return the posterior mean of the log-odds that a vote goes to a. (N,) counts >= 0.

    With votes a ~ Binomial(a + b, q) and the uniform prior q ~ Beta(1, 1), q given the votes is
    Beta(a + 1, b + 1), and E[ln(q / (1 - q))] = digamma(a + 1) - digamma(b + 1).
    2:1 gives 0.5, 200:100 gives 0.691: few votes count for less (ln 2 = 0.693 is the limit).
    """
    from scipy.special import digamma

    return np.asarray(digamma(votes_a + PRIOR) - digamma(votes_b + PRIOR), dtype=np.float64)


ESTIMATORS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "log-ratio": log_ratio,
    "diff": diff,
    "posterior": posterior,
}
READS_NEGATIVE = {"diff"}


def score_pairs(pairs: pa.Table, settings: Settings) -> Scored:
    """Turn the vote counts of canonical pairs into signed margins. N rows in, N out."""
    votes_a, unusable_a = to_numbers(pairs.column("score_a"))
    votes_b, unusable_b = to_numbers(pairs.column("score_b"))
    negative = ((votes_a < 0) | (votes_b < 0)) & (settings.margin not in READS_NEGATIVE)
    reason, detail = first_reason(
        (pairs.column("reason"), pairs.column("detail")),
        unreadable("votes", "vote count of the first answer", pairs.column("score_a"), unusable_a),
        unreadable("votes", "vote count of the second answer", pairs.column("score_b"), unusable_b),
        mark(
            negative,
            "votes_negative",
            lambda i: (
                f"{votes_a[i]:g} and {votes_b[i]:g} votes: {settings.margin} needs counts "
                ">= 0 (diff reads negative ones)"
            ),
        ),
    )
    usable = np.asarray(reason.is_null())
    gap = np.full(len(votes_a), np.nan)
    gap[usable] = ESTIMATORS[settings.margin](votes_a[usable], votes_b[usable])
    return Scored(gap, votes_a, votes_b, _evidence(pairs, votes_a, votes_b), reason, detail)


def _evidence(pairs: pa.Table, votes_a: Floats, votes_b: Floats) -> Floats:
    """Return the number of votes behind each pair, at least 1 (negative counts say nothing)."""
    given = pairs.column("votes").to_numpy()
    with np.errstate(over="ignore"):
        counted = np.where(np.isnan(given), votes_a + votes_b, given)
    clipped: Floats = np.clip(np.nan_to_num(counted, nan=1.0), 1.0, np.finfo(np.float64).max)
    return clipped


SHP = Source(
    name="shp",
    about="votes: Reddit scores, vote counts, annotators' choices",
    default_input="stanfordnlp/SHP",
    margins={
        "log-ratio": "ln(votes_chosen / votes_rejected), the Bradley-Terry log-odds of the votes; "
        "1/2 is added to both counts where one is 0; negative counts are rejected",
        "diff": "votes_chosen - votes_rejected, the paper's code; any counts",
        "posterior": "digamma(votes_chosen + 1) - digamma(votes_rejected + 1), the posterior mean "
        "of the log-odds under a uniform Beta(1, 1) prior; negative counts are rejected",
    },
    unit={"log-ratio": "log-odds", "diff": "votes", "posterior": "log-odds"},
    max_pairs_per_prompt=5,
    score_pairs=score_pairs,
)
