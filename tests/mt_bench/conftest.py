"""Four small questions of MT-bench's form, their references, and the command over them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CliResult
from tests.core.conftest import micro_model
from tests.judge.conftest import mock_judge, start_mock

__all__ = ["micro_model", "mock_judge", "start_mock"]  # fixtures

CATEGORIES = {81: "writing", 101: "reasoning", 111: "math", 150: "stem"}
QUESTIONS = [
    {"question_id": n, "category": name, "turns": [f"First {n}?", f"Second {n}!"]}
    for n, name in CATEGORIES.items()
]
REFERENCES = [
    {"question_id": n, "model_id": "gpt-4", "choices": [{"turns": [f"Known {n}", f"Sure {n}"]}]}
    for n in (101, 111)
]


def answers(turns: Mapping[int, Sequence[str]], model: str = "mine") -> list[dict[str, Any]]:
    """Return answers in FastChat's form."""
    return [
        {"question_id": n, "model_id": model, "choices": [{"index": 0, "turns": list(texts)}]}
        for n, texts in turns.items()
    ]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options that name the questions and references, files in tmp_path."""
    return [
        "--data",
        str(write(tmp_path / "question.jsonl", QUESTIONS)),
        "--references",
        str(write(tmp_path / "references.jsonl", REFERENCES)),
        "--out",
        str(tmp_path / "out"),
        "--bootstrap",
        "50",
    ]


@pytest.fixture
def run(cli: Callable[..., CliResult]) -> Callable[..., CliResult]:
    """Run `margintool evaluate MODEL --suite mt-bench ...`."""

    def call(model: object, *more: object) -> CliResult:
        return cli("evaluate", model, "--suite", "mt-bench", *more)

    return call
