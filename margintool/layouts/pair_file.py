"""`pair_file`: a file that `margintool score` wrote, to be scored again by another source.

Its winners and ties are kept. For sources that need no scores: margins are there already.
"""

import numpy as np
import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import PROMPT_PARTS
from margintool.layouts.preferences import CHOSEN_COLUMNS, chosen_rejected
from margintool.layouts.raw import Raw
from margintool.numbers import to_numbers


def convert(table: pa.Table) -> pa.Table:
    """Rows of a pair file -> PAIRS; a margin_raw of 0 is a tie."""
    raw = Raw(table)
    pairs = chosen_rejected(raw, ("score_chosen", "score_rejected"))
    tie = to_numbers(raw.column("margin_raw"))[0] == 0
    place = pairs.column_names.index("preferred")
    return pairs.set_column(place, "preferred", pa.array(np.where(tie, 0, 1), pa.int8()))


LAYOUT = Layout(
    name="pair_file",
    about="a pair file of margintool's own, scored again by another source",
    kind="pairs",
    sources=(),
    required={
        "pair_id": "the pair's hash; read from no other file, and made anew",
        **CHOSEN_COLUMNS,
        "history": PROMPT_PARTS["history"],
        "score_chosen": "score of the chosen answer; null where there was none",
        "score_rejected": "score of the rejected answer",
        "margin_raw": "0 for a tie",
    },
    optional={},
    convert=convert,
)
