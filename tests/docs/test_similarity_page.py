"""The commands of docs/similarity.md run as written; only the default model is a small one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margintool.similarity.likeness import DEFAULT_MODELS
from tests.conftest import ROOT
from tests.docs.pages import code_lines, run_as_written
from tests.score.conftest import shp_row
from tests.similarity.conftest import small_path
from tests.similarity.small_models import WORDS

__all__ = ["small_path"]  # a fixture

SECTIONS = (
    "Margins from a sentence-embedding model",
    "Fitting a model to known margins",
    "Does it agree with better evidence?",
)


def answers(number: int) -> tuple[str, str]:
    words = WORDS[number % 7 :]
    return " ".join(words), " ".join(reversed(words[: 3 + number % 5]))


def write(name: str, rows: list[dict[str, Any]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_commands_run_as_written(
    cli: Callable[..., Any], small_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(DEFAULT_MODELS, "cosine", str(small_path))
    both = [(n, *answers(n)) for n in range(12)]
    write("pairs.jsonl", [{"prompt": f"{n}?", "chosen": a, "rejected": b} for n, a, b in both])
    votes = [shp_row(2 + n, 1, 3 * n, human_ref_A=a, human_ref_B=b) for n, a, b in both]
    write("votes.jsonl", votes)
    ratings = [
        {"prompt": f"{n}?", "response": text, "rating": rating}
        for n, a, b in both
        for text, rating in ((a, 2 + n), (b, 1))
    ]
    write("ratings.jsonl", ratings)
    text = (ROOT / "docs/similarity.md").read_text(encoding="utf-8")
    lines = list(code_lines(text, *SECTIONS))
    assert len(lines) == 6
    run_as_written(cli, lines)
    assert (tmp_path / "similarity-model" / "fit.json").is_file()
    assert (tmp_path / "fitted.parquet").is_file()
