"""Comparing the answers of an input: the step of `score --source similarity` before its first pass.

Read by preparing.py. The models and their store are in margintool/similarity/.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from margintool.canonical_stream import canonical_pairs
from margintool.plan import Plan
from margintool.progress import Progress, no_progress
from margintool.rejects import Rejects
from margintool.similarity.findings import SimilarityFindings
from margintool.sources.similarity import usable_reason
from margintool.storage import workspace


@contextmanager
def embedded(plan: Plan, progress: Progress) -> Iterator[Plan]:
    """Yield the plan with all distances at hand; texts that the store lacks are embedded now.

    Raises:
        InputError: if the model cannot be used, or the store cannot be read or written to.
    """
    assert plan.embedding is not None
    assert isinstance(plan.findings, SimilarityFindings)
    from margintool.similarity.likeness import open_likeness

    likeness = open_likeness(plan.embedding.options, plan.embedding.folder)
    filled = likeness.fill(_compared(plan), progress)
    plan.findings.note_fill(filled, likeness.about()["limit"])
    yield replace(plan, settings=replace(plan.settings, likeness=likeness))


def _compared(plan: Plan) -> Iterator[pa.Table]:
    """Yield the pairs of the input that can be compared, batch by batch."""
    # Rows that cannot be used are rejected when the input is read again for its margins.
    with workspace(plan.out) as scratch, Rejects(scratch) as met_again:
        for batch in canonical_pairs(plan, scratch, met_again, no_progress):
            yield batch.table.filter(usable_reason(batch.table)[0].is_null())
