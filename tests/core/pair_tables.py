"""Small pair tables for the training tests: learnable, and quick on one core."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmpo_core.bradley_terry import probability
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA, SCHEMA_VERSION

METADATA = {"schema_version": SCHEMA_VERSION, "gamma": 1.0}


def pair_table(margins: Sequence[float], prompts: Sequence[str] | None = None) -> pa.Table:
    """One pair for each margin; the chosen answer is letters, the rejected one digits."""
    draw = np.random.default_rng(0)

    def text(alphabet: str) -> str:
        return "".join(draw.choice(list(alphabet), size=int(draw.integers(4, 12))))

    rows: list[dict[str, Any]] = [
        {
            "pair_id": f"pair-{i}",
            "prompt": prompts[i] if prompts else f"question {i}",
            "chosen": text("abcdefgh"),
            "rejected": text("01234567"),
            "history": [],
            "score_chosen": None,
            "score_rejected": None,
            "margin_raw": 2 * margin,
            "margin": margin,
            "p_chosen": float(probability([margin], 1.0)[0]),
            "weight": 1.0 + i % 3,
            "source": "test",
            "origin": f"row {i}",
        }
        for i, margin in enumerate(margins)
    ]
    return pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)


def pair_file(folder: Path, count: int = 12, margin: float = 1.5) -> Path:
    path = folder / "pairs.parquet"
    write_pairs(pair_table([margin] * count), path, METADATA)
    return path
