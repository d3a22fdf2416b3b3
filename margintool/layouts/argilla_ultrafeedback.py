"""`argilla_ultrafeedback`: UltraFeedback as pairs by the mean of the four aspect ratings, 1 to 5.

argilla/ultrafeedback-binarized-preferences-cleaned has messages and `chosen-rating`; its first
version, ultrafeedback-binarized-preferences, has text and `chosen_avg_rating`. Both are read.
"""

import pyarrow as pa

from margintool.layouts.base import Layout
from margintool.layouts.pair_rows import INPUT_COLUMN
from margintool.layouts.preferences import CHOSEN_COLUMNS, chosen_rejected
from margintool.layouts.raw import Raw

ALIASES = {
    "prompt": ("instruction",),
    "chosen": ("chosen_response",),
    "rejected": ("rejected_response",),
    "chosen-rating": ("chosen_avg_rating",),
    "rejected-rating": ("rejected_avg_rating",),
}


def convert(table: pa.Table) -> pa.Table:
    """Argilla's UltraFeedback rows -> PAIRS."""
    return chosen_rejected(Raw(table, ALIASES), ("chosen-rating", "rejected-rating"))


LAYOUT = Layout(
    name="argilla_ultrafeedback",
    about=(
        "chosen and rejected with the mean of four aspects: "
        "argilla/ultrafeedback-binarized-preferences, and -cleaned"
    ),
    kind="pairs",
    sources=("ratings",),
    required={
        **CHOSEN_COLUMNS,
        "chosen-rating": "mean aspect rating of the chosen answer, 1 to 5",
        "rejected-rating": "mean aspect rating of the rejected answer",
    },
    optional=INPUT_COLUMN,
    convert=convert,
    scale=(1.0, 5.0),
    aliases=ALIASES,
)
