"""Vectors of texts on disk, so that no text is embedded twice: an append-only store in parts.

    FOLDER/FINGERPRINT/00000000.arrow, 00000001.arrow, ...

A model has a folder of its own, named by what determines its vectors. Parts are written whole
(parts.py): a killed process loses what it had not written yet. One process writes at a time;
any number read. fill.py writes, sources read.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from margintool.similarity.digest_index import ABSENT, DigestIndex, Digests, Ints, first_of_each
from margintool.similarity.distances import Vectors
from margintool.similarity.parts import SUFFIX, Mask, Rows, joined, read_part, write_part
from mmpo_core.errors import InputError
from mmpo_core.locking import locked

# A part is written when this much is waiting, or after this time: what a killed process loses.
PART_BYTES = 32 << 20
PART_SECONDS = 30.0

_ROW_BITS = 32


class EmbeddingStore:
    """Vectors by text digest (margintool.hashing.text_digests).

    Args:
        folder: where stores are kept; several models share it.
        fingerprint: what determines the vectors, as letters and digits.
        dim: numbers per vector.

    Raises:
        InputError: if a part is damaged, naming it.
    """

    def __init__(self, folder: Path, fingerprint: str, dim: int) -> None:
        self.folder = folder / fingerprint
        self.dim = dim
        self._parts: dict[int, Rows] = {}
        self._index = DigestIndex()
        self._waiting: list[Rows] = []
        self._waiting_index = DigestIndex()
        self._waiting_rows = 0
        self._waiting_since = time.monotonic()
        self._read_parts()

    def __len__(self) -> int:
        """Return how many texts are there."""
        return len(self._index) + self._waiting_rows

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store for writing; what is added is on disk at the end, however it ends.

        Raises:
            InputError: if another process writes it, or the folder cannot be written to.
        """
        with locked(self.folder, what="store of embeddings", instead="give another folder"):
            for left_behind in self.folder.glob(".*.partial"):  # by a process that was killed
                left_behind.unlink(missing_ok=True)
            self._read_parts()  # what another process has written since
            try:
                yield
            finally:
                self.flush()

    def known(self, digests: Digests) -> Mask:
        """Return (N,) whether the texts of (N, 16) digests are there."""
        waiting = self._waiting_index.find(digests)
        return np.asarray((self._index.find(digests) != ABSENT) | (waiting != ABSENT))

    def vectors(self, digests: Digests) -> Vectors:
        """Return the (N, D) vectors of (N, 16) digests.

        Raises:
            InputError: if one is not there: the input was another when it was embedded.
        """
        out = np.empty((len(digests), self.dim), np.float32)
        for rows, part, places in self._by_part(digests):
            out[rows] = part.vectors[places]
        return out

    def over_limit(self, digests: Digests) -> Mask:
        """Return (N,) whether the texts of (N, 16) digests are longer than the model's limit.

        Raises:
            InputError: as `vectors` does.
        """
        out = np.empty(len(digests), np.bool_)
        for rows, part, places in self._by_part(digests):
            out[rows] = part.over_limit[places]
        return out

    def add(self, rows: Rows) -> None:
        """Add texts; those that are there already are left out. Only inside `writing`."""
        new = first_of_each(rows.digests)
        new = new[~self.known(rows.digests[new])]
        if not len(new):
            return
        if not self._waiting:
            self._waiting_since = time.monotonic()
        added = Rows(rows.digests[new], rows.vectors[new], rows.over_limit[new])
        self._waiting_index.add(added.digests, self._waiting_rows + np.arange(len(new)))
        self._waiting.append(added)
        self._waiting_rows += len(new)
        full = self._waiting_rows * (4 * self.dim + 17) >= PART_BYTES
        if full or time.monotonic() - self._waiting_since >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as a part."""
        if not self._waiting:
            return
        number = max(self._parts, default=-1) + 1
        path = self.folder / f"{number:08d}{SUFFIX}"
        write_part(path, joined(self._waiting))
        self._waiting, self._waiting_rows = [], 0
        self._waiting_index = DigestIndex()
        self._take(number, read_part(path, self.dim))

    def _read_parts(self) -> None:
        for path in sorted(self.folder.glob(f"{'[0-9]' * 8}{SUFFIX}")):
            if int(path.stem) not in self._parts:
                self._take(int(path.stem), read_part(path, self.dim))

    def _take(self, number: int, part: Rows) -> None:
        self._parts[number] = part
        self._index.add(part.digests, (number << _ROW_BITS) + np.arange(len(part)))

    def _by_part(self, digests: Digests) -> Iterator[tuple[Ints, Rows, Ints]]:
        """Yield (rows of `digests`, part, places in it) for each part that is needed."""
        found = self._index.find(digests)
        if self._waiting and (found == ABSENT).any():
            self.flush()
            found = self._index.find(digests)
        if (found == ABSENT).any():
            raise InputError(
                f"{self.folder}: {int((found == ABSENT).sum()):,} texts are not there. Did the "
                "input change while it was read? Run it again"
            )
        order = np.argsort(found, kind="stable")
        numbers = found[order] >> _ROW_BITS
        borders = np.flatnonzero(np.diff(numbers)) + 1
        for rows in np.split(order, borders):
            if len(rows):
                number = int(found[rows[0]] >> _ROW_BITS)
                yield rows, self._parts[number], found[rows] & ((1 << _ROW_BITS) - 1)
