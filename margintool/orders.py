"""What a judge's verdicts on the same pairs in both orders say: agreement, flips, position bias.

A judge prefers a place as well as an answer. Asked twice, with the answers swapped, it tells how
much: with q the gap between answers a and b and s what the first place adds, the gaps are q + s
with a first and q - s with b first. Half their sum is q, half their difference s.

"Consistency", the share of pairs with the same outcome in both orders, is that of Zheng et al.,
Judging LLM-as-a-Judge, 2023 (arXiv 2306.05685, section 3.3). Pure numpy; read by both_orders.py
and by the judge's margins.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from mmpo_core.interval_words import interval

Floats = npt.NDArray[np.float64]

Z_95 = 1.959964  # the normal distribution's 97.5% quantile


def merged_gap(gap_first: Floats, gap_second: Floats) -> Floats:
    """Return the gap of answer a without the advantage of a place; NaN if an order is missing.

    Args:
        gap_first: (N,) gap a - b where a was shown first.
        gap_second: (N,) gap a - b where a was shown second.
    """
    return gap_first / 2 + gap_second / 2  # halved first: the sum may leave the range of floats


@dataclass
class OrderCounts:
    """Counts over pairs, added to part by part; nothing is kept per pair.

    Args:
        both: pairs with a verdict in both orders. The next four add up to it.
        agree: the two orders name the same winner, or both a tie.
        tie_changes: one order names a winner, the other a tie.
        first_won: the answer that was shown first won in both orders.
        second_won: the answer that was shown second won in both orders.
        one_order: pairs with a verdict in one order only.
        unjudged: pairs without any.
        sum_advantage: sum over pairs of what the first place adds to the gap.
        sum_squares: sum of its squares.
    """

    both: int = 0
    agree: int = 0
    tie_changes: int = 0
    first_won: int = 0
    second_won: int = 0
    one_order: int = 0
    unjudged: int = 0
    sum_advantage: float = 0.0
    sum_squares: float = 0.0

    def add(self, gap_first: Floats, gap_second: Floats) -> None:
        """Count N more pairs.

        Args:
            gap_first: (N,) gap a - b where a was shown first; NaN for no verdict.
            gap_second: (N,) gap a - b where a was shown second; NaN for no verdict.
        """
        judged = np.isfinite(gap_first).astype(int) + np.isfinite(gap_second)
        self.one_order += int((judged == 1).sum())
        self.unjudged += int((judged == 0).sum())
        first, second = gap_first[judged == 2], gap_second[judged == 2]
        one, other = np.sign(first), np.sign(second)
        self.both += len(first)
        self.agree += int((one == other).sum())
        self.tie_changes += int(((one == 0) != (other == 0)).sum())
        self.first_won += int(((one > 0) & (other < 0)).sum())
        self.second_won += int(((one < 0) & (other > 0)).sum())
        advantage = first / 2 - second / 2
        with np.errstate(over="ignore"):  # no interval then, see below
            self.sum_advantage += float(advantage.sum())
            self.sum_squares += float((advantage**2).sum())

    @property
    def pairs(self) -> int:
        """Pairs that were added."""
        return self.both + self.one_order + self.unjudged

    @property
    def flips(self) -> int:
        """Pairs of which the two orders name different winners."""
        return self.first_won + self.second_won

    @property
    def advantage(self) -> float | None:
        """Mean of what the first place adds to the gap, in the gap's unit; None without pairs."""
        mean = self.sum_advantage / max(self.both, 1)
        return mean if self.both and np.isfinite(mean) else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of `advantage`: mean -+ 1.96 standard errors; None below two pairs.

        It takes the pairs for independent; where many share a prompt it is too narrow.
        """
        mean = self.advantage
        if mean is None or self.both < 2 or not np.isfinite(self.sum_squares):
            return None
        variance = (self.sum_squares - mean * self.sum_advantage) / (self.both - 1)
        half = Z_95 * sqrt(max(variance, 0.0) / self.both)
        return mean - half, mean + half

    def share(self, count: int) -> float | None:
        """Return a count as a share of the pairs with both orders; None if there are none."""
        return count / self.both if self.both else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a file's metadata: null where there is no number."""
        return {
            "pairs": self.pairs,
            "both_orders": self.both,
            "one_order": self.one_order,
            "unjudged": self.unjudged,
            "agree": self.agree,
            "tie_changes": self.tie_changes,
            "flips": self.flips,
            "flip_rate": self.share(self.flips),
            "first_won": self.first_won,
            "second_won": self.second_won,
            "first_advantage": self.advantage,
            "first_advantage_95": None if self.interval is None else list(self.interval),
        }

    def lines(self, unit: str = "points") -> list[tuple[str, str]]:
        """Return (label, text) for the terminal. unit: of the gaps."""
        judged = f"{self.both:,} pairs judged in both orders"
        missing = [(self.one_order, "in one only"), (self.unjudged, "in neither")]
        lines = [("orders", "; ".join([judged, *(f"{n:,} {how}" for n, how in missing if n)]))]
        if not self.both:
            return lines
        lines += [
            ("agree", f"{self._of_both(self.agree)} have the same outcome in both orders"),
            ("flips", f"{self._of_both(self.flips)} have another winner when swapped"),
            ("tie changes", f"{self._of_both(self.tie_changes)} have a winner in one order only"),
            (
                "position",
                f"the first answer won both orders in {self._of_both(self.first_won)}, "
                f"the second in {self._of_both(self.second_won)}",
            ),
        ]
        if self.advantage is not None:
            text = f"being shown first adds {self.advantage:+.3g} {unit}"
            if self.interval is not None:
                low, high = self.interval
                text += f" (95% interval {interval(low, high, '{:+.3g}'.format)})"
            lines.append(("", text))
        return lines

    def _of_both(self, count: int) -> str:
        return f"{count:,} ({count / self.both:.1%})"
