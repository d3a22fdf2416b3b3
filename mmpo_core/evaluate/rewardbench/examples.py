"""The benchmark's examples as a table, and as the pairs that a model is run over.

margintool/rewardbench_data.py reads files and datasets into this form. pyarrow only.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.errors import InputError, lookup
from mmpo_core.evaluate.rewardbench.sections import SUBSETS
from mmpo_core.schema import HISTORY, PAIR_SCHEMA

EXAMPLES = pa.schema(
    [
        pa.field("subset", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("history", HISTORY, nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("chosen", pa.string(), nullable=False),
        pa.field("rejected", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
    ]
)
"""One row an example: `prompt` is the last user message, `history` what came before it; `id` is
the dataset's own; `origin` is where the row came from."""


def check_subsets(examples: pa.Table) -> None:
    """Raise InputError at the first example of a subset that is not the benchmark's."""
    known = dict.fromkeys(SUBSETS)
    for subset in pc.unique(examples["subset"]).to_pylist():
        if subset not in known:
            row = pc.index(examples["subset"], subset).as_py()
            try:
                lookup("subset", subset, known)
            except InputError as error:
                raise InputError(f"{examples['origin'][row].as_py()}: {error}") from error


def to_pairs(examples: pa.Table) -> pa.Table:
    """Return N examples as N pairs of the contract, in their order, to be given to a model.

    The subset is their `source`, the row number their `pair_id`: ids of different subsets may be
    the same. The benchmark says which answer is better and not by how much: the target is 1, and
    the margin, which nothing reads here, is 1.
    """
    rows = examples.num_rows
    ones, nothing = pa.array(np.ones(rows)), pa.nulls(rows, pa.float64())
    columns = {
        "pair_id": pa.array([str(row) for row in range(rows)]),
        "score_chosen": nothing,
        "score_rejected": nothing,
        "source": examples["subset"],
        **dict.fromkeys(("margin_raw", "margin", "p_chosen", "weight"), ones),
    }
    columns |= {name: examples[name] for name in PAIR_SCHEMA.names if name not in columns}
    return pa.table({name: columns[name] for name in PAIR_SCHEMA.names}, schema=PAIR_SCHEMA)
