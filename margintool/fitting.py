"""From margin_raw to margin and p_chosen: the normaliser and gamma of one file, fitted once."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool import normalize
from mmpo_core.bradley_terry import probability, solve_gamma

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """What a file's targets are made with. mean_target: mean p_chosen over the fitted pairs."""

    normalizer: normalize.Normalizer
    gamma: float
    gamma_from: str
    mean_target: float

    def complete(self, pairs: pa.Table) -> pa.Table:
        """Return pairs with the columns margin and p_chosen. Pure, and batch-invariant."""
        margin = normalize.apply(self.normalizer, pairs.column("margin_raw").to_numpy())
        pairs = pairs.append_column("margin", pa.array(margin))
        return pairs.append_column("p_chosen", pa.array(probability(margin, self.gamma)))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the file's metadata."""
        return asdict(self)


def fit_margins(
    margins: Floats,
    *,
    name: str,
    widest: float | None,
    gamma: float | Literal["auto"],
    agreement: float,
) -> Fitted:
    """Fit a normaliser to (N,) margin_raw of a file, and solve gamma unless it is given.

    Args:
        margins: (N,) margin_raw >= 0, N > 0.
        name: a key of NORMALIZERS.
        widest: the largest gap the source's scale allows; None if it has no bound.
        gamma: a number >= 0, or auto: the gamma whose mean target is `agreement`.
        agreement: wanted mean target.

    Raises:
        InputError: if no gamma reaches the agreement.
    """
    normalizer = normalize.fit(name, margins, widest)
    normalized = normalize.apply(normalizer, margins)
    slope = solve_gamma(normalized, agreement) if gamma == "auto" else gamma
    mean_target = float(probability(normalized, slope).mean())
    how = f"agreement {agreement:g}" if gamma == "auto" else "given"
    return Fitted(normalizer, slope, how, mean_target)
