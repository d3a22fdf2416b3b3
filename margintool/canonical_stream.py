"""From input to a stream of canonical pairs: layouts of pairs directly, of responses by pairing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import CanonicalBatch
from margintool.layouts import apply_map, wanted_columns
from margintool.plan import Plan
from margintool.progress import Progress
from margintool.rejects import Rejects
from margintool.response_pairs import paired_responses
from margintool.storage import RawBatch, Spill, prefetch


def canonical_pairs(
    plan: Plan, folder: Path, rejects: Rejects, progress: Progress
) -> Iterator[CanonicalBatch]:
    """Yield all pairs of the input, in input order, each with its `origin`."""
    progress.start("reading", plan.input.total_bytes)
    columns = wanted_columns(plan.layout, plan.mapping, plan.input.columns)
    batches = plan.input.batches(columns, plan.options.limit, progress.advance)
    converted = (_converted(plan, batch) for batch in batches)
    if plan.layout.kind == "pairs":
        yield from prefetch(converted)
    else:
        with Spill(folder, "responses") as spill:
            yield from paired_responses(plan, converted, spill, rejects)


def _converted(plan: Plan, batch: RawBatch) -> CanonicalBatch:
    """Return a raw batch in canonical form, pairs or responses, each row with its origin."""
    table = plan.layout.convert(apply_map(batch.table, plan.mapping, strict=False))
    responses = plan.layout.kind == "responses"
    row = table.column("row").to_numpy() if responses else np.arange(table.num_rows)
    named = table.append_column("origin", origins(batch.name, batch.first_row + row))
    return CanonicalBatch(named, batch.table.num_rows)


def origins(name: str, rows: npt.NDArray[np.int64]) -> pa.Array:
    """Return `name:row` for each row number."""
    return pc.binary_join_element_wise(name, pa.array(rows).cast(pa.string()), ":")
