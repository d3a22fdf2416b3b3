"""Margins of a cross-encoder: those of sentence-transformers, the same for both orders, kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from margintool.similarity.cross_encoder import CrossScorer, load_cross_encoder
from margintool.similarity.fill import fill_pairs
from margintool.similarity.pair_text import PROMPT_AND_ANSWERS, PairForm, pair_texts, write_form
from margintool.similarity.store import EmbeddingStore
from mmpo_core.errors import InputError
from tests.similarity.small_models import save_cross_encoder

Columns = tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]
PROMPTS = ["the home", "rain", "the home", "sun", "sun"]
A = ["the cat sat", "a dog", "dog ran far " * 20, "\u00fc 😀", "same text"]
B = ["the rain in sun", "the cat sat on a mat", "up", "", "same text"]


def columns(*texts: list[str]) -> Columns:
    prompts, a, b = (pa.chunked_array([pa.array(some, pa.string())]) for some in texts)
    return prompts, a, b


def margins(scorer: CrossScorer, folder: Path, given: Columns) -> np.ndarray:
    store = EmbeddingStore(folder, scorer.fingerprint, scorer.dim)
    fill_pairs(store, scorer, [given])
    return scorer.margins(store, *given)


@pytest.fixture(scope="module")
def model(cross_path: Path) -> Any:
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(cross_path), device="cpu")


def test_equals_predict_in_a_loop(cross: CrossScorer, model: Any, tmp_path: Path) -> None:
    """1 - mean of both orders; equal answers have 0, whatever the model says of them."""
    orders = [
        [model.predict(pair) for pair in zip(*sides, strict=True)] for sides in ((A, B), (B, A))
    ]
    expected = 1 - np.mean(orders, axis=0)
    assert abs(orders[0][0] - orders[1][0]) > 1e-3  # order does matter to the model
    assert abs(expected[4]) > 1e-3
    expected[4] = 0
    found = margins(cross, tmp_path, columns(PROMPTS, A, B))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[4] == 0
    assert len(np.unique(found.round(3))) == 5


def test_both_orders_are_one_pair(cross: CrossScorer, tmp_path: Path) -> None:
    found = margins(cross, tmp_path, columns(PROMPTS, A, B))
    swapped = columns(PROMPTS[::-1], B, A)  # this model reads no prompt
    store = EmbeddingStore(tmp_path, cross.fingerprint, cross.dim)
    summary = fill_pairs(store, cross, [swapped])
    assert (summary.texts, summary.unique, summary.embedded) == (5, 5, 0)
    assert summary.over_limit == 1
    np.testing.assert_array_equal(cross.margins(store, *swapped), found)


@pytest.mark.parametrize("batch_tokens", [1, 70])
def test_margins_do_not_depend_on_the_batch(
    cross: CrossScorer, cross_path: Path, tmp_path: Path, batch_tokens: int
) -> None:
    other = load_cross_encoder(str(cross_path), device="cpu", batch_tokens=batch_tokens)
    given = columns(PROMPTS, A, B)
    np.testing.assert_allclose(
        margins(other, tmp_path / "other", given), margins(cross, tmp_path, given), atol=1e-6
    )


def test_a_fitted_model_reads_what_its_folder_says(cross_path: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    path = save_cross_encoder(tmp_path)
    write_form(path, PairForm(PROMPT_AND_ANSWERS, characters=60))
    scorer = load_cross_encoder(str(path), device="cpu")
    model = CrossEncoder(str(path), device="cpu")
    found = margins(scorer, tmp_path / "kept", columns(PROMPTS, A, B))
    for row, (prompt, a, b) in enumerate(zip(PROMPTS[:4], A, B, strict=False)):
        read = [pair_texts(prompt, *order, characters=60) for order in ((a, b), (b, a))]
        assert found[row] == pytest.approx(1 - np.mean(model.predict(read)), abs=1e-5)
    # The prompt counts here: the same answers to another one are another pair.
    other = scorer.digests(*columns(PROMPTS[::-1], A, B))
    same = (other == scorer.digests(*columns(PROMPTS, A, B))).all(axis=1)
    assert same.tolist() == [False, False, True, False, False]
    assert scorer.fingerprint != load_cross_encoder(str(cross_path), device="cpu").fingerprint


def test_a_pair_that_was_not_scored(cross: CrossScorer, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, cross.fingerprint, cross.dim)
    with pytest.raises(InputError, match="5 texts are not there"):
        cross.margins(store, *columns(PROMPTS, A, B))


def test_a_broken_cross_encoder(cross_path: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(cross_path), device="cpu")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    model.save(str(tmp_path / "broken"))
    with pytest.raises(InputError, match="gives NaN"):
        load_cross_encoder(str(tmp_path / "broken"), device="cpu")
