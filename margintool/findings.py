"""What a judged run finds beside its margins: position bias, and how far judges agree.

Counted batch by batch in the first pass; shown after a run and kept in the pair file's metadata.
"""

from collections.abc import Sequence
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
        read_from: N of json, text, logprobs, several joined by `+`; None without a verdict.
    """

    by_judge: Floats
    gap_first: Floats
    gap_second: Floats
    read_from: Sequence[str | None] = ()


class Findings:
    """Accumulates evidence.

    Args:
        judges: names of the J judges; none where verdicts come from the input.
        logprobs: whether log-probabilities were asked for.
    """

    def __init__(self, judges: tuple[str, ...] = (), *, logprobs: bool = False) -> None:
        self.orders = OrderCounts()
        self._logprobs = logprobs
        self._pairs = self._without_logprobs = 0
        self._judges = judges
        self._gaps: list[npt.NDArray[np.float32]] = []

    def add(self, evidence: Evidence) -> None:
        """Count a batch."""
        self.orders.add(evidence.gap_first, evidence.gap_second)
        if self._logprobs:
            read = [kinds for kinds in evidence.read_from if kinds is not None]
            self._pairs += len(read)
            self._without_logprobs += sum(kinds != "logprobs" for kinds in read)
        if len(self._judges) > 1:
            self._gaps.append(evidence.by_judge.astype(np.float32))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the metadata."""
        found: dict[str, Any] = {}
        if self.orders.pairs:
            found["orders"] = self.orders.as_dict()
        if self._logprobs:
            found["logprobs"] = {"pairs": self._pairs, "without": self._without_logprobs}
        if self._gaps:
            found["agreement"] = self._agreement().as_dict()
        return found

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) lines for the terminal."""
        found = self.orders.lines() if self.orders.pairs else []
        if self._without_logprobs:
            text = (
                f"--logprobs: in {self._without_logprobs:,} of {self._pairs:,} pairs a rating was "
                "read without them, as the server gave none for it (column judge_read_from)"
            )
            found.append(("warning", text))
        return found + (self._agreement().lines() if self._gaps else [])

    def _agreement(self) -> Any:
        from margintool.judge.agreement import agreement

        return agreement(np.concatenate(self._gaps), self._judges)
