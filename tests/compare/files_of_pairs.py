"""Pair files from (prompt, chosen, rejected, margin_raw), and from signed margins of x and y."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.bradley_terry import probability
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA

Row = tuple[str, str, str, float]


def write_rows(
    path: Path,
    rows: Sequence[Row],
    *,
    gamma: float = 1.0,
    histories: Sequence[list[dict[str, str]]] | None = None,
    **metadata: Any,
) -> Path:
    """Write a pair file whose margin is its margin_raw."""
    prompts, chosen, rejected, margins = (list(column) for column in zip(*rows, strict=True))
    count = len(rows)
    columns = {
        "pair_id": [f"{path.stem}-{i}" for i in range(count)],
        "prompt": prompts,
        "chosen": chosen,
        "rejected": rejected,
        "history": histories or [[]] * count,
        "score_chosen": [None] * count,
        "score_rejected": [None] * count,
        "margin_raw": margins,
        "margin": margins,
        "p_chosen": probability(margins, gamma),
        "weight": np.ones(count),
        "source": ["test"] * count,
        "origin": [f"row {i}" for i in range(count)],
    }
    table = pa.table(columns, schema=PAIR_SCHEMA)
    write_pairs(table, path, {"schema_version": 1, "gamma": gamma, **metadata})
    return path


def row(prompt: str, signed: float) -> Row:
    """The pair of answers x and y to a prompt; x won where signed > 0, y where signed < 0."""
    return (prompt, "x", "y", signed) if signed >= 0 else (prompt, "y", "x", -signed)


def signed_file(
    path: Path, signed: Sequence[float], *, per_prompt: int = 1, gamma: float = 1.0, **more: Any
) -> Path:
    """One pair for each signed margin; `per_prompt` pairs share a prompt, with other answers."""
    rows = []
    for i, value in enumerate(signed):
        prompt, first, second, size = row(f"question {i // per_prompt}", value)
        part = i % per_prompt
        rows.append((prompt, f"{first}{part}", f"{second}{part}", size))
    return write_rows(path, rows, gamma=gamma, **more)
