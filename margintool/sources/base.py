"""What a margin source is. Read next: shp.py and ratings.py, one source each.

A source turns the scores of canonical rows (margintool.canonical) into a signed gap: positive
where answer a is better, in the source's own unit. Estimators are pure functions on columns,
and batch-invariant: f(concat(parts)) == concat(f(parts)).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from margintool.judge.margins import Verdicts
    from margintool.similarity.likeness import Likeness

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How to read and weigh scores, fixed for a whole file.

    Args:
        margin: the estimator's name.
        scale: lowest and highest valid rating.
        aspects: names of the aspects to average, if the estimator averages.
        verdicts: where a judged source finds what its judges said.
        likeness: where the similarity source finds how alike two answers are.
    """

    margin: str
    scale: tuple[float, float] | None = None
    aspects: tuple[str, ...] = ()
    verdicts: "Verdicts | None" = None
    likeness: "Likeness | None" = None


@dataclass(frozen=True)
class Scored:
    """Scores of N canonical pairs.

    Args:
        gap: (N,) signed gap a - b; NaN where `reason` is set.
        score_a, score_b: (N,) the source's own scores; NaN where it has none.
        weight: (N,) evidence behind the pair, > 0.
        reason, detail: N strings or nulls: why a row cannot be used.
        extra: N rows of further columns for the pair file, such as rationales, the same names
            and types for every batch; None for none. NAME_a and NAME_b become NAME_chosen and
            NAME_rejected, each with its answer; other columns stay as they are.
        evidence: what the plan's findings count, in their own type; None for nothing.
    """

    gap: Floats
    score_a: Floats
    score_b: Floats
    weight: Floats
    reason: pa.Array
    detail: pa.Array
    extra: pa.Table | None = None
    evidence: Any = None


@dataclass(frozen=True)
class Rated:
    """Ratings of N canonical responses: (N,) rating, NaN where `reason` is set."""

    rating: Floats
    reason: pa.Array
    detail: pa.Array


@dataclass(frozen=True)
class Source:
    """A registered margin source.

    Args:
        name: its key in SOURCES, and the pair file's `source` column.
        about: one sentence.
        default_input: the hub dataset read when no input is given.
        margins: estimator name -> what it computes, the default first.
        max_pairs_per_prompt: default cap; 0 for none.
        score_pairs: canonical pairs, settings -> Scored.
        rate: canonical responses, settings -> Rated; None if the source reads pairs only.
        unit: the unit of margin_raw, by estimator.
        needs_scores: whether it reads the input's scores; else it reads every layout, and keeps
            the input's scores beside its own.
        needs_preference: whether it reads which answer is the better one: then only layouts whose
            rows are pairs.
        options: the options that only this source reads, if there are any.
        margin_option: the option that names the estimator.
        bounds: bounds of a score, by estimator, where they are not the input's.
        columns: meanings of the columns that it adds to the pair file.
    """

    name: str
    about: str
    default_input: str
    margins: Mapping[str, str]
    unit: Mapping[str, str]
    max_pairs_per_prompt: int
    score_pairs: Callable[[pa.Table, Settings], Scored]
    rate: Callable[[pa.Table, Settings], Rated] | None = None
    needs_scores: bool = True
    needs_preference: bool = False
    options: type | None = None
    margin_option: str = "margin"
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


def first_reason(*candidates: tuple[pa.Array, pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Return reason and detail of the first candidate that has one, row by row.

    Args:
        candidates: (reason, detail) pairs of N strings or nulls, most important first.
    """
    reasons = [_flat(reason) for reason, _ in candidates]
    details = [_flat(detail) for _, detail in candidates]
    if all(reason.null_count == len(reason) for reason in reasons[1:]):
        return reasons[0], details[0]
    detail = details[-1]
    for reason_i, detail_i in zip(reasons[-2::-1], details[-2::-1], strict=True):
        detail = pc.if_else(pc.is_valid(reason_i), detail_i, detail)
    return pc.coalesce(*reasons), detail


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.cast(pa.string())


def mark(
    bad: npt.NDArray[np.bool_], reason: str, describe: Callable[[int], str]
) -> tuple[pa.Array, pa.Array]:
    """Return (reason, detail) columns set where `bad`; `describe(row)` words the detail."""
    count = len(bad)
    if not bad.any():
        empty = pa.nulls(count, pa.string())
        return empty, empty
    details: list[str | None] = [None] * count
    for row in np.flatnonzero(bad).tolist():
        details[row] = describe(row)
    reasons = pc.if_else(pa.array(bad), pa.scalar(reason), pa.scalar(None, pa.string()))
    return reasons, pa.array(details, pa.string())
