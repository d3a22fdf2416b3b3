"""Puts into a store what an input needs and the store lacks: each text or pair computed once.

`fill` embeds texts; `fill_pairs` scores pairs with a cross-encoder. What it holds: some 64 million
characters of text at a time, enough to sort by length, and 24 bytes for each different text of
the input, beside the store's own 25 for each text there.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from margintool.hashing import text_digests
from margintool.progress import Progress, no_progress
from margintool.similarity.digest_index import ABSENT, DigestIndex, Digests, Ints, first_of_each
from margintool.similarity.parts import Rows
from margintool.similarity.store import EmbeddingStore

if TYPE_CHECKING:
    from margintool.similarity.cross_encoder import CrossScorer
    from margintool.similarity.embedder import Embedded, Embedder

# Texts or pairs computed at once: what is sorted by length together. A character takes 1 to 4
# bytes.
BLOCK_CHARACTERS = 64 << 20
BLOCK_ITEMS = 50_000

# A text, or the prompt and the two answers of a pair.
Item: TypeAlias = Any
Keyed: TypeAlias = Iterator[tuple[Digests, Callable[[Ints], list[Item]]]]


@dataclass(frozen=True)
class FillSummary:
    """What an input needed of a store.

    Args:
        texts: texts (or pairs) in the input, repeats included.
        unique: different ones.
        embedded: those of them that the store lacked, computed now.
        over_limit: different ones that are longer than what the model reads at once.
        tokens: tokens of what was computed now, before anything was cut.
        seconds: how long it took.
    """

    texts: int
    unique: int
    embedded: int
    over_limit: int
    tokens: int
    seconds: float


def fill(
    store: EmbeddingStore,
    embedder: "Embedder",
    batches: Iterable[pa.ChunkedArray],
    progress: Progress = no_progress,
) -> FillSummary:
    """Embed the texts that the store lacks. Interrupted, it keeps what it has and goes on later.

    Args:
        store: of this embedder's fingerprint.
        embedder: see load_embedder.
        batches: columns of texts, as long as they may be together; nulls are left out.
        progress: told of different texts.

    Raises:
        InputError: if another process writes the store, or it cannot be written to.
    """

    def keyed() -> Keyed:
        for column in batches:
            texts = pc.drop_null(column)
            yield text_digests(texts), _taking(texts)

    return _Filling(store, embedder.stream, progress, "texts").run(keyed())


def fill_pairs(
    store: EmbeddingStore,
    scorer: "CrossScorer",
    batches: Iterable[tuple[pa.ChunkedArray, pa.ChunkedArray, pa.ChunkedArray]],
    progress: Progress = no_progress,
) -> FillSummary:
    """Score the pairs that the store lacks, as `fill` embeds texts.

    Args:
        store: of this scorer's fingerprint, of one number a pair.
        scorer: see load_cross_encoder.
        batches: columns of prompts and of both answers, of the same length and without nulls.
        progress: told of different pairs.

    Raises:
        InputError: as `fill` does.
    """

    def keyed() -> Keyed:
        for columns in batches:
            yield scorer.digests(*columns), _taking(*columns)

    return _Filling(store, scorer.stream, progress, "pairs").run(keyed())


def _taking(*columns: pa.ChunkedArray) -> Callable[[Ints], list[Item]]:
    """Return what reads rows of columns: texts of one column, tuples of several."""

    def take(rows: Ints) -> list[Item]:
        read = [column.take(pa.array(rows)).to_pylist() for column in columns]
        return read[0] if len(read) == 1 else list(zip(*read, strict=True))

    return take


class _Filling:
    """One run over an input: what was seen, what waits to be computed, what was counted."""

    def __init__(
        self,
        store: EmbeddingStore,
        compute: Callable[[Sequence[Item]], "Iterator[tuple[Ints, Embedded]]"],
        progress: Progress,
        unit: str,
    ) -> None:
        self._store, self._compute = store, compute
        self._progress, self._unit = progress, unit
        self._seen = DigestIndex()
        self._items: list[Item] = []
        self._digests: list[Digests] = []
        self._characters = 0
        self._texts = self._embedded = self._over_limit = self._tokens = 0

    def run(self, keyed: Keyed) -> FillSummary:
        """Compute what the store lacks of the input; see fill."""
        started = time.monotonic()
        self._progress.start(f"embedding {self._unit}", None)
        with self._store.writing():
            for digests, take in keyed:
                self._texts += len(digests)
                self._collect(digests, take)
            self._compute_waiting()
        return FillSummary(
            self._texts,
            len(self._seen),
            self._embedded,
            self._over_limit,
            self._tokens,
            time.monotonic() - started,
        )

    def _collect(self, digests: Digests, take: Callable[[Ints], list[Item]]) -> None:
        rows = first_of_each(digests)
        rows = rows[self._seen.find(digests[rows]) == ABSENT]
        self._seen.add(digests[rows], np.zeros(len(rows), np.int64))
        known = self._store.known(digests[rows])
        self._over_limit += int(self._store.over_limit(digests[rows[known]]).sum())
        self._progress.advance(int(known.sum()))
        rows = rows[~known]
        # A batch of the input may hold more than is to be computed at once.
        for few in np.array_split(rows, max(1, -(-len(rows) // 1000))):
            items = take(few)
            self._items += items
            self._digests.append(digests[few])
            self._characters += sum(map(_size, items))
            if self._characters >= BLOCK_CHARACTERS or len(self._items) >= BLOCK_ITEMS:
                self._compute_waiting()

    def _compute_waiting(self) -> None:
        if not self._items:
            return
        items, digests = self._items, np.concatenate(self._digests)
        self._items, self._digests, self._characters = [], [], 0
        started, done = time.monotonic(), 0
        for rows, made in self._compute(items):
            self._store.add(Rows(digests[rows], made.vectors, made.over_limit))
            done += len(rows)
            self._embedded += len(rows)
            self._over_limit += int(made.over_limit.sum())
            self._tokens += int(made.tokens.sum())
            self._progress.advance(len(rows))
            seconds = max(time.monotonic() - started, 1e-9)
            self._progress.note(f"{done / seconds:,.0f} {self._unit}/s")


def _size(item: Item) -> int:
    return len(item) if isinstance(item, str) else sum(map(len, item))
