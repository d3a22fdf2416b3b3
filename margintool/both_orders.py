"""Judgments of pairs in both orders become one pair each, with the mean of the two orders.

A judge's scores depend on which answer it saw first; the mean over the two orders does not. A
pair that was judged in one order only would carry the advantage of the first place in its margin,
and is rejected. Whoever has judgments in a single order, and wants them all the same, reads them
row by row with --layout ratings_pair and --map.

Rows of one pair may stand anywhere in the input, so the texts of all are spilled first; a digest
and two scores of each stay in memory, 33 bytes, which become 150 while they are merged.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool import hashing
from margintool.canonical import PAIR_TYPES, CanonicalBatch
from margintool.judge.item import ONE_ORDER
from margintool.orders import OrderCounts, merged_gap
from margintool.origins import with_more
from margintool.rejects import DUPLICATE, Rejects
from margintool.sources import Scored
from margintool.storage import Spill

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

AT_ONCE = 4096
KEPT_COLUMNS = ["prompt", "history", "response_a", "response_b", "origin"]


@dataclass(frozen=True)
class Judged:
    """Numbers of N rows.

    Args:
        pair: (N, 2) digest of the prompt and the two answers, the same in both orders.
        swapped: (N,) which of the two orders a row has.
        score: (2, N) scores of the answer shown first, and of the one shown second.
    """

    pair: hashing.Keys
    swapped: npt.NDArray[np.bool_]
    score: Floats


@dataclass(frozen=True)
class Merged:
    """M different pairs, in the order in which they first appear; a is shown first there.

    Args:
        row: (2, M) first row with a first, and first row with b first, -1 if there is none.
        count: (2, M) numbers of rows with a first and with b first.
        score_a, score_b: (2, M) mean scores with a first and with b first, NaN if there is none.
        pair_of: (N,) the pair of each row.
    """

    row: Rows
    count: Rows
    score_a: Floats
    score_b: Floats
    pair_of: Rows

    @property
    def in_both(self) -> npt.NDArray[np.bool_]:
        """(M,) whether a pair has rows in both orders."""
        first, second = self.count > 0
        return np.asarray(first & second)


def merged_orders(
    batches: Iterable[CanonicalBatch],
    spill: Spill,
    rejects: Rejects,
    counts: OrderCounts,
    read: Callable[[pa.Table], Scored],
) -> Iterator[CanonicalBatch]:
    """Yield one pair for all rows with the same prompt and answers, in the order of the input.

    The score of an answer is the mean over the two orders of its mean score in each, so that
    three judgments in one order count no more than one in the other. `votes` is the number of
    judgments; where one order has more, what they are worth: 4 / (1 / n_first + 1 / n_second), as
    the variance of the margin is proportional to 1 / n_first + 1 / n_second.

    Args:
        batches: canonical pairs; response_a was shown first. A given preference is not read.
        spill: takes the texts.
        rejects: gets the rows that `read` cannot use, and pairs judged in one order only.
        counts: is told the gaps of every pair in both orders.
        read: the source's reading of scores, which says what is wrong with a row.
    """
    parts: list[Judged] = []
    for batch in batches:
        pairs, scored = batch.table, read(batch.table)
        bad = pc.is_valid(scored.reason)
        rejects.add(pairs.filter(bad), scored.reason.filter(bad), scored.detail.filter(bad))
        good = ~np.asarray(bad)
        kept = pairs.select(KEPT_COLUMNS).filter(pa.array(good))
        spill.append(kept)
        parts.append(_judged(kept, scored.score_a[good], scored.score_b[good]))
        yield CanonicalBatch(pairs.slice(0, 0), batch.rows_read)
    spill.finish()
    if not spill.num_rows:
        return
    judged = Judged(
        np.concatenate([part.pair for part in parts]),
        np.concatenate([part.swapped for part in parts]),
        np.concatenate([part.score for part in parts], axis=1),
    )
    parts.clear()
    merged = merge(judged)
    del judged
    counts.add(*(merged.score_a - merged.score_b))
    _reject_one_order(merged, spill, rejects)
    complete = np.flatnonzero(merged.in_both)
    for start in range(0, len(complete), AT_ONCE):
        yield CanonicalBatch(_pair_table(merged, complete[start : start + AT_ONCE], spill), 0)


def first_of_each(
    batches: Iterable[CanonicalBatch], rejects: Rejects
) -> Generator[CanonicalBatch, None, None]:
    """Yield every pair once, as it first appears, whichever order it has later.

    For sources that do not read its scores: what two rows of one pair differ in.

    Args:
        batches: canonical pairs.
        rejects: gets the later rows of a pair as duplicates.
    """
    seen: set[bytes] = set()
    for batch in batches:
        pairs = batch.table
        a, b = (hashing.text_digests(pairs.column(f"response_{side}")) for side in "ab")
        low, high, _ = hashing.in_order(a, b)
        keys = [bytes(key) for key in hashing.combine([hashing.prompt_digests(pairs), low, high])]
        usable = pairs.column("reason").is_null().to_pylist()
        again = []
        for key, good in zip(keys, usable, strict=True):
            again.append(good and key in seen)
            if good:
                seen.add(key)
        rejects.add(pairs.filter(pa.array(again, pa.bool_())), DUPLICATE)
        fresh = pairs.filter(pc.invert(pa.array(again, pa.bool_())))
        yield CanonicalBatch(fresh, batch.rows_read)


def _judged(pairs: pa.Table, score_a: Floats, score_b: Floats) -> Judged:
    """Return the numbers of N canonical pairs."""
    a, b = (hashing.text_digests(pairs.column(f"response_{side}")) for side in "ab")
    low, high, swapped = hashing.in_order(a, b)
    digests = hashing.combine([hashing.prompt_digests(pairs), low, high])
    return Judged(digests.view("<u8"), swapped, np.stack([score_a, score_b]))


def merge(judged: Judged) -> Merged:
    """Merge N >= 1 rows into pairs, each as it first appears. Pure."""
    first, pair_of = _same_pair(judged.pair)
    b_first = judged.swapped != judged.swapped[first[pair_of]]
    cell = b_first * len(first) + pair_of  # of a table of order by pair
    count = np.bincount(cell, minlength=2 * len(first))
    row = np.full(2 * len(first), -1)
    row[cell[::-1]] = np.arange(len(cell))[::-1]  # of several rows the first is written last
    shown_first, shown_second = judged.score
    score_a = _means(np.where(b_first, shown_second, shown_first), cell, row, count)
    score_b = _means(np.where(b_first, shown_first, shown_second), cell, row, count)
    return Merged(
        row=row.reshape(2, -1),
        count=count.reshape(2, -1),
        score_a=score_a.reshape(2, -1),
        score_b=score_b.reshape(2, -1),
        pair_of=pair_of,
    )


def _same_pair(pair: hashing.Keys) -> tuple[Rows, Rows]:
    """Return the first row of each pair, ascending, and (N,) which of these pairs each row is."""
    order = np.lexsort((pair[:, 1], pair[:, 0]))  # stable: the rows of a pair ascend
    ordered = pair[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    first = order[new]
    place = np.argsort(np.argsort(first))
    pair_of = np.empty(len(pair), dtype=np.int64)
    pair_of[order] = place[np.cumsum(new) - 1]
    return np.sort(first), pair_of


def _means(score: Floats, cell: Rows, row: Rows, count: Rows) -> Floats:
    """Return the mean score of each cell, NaN for an empty one; equal scores give that very one."""
    start = np.where(count > 0, score[row], np.nan)
    with np.errstate(over="ignore"):  # an infinite margin is rejected by name
        above = np.bincount(cell, weights=score - start[cell], minlength=len(count))
        return np.asarray(start + above / np.maximum(count, 1))


def _reject_one_order(merged: Merged, spill: Spill, rejects: Rejects) -> None:
    """Name every row of a pair that has one order only."""
    alone = np.flatnonzero(~merged.in_both[merged.pair_of])
    detail = (
        "the two answers were judged in this order only, so that the advantage of the first "
        "place is in their scores; --layout ratings_pair (and --map) reads every row by itself"
    )
    for start in range(0, len(alone), AT_ONCE):
        some = alone[start : start + AT_ONCE]
        reasons = pa.repeat(ONE_ORDER, len(some))
        rejects.add(spill.gather(some), reasons, pa.repeat(detail, len(some)))


def _pair_table(merged: Merged, pairs: Rows, spill: Spill) -> pa.Table:
    """Return canonical pairs of M merged ones."""
    count = merged.count[:, pairs]
    a_first, b_first = (spill.gather(rows[pairs]) for rows in merged.row)
    both = [
        with_more(table.column("origin"), number)
        for table, number in zip((a_first, b_first), count, strict=True)
    ]
    given = {
        **{name: a_first.column(name) for name in KEPT_COLUMNS[:-1]},
        "score_a": pa.array(merged_gap(*merged.score_a[:, pairs])),
        "score_b": pa.array(merged_gap(*merged.score_b[:, pairs])),
        "votes": pa.array(4 / (1 / count).sum(axis=0)),
    }
    columns = {
        name: given.get(name, pa.nulls(len(pairs), kind or pa.float64()))
        for name, kind in PAIR_TYPES.items()
    }
    return pa.table({**columns, "origin": pc.binary_join_element_wise(*both, " + ")})
