"""What a judged run finds beside its margins: position bias, and how far judges agree.

Counted batch by batch in the first pass; shown after a run and kept in the pair file's metadata.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from margintool.orders import OrderCounts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What N pairs say about the judges.

    Args:
        by_judge: (N, J) each judge's gap for the first answer; NaN where it has none.
        gap_first, gap_second: (M,) gaps for one answer where it was shown first, and where it was
            shown second, one entry per pair and judge; empty where answers are judged alone.
    """

    by_judge: Floats
    gap_first: Floats
    gap_second: Floats


class Findings:
    """Accumulates evidence.

    Args:
        judges: names of the J judges; none where verdicts come from the input.
    """

    def __init__(self, judges: tuple[str, ...] = ()) -> None:
        self.orders = OrderCounts()
        self._judges = judges
        self._gaps: list[npt.NDArray[np.float32]] = []

    def add(self, evidence: Evidence) -> None:
        """Count a batch."""
        self.orders.add(evidence.gap_first, evidence.gap_second)
        if len(self._judges) > 1:
            self._gaps.append(evidence.by_judge.astype(np.float32))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the metadata."""
        found: dict[str, Any] = {}
        if self.orders.pairs:
            found["orders"] = self.orders.as_dict()
        if self._gaps:
            found["agreement"] = self._agreement().as_dict()
        return found

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) lines for the terminal."""
        found = self.orders.lines() if self.orders.pairs else []
        return found + (self._agreement().lines() if self._gaps else [])

    def _agreement(self) -> Any:
        from margintool.judge.agreement import agreement

        return agreement(np.concatenate(self._gaps), self._judges)
