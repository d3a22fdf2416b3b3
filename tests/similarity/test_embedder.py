"""Vectors are those of sentence-transformers, whatever else is embedded beside a text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margintool.similarity.embedder import Embedder, load_embedder
from tests.similarity.small_models import LIMIT, save_embedder

TEXTS = [
    "The cat sat on a mat.",
    "a",
    "A dog ran far away, and the sun was up!",
    "cat " * 20,
    "the cat",
    "😀😀 \u200b ünï",
    "",
    "  \n ",
]
ROOM = LIMIT - 2  # less the two special tokens


def in_a_loop(model: Any, texts: list[str]) -> np.ndarray:
    return np.stack([model.encode(text, show_progress_bar=False) for text in texts])


def test_real_model_equals_encode_in_a_loop(minilm: Any, minilm_path: Path) -> None:
    texts = [*TEXTS, "One more sentence about similarity. " * 20, "[SEP] and [MASK] as text"]
    made = load_embedder(str(minilm_path), device="cpu").embed(texts)
    np.testing.assert_allclose(made.vectors, in_a_loop(minilm, texts), atol=1e-5)
    assert not made.over_limit.any()


def test_small_model_equals_encode_in_a_loop(small: Embedder, small_model: Any) -> None:
    made = small.embed(TEXTS)
    np.testing.assert_allclose(made.vectors, in_a_loop(small_model, TEXTS), atol=1e-5)
    # Not normalised: lengths are the model's own.
    assert abs(np.linalg.norm(made.vectors[0]) - 1) > 0.01


@pytest.mark.parametrize("batch_tokens", [1, 50, 10_000])
def test_vectors_do_not_depend_on_the_batch(
    small: Embedder, small_path: Path, batch_tokens: int
) -> None:
    other = load_embedder(str(small_path), device="cpu", batch_tokens=batch_tokens)
    texts = [*TEXTS, "the dog " * 40]
    np.testing.assert_allclose(
        other.embed(texts).vectors, small.embed(texts[::-1]).vectors[::-1], atol=1e-6
    )


def test_truncate_is_what_encode_does(small_path: Path, small_model: Any) -> None:
    cutting = load_embedder(str(small_path), device="cpu", pooling="truncate")
    texts = ["the cat ran", "cat " * ROOM, "dog " * (ROOM + 1), "the cat sat " * 30]
    made = cutting.embed(texts)
    np.testing.assert_allclose(made.vectors, in_a_loop(small_model, texts), atol=1e-5)
    assert made.over_limit.tolist() == [False, False, True, True]
    assert made.tokens.tolist() == [3, ROOM, ROOM + 1, 90]


def test_long_text_is_the_weighted_mean_of_its_chunks(small: Embedder, small_model: Any) -> None:
    """70 words of one token: chunks of 30, 30 and 10. Directions are averaged, and lengths."""
    words = (["cat", "dog", "rain", "sun", "far"] * 14)[:70]
    made = small.embed([" ".join(words), "the cat"])
    chunks = [" ".join(words[start : start + ROOM]) for start in (0, 30, 60)]
    own = in_a_loop(small_model, chunks).astype(np.float64)
    lengths, weights = np.linalg.norm(own, axis=1), np.array([3, 3, 1]) / 7
    mean = weights @ (own / lengths[:, None])
    expected = mean / np.linalg.norm(mean) * (weights @ lengths)
    np.testing.assert_allclose(made.vectors[0], expected, atol=1e-5)
    assert made.over_limit.tolist() == [True, False]


def test_chunks_of_a_model_that_normalises_have_length_1(tmp_path: Path) -> None:
    embedder = load_embedder(str(save_embedder(tmp_path, normalize=True)), device="cpu")
    made = embedder.embed(["the cat sat on a mat " * 30, "the rain"])
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-6)


def test_what_stands_at_the_end_counts_in_chunks_and_not_when_truncated(
    small: Embedder, small_path: Path
) -> None:
    texts = ["cat " * 40 + "rain sun up", "cat " * 40 + "dog ran far"]
    cutting = load_embedder(str(small_path), device="cpu", pooling="truncate").embed(texts).vectors
    np.testing.assert_array_equal(cutting[0], cutting[1])
    chunked = small.embed(texts).vectors
    assert np.abs(chunked[0] - chunked[1]).max() > 1e-3


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_prompt_stands_before_every_chunk(tmp_path: Path, include_prompt: bool) -> None:
    """The prompt takes 4 tokens: 26 are left for text, and weights count the text alone."""
    from sentence_transformers import SentenceTransformer

    path = save_embedder(tmp_path, prompts={"way": "the cat ran : "}, default_prompt_name="way")
    model = SentenceTransformer(str(path), device="cpu")
    model.set_pooling_include_prompt(include_prompt)
    model.save(str(path))
    words = (["dog", "rain", "sun", "up"] * 10)[:39]
    texts = ["the dog", " ".join(words)]
    made = load_embedder(str(path), device="cpu").embed(texts).vectors
    own = in_a_loop(model, [texts[0], " ".join(words[:26]), " ".join(words[26:])])
    np.testing.assert_allclose(made[0], own[0], atol=1e-5)
    lengths = np.linalg.norm(own[1:], axis=1)
    mean = np.array([2, 1]) / 3 @ (own[1:] / lengths[:, None])
    expected = mean / np.linalg.norm(mean) * (np.array([2, 1]) / 3 @ lengths)
    np.testing.assert_allclose(made[1], expected, atol=1e-5)


def test_long_and_odd_texts(small: Embedder) -> None:
    texts = ["cat dog " * 12_500, "x" * 100_000, "\ud800 alone", "😀" * 300, "\x00\x01"]
    made = small.embed(texts)
    assert made.vectors.shape == (5, 16)
    assert np.isfinite(made.vectors).all()
    assert made.tokens[0] == 25_000
    # A lone surrogate, which no tokenizer takes, is read as the sign for such.
    np.testing.assert_allclose(made.vectors[2], small.embed(["\ufffd alone"]).vectors[0], atol=1e-6)


def test_no_text_at_all(small: Embedder) -> None:
    made = small.embed([])
    assert made.vectors.shape == (0, 16)
    assert made.over_limit.shape == made.tokens.shape == (0,)


def test_a_static_model_reads_any_length(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    from tests.similarity.small_models import word_tokenizer

    tokenizer = AutoTokenizer.from_pretrained(word_tokenizer(tmp_path / "words"))
    static = StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=8)
    model = SentenceTransformer(modules=[static], device="cpu")
    model.save(str(tmp_path / "model"))
    embedder = load_embedder(str(tmp_path / "model"), device="cpu")
    texts = ["the cat", "dog " * 5000, "rain in the sun"]
    made = embedder.embed(texts)
    assert embedder.limit is None
    assert not made.over_limit.any()
    np.testing.assert_allclose(made.vectors, in_a_loop(model, texts), atol=1e-6)


def test_half_precision_gives_float32_vectors_near_the_full_ones(
    small: Embedder, small_path: Path
) -> None:
    half = load_embedder(str(small_path), device="cpu", dtype="bfloat16")
    made = half.embed(TEXTS).vectors
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, small.embed(TEXTS).vectors, atol=0.05)
    assert half.fingerprint != small.fingerprint
