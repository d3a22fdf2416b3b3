"""The pair file's contract: its columns, their types and meanings. pyarrow only, no torch.

Written by `margintool score`, read by `margintool train`; docs/design.md has it as a table.
Read next: checks.py, which says what breaks the contract, and pair_file.py, which reads and
writes whole files under it.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 1
METADATA_KEY = b"margintool"

MESSAGE = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
HISTORY = pa.list_(MESSAGE)

PAIR_SCHEMA = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("chosen", pa.string(), nullable=False),
        pa.field("rejected", pa.string(), nullable=False),
        pa.field("history", HISTORY, nullable=False),
        pa.field("score_chosen", pa.float64()),
        pa.field("score_rejected", pa.float64()),
        pa.field("margin_raw", pa.float64(), nullable=False),
        pa.field("margin", pa.float64(), nullable=False),
        pa.field("p_chosen", pa.float64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
    ]
)

MEANINGS: dict[str, str] = {
    "pair_id": "stable hash of prompt, answers and source; unique in the file",
    "prompt": "the last user message",
    "chosen": "the better answer, or either one of a tie",
    "rejected": "the other answer",
    "history": "system message and earlier turns, oldest first; empty for single-turn data",
    "score_chosen": "score of chosen in the source's own unit; null where the source has none",
    "score_rejected": "the same for rejected",
    "margin_raw": "quality gap in the source's own unit, >= 0; 0 for a tie",
    "margin": "the gap normalised, unit-free, >= 0: what the trainer reads",
    "p_chosen": "target sigma(gamma * margin) with the file's gamma, 0.5 to 1",
    "weight": "1, or the evidence behind the pair: number of votes or judges; > 0",
    "source": "where the margin comes from: shp (votes), ratings or gpt4 (LLM judges)",
    "origin": "where the row came from: file or dataset, split, row",
}
"""What each column of PAIR_SCHEMA holds: for the docs and for dataset cards."""


def pair_to_messages(row: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Turn a pair into TRL's conversational form.

    Args:
        row: mapping with history, prompt, chosen, rejected as the contract has them.

    Returns:
        {"prompt": history + user message, "chosen": [assistant message], "rejected": [...]}.
    """
    history = [{"role": m["role"], "content": m["content"]} for m in row["history"]]
    return {
        "prompt": [*history, {"role": "user", "content": row["prompt"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
