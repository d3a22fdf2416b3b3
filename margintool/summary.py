"""What `score` reports: the counts of a run and the statistics of its margins."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class ScoreSummary:
    """The outcome of one `score` run.

    Args:
        out: the pair file.
        rejects: the rejects file, or None if nothing was rejected.
        source, layout, margin, normalizer: what made the margins.
        read: input rows.
        kept: pairs written.
        ties: kept pairs with margin 0.
        flipped: kept pairs whose given preference contradicted the scores.
        rejected: rows and pairs not used, by reason.
        margin_quantiles: quantile -> margin_raw.
        gamma: slope of the targets; math.inf for hard labels.
        mean_target: mean p_chosen.
    """

    out: Path
    rejects: Path | None
    source: str
    layout: str
    margin: str
    normalizer: str
    read: int
    kept: int
    ties: int
    flipped: int
    rejected: dict[str, int]
    margin_quantiles: dict[str, float]
    gamma: float
    mean_target: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        paths = {"out": str(self.out), "rejects": str(self.rejects) if self.rejects else None}
        return {**asdict(self), **paths}


def quantiles(margins: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the quantiles of (N,) margins that the summary shows."""
    values = np.quantile(margins, QUANTILES).tolist()
    return {f"{share:g}": value for share, value in zip(QUANTILES, values, strict=True)}
