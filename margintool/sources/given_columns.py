"""The input's own scores beside a source's numbers, and rows put back in place.

Read by gpt4.py and similarity.py, whose margins come from elsewhere. N rows of a table, of
which M are usable.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.numbers import to_numbers
from margintool.sources.base import Floats

Mask = npt.NDArray[np.bool_]
Reasons = tuple[pa.Array, pa.Array]
Problem = tuple[str, str]


def given_scores(pairs: pa.Table) -> dict[str, pa.Array]:
    """Return the input's own scores as columns of the pair file, null where they are no numbers.

    Where it has only a signed gap, that is the score of the answer it favours, 0 the other's.
    """
    gap = pairs.column("gap").to_numpy()
    given = {}
    for name, sign in (("score_a", 1.0), ("score_b", -1.0)):
        own = to_numbers(pairs.column(name))[0]
        own = np.where(np.isnan(gap), own, np.maximum(sign * gap, 0.0))
        given[f"given_{name}"] = pa.array(own, from_pandas=True)
    return given


def given_gap(pairs: pa.Table) -> Floats:
    """Return the input's own gap, a - b, or the sign of its preference; NaN where it has none."""
    scored = scored_gap(pairs)
    preferred = pc.cast(pairs.column("preferred"), pa.float64()).to_numpy()
    return np.where(np.isnan(scored), preferred, scored)


def scored_gap(pairs: pa.Table) -> Floats:
    """Return the gap of the input's own scores, a - b; NaN where it is not a finite number."""
    a, b = (to_numbers(pairs.column(name))[0] for name in ("score_a", "score_b"))
    gap = pairs.column("gap").to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        scored = np.where(np.isnan(gap), a - b, gap)
    return np.where(np.isfinite(scored), scored, np.nan)


def score_lists(values: Floats) -> pa.Array:
    """Return (N, J) floats as N lists of J, null for NaN."""
    flat = pa.array(values.ravel(), pa.float64(), from_pandas=True)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def spread(usable: Mask, values: Floats) -> Floats:
    """Return values of the usable rows, (M, ...), in (N, ...) places; NaN elsewhere."""
    all_rows = np.full((len(usable), *values.shape[1:]), np.nan)
    all_rows[usable] = values
    return all_rows


def spread_texts(usable: Mask, column: Sequence[str | None]) -> pa.Array:
    """Return texts of the usable rows in their places; null elsewhere."""
    words = np.full(len(usable), None, dtype=object)
    words[usable] = np.array(column, dtype=object)
    return pa.array(words, pa.string())


def spread_problems(usable: Mask, problems: Sequence[Problem | None]) -> Reasons:
    """Return reason and detail of the usable rows' problems in their places."""
    reasons = [None if problem is None else problem[0] for problem in problems]
    details = [None if problem is None else problem[1] for problem in problems]
    return spread_texts(usable, reasons), spread_texts(usable, details)
