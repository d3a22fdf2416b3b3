"""Texts to vectors with a sentence-transformers model: each token computed once, little padding.

Texts are read longest first, in batches of a number of tokens and not of texts; long ones in
chunks. fill.py embeds what a store lacks with it; the model itself runs as it was made, whatever
its modules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from margintool.similarity.chunks import Ints, batches
from margintool.similarity.distances import Vectors
from margintool.similarity.fingerprint import fingerprint
from margintool.similarity.loading import DTYPES, batch_budget, checked_device, loading_model
from margintool.similarity.locate import SENTENCE, locate
from margintool.similarity.tokens import Reader, Reading, limit_of, make_reader, well_formed
from mmpo_core.errors import InputError, lookup
from mmpo_core.hub import loading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Mask = npt.NDArray[np.bool_]

MEAN_OF_CHUNKS, TRUNCATE = "mean-of-chunks", "truncate"
POOLINGS: dict[str, str] = {
    MEAN_OF_CHUNKS: "read a long text in chunks and take the mean, weighted by their tokens",
    TRUNCATE: "read the beginning of a long text, as far as the model reads, and not the rest",
}

# Part of the fingerprint. Raise it whenever the same model would give another vector than before
# for any text: by another way of cutting into chunks, of the mean of chunks, or of what is read.
ALGORITHM = 1

# Texts are handed back after about so many batches.
_BATCHES_AT_ONCE = 8


@dataclass(frozen=True)
class Embedded:
    """Vectors of N texts.

    Args:
        vectors: (N, D) as the model gives them: of length 1 where it normalises. NaN for a text
            without any token that the model reads.
        over_limit: (N,) whether a text is longer than what the model reads at once; what that
            means for its vector is the embedder's pooling.
        tokens: (N,) tokens of each text, before anything was cut.
    """

    vectors: Vectors
    over_limit: Mask
    tokens: Ints


class Embedder:
    """A loaded model; see load_embedder."""

    def __init__(
        self, model: "SentenceTransformer", name: str, *, pooling: str, batch_tokens: int | None
    ) -> None:
        self.model = model
        self.name = name
        self.pooling = pooling
        self._reader: Reader = make_reader(model, name, in_chunks=pooling == MEAN_OF_CHUNKS)
        self._budget = batch_budget(batch_tokens, str(model.device))
        self.limit = limit_of(model)
        self.fingerprint = fingerprint(model, algorithm=ALGORITHM, pooling=pooling)
        probe = self.embed(["Some text.", "Another one, longer than the first."]).vectors
        self.dim = probe.shape[1]
        if not np.isfinite(probe).any() or not probe.any():
            raise InputError(
                f"{name}: gives {'zero' if np.isfinite(probe).all() else 'NaN'} vectors for plain "
                "text. Its weights are broken, or they need another --dtype"
            )

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Return the vectors of N texts, in their order."""
        found = list(self.stream(texts))
        if not found:
            empty = np.zeros(0, np.int64)
            return Embedded(np.zeros((0, self.dim), np.float32), empty.astype(np.bool_), empty)
        order = np.argsort(np.concatenate([rows for rows, _ in found]))
        parts = [part for _, part in found]
        return Embedded(
            np.concatenate([part.vectors for part in parts])[order],
            np.concatenate([part.over_limit for part in parts])[order],
            np.concatenate([part.tokens for part in parts])[order],
        )

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[Ints, Embedded]]:
        """Yield (rows of `texts`, their vectors), the longest texts first."""
        readings = list(self._reader.read([well_formed(text) for text in texts]))
        sizes = np.array([sum(reading.sizes) for reading in readings], np.int64)
        order = np.argsort(-sizes, kind="stable")
        slabs = np.cumsum(sizes[order]) // (_BATCHES_AT_ONCE * self._budget)
        for rows in np.split(order, np.flatnonzero(np.diff(slabs)) + 1):
            if len(rows):
                yield rows, self._embed([readings[row] for row in rows.tolist()])

    def _embed(self, readings: list[Reading]) -> Embedded:
        chunks = [chunk for reading in readings for chunk in reading.chunks]
        sizes = [size for reading in readings for size in reading.sizes]
        computed: list[tuple[Ints, Vectors]] = []
        for rows in batches(sizes, self._budget):
            computed.append((rows, self._forward([chunks[row] for row in rows.tolist()])))
        return Embedded(
            _pooled(_in_order(computed), readings) if computed else self._nothing(len(readings)),
            np.array([reading.over_limit for reading in readings]),
            np.array([reading.tokens for reading in readings], np.int64),
        )

    def _forward(self, chunks: list[Any]) -> Vectors:
        import torch
        from sentence_transformers.util import batch_to_device

        features = self._reader.features(chunks)
        try:
            with torch.inference_mode():
                made = self.model(batch_to_device(features, self.model.device))
                vectors = made["sentence_embedding"][:, : self.model.truncate_dim]
                return np.asarray(vectors.float().cpu().numpy(), np.float32)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self.name}: out of memory on {self.model.device} with {self._budget:,} tokens "
                "a batch. Give fewer with batch_tokens, or --dtype float16"
            ) from error

    def _nothing(self, count: int) -> Vectors:
        return np.full((count, self.dim), np.nan, np.float32)


