"""`ultrafeedback_binarized`: UltraFeedback as pairs of conversations with overall scores.

The training set of Zephyr and of the MMPO paper. Scores are UltraFeedback's overall scores, 1 to
10, with its errors (a critique of 1 stored as 10): the aspects that would show them are gone.
"""

import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.preferences import CHOSEN_COLUMNS, chosen_rejected
from margintool.layouts.raw import Raw


def convert(table: pa.Table) -> pa.Table:
    """Binarized UltraFeedback rows -> PAIRS."""
    return chosen_rejected(Raw(table), ("score_chosen", "score_rejected"))


LAYOUT = Layout(
    name="ultrafeedback_binarized",
    about=(
        "chosen and rejected conversations with scores: HuggingFaceH4/ultrafeedback_binarized, "
        "allenai/ultrafeedback_binarized_cleaned"
    ),
    kind="pairs",
    sources=("ratings",),
    required={
        **CHOSEN_COLUMNS,
        "score_chosen": "score of the chosen answer, 1 to 10",
        "score_rejected": "score of the rejected answer",
    },
    optional={},
    convert=convert,
    scale=(1.0, 10.0),
)
