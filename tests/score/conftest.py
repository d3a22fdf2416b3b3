"""Small inputs written as files, and a `score` with short defaults."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from margintool import score
from margintool.summary import ScoreSummary

Row = dict[str, Any]


def shp_row(score_a: Any, score_b: Any, number: int = 0, **more: Any) -> Row:
    """A row of stanfordnlp/SHP with its own texts."""
    return {
        "history": f"Question {number // 3}?",
        "human_ref_A": f"Answer A{number}",
        "human_ref_B": f"Answer B{number}",
        "score_A": score_a,
        "score_B": score_b,
        "labels": int(score_a > score_b) if isinstance(score_a, int) else 1,
        **more,
    }


def long_row(prompt: str, response: str, rating: Any, **more: Any) -> Row:
    """A row of layout ratings_long."""
    return {"prompt": prompt, "response": response, "rating": rating, **more}


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSON Lines and return the path."""

    def write(rows: list[Row], name: str = "input.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def run(tmp_path: Path, write_jsonl: Callable[..., Path]) -> Callable[..., Any]:
    """Score rows; return (summary, pairs as dicts, rejects as dicts)."""

    def call(rows: list[Row], **options: Any) -> tuple[ScoreSummary, list[Row], list[Row]]:
        fields = {"source": "shp", "input": write_jsonl(rows), "overwrite": True, **options}
        summary = score(out=tmp_path / "pairs.parquet", **fields)
        rejects = pq.read_table(summary.rejects).to_pylist() if summary.rejects else []
        return summary, pq.read_table(summary.out).to_pylist(), rejects

    return call
