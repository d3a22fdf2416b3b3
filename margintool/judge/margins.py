"""From verdicts to ratings and signed gaps. Numbers only; read by margintool/sources/gpt4.py.

N items, J judges, S draws, O orders (2 in `pair` mode, else 1). A verdict that is missing or
could not be read is NaN and takes no part in a mean; what has none at all has a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from margintool.judge.asking.panel import Panel
from margintool.judge.item import REASONS, Item
from margintool.judge.journal.journal import Journal, Stored

Floats = npt.NDArray[np.float64]
Words = list[str | None]
ONE_ORDER = "judge_one_order"


@dataclass(frozen=True)
class Verdicts:
    """Where verdicts are found: the journal, and the panel that knows the questions' keys."""

    journal: Journal
    panel: Panel


@dataclass(frozen=True)
class Ratings:
    """Ratings of N answers, each judged by itself.

    Args:
        by_judge: (N, J) mean over draws; NaN where a judge has none.
        verdicts: (N,) how many verdicts were read.
        read_from: N of json, text, logprobs, or several joined by `+`; None where no verdict.
        reason, detail: N texts or None: why an answer has no rating from any judge.
    """

    by_judge: Floats
    verdicts: Floats
    read_from: Words
    reason: Words
    detail: Words


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of N pairs (a, b), each in both orders.

    Args:
        points_a, points_b: (N, J) mean strength of the wins of either side over draws and orders,
            a tie or a loss counting 0; NaN where a judge lacks an order.
        gap_first: (N, J) mean signed strength for a where a was shown first.
        gap_second: (N, J) the same where a was shown second.
        verdicts, read_from, reason, detail: as in Ratings.
    """

    points_a: Floats
    points_b: Floats
    gap_first: Floats
    gap_second: Floats
    verdicts: Floats
    read_from: Words
    reason: Words
    detail: Words


def ratings(verdicts: Verdicts, items: Sequence[Item]) -> Ratings:
    """Return what judges said of N answers."""
    found = _look_up(verdicts, items)
    reason, detail = _reasons(found)
    return Ratings(mean(found.value[..., 0], axis=2), found.read, found.read_from, reason, detail)


def comparisons(verdicts: Verdicts, items: Sequence[Item]) -> Comparisons:
    """Return what judges said of N pairs, a being the first answer of an item.

    With v the signed strength for the answer shown first, the gap for a is v in the first order
    and -v in the second. Its positive part are points of a, its negative part points of b, so
    that points_a - points_b is the mean gap: verdicts that disagree shrink it.
    """
    found = _look_up(verdicts, items)
    gap = found.value * np.array([1.0, -1.0])  # (N, J, S, O), for a
    by_order = mean(gap, axis=2)
    won = mean(np.maximum(gap, 0), axis=2)
    lost = mean(np.maximum(-gap, 0), axis=2)
    reason, detail = _reasons(found)
    lacking = np.asarray(np.isnan(by_order).any(axis=2))  # (N, J)
    half = np.logical_and.reduce(lacking, axis=1) & (found.read > 0)
    for row in np.flatnonzero(half).tolist():
        reason[row] = ONE_ORDER
        detail[row] = f"{REASONS[ONE_ORDER]}; the other: {found.problem(row)[1]}"
    return Comparisons(
        points_a=won.mean(axis=2),
        points_b=lost.mean(axis=2),
        gap_first=by_order[..., 0],
        gap_second=by_order[..., 1],
        verdicts=found.read,
        read_from=found.read_from,
        reason=reason,
        detail=detail,
    )


def mean(values: Floats, axis: int) -> Floats:
    """Return the mean of the values that are not NaN; NaN where there is none."""
    there = ~np.isnan(values)
    number = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    none = np.full(total.shape, np.nan)
    return np.asarray(np.divide(total, number, out=none, where=number > 0), np.float64)


def side_means(by_judge_a: Floats, by_judge_b: Floats) -> tuple[Floats, Floats]:
    """Return the (N,) means of both sides over those of J judges that have a score for each."""
    lacking = np.isnan(by_judge_a) | np.isnan(by_judge_b)
    a, b = (mean(np.where(lacking, np.nan, side), axis=1) for side in (by_judge_a, by_judge_b))
    return a, b


@dataclass(frozen=True)
class _Found:
    """value: (N, J, S, O); read: (N,) verdicts with a value; stored: N lists of J * S * O."""

    value: Floats
    read: Floats
    read_from: Words
    stored: list[list[Stored]]

    def problem(self, row: int) -> tuple[str, str]:
        """Return reason and detail of the first question of an item that has no value."""
        return next(problem for one in self.stored[row] if (problem := _problem(one)) is not None)


def _look_up(verdicts: Verdicts, items: Sequence[Item]) -> _Found:
    keys = [verdicts.panel.keys(item) for item in items]
    known = verdicts.journal.verdicts(list({key for of_item in keys for key in of_item}))
    stored = [[known.get(key, _NOT_ASKED) for key in of_item] for of_item in keys]
    value = np.array([[_value(one) for one in of_item] for of_item in stored], np.float64)
    value = value.reshape(len(items), *verdicts.panel.shape)
    read = np.asarray((~np.isnan(value)).sum(axis=(1, 2, 3)), np.float64)
    return _Found(value, read, [_read_from(of_item) for of_item in stored], stored)


_NOT_ASKED = Stored(verdict=None, error=None)


def _value(stored: Stored) -> float:
    verdict = stored.verdict
    return np.nan if verdict is None or verdict.value is None else verdict.value


def _read_from(stored: Sequence[Stored]) -> str | None:
    kinds = {
        one.verdict.read_from for one in stored if one.verdict and one.verdict.value is not None
    }
    return "+".join(sorted(kinds)) or None


def _problem(stored: Stored) -> tuple[str, str] | None:
    if stored.verdict is None:
        reason = "judge_failed" if stored.error else "judge_not_asked"
        return reason, stored.error or REASONS[reason]
    if stored.verdict.value is not None:
        return None
    reason = stored.verdict.reason or "judge_no_verdict"
    return reason, stored.verdict.detail or REASONS[reason]


def _reasons(found: _Found) -> tuple[Words, Words]:
    """Return reason and detail of items without any verdict."""
    reason: Words = [None] * len(found.stored)
    detail: Words = [None] * len(found.stored)
    for row in np.flatnonzero(found.read == 0).tolist():
        reason[row], detail[row] = found.problem(row)
    return reason, detail
