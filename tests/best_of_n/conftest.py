"""Models that answer and score, small, and the command over them."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CliResult
from tests.core.conftest import micro_model
from tests.core.evaluate.evaluated import run, write_file

__all__ = ["micro_model"]  # fixture

PROMPTS = ["What is it?", "Who?", "Where to, and why so late?", "When?"]


@pytest.fixture(scope="session")
def scorers(tmp_path_factory: pytest.TempPathFactory, micro_model: Path) -> Path:
    """A folder with a reward model, `reward`, and a policy, `mmpo`, both of a few steps."""
    folder = tmp_path_factory.mktemp("scorers")
    pairs = write_file(folder / "pairs.parquet")
    run(pairs, micro_model, folder / "reward", objective="reward", limit=40)
    run(pairs, micro_model, folder / "mmpo", gamma=0.7, beta=0.5)
    return folder


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write(tmp_path / "prompts.jsonl", [{"prompt": text} for text in PROMPTS])


@pytest.fixture
def best_of_n(cli: Callable[..., CliResult], tmp_path: Path) -> Callable[..., CliResult]:
    """Run `margintool best-of-n` with a cache of the test's own."""

    def call(*more: object) -> CliResult:
        quick = ("--device", "cpu", "--bootstrap", 20, "--reference-cache", tmp_path / "cache")
        return cli("best-of-n", *quick, *more)

    return call
