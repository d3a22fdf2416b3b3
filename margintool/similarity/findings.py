"""What a run of `--source similarity` finds beside its margins, and how far they can be trusted.

Counted batch by batch in the first pass; shown after a run and kept in the pair file's metadata.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.similarity.fill import FillSummary
from margintool.similarity.options import SimilarityOptions

Floats = npt.NDArray[np.float64]
NOTE = (
    "similarity says how different two answers are, not how much better one is: which answer is "
    "preferred is the input's word, and the margin is a stand-in for its strength"
)
# What the margin is held to: name -> words, and what to say where no pair has it.
SIGN_CHECKS: dict[str, tuple[str, str]] = {
    "length_difference": ("the difference in length", "there is no pair to hold the margin to"),
    "longer_preferred": (
        "how much longer the preferred answer is",
        "no pair has a preferred answer, to see whether it is the longer one",
    ),
    "gap": (
        "the size of the input's own gap",
        "the input has no scores to hold the margin to",
    ),
}
# What becomes of texts over the model's limit, by --pooling; and of pairs, by a cross-encoder.
_LONG = {
    "mean-of-chunks": "read in chunks, the mean of their embeddings taken",
    "truncate": "cut there, what follows is not read",
}
_LONG_PAIRS = "cut to what it reads"
_INSTEAD = {"truncate": " (--pooling mean-of-chunks reads it)"}


@dataclass(frozen=True)
class Distances:
    """What N pairs say about the margin.

    Args:
        distance: (N,) distance of the two answers.
        longer: (N,) characters of the first answer less those of the second.
        better: (N,) 1 where the first is preferred, -1 where the second is, 0 for a tie.
        gap: (N,) the input's own gap; NaN where it has none.
    """

    distance: Floats
    longer: Floats
    better: Floats
    gap: Floats

    @property
    def longer_preferred(self) -> Floats:
        """(N,) characters that the preferred answer has more than the other; NaN for ties."""
        return np.where(self.better == 0, np.nan, self.better * self.longer)


class SimilarityFindings:
    """Accumulates distances; see margintool.findings.Findings, which does so for judges."""

    def __init__(self, options: SimilarityOptions) -> None:
        self._options = options
        self._filled: FillSummary | None = None
        self._limit: int | None = None
        self._parts: list[npt.NDArray[np.float32]] = []

    def note_fill(self, filled: FillSummary, limit: int | None) -> None:
        """Keep what the input needed of the store. limit: tokens that the model reads at once."""
        self._filled, self._limit = filled, limit

    def add(self, evidence: Distances) -> None:
        """Count a batch."""
        if self._options.sign_check:
            held = [np.abs(evidence.longer), evidence.longer_preferred, np.abs(evidence.gap)]
            table = np.column_stack([evidence.distance, *held])
            self._parts.append(table.astype(np.float32))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the metadata; how long it took is not among them."""
        found: dict[str, Any] = {"note": NOTE}
        if self._filled is not None:
            filled = self._filled
            found["texts"] = {
                "unit": self._unit,
                "different": filled.unique,
                "over_limit": filled.over_limit,
                "long": self._long,
            }
        if self._options.sign_check:
            found["sign_check"] = {
                name: {"pairs": pairs, "spearman": rho}
                for name, (pairs, rho) in self._checks().items()
            }
        return found

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) lines for the terminal."""
        lines = [] if self._filled is None else list(self._fill_lines(self._filled))
        for name, check in self._checks().items() if self._options.sign_check else []:
            lines.append(("sign check", _check_line(name, *check)))
        return [*lines, ("note", NOTE)]

    @property
    def _cross(self) -> bool:
        return self._options.metric == "cross-encoder"

    @property
    def _unit(self) -> str:
        return "pairs" if self._cross else "texts"

    @property
    def _long(self) -> str:
        return _LONG_PAIRS if self._cross else _LONG[self._options.pooling]

    def _fill_lines(self, filled: FillSummary) -> list[tuple[str, str]]:
        rate = f" ({filled.embedded / filled.seconds:,.0f} a second)" if filled.embedded else ""
        lines = [
            (
                self._unit,
                f"{filled.texts:,}, {filled.unique:,} different; {filled.embedded:,} computed now"
                f"{rate}, {filled.unique - filled.embedded:,} stored before",
            )
        ]
        if filled.over_limit:
            share = filled.over_limit / filled.unique
            over = f"{filled.over_limit:,} {self._unit} ({share:.1%}) exceed the {self._limit}"
            instead = "" if self._cross else _INSTEAD.get(self._options.pooling, "")
            done = f"{self._long}{instead}"
            lines.append(("long", f"{over} tokens that the model reads at once: {done}"))
        return lines

    def _checks(self) -> dict[str, tuple[int, float | None]]:
        """Return what the margin is held to: key of SIGN_CHECKS -> pairs, rank correlation."""
        table = np.concatenate([np.empty((0, 4), np.float32), *self._parts])
        distance, *held = table.T
        return {
            name: _spearman(distance, values)
            for name, values in zip(SIGN_CHECKS, held, strict=True)
        }


def _check_line(name: str, pairs: int, rho: float | None) -> str:
    words, if_none = SIGN_CHECKS[name]
    if not pairs:
        return if_none
    shown = "not defined" if rho is None else f"{rho:+.3f}"
    return f"Spearman {shown} with {words}, in {pairs:,} pairs compared"


def _spearman(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> tuple[int, float | None]:
    """Return on how many pairs both are there, and their rank correlation; None if not defined."""
    from scipy.stats import spearmanr

    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return len(a), None
    return len(a), float(spearmanr(a, b).statistic)
