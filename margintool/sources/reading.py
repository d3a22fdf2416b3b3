"""Wording for scores that cannot be read: used by every source."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.sources.base import Floats, mark

Reasons = tuple[pa.Array, pa.Array]
_PROBLEMS = {
    "missing": "is missing (null)",
    "not_a_number": "is not a number",
    "not_finite": "is not finite",
}


def unreadable(kind: str, what: str, column: Any, problems: pa.Array) -> Reasons:
    """Return (reason, detail) for values that are not numbers.

    Args:
        kind: first part of the reason: `votes`, `rating`.
        what: what the value is, for the detail: `rating`.
        column: N values as found.
        problems: N of missing, not_a_number, not_finite, or null where the value is a number.
    """
    if problems.null_count == len(problems):
        return problems, problems
    reason = pc.binary_join_element_wise(kind, problems, "_")
    details: list[str | None] = [None] * len(problems)
    for row in np.flatnonzero(np.asarray(pc.is_valid(problems))).tolist():
        value = column[row].as_py()
        shown = "" if value is None else f" {str(value)[:40]!r}"
        details[row] = f"{what}{shown} {_PROBLEMS[problems[row].as_py()]}"
    return reason, pa.array(details, pa.string())


def out_of_scale(what: str, values: Floats, scale: tuple[float, float] | None) -> Reasons:
    """Return (reason, detail) for (N,) ratings outside the scale; NaN is left to others."""
    if scale is None:
        none = pa.nulls(len(values), pa.string())
        return none, none
    low, high = scale
    return mark(
        (values < low) | (values > high),
        "rating_out_of_scale",
        lambda i: (
            f"{what} {values[i]:g} lies outside the scale {low:g} to {high:g}; "
            "--scale MIN,MAX sets another"
        ),
    )
