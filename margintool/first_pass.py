"""The first pass: canonical pairs are scored, oriented and spilled; only numbers stay in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from margintool import hashing
from margintool.canonical import CanonicalBatch
from margintool.orient import conflicts, further_columns, orient, reject_conflicts
from margintool.plan import Plan
from margintool.rejects import Rejects
from margintool.sources import Scored
from margintool.sources.base import first_reason, mark
from margintool.storage import Spill


@dataclass
class FirstPass:
    """Numbers of the spilled pairs, row by row of the spill.

    Args:
        rows_read: input rows, rejected ones among them.
        margin_raw: (N,) float64.
        flipped: (N,) whether a given preference contradicted the scores.
        prompt: (N,) uint64 key of history and prompt.
        pair: (N, 2) uint64, 128 bits by which equal pairs are known.
        further: the columns that the source adds to those of the contract.
    """

    rows_read: int
    margin_raw: npt.NDArray[np.float64]
    flipped: npt.NDArray[np.bool_]
    prompt: hashing.Keys
    pair: hashing.Keys
    further: pa.Schema


@dataclass
class _Parts:
    margin_raw: list[Any] = field(default_factory=list)
    flipped: list[Any] = field(default_factory=list)
    prompt: list[Any] = field(default_factory=list)
    pair: list[Any] = field(default_factory=list)
    further: pa.Schema = field(default_factory=lambda: pa.schema([]))


def first_pass(
    plan: Plan, batches: Iterable[CanonicalBatch], spill: Spill, rejects: Rejects
) -> FirstPass:
    """Score, orient and spill all pairs; send unusable rows to the rejects."""
    parts, rows_read = _Parts(), 0
    for batch in batches:
        rows_read += batch.rows_read
        pairs, scored = _usable(plan, batch.table, rejects)
        if not pairs.num_rows:
            continue
        oriented = orient(pairs, scored)
        prompts = hashing.prompt_digests(oriented)
        answers = [hashing.text_digests(oriented.column(name)) for name in ("chosen", "rejected")]
        source = _source_digest(plan, oriented.num_rows)
        pair_ids = hashing.combine([prompts, *answers, source])
        spill.append(oriented.add_column(0, "pair_id", hashing.hex_strings(pair_ids)))
        parts.margin_raw.append(np.abs(scored.gap))
        parts.flipped.append(conflicts(pairs, scored.gap))
        parts.prompt.append(hashing.keys(prompts))
        parts.pair.append(_same_pair(pair_ids, prompts, answers, scored.gap == 0))
        parts.further = further_columns(oriented.schema)
    spill.finish()
    return FirstPass(
        rows_read,
        np.concatenate([np.empty(0), *parts.margin_raw]),
        np.concatenate([np.empty(0, bool), *parts.flipped]),
        np.concatenate([np.empty(0, np.uint64), *parts.prompt]),
        np.concatenate([np.empty((0, 2), np.uint64), *parts.pair]),
        parts.further,
    )


def _same_pair(
    pair_ids: hashing.Digests,
    prompts: hashing.Digests,
    answers: Sequence[hashing.Digests],
    tie: npt.NDArray[np.bool_],
) -> hashing.Keys:
    """Return (N, 2) keys that are equal for equal pairs: a tie is the same either way round."""
    *unordered, _ = hashing.in_order(*answers)
    keys = np.where(tie[:, None], hashing.combine([prompts, *unordered]), pair_ids)
    return keys.view("<u8")


def _usable(plan: Plan, pairs: pa.Table, rejects: Rejects) -> tuple[pa.Table, Scored]:
    """Score canonical pairs; return those that can be used, and reject the others."""
    scored = plan.source.score_pairs(pairs, plan.settings)
    if plan.findings is not None and scored.evidence is not None:
        plan.findings.add(scored.evidence)
    reason, detail = first_reason(
        reject_conflicts(pairs, scored, plan.options.on_conflict),
        mark(
            ~np.isfinite(scored.gap) & np.asarray(scored.reason.is_null()),
            "margin_not_finite",
            lambda i: f"{scored.score_a[i]:g} - {scored.score_b[i]:g} is not finite",
        ),
    )
    good = np.asarray(reason.is_null())
    if good.all():
        return pairs, scored
    bad = pa.array(~good)
    rejects.add(pairs.filter(bad), reason.filter(bad), detail.filter(bad))
    keep = pa.array(good)
    return pairs.filter(keep), replace(
        scored,
        gap=scored.gap[good],
        score_a=scored.score_a[good],
        score_b=scored.score_b[good],
        weight=scored.weight[good],
        reason=reason.filter(keep),
        detail=detail.filter(keep),
        extra=None if scored.extra is None else scored.extra.filter(keep),
    )


def _source_digest(plan: Plan, rows: int) -> npt.NDArray[np.uint8]:
    """Return the source's name as (rows, 16) digests: an id belongs to one source."""
    one = hashing.text_digests(pa.chunked_array([[plan.source.name]]))
    return np.repeat(one, rows, axis=0)
