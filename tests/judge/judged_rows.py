"""Answers, rows and a `score` with the stand-in judge, for the tests of --source gpt4."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.judge.conftest import MockJudge

GOOD = " ".join(f"word{n}" for n in range(300))
FAIR = " ".join(f"word{n}" for n in range(30))
POOR = "word word word"


def pair(number: int, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {
        "prompt": f"Question {number}?",
        "chosen": chosen,
        "rejected": rejected,
        **more,
    }


@pytest.fixture
def judged(run: Callable[..., Any], mock_judge: MockJudge) -> Callable[..., Any]:
    """Score rows with the stand-in judge; options over its own."""

    def call(rows: list[dict[str, Any]], **options: Any) -> Any:
        asked = {"source": "gpt4", "judge_model": ("mock-judge",), "base_url": mock_judge.url}
        return run(rows, **{**asked, **options})

    return call


def metadata(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"margintool"])
    return found
