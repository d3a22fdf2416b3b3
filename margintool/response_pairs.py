"""Pairs of responses: rated responses are spilled, paired by group, and gathered as pairs.

Responses to one prompt may stand anywhere in the input, so all are spilled first; only their
ratings and group keys stay in memory. The rules are in pairing.py.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool import hashing
from margintool.canonical import PAIR_TYPES, CanonicalBatch
from margintool.pairing import group_sizes, pair_rows
from margintool.plan import Plan
from margintool.rejects import SINGLE, Rejects
from margintool.storage import Spill

PAIRS_AT_ONCE = 4096
Rows = npt.NDArray[np.int64]


def paired_responses(
    plan: Plan, batches: Iterator[CanonicalBatch], spill: Spill, rejects: Rejects
) -> Iterator[CanonicalBatch]:
    """Yield pairs of the responses in `batches`, ordered by the first response to their prompt."""
    rows_read, group, rating = _spill_responses(plan, batches, spill, rejects)
    alone = np.flatnonzero(group_sizes(group) == 1)
    for rows in _chunks(alone):
        rejects.add(spill.gather(rows), SINGLE)
    first, second = pair_rows(plan.options.pairing, group, rating, plan.options.seed)
    yield CanonicalBatch(_no_pairs(), rows_read)
    for start in range(0, len(first), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        yield CanonicalBatch(_pair_table(spill.gather(first[some]), spill.gather(second[some])), 0)


def _spill_responses(
    plan: Plan, batches: Iterator[CanonicalBatch], spill: Spill, rejects: Rejects
) -> tuple[int, hashing.Keys, npt.NDArray[np.float64]]:
    """Rate and spill all usable responses; return rows read, group keys and ratings."""
    assert plan.source.rate is not None
    rows_read = 0
    groups, ratings = [np.empty(0, np.uint64)], [np.empty(0)]
    for batch in batches:
        responses = batch.table
        rated = plan.source.rate(responses, plan.settings)
        bad = pc.is_valid(rated.reason)
        rejects.add(responses.filter(bad), rated.reason.filter(bad), rated.detail.filter(bad))
        good = ~np.asarray(bad)
        kept = responses.select(["prompt", "history", "response", "origin"]).filter(pa.array(good))
        by_row = plan.layout.group_by == "row"
        row = rows_read + responses.column("row").to_numpy()[good]
        keys = row.astype(np.uint64) if by_row else hashing.keys(hashing.prompt_digests(kept))
        spill.append(kept.append_column("rating", pa.array(rated.rating[good])))
        groups.append(keys)
        ratings.append(rated.rating[good])
        rows_read += batch.rows_read
    spill.finish()
    return rows_read, np.concatenate(groups), np.concatenate(ratings)


def _pair_table(first: pa.Table, second: pa.Table) -> pa.Table:
    """Return canonical pairs of N first and N second responses to the same prompts."""
    rows = first.num_rows
    same = pc.equal(first.column("response"), second.column("response"))
    same_origin = pc.equal(first.column("origin"), second.column("origin"))
    both = pc.binary_join_element_wise(first.column("origin"), second.column("origin"), " + ")
    nothing = pa.nulls(rows, pa.string())
    columns = {
        "prompt": first.column("prompt"),
        "history": first.column("history"),
        "response_a": first.column("response"),
        "response_b": second.column("response"),
        "score_a": first.column("rating"),
        "score_b": second.column("rating"),
        "gap": pa.nulls(rows, pa.float64()),
        "preferred": pa.nulls(rows, pa.int8()),
        "votes": pa.nulls(rows, pa.float64()),
        "reason": pc.if_else(same, "identical_responses", nothing),
        "detail": pc.if_else(same, "both answers are the same text", nothing),
        "origin": pc.if_else(same_origin, first.column("origin"), both),
    }
    return pa.table(columns)


def _no_pairs() -> pa.Table:
    """Return an empty canonical table: it carries the rows read where no pair is made."""
    columns = {name: pa.array([], kind or pa.float64()) for name, kind in PAIR_TYPES.items()}
    return pa.table({**columns, "origin": pa.array([], pa.string())})


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        yield rows[start : start + PAIRS_AT_ONCE]
