"""From scored pairs (a, b) to oriented ones (chosen, rejected) with margin_raw >= 0. Pure.

Read by pipeline.py. A given preference that contradicts the scores is flipped or rejected.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.sources import Scored
from margintool.sources.base import first_reason, mark
from mmpo_core.schema import PAIR_SCHEMA

Mask = npt.NDArray[np.bool_]
Conflict = Literal["flip", "reject"]


def conflicts(pairs: pa.Table, gap: npt.NDArray[np.float64]) -> Mask:
    """Return (N,) whether a given preference contradicts the sign of the gap; ties never do."""
    preferred = pc.fill_null(pairs.column("preferred"), 0).to_numpy()
    return np.asarray(np.sign(np.nan_to_num(gap)) * preferred < 0)


def reject_conflicts(
    pairs: pa.Table, scored: Scored, policy: Conflict
) -> tuple[pa.Array, pa.Array]:
    """Return reason and detail of `scored`; contradicted rows get one if that is the policy."""
    if policy == "flip":
        return scored.reason, scored.detail
    marked = mark(
        conflicts(pairs, scored.gap),
        "preference_conflict",
        lambda i: (
            f"the given preference contradicts the scores (gap {scored.gap[i]:g} "
            "for the first answer)"
        ),
    )
    return first_reason((scored.reason, scored.detail), marked)


def orient(pairs: pa.Table, scored: Scored) -> pa.Table:
    """Return oriented pairs: chosen, rejected, history, prompt, scores, margin_raw, weight, origin.

    The better-scored answer is chosen; a tie keeps the given preference, or the first answer.
    The columns of `scored.extra` follow.

    Args:
        pairs: N canonical pairs with an `origin` column, none of them rejected.
        scored: their scores.
    """
    preferred = pc.fill_null(pairs.column("preferred"), 0).to_numpy()
    swap = np.where(scored.gap == 0, preferred < 0, scored.gap < 0)
    a, b = pairs.column("response_a"), pairs.column("response_b")
    swapped = pa.chunked_array([pa.array(swap)])
    oriented = pa.table(
        {
            "prompt": pairs.column("prompt"),
            "chosen": pc.if_else(swapped, b, a),
            "rejected": pc.if_else(swapped, a, b),
            "history": pairs.column("history"),
            "score_chosen": _nullable(np.where(swap, scored.score_b, scored.score_a)),
            "score_rejected": _nullable(np.where(swap, scored.score_a, scored.score_b)),
            "margin_raw": np.abs(scored.gap),
            "weight": scored.weight,
            "origin": pairs.column("origin"),
        }
    ).cast(pa.schema([PAIR_SCHEMA.field(name) for name in ORIENTED]))
    for name, column in _by_side(scored.extra, swapped).items():
        oriented = oriented.append_column(name, column)
    return oriented


def _by_side(extra: pa.Table | None, swapped: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Return a source's own columns: NAME_a and NAME_b, where both exist, by chosen, rejected."""
    columns = {} if extra is None else dict(zip(extra.column_names, extra.columns, strict=True))
    for stem in [name.removesuffix("_a") for name in columns if name.endswith("_a")]:
        if f"{stem}_b" not in columns:
            continue
        a, b = columns.pop(f"{stem}_a"), columns.pop(f"{stem}_b")
        columns[f"{stem}_chosen"] = pc.if_else(swapped, b, a)
        columns[f"{stem}_rejected"] = pc.if_else(swapped, a, b)
    return columns


def further_columns(oriented: pa.Schema) -> pa.Schema:
    """Return the columns that are none of the contract's."""
    return pa.schema([field for field in oriented if field.name not in PAIR_SCHEMA.names])


ORIENTED = (
    "prompt",
    "chosen",
    "rejected",
    "history",
    "score_chosen",
    "score_rejected",
    "margin_raw",
    "weight",
    "origin",
)


def _nullable(values: npt.NDArray[np.float64]) -> pa.Array:
    """Return floats with NaN as null."""
    return pa.array(values, pa.float64(), from_pandas=True)
