"""Margins of real pairs with real weights are those of sentence-transformers in a loop."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from margintool import read_pairs, score
from margintool.hashing import text_digests
from margintool.similarity.distances import cosine_margin
from margintool.similarity.embedder import load_embedder
from margintool.similarity.fill import fill
from margintool.similarity.store import EmbeddingStore

PAIRS = 60  # benchmarks/similarity.py compares all of them


@pytest.mark.real_data
def test_margins_of_real_pairs(
    real_data: Path, minilm_path: Path, minilm: Any, tmp_path: Path
) -> None:
    with gzip.open(real_data / "pairs" / "hh_helpful_clean.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for _, line in zip(range(PAIRS), lines, strict=False)]
    sides = [pa.chunked_array([[row[side] for row in rows]]) for side in ("chosen", "rejected")]
    embedder = load_embedder(str(minilm_path), device="cpu")
    store = EmbeddingStore(tmp_path, embedder.fingerprint, embedder.dim)
    summary = fill(store, embedder, sides)
    different = {row[side] for row in rows for side in ("chosen", "rejected")}
    assert summary.unique == summary.embedded == len(different)
    margins = cosine_margin(*(store.vectors(text_digests(side)) for side in sides))
    own = [[model_vector(minilm, row[side]) for row in rows] for side in ("chosen", "rejected")]
    expected = 1 - (np.array(own[0]) * np.array(own[1])).sum(axis=1)
    np.testing.assert_allclose(margins, expected, atol=1e-5)
    assert margins.std() > 0.05


def model_vector(model: Any, text: str) -> np.ndarray:
    return np.asarray(model.encode(text, normalize_embeddings=True, show_progress_bar=False))


@pytest.mark.slow
@pytest.mark.real_data
def test_every_margin_of_the_pair_file(
    real_data: Path, minilm_path: Path, minilm: Any, tmp_path: Path
) -> None:
    """All 1,137 pairs through `score`, against one call of `encode` a text."""
    made = score(
        source="similarity",
        input=real_data / "pairs" / "hh_helpful_clean.jsonl.gz",
        out=tmp_path / "pairs.parquet",
        similarity_model=str(minilm_path),
        pooling="truncate",  # as encode reads
    )
    pairs = read_pairs(made.out)
    assert len(pairs) == 1137
    expected = [
        1 - float(model_vector(minilm, chosen) @ model_vector(minilm, rejected))
        for chosen, rejected in zip(pairs.chosen, pairs.rejected, strict=True)
    ]
    np.testing.assert_allclose(pairs.margin_raw, expected, atol=1e-5)
    assert (pairs.margin_raw == 0).sum() == (pairs.chosen == pairs.rejected).sum() == 13
