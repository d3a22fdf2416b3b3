"""`margintool similarity fit` from the command line, and with real weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from margintool.cli.similarity import SIMILARITY_COMMANDS
from margintool.similarity.embedder import load_embedder
from margintool.similarity.fit.fitting import fit
from mmpo_core.errors import InputError
from tests.similarity.fit_pairs import cat_pairs


def run(*args: object) -> Any:
    """Run `margintool similarity ARGS...` alone; return what it printed and raised."""
    app = typer.Typer()
    app.callback()(lambda: None)
    for name, (command, line) in SIMILARITY_COMMANDS.items():
        app.command(name, short_help=line)(command)
    return CliRunner().invoke(app, [str(arg) for arg in args])


def printed(result: Any) -> str:
    return " ".join(result.stdout.split())


def test_what_is_printed(small_path: Path, few_resamples: None, tmp_path: Path) -> None:
    pairs, out = cat_pairs(tmp_path / "pairs.parquet", prompts=20), tmp_path / "out"
    given = ("--pairs", pairs, "--out", out, "--base-model", small_path, "--device", "cpu")
    found = run("fit", *given, "--epochs", 0.2, "--checkpoints", 1, "--with-prompt")
    assert found.exception is None
    words = printed(found)
    for part in (
        "bi-encoder from ",
        "train 56 pairs of 14 prompts",
        "validation 8 pairs of 2 prompts",
        "test 16 pairs of 4 prompts",
        "distance = margin_raw / 4, at most 1",
        "before fitting Spearman ",
        "difference in length Spearman ",
        "after - before Spearman ",
        "the test rests on 4 prompts",
        f"--source similarity --similarity-model {out} --with-prompt",
    ):
        assert "".join(part.split()) in "".join(words.split()), part
    again = run("fit", *given)
    assert isinstance(again.exception, InputError)
    assert "already holds a fitted model" in str(again.exception)
    assert found.stderr == ""  # no bars and warnings of the libraries


def test_help_and_what_is_required() -> None:
    assert "fit" in printed(run("--help"))
    assert run("fit", "--out", "x").exit_code == 2
    assert "--pairs" in printed(run("fit", "--help"))


def test_real_weights(minilm_path: Path, few_resamples: None, tmp_path: Path) -> None:
    """Two steps of the real MiniLM, with short texts: what comes out still knows likeness."""
    result = fit(
        pairs=cat_pairs(tmp_path / "pairs.parquet", prompts=10, per_prompt=2),
        out=tmp_path / "model",
        base_model=str(minilm_path),
        epochs=0.5,
        batch_size=4,
        checkpoints=1,
        max_length=32,
        device="cpu",
    )
    assert result.record["steps"] == 2
    predictions = pq.read_table(result.folder / "fit-predictions.parquet").to_pandas()
    moved = np.abs(predictions.distance_after - predictions.distance_before)
    assert moved.max() > 1e-6
    embedder = load_embedder(str(result.folder), device="cpu")
    a, b, c = embedder.embed(["the cat sat", "a cat was sitting", "tax law"]).vectors
    assert np.linalg.norm(a) == pytest.approx(1, abs=1e-5)  # the base model's own modules
    assert a @ b > a @ c + 0.2
