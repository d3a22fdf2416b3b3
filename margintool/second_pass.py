"""The second pass: spilled pairs are read again, dropped ones rejected, others handed on."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from margintool.progress import Progress
from margintool.rejects import Rejects
from margintool.select import KEPT, VERDICTS, Verdicts
from margintool.storage import Spill, prefetch


def kept_pairs(
    spill: Spill, verdicts: Verdicts, rejects: Rejects, progress: Progress
) -> Iterator[pa.Table]:
    """Yield the pairs whose verdict is KEPT, in order; send the others to the rejects."""
    progress.start("writing", len(verdicts))
    row = 0
    for table in prefetch(spill.batches()):
        verdict = verdicts[row : row + table.num_rows]
        row += table.num_rows
        for code in np.unique(verdict[verdict != KEPT]).tolist():
            rejects.add(table.filter(pa.array(verdict == code)), VERDICTS[code])
        kept = verdict == KEPT
        if kept.any():
            yield table if kept.all() else table.filter(pa.array(kept))
        progress.advance(table.num_rows)
