"""Conversations in one text, "\\n\\nHuman: ...\\n\\nAssistant: ...", taken apart. Used by hh.py.

A turn begins where a marker stands at the start of a paragraph: after an empty line, or at the
very start. The word `Human:` anywhere else is part of the text around it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.layouts.messages import Messages
from margintool.layouts.rows import as_array
from margintool.numbers import Column

MARKERS = {"\n\nHuman:": "user", "\n\nAssistant:": "assistant", "\n\nSystem:": "system"}
BEFORE = -1  # in place of a role's number: what stands before the first marker


def read_transcripts(text: Column) -> tuple[Messages, pa.Array]:
    """Take transcripts apart, without a loop over rows.

    White space around a turn is not part of it.

    Args:
        text: (N,) texts; null counts as empty.

    Returns:
        The turns, and (N,) what stands before the first one: "" in a whole transcript.
    """
    # The start of the text counts as the start of a paragraph.
    pieces = pc.binary_join_element_wise("\n\n", pc.fill_null(as_array(text), ""), "")
    row, role = np.arange(len(pieces)), np.full(len(pieces), BEFORE)
    for number, marker in enumerate(MARKERS):
        parts = pc.split_pattern(pieces, marker)
        lengths = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
        first = np.cumsum(lengths) - lengths
        kept, row = role, np.repeat(row, lengths)
        role = np.full(len(row), number)  # what follows the marker, and is none of the first parts
        role[first] = kept
        pieces = parts.flatten()
    pieces = pc.utf8_trim_whitespace(pieces)
    turn = role != BEFORE
    counts = np.bincount(row[turn], minlength=len(text))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    roles = pa.array(list(MARKERS.values())).take(pa.array(role[turn]))
    return Messages(offsets, roles, pieces.filter(pa.array(turn))), pieces.filter(pa.array(~turn))
