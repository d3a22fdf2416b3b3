"""What a judged run finds beside its margins: position bias, and how far judges agree.

Counted batch by batch in the first pass; shown after a run and kept in the pair file's metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from margintool.orders import OrderCounts

if TYPE_CHECKING:
    from margintool.judge.agreement import Agreement
    from margintool.judge.running.records import RunOutcome

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What N pairs say about the judges.

    Args:
        gap: (N,) the gap for the first answer; NaN for none.
        by_judge: (N, J) each judge's gap for the first answer; NaN where it has none.
        gap_first, gap_second: (M,) gaps for one answer where it was shown first, and where it was
            shown second, one entry per pair and judge; empty where answers are judged alone.
        given: (N,) the input's own gap for the first answer, or 1, 0, -1 for the preference it
            gives; NaN where it has neither.
        read_from: N of json, text, logprobs, several joined by `+`; None without a verdict.
    """

    gap: Floats
    by_judge: Floats
    gap_first: Floats
    gap_second: Floats
    given: Floats
    read_from: Sequence[str | None] = ()


class Findings:
    """Accumulates evidence.

    Args:
        judges: names of the J judges; none where verdicts come from the input.
        logprobs: whether log-probabilities were asked for.
    """

    def __init__(self, judges: tuple[str, ...] = (), *, logprobs: bool = False) -> None:
        self.orders = OrderCounts()
        self.run: RunOutcome | None = None
        self._logprobs = logprobs
        self._pairs = self._without_logprobs = 0
        self._judges = judges
        self._gaps: list[npt.NDArray[np.float32]] = []
        self._beside_given: list[npt.NDArray[np.float32]] = []  # (N, 2): judged gap, given gap
        self._mixed: Mapping[str, Mapping[str, int]] = {}
        self._pattern: str | None = None

    def note_run(self, outcome: "RunOutcome") -> None:
        """Keep what asking took; it is shown, and no part of the file's metadata."""
        self.run = outcome

    def note_replies(
        self, answered_by: Mapping[str, Mapping[str, int]], pattern: str | None
    ) -> None:
        """Note where the judges' replies come from, and how they were read.

        Args:
            answered_by: judge -> address -> number of replies.
            pattern: the regular expression they were read with, if not by the built-in parser.
        """
        self._mixed = {model: by for model, by in answered_by.items() if len(by) > 1}
        self._pattern = pattern

    def add(self, evidence: Evidence) -> None:
        """Count a batch."""
        self.orders.add(evidence.gap_first, evidence.gap_second)
        if self._logprobs:
            read = [kinds for kinds in evidence.read_from if kinds is not None]
            self._pairs += len(read)
            self._without_logprobs += sum(kinds != "logprobs" for kinds in read)
        if not np.isnan(evidence.given).all():
            both = np.column_stack([evidence.gap, evidence.given])
            self._beside_given.append(both.astype(np.float32))
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
        if self._beside_given:
            found["input"] = self._with_input().as_dict()["two"][0]
        if self._mixed:
            # Without the addresses: a pair file is given to others.
            found["servers"] = {
                model: sorted(by.values(), reverse=True) for model, by in self._mixed.items()
            }
        if self._pattern is not None:
            found["pattern"] = self._pattern
        return found

    def lines(self) -> list[tuple[str, str]]:
        """Return (label, text) lines for the terminal."""
        found = [] if self.run is None else self._run_lines(self.run)
        found += self.orders.lines() if self.orders.pairs else []
        if self._without_logprobs:
            text = (
                f"--logprobs: in {self._without_logprobs:,} of {self._pairs:,} pairs a rating was "
                "read without them, as the server gave none for it (column judge_read_from)"
            )
            found.append(("warning", text))
        if self._gaps:
            found += self._agreement().lines()
        if self._beside_given:
            found.append(("input", self._with_input().two[0].line()))
        for model, by in self._mixed.items():
            servers = ", ".join(f"{number:,} by {server}" for server, number in by.items())
            found.append(
                ("warning", f"{model} was asked at several addresses ({servers}): is it one model?")
            )
        if self._pattern is not None:
            found.append(("replies", f"read with the pattern of `judge reparse`: {self._pattern}"))
        return found

    def _run_lines(self, run: "RunOutcome") -> list[tuple[str, str]]:
        lines = run.lines()
        if run.unfinished is None:
            return lines
        return [*lines, ("warning", f"{run.unfinished}. The pair file then needs --overwrite")]

    def _agreement(self) -> "Agreement":
        from margintool.judge.agreement import agreement

        return agreement(np.concatenate(self._gaps), self._judges)

    def _with_input(self) -> "Agreement":
        from margintool.judge.agreement import agreement

        return agreement(np.concatenate(self._beside_given), ("the judges", "the input"))
