"""Pairs of responses: rated responses are spilled, paired by group, and gathered as pairs.

Responses to one prompt may stand anywhere in the input, so all are spilled first; only their
ratings, group keys and digests stay in memory, 32 bytes each. Which of them are one response is
said in repeats.py, and which become pairs in pairing.py.

The same text several times under a prompt (several raters, or several models with one answer) is
one response, whose rating is the mean. A pair's weight is the harmonic mean of the numbers of
ratings n_a and n_b behind its answers, 2 / (1 / n_a + 1 / n_b): the variance of the difference of
two means is proportional to 1 / n_a + 1 / n_b, so that two ratings of each count for two pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool import hashing
from margintool.canonical import PAIR_TYPES, REFERENCE, REFERENCE_B, CanonicalBatch
from margintool.numbers import to_numbers
from margintool.origins import with_more
from margintool.pairing import PAIRS_AT_ONCE, Excess, Limits, pair_up
from margintool.plan import Plan
from margintool.rejects import CAPPED, MERGED, SINGLE, SMALL, TIE, Rejects
from margintool.repeats import Distinct, merge_repeats
from margintool.storage import Spill

Rows = npt.NDArray[np.int64]
GIVEN = "given"  # the input's own rating, where the source does not read it


@dataclass
class _Read:
    """Numbers of the spilled responses, a part per batch."""

    rows: int = 0
    group: list[hashing.Keys] = field(default_factory=lambda: [np.empty(0, np.uint64)])
    text: list[hashing.Keys] = field(default_factory=lambda: [np.empty((0, 2), np.uint64)])
    rating: list[npt.NDArray[np.float64]] = field(default_factory=lambda: [np.empty(0)])


def paired_responses(
    plan: Plan, batches: Iterator[CanonicalBatch], spill: Spill, rejects: Rejects
) -> Iterator[CanonicalBatch]:
    """Yield pairs of the responses in `batches`, ordered by the first response to their prompt.

    Of a prompt with more pairs than --max-pairs-per-prompt only a seeded sample is made. What the
    cap leaves out is one reject row per prompt and reason; the counts are of pairs.
    """
    read = _spill_responses(plan, batches, spill, rejects)
    distinct = merge_repeats(
        np.concatenate(read.group), np.concatenate(read.text), np.concatenate(read.rating)
    )
    _reject_repeats(distinct, spill, rejects)
    options = plan.options
    # Where answers are only compared, not rated, no pair is known to be a tie or small yet.
    limits = (
        Limits(plan.max_pairs_per_prompt, options.ties == "drop", options.min_margin)
        if plan.ranked
        else Limits(plan.max_pairs_per_prompt)
    )
    pairing = pair_up(
        plan.pairing,
        distinct.group,
        distinct.text,
        distinct.rating,
        seed=options.seed,
        limits=limits,
    )
    for some in _chunks(pairing.alone):
        rejects.add(spill.gather(distinct.row[some]), SINGLE)
    _reject_excess(pairing.excess, distinct, limits, spill, rejects)
    yield CanonicalBatch(_no_pairs(), read.rows)
    for first, second in pairing.batches():
        yield CanonicalBatch(_pair_table(distinct, first, second, spill), 0)


def _spill_responses(
    plan: Plan, batches: Iterator[CanonicalBatch], spill: Spill, rejects: Rejects
) -> _Read:
    """Rate and spill all usable responses; return their numbers."""
    assert plan.source.rate is not None
    read = _Read()
    for batch in batches:
        responses = batch.table
        rated = plan.source.rate(responses, plan.settings)
        bad = pc.is_valid(rated.reason)
        rejects.add(responses.filter(bad), rated.reason.filter(bad), rated.detail.filter(bad))
        good = ~np.asarray(bad)
        kept = _to_spill(plan, responses).filter(pa.array(good))
        by_row = plan.layout.group_by == "row"
        row = read.rows + responses.column("row").to_numpy()[good]
        keys = row.astype(np.uint64) if by_row else hashing.keys(hashing.prompt_digests(kept))
        spill.append(kept)
        read.group.append(keys)
        read.text.append(_identity(kept).view("<u8"))
        read.rating.append(rated.rating[good])
        read.rows += batch.rows_read
    spill.finish()
    return read


def _identity(kept: pa.Table) -> hashing.Digests:
    """Return (N, 16) digests of what makes a response: its text, and what it is judged by."""
    texts = hashing.text_digests(kept.column("response"))
    if REFERENCE not in kept.column_names:
        return texts
    return hashing.combine([texts, hashing.text_digests(kept.column(REFERENCE))])


def _to_spill(plan: Plan, responses: pa.Table) -> pa.Table:
    """Return what pairs of responses need: texts, and the input's own rating beside a judge's."""
    kept = responses.select(["prompt", "history", "response", "origin"])
    if REFERENCE in responses.column_names:
        kept = kept.append_column(REFERENCE, responses.column(REFERENCE))
    if plan.source.needs_scores:
        return kept
    given = pa.array(to_numbers(responses.column("rating"))[0], from_pandas=True)
    return kept.append_column(GIVEN, given)


def _reject_repeats(distinct: Distinct, spill: Spill, rejects: Rejects) -> None:
    """Name each response that went into the mean of an earlier one."""
    for some in _chunks(np.arange(len(distinct.repeats))):
        into = spill.gather(distinct.merged_into[some]).column("origin")
        words = "the same answer to the same prompt as "
        detail = pc.binary_join_element_wise(words, into, "; their ratings are averaged", "")
        reason = pa.repeat(MERGED, len(some))
        rejects.add(spill.gather(distinct.repeats[some]), reason, detail)


def _reject_excess(
    excess: Excess, distinct: Distinct, limits: Limits, spill: Spill, rejects: Rejects
) -> None:
    """Write one row per prompt over the cap and reason, which stands for all its pairs."""
    useful = excess.pairs - excess.ties - excess.small
    left_out = {
        TIE: (excess.ties, "have margin 0, and --ties drop"),
        SMALL: (excess.small, f"have margin_raw below --min-margin {limits.min_margin:g}"),
        CAPPED: (useful - excess.made, f"are over --max-pairs-per-prompt {limits.cap}"),
    }
    for reason, (number, why) in left_out.items():
        for some in _chunks(np.flatnonzero(number)):
            counted, pairs = number[some].tolist(), excess.pairs[some].tolist()
            words = [
                f"{n} of the prompt's {all_} pairs {why}"
                for n, all_ in zip(counted, pairs, strict=True)
            ]
            rows = spill.gather(distinct.row[excess.first[some]])
            rejects.add(rows, pa.repeat(reason, len(some)), pa.array(words), sum(counted))


def _pair_table(distinct: Distinct, first: Rows, second: Rows, spill: Spill) -> pa.Table:
    """Return canonical pairs of N first and N second responses to the same prompts."""
    a, b = (spill.gather(distinct.row[side]) for side in (first, second))
    judged = GIVEN in a.column_names  # then the scores are the input's own
    from_a, from_b = (
        with_more(table.column("origin"), distinct.ratings[side])
        for table, side in ((a, first), (b, second))
    )
    both = pc.binary_join_element_wise(from_a, from_b, " + ")
    harmonic = 2 / (1 / distinct.ratings[first] + 1 / distinct.ratings[second])
    given = {
        "prompt": a.column("prompt"),
        "history": a.column("history"),
        "response_a": a.column("response"),
        "response_b": b.column("response"),
        "score_a": a.column(GIVEN) if judged else pa.array(distinct.rating[first]),
        "score_b": b.column(GIVEN) if judged else pa.array(distinct.rating[second]),
        "votes": pa.array(harmonic),
    }
    columns = {
        name: given.get(name, pa.nulls(len(first), kind or pa.float64()))
        for name, kind in PAIR_TYPES.items()
    }
    if REFERENCE in a.column_names:
        columns |= {REFERENCE: a.column(REFERENCE), REFERENCE_B: b.column(REFERENCE)}
    return pa.table({**columns, "origin": pc.if_else(pc.equal(from_a, from_b), from_a, both)})


def _no_pairs() -> pa.Table:
    """Return an empty canonical table: it carries the rows read where no pair is made."""
    columns = {name: pa.array([], kind or pa.float64()) for name, kind in PAIR_TYPES.items()}
    return pa.table({**columns, "origin": pa.array([], pa.string())})


def _chunks(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), PAIRS_AT_ONCE):
        yield rows[start : start + PAIRS_AT_ONCE]
