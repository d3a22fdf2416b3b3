"""`pairs`: a prompt with a preferred and another answer, and no word on how much better it is.

The form of TRL's and of most other preference data. For sources that need no scores.
"""

import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import PAIR_ALIASES, PROMPT_PARTS
from margintool.layouts.preferences import CHOSEN_COLUMNS, chosen_rejected
from margintool.layouts.raw import Raw

ALIASES = {
    "prompt": PAIR_ALIASES["prompt"],
    "chosen": ("chosen_response",),
    "rejected": ("rejected_response",),
}


def convert(table: pa.Table) -> pa.Table:
    """Rows with chosen and rejected -> PAIRS without scores."""
    return chosen_rejected(Raw(table, ALIASES))


LAYOUT = Layout(
    name="pairs",
    about="a prompt, a chosen and a rejected answer, without scores; any preference data",
    kind="pairs",
    sources=(),
    required=CHOSEN_COLUMNS,
    optional=PROMPT_PARTS,
    convert=convert,
    aliases=ALIASES,
)