def load_embedder(
    name_or_path: str,
    *,
    device: str | None = None,
    dtype: str = "float32",
    pooling: str = MEAN_OF_CHUNKS,
    batch_tokens: int | None = None,
    revision: str | None = None,
) -> Embedder:
    """Load a sentence-transformers model. Code from its repository is never run.

    Args:
        name_or_path: folder or hub id.
        device: as torch names it, such as cpu or cuda:0; the fastest there is if None.
        dtype: what the model computes in: float32, float16 or bfloat16. Vectors are float32.
        pooling: what becomes of texts longer than the model's limit; a key of POOLINGS.
        batch_tokens: tokens computed at once, padding included; a default by device if None.
        revision: branch, tag or commit on the hub.

    Raises:
        InputError: if there is no such model, it cannot be loaded or is no sentence-embedding
            model, or it gives no usable vectors.
    """
    lookup("pooling", pooling, POOLINGS)
    located, local = locate(name_or_path, revision, SENTENCE)
    with loading_model(name_or_path):
        import torch
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(
            located,
            device=checked_device(device),
            trust_remote_code=False,
            revision=revision,
            local_files_only=local,
            model_kwargs={"dtype": getattr(torch, lookup("dtype", dtype, DTYPES))},
        ).eval()
    with loading(name_or_path):  # it tries the model
        return Embedder(model, name_or_path, pooling=pooling, batch_tokens=batch_tokens)


def _in_order(computed: list[tuple[Ints, Vectors]]) -> Vectors:
    """Put batches of (rows, vectors) back into the order of their rows."""
    order = np.argsort(np.concatenate([rows for rows, _ in computed]))
    return np.concatenate([vectors for _, vectors in computed])[order]


def _pooled(vectors: Vectors, readings: list[Reading]) -> Vectors:
    """Turn (P, D) vectors of all chunks into (N, D), one per text.

    A text of one chunk has that chunk's vector. Of several, the direction is the mean of their
    directions, weighted by tokens, and the length the weighted mean of their lengths: 1 for a
    model that normalises.
    """
    counts = np.array([len(reading.chunks) for reading in readings])
    starts = np.cumsum(counts) - counts
    out = np.full((len(readings), vectors.shape[1]), np.nan, np.float32)
    out[counts == 1] = vectors[starts[counts == 1]]
    for row in np.flatnonzero(counts > 1).tolist():
        own = vectors[starts[row] : starts[row] + counts[row]].astype(np.float64)
        out[row] = _mean(own, np.array(readings[row].weights, np.float64))
    return out


def _mean(vectors: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> Vectors:
    with np.errstate(invalid="ignore", divide="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
        direction = (weights / lengths) @ vectors
        direction *= (weights @ lengths) / weights.sum() / np.linalg.norm(direction)
    return np.asarray(direction, np.float32)
