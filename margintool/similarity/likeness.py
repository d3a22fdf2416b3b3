"""How alike the two answers of a pair are: a model, its store, and the distance between vectors.

`open_likeness` loads both; `fill` puts into the store what an input needs; `margins` then only
looks up. Read by margintool/embedding.py and sources/similarity.py.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from margintool.hashing import text_digests
from margintool.progress import Progress
from margintool.similarity.distances import METRICS, Floats
from margintool.similarity.fill import FillSummary, fill, fill_pairs
from margintool.similarity.options import SimilarityOptions
from margintool.similarity.store import EmbeddingStore
from margintool.similarity.texts import check_reads, response_texts

if TYPE_CHECKING:
    from margintool.similarity.cross_encoder import CrossScorer
    from margintool.similarity.embedder import Embedder

CROSS_ENCODER = "cross-encoder"
DEFAULT_MODELS: dict[str, str] = {
    "cosine": "sentence-transformers/all-MiniLM-L6-v2",
    "euclidean": "sentence-transformers/all-MiniLM-L6-v2",
    CROSS_ENCODER: "cross-encoder/stsb-distilroberta-base",
}


class Likeness(Protocol):
    """How alike answers are, for tables with the columns prompt, response_a and response_b."""

    def fill(self, pairs: Iterable[pa.Table], progress: Progress) -> FillSummary:
        """Compute what the store lacks of N pairs, in batches.

        Raises:
            InputError: if another process writes the store, or it cannot be written to.
        """

    def margins(self, pairs: pa.Table) -> Floats:
        """Return (N,) distances of the answers of pairs that were filled in; NaN for none.

        Raises:
            InputError: if a text is not in the store.
        """

    def about(self) -> dict[str, Any]:
        """Return what determines the margins, as plain values."""


def open_likeness(options: SimilarityOptions, folder: Path) -> Likeness:
    """Load the model and open its store.

    Args:
        options: checked.
        folder: where stores are kept.

    Raises:
        InputError: if the model cannot be used for the metric, or was fitted to other texts; if
            the store is damaged.
    """
    name = options.similarity_model or DEFAULT_MODELS[options.metric]
    settings: dict[str, Any] = {
        "device": options.device,
        "dtype": options.dtype,
        "batch_tokens": options.batch_tokens,
    }
    if options.metric == CROSS_ENCODER:
        from margintool.similarity.cross_encoder import load_cross_encoder

        scorer = load_cross_encoder(name, **settings)
        return CrossLikeness(scorer, EmbeddingStore(folder, scorer.fingerprint, scorer.dim))
    from margintool.similarity.embedder import load_embedder

    embedder = load_embedder(name, pooling=options.pooling, **settings)
    check_reads(name, with_prompt=options.with_prompt)  # once it is known to be of this kind
    store = EmbeddingStore(folder, embedder.fingerprint, embedder.dim)
    return EmbeddedLikeness(embedder, store, options.metric, with_prompt=options.with_prompt)


class EmbeddedLikeness:
    """By the distance between embeddings of the two answers; see Likeness."""

    def __init__(
        self, embedder: "Embedder", store: EmbeddingStore, metric: str, *, with_prompt: bool
    ) -> None:
        self._embedder, self._store = embedder, store
        self._metric, self._with_prompt = metric, with_prompt

    def fill(self, pairs: Iterable[pa.Table], progress: Progress) -> FillSummary:
        """Embed the answers that the store lacks; see Likeness."""
        texts = (self._texts(batch, side) for batch in pairs for side in "ab")
        return fill(self._store, self._embedder, texts, progress)

    def margins(self, pairs: pa.Table) -> Floats:
        """Return (N,) distances; see Likeness."""
        a, b = (self._store.vectors(text_digests(self._texts(pairs, side))) for side in "ab")
        return METRICS[self._metric](a, b)

    def about(self) -> dict[str, Any]:
        """Return what determines the margins; see Likeness."""
        return {
            "model": self._embedder.name,
            "fingerprint": self._embedder.fingerprint,
            "limit": self._embedder.limit,
            "dimensions": self._embedder.dim,
        }

    def _texts(self, pairs: pa.Table, side: str) -> pa.ChunkedArray:
        answers = pairs.column(f"response_{side}")
        return response_texts(pairs.column("prompt"), answers) if self._with_prompt else answers


class CrossLikeness:
    """By a cross-encoder's similarity of the two answers; see Likeness."""

    def __init__(self, scorer: "CrossScorer", store: EmbeddingStore) -> None:
        self._scorer, self._store = scorer, store

    def fill(self, pairs: Iterable[pa.Table], progress: Progress) -> FillSummary:
        """Score the pairs that the store lacks; see Likeness."""
        return fill_pairs(self._store, self._scorer, map(_columns, pairs), progress)

    def margins(self, pairs: pa.Table) -> Floats:
        """Return (N,) distances; see Likeness."""
        return self._scorer.margins(self._store, *_columns(pairs))

    def about(self) -> dict[str, Any]:
        """Return what determines the margins; see Likeness."""
        return {
            "model": self._scorer.name,
            "fingerprint": self._scorer.fingerprint,
            "limit": self._scorer.limit,
            "reads": self._scorer.form.reads,
        }


def _columns(pairs: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]:
    return pairs.column("prompt"), pairs.column("response_a"), pairs.column("response_b")
