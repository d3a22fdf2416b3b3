"""From verdicts to ratings and signed gaps. Numbers only; read by margintool/sources/gpt4.py.

N items, J judges, S draws, O orders (2 in `pair` mode, else 1). A verdict that is missing or
could not be read is NaN and takes no part in a mean; what has none at all has a reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from margintool.judge.asking.panel import Panel
from margintool.judge.item import ONE_ORDER, REASONS, Item
from margintool.judge.journal.journal import Journal, Stored

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Problem = tuple[str, str]


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
        verdicts: (N, J) how many verdicts that is the mean of.
        read_from: (N, J) json, text, logprobs, or several joined by `+`; None without a verdict.
        problems: N (reason, detail) of the first question without a value, or None.
    """

    by_judge: Floats
    verdicts: Floats
    read_from: Texts
    problems: Sequence[Problem | None]


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of N pairs (a, b), each in both orders.

    Args:
        points_a, points_b: (N, J) mean strength of the wins of either side over draws and orders,
            a tie or a loss counting 0; NaN where a judge lacks an order.
        gap_first: (N, J) mean signed strength for a where a was shown first.
        gap_second: (N, J) the same where a was shown second.
        verdicts: (N, J, 2) how many verdicts there are in either order.
        read_from: (N, J), as in Ratings.
        problems: as in Ratings; `judge_one_order` where only the other order has a verdict.
    """

    points_a: Floats
    points_b: Floats
    gap_first: Floats
    gap_second: Floats
    verdicts: Floats
    read_from: Texts
    problems: Sequence[Problem | None]


def ratings(verdicts: Verdicts, items: Sequence[Item]) -> Ratings:
    """Return what judges said of N answers."""
    value, stored = _look_up(verdicts, items)
    return Ratings(
        by_judge=mean(value[..., 0], axis=2),
        verdicts=_count(value[..., 0]),
        read_from=_read_from(stored, verdicts.panel),
        problems=[_first_problem(of_item) for of_item in stored],
    )


def comparisons(verdicts: Verdicts, items: Sequence[Item]) -> Comparisons:
    """Return what judges said of N pairs, a being the first answer of an item.

    With v the signed strength for the answer shown first, the gap for a is v in the first order
    and -v in the second. Its positive part are points of a, its negative part points of b, so
    that points_a - points_b is the mean gap: verdicts that disagree shrink it.
    """
    value, stored = _look_up(verdicts, items)
    gap = value * np.array([1.0, -1.0])  # (N, J, S, O), for a
    by_order = mean(gap, axis=2)
    return Comparisons(
        points_a=mean(np.maximum(gap, 0), axis=2).mean(axis=2),
        points_b=mean(np.maximum(-gap, 0), axis=2).mean(axis=2),
        gap_first=by_order[..., 0],
        gap_second=by_order[..., 1],
        verdicts=_count(value),
        read_from=_read_from(stored, verdicts.panel),
        problems=[
            _one_order(problem) if problem is not None and some else problem
            for problem, some in zip(
                (_first_problem(of_item) for of_item in stored),
                (~np.isnan(value)).sum(axis=(1, 2, 3)).tolist(),
                strict=True,
            )
        ],
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


def evidence(first: Floats, second: Floats) -> Floats:
    """Return what the difference of two means is worth: 2 / (1 / n + 1 / m) verdicts.

    Its variance is proportional to 1 / n + 1 / m, so that n verdicts on either side are worth n;
    0 where a side has none.

    Args:
        first, second: numbers of verdicts behind the two means, of one shape.
    """
    total = first + second
    return np.divide(2 * first * second, total, out=np.zeros(total.shape), where=total > 0)


def _look_up(verdicts: Verdicts, items: Sequence[Item]) -> tuple[Floats, list[list[Stored]]]:
    """Return the (N, J, S, O) values, NaN for none, and what is stored, J * S * O an item."""
    keys = [verdicts.panel.keys(item) for item in items]
    known = verdicts.journal.verdicts(list({key for of_item in keys for key in of_item}))
    stored = [[known.get(key, _NOT_ASKED) for key in of_item] for of_item in keys]
    value = np.array([[_value(one) for one in of_item] for of_item in stored], np.float64)
    return value.reshape(len(items), *verdicts.panel.shape), stored


_NOT_ASKED = Stored(verdict=None, error=None)


def _value(stored: Stored) -> float:
    verdict = stored.verdict
    return np.nan if verdict is None or verdict.value is None else verdict.value


def _count(value: Floats) -> Floats:
    """Return how many of the draws, the third axis, have a value."""
    return np.asarray((~np.isnan(value)).sum(axis=2), np.float64)


def _read_from(stored: Sequence[Sequence[Stored]], panel: Panel) -> Texts:
    """Return (N, J) how each judge's verdicts were read."""
    judges, draws, orders = panel.shape
    found = np.full((len(stored), judges), None, dtype=object)
    for row, of_item in enumerate(stored):
        for judge in range(judges):
            of_judge = of_item[judge * draws * orders : (judge + 1) * draws * orders]
            kinds = {v.read_from for one in of_judge if (v := one.verdict) and v.value is not None}
            found[row, judge] = "+".join(sorted(kinds)) or None
    return found


def _first_problem(of_item: Sequence[Stored]) -> Problem | None:
    return next((problem for one in of_item if (problem := _problem(one)) is not None), None)


def _problem(stored: Stored) -> Problem | None:
    if stored.verdict is None:
        reason = "judge_failed" if stored.error else "judge_not_asked"
        return reason, stored.error or REASONS[reason]
    if stored.verdict.value is not None:
        return None
    reason = stored.verdict.reason or "judge_no_verdict"
    return reason, stored.verdict.detail or REASONS[reason]


def _one_order(problem: Problem) -> Problem:
    return ONE_ORDER, f"{REASONS[ONE_ORDER]}; the other: {problem[1]}"
