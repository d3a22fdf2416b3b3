"""A small pair file whose every number can be worked out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mmpo_core.bradley_terry import probability
from mmpo_core.pair_file import write_pairs
from mmpo_core.schema import PAIR_SCHEMA

GAMMA = 2.0
METADATA: dict[str, Any] = {
    "schema_version": 1,
    "tool_version": "0.1.0",
    "source": "shp",
    "layout": "shp",
    "margin": "log-ratio",
    "unit": "log-odds",
    "options": {"source": "shp", "input": "votes.jsonl", "out": "pairs.parquet", "seed": 42},
    "normalizer": {"name": "none", "params": {}},
    "gamma": GAMMA,
    "gamma_from": "given",
    "mean_target": 0.8,
    "input": {"description": "votes.jsonl", "fingerprint": "xxh3:12"},
    "counts": {"read": 9, "kept": 4, "ties": 1, "flipped": 0, "rejected": {"votes_negative": 5}},
}


def columns(**changes: Any) -> dict[str, list[Any]]:
    """Four pairs: margins 0, 1, 2, 3; chosen minus rejected 1, -2, 3, 0 characters."""
    rows: dict[str, list[Any]] = {
        "pair_id": ["a", "b", "c", "d"],
        "prompt": ["one two", "one two", "zwei", "dritte Frage hier"],
        "chosen": ["xy", "x", "x yz", "same"],
        "rejected": ["x", "xyz", "x", "also"],
        "history": [[], [], [], [{"role": "system", "content": "be brief"}]],
        "score_chosen": [1.0, 2.0, 3.0, None],
        "score_rejected": [1.0, 1.0, 1.0, None],
        "margin_raw": [0.0, 1.0, 2.0, 3.0],
        "margin": [0.0, 1.0, 2.0, 3.0],
        "weight": [2.0, 3.0, 4.0, 1.0],
        "source": ["shp"] * 4,
        "origin": [f"votes.jsonl:{i}" for i in range(4)],
    }
    rows["p_chosen"] = probability(rows["margin"], GAMMA).tolist()
    return {**rows, **changes}


@pytest.fixture
def pair_columns() -> Callable[..., dict[str, list[Any]]]:
    """Columns of the four pairs, with changes by name."""
    return columns


@pytest.fixture
def metadata() -> dict[str, Any]:
    return METADATA


@pytest.fixture
def pair_file(tmp_path: Path) -> Path:
    """A valid file of the four pairs."""
    path = tmp_path / "pairs.parquet"
    write_pairs(pa.table(columns(), schema=PAIR_SCHEMA), path, METADATA)
    return path


@pytest.fixture
def broken_file(tmp_path: Path) -> Callable[..., Path]:
    """Write the four pairs with changes that `write_pairs` would refuse."""
    import json

    import pyarrow.parquet as pq

    def write(
        drop: tuple[str, ...] = (),
        meta: bytes | None = json.dumps(METADATA).encode(),
        **changes: Any,
    ) -> Path:
        table = pa.table({k: v for k, v in columns(**changes).items() if k not in drop})
        table = table.replace_schema_metadata({b"margintool": meta} if meta is not None else {})
        path = tmp_path / "broken.parquet"
        pq.write_table(table, path)
        return path

    return write
