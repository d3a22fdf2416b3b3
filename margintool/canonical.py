"""The two table shapes between a layout and a source. Layouts write them, sources read them.

A layout is purely structural: it says which column is the prompt and which the answers, and
passes scores through as they are. A source turns scores into margins and rejects what it
cannot read. Both mark an unusable row in `reason`, so that rows keep their places.
"""

from dataclasses import dataclass

import pyarrow as pa

from mmpo_core.schema import HISTORY

NOT_TEXT = "__not_text"
"""Suffix of the companion column in which storage marks values of X that were not text."""

REFERENCE = "reference"
"""A reference answer: a further column of both shapes, where --reference names one."""

REFERENCE_B = "reference_b"
"""That of the second answer, where two responses with references of their own become a pair."""

SCORE_CONFLICT = "score_conflict"
"""Reason of a response whose overall rating contradicts its aspect ratings."""

SCORE_REASONS = (
    SCORE_CONFLICT,
    "bad_annotation",
    "bad_label",
    "rating_missing",
    "rating_not_a_number",
    "rating_not_finite",
)
"""Reasons of layouts that say something of the scores only: the texts of such a row are usable.

A layout marks them after those of the texts, which a row keeps if it has both.
"""

# One row per input row. Scores may be numbers or strings as the file has them.
PAIRS: dict[str, str] = {
    "prompt": "last user message",
    "history": "system message and earlier turns; empty list if none",
    "response_a": "first answer",
    "response_b": "second answer",
    "score_a": "score or votes of the first answer, number or string as found; null if none",
    "score_b": "the same for the second answer",
    "gap": "signed quality gap a - b where the data has only that; else null",
    "preferred": "given preference: 1 = a, -1 = b, 0 = tie, null = none given",
    "votes": "number of votes or raters behind the pair; null if not known",
    "reason": "why the row cannot be used; null if it can",
    "detail": "the same in words, with the value; null if usable",
}

# One row per response; several responses share a group. `row` is the input row (from 0).
RESPONSES: dict[str, str] = {
    "row": "index of the input row in the batch, from 0",
    "prompt": PAIRS["prompt"],
    "history": PAIRS["history"],
    "response": "the answer",
    "model": "who wrote it; null if not known",
    "rating": "overall rating as found, number or string; null if none",
    "aspects": "struct of aspect ratings as strings; a struct without fields if none",
    "reason": PAIRS["reason"],
    "detail": PAIRS["detail"],
}

PAIR_TYPES: dict[str, pa.DataType | None] = {
    "prompt": pa.string(),
    "history": HISTORY,
    "response_a": pa.string(),
    "response_b": pa.string(),
    "score_a": None,
    "score_b": None,
    "gap": pa.float64(),
    "preferred": pa.int8(),
    "votes": pa.float64(),
    "reason": pa.string(),
    "detail": pa.string(),
}


@dataclass(frozen=True)
class CanonicalBatch:
    """Canonical pairs or responses with an `origin` column, and how many input rows they took."""

    table: pa.Table
    rows_read: int
