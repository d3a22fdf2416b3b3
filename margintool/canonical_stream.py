"""From input to a stream of canonical pairs: layouts of pairs directly, of responses by pairing."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.both_orders import first_of_each, merged_orders
from margintool.canonical import REFERENCE, CanonicalBatch
from margintool.findings import Findings
from margintool.layouts import Layout, apply_map, require, wanted_columns
from margintool.plan import Plan
from margintool.progress import Progress
from margintool.rejects import Rejects
from margintool.response_pairs import paired_responses
from margintool.storage import RawBatch, Spill, Wanted, prefetch
from mmpo_core.errors import InputError

Rows = npt.NDArray[np.int64]
SCORES = ("score_a", "score_b", "rating")  # canonical columns as the input has them


def canonical_pairs(
    plan: Plan, folder: Path, rejects: Rejects, progress: Progress
) -> Iterator[CanonicalBatch]:
    """Yield all pairs of the input, in input order, each with its `origin`.

    Raises:
        InputError: a file that cannot be read, or whose columns do not fit the layout.
    """
    found = canonical_input(plan, progress)
    if plan.layout.kind == "responses":
        with Spill(folder, "responses") as spill:
            yield from paired_responses(plan, found, spill, rejects)
    elif plan.layout.both_orders and plan.source.needs_scores:
        assert isinstance(plan.findings, Findings)
        with Spill(folder, "verdicts") as spill:
            yield from merged_orders(
                found,
                spill,
                rejects,
                plan.findings.orders,
                lambda pairs: plan.source.score_pairs(pairs, plan.settings),
            )
    elif plan.layout.both_orders:
        yield from prefetch(first_of_each(found, rejects))
    else:
        yield from prefetch(found)


def canonical_input(plan: Plan, progress: Progress) -> Generator[CanonicalBatch, None, None]:
    """Yield the input in canonical form as its layout has it: pairs or responses."""
    progress.start("reading", plan.input.total_bytes)
    wanted = wanted_of(plan.layout, plan.mapping, scores=plan.source.needs_scores)
    batches = plan.input.batches(wanted, plan.options.limit, progress.advance)
    return canonical_batches(plan.layout, plan.mapping, batches)


def wanted_of(layout: Layout, mapping: Mapping[str, str], *, scores: bool = True) -> Wanted:
    """Return what is asked of an input that has this layout. scores: whether it must have them."""
    groups, globs = wanted_columns(layout, mapping)
    return Wanted(groups, globs, check=partial(_check_columns, layout, mapping, scores))


def _check_columns(
    layout: Layout, mapping: Mapping[str, str], scores: bool, columns: pa.Schema
) -> None:
    """Check that a file has the layout that was found in the first one.

    By names only: a value of the wrong type is its own row's fault, and rejected there.
    """
    table = columns.empty_table()
    try:
        found = apply_map(table, mapping, strict=False).schema
        require(layout, found, types=False, scores=scores)
    except InputError:
        apply_map(table, mapping)  # says so if a column named in --map is what is missing
        raise


def canonical_batches(
    layout: Layout, mapping: Mapping[str, str], batches: Generator[RawBatch, None, None]
) -> Generator[CanonicalBatch, None, None]:
    """Yield raw batches in canonical form, pairs or responses, each row with its origin."""
    held: list[tuple[pa.Table, Rows]] = []
    rows_read = 0
    with closing(batches):
        for batch in batches:
            held.append(_canonical(layout, mapping, batch))
            rows_read += batch.table.num_rows
            if not batch.more:
                yield CanonicalBatch(_in_order(held), rows_read)
                held, rows_read = [], 0


def _canonical(
    layout: Layout, mapping: Mapping[str, str], batch: RawBatch
) -> tuple[pa.Table, Rows]:
    """Return a raw batch in canonical form, and the input row of each of its rows."""
    named = apply_map(batch.table, mapping, strict=False)
    table = layout.convert(named)
    at = table.column("row").to_numpy() if layout.kind == "responses" else None
    rows = batch.rows if at is None else batch.rows[at]
    if REFERENCE in mapping:
        table = table.append_column(REFERENCE, _reference(named, at, mapping[REFERENCE]))
    return table.append_column("origin", origins(batch.name, rows)), rows


def _reference(named: pa.Table, at: Rows | None, asked: str) -> pa.ChunkedArray:
    """Return the reference answer of each canonical row; null where its row has none.

    Args:
        named: raw rows.
        at: the raw row of each canonical row, if they are not the same.
        asked: the column's own name, for the message.
    """
    absent = pa.chunked_array([pa.nulls(named.num_rows, pa.string())])
    column = named.column(REFERENCE) if REFERENCE in named.column_names else absent
    try:
        text = column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        raise InputError(f"--reference {asked}: holds {column.type}, not text") from None
    return text if at is None else text.take(pa.array(at))


def _in_order(pieces: list[tuple[pa.Table, Rows]]) -> pa.Table:
    """Join the pieces of one stretch of input rows, in the order of the input."""
    if len(pieces) == 1:
        return pieces[0][0]
    rows = np.concatenate([rows for _, rows in pieces])
    tables = _alike([table for table, _ in pieces])
    table = pa.concat_tables(tables, promote_options="permissive")
    if "row" in table.column_names:  # from the start of the stretch
        place = table.column_names.index("row")
        table = table.set_column(place, "row", pa.array(rows - rows.min()))
    return table.take(pa.array(np.argsort(rows, kind="stable")))


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Return the tables with scores as text, where they are not numbers in all of them."""
    for name in SCORES:
        if name not in tables[0].column_names:
            continue
        kinds = {table.schema.field(name).type for table in tables}
        if not all(map(_is_number, kinds)):
            tables = [_with_text(table, name) for table in tables]
    return tables


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _with_text(table: pa.Table, name: str) -> pa.Table:
    column = table.column(name)
    if pa.types.is_nested(column.type):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.string())])
    return table.set_column(table.column_names.index(name), name, column.cast(pa.string()))


def origins(name: str, rows: Rows) -> pa.Array:
    """Return `name:row` for each row number."""
    return pc.binary_join_element_wise(name, pa.array(rows).cast(pa.string()), ":")
