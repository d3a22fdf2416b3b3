"""The pass of the reference model over pairs that the cache does not have. Read by reference.py.

It goes in parts, after each of which the cache is written: all processes compute a part's batches
among them, and the first one writes what they found.
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from mmpo_core.encoded_pairs import Digests, EncodedPairs, Ints
from mmpo_core.errors import InputError
from mmpo_core.processes import gathered, process
from mmpo_core.reference_cache import ReferenceCache
from mmpo_core.reference_part import ReferenceRows, joined

logger = logging.getLogger("mmpo_core.train.reference")

# About how long a part is computed: what a killed process loses, and how often a line is written
# where no terminal shows a bar.
PART_SECONDS = 30.0
_FIRST_PART_TOKENS = 1 << 14


@dataclass(frozen=True)
class Words:
    """What a pass computes, in words.

    Attributes:
        title: of its bar and its line.
        model: that computes it.
        value: of an answer.
    """

    title: str
    model: str
    value: str = "log-prob"


REFERENCE = Words("reference log-probs", "reference model")


@dataclass(frozen=True)
class Forward:
    """What the model says of a batch of B pairs.

    Attributes:
        logps: (2, B) float32, chosen before rejected; rewards of a reward model.
        tokens: (2, B) int32 completion tokens.
        positions: that the model computed, padding included.
    """

    logps: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]
    positions: int


@dataclass(frozen=True)
class _Share:
    """What one process computed of a part."""

    rows: ReferenceRows
    positions: int
    seconds: float


class ReferencePass:
    """Computes batches of pairs into the cache.

    Args:
        cache: written by the first process alone.
        pairs: N pairs.
        digests: (N, 16), theirs.
        forward: takes the examples of a batch.
        of: what is computed.
    """

    def __init__(
        self,
        cache: ReferenceCache,
        pairs: EncodedPairs,
        digests: Digests,
        forward: Callable[[list[Any]], Forward],
        of: Words = REFERENCE,
    ) -> None:
        self.cache = cache
        self.pairs = pairs
        self.digests = digests
        self.lengths = pairs.lengths
        self.forward = forward
        self.of = of
        self.number, self.processes = process()

    def run(self, batches: Sequence[Ints]) -> int:
        """Compute batches of rows, the same in all processes; return the positions computed by all.

        Raises:
            InputError: if a log-prob is not finite, or the cache cannot be written.
        """
        start, part_tokens, positions = 0, _FIRST_PART_TOKENS, 0
        total, done = sum(map(len, batches)), 0
        with self._bar(total) as bar:
            while start < len(batches):
                self._tell(done, total)
                end = self._part_end(batches, start, part_tokens * self.processes)
                shares = gathered(
                    self._share(batches[start:end][self.number :: self.processes], bar)
                )
                if self.number == 0:
                    self.cache.add(joined([share.rows for share in shares]))
                # from the numbers of all processes, so that they agree on the next part
                positions += sum(share.positions for share in shares)
                part_tokens = _next_size(part_tokens, max(share.seconds for share in shares))
                done += sum(map(len, batches[start:end]))
                start = end
        return positions

    def _share(self, batches: Sequence[Ints], bar: Any) -> _Share:
        """Compute this process's batches of a part."""
        began = time.monotonic()
        done: list[ReferenceRows] = []
        positions = 0
        try:
            for rows in batches:
                result = self.forward([self.pairs[int(row)] for row in rows])
                self._check_finite(rows, result)
                done.append(ReferenceRows(self.digests[rows], result.logps, result.tokens))
                positions += result.positions
                bar.update(len(rows) * self.processes)
        except BaseException:
            if self.processes == 1:  # where there are others, they may be anywhere in the part
                self.cache.add(joined(done))
            raise
        return _Share(joined(done), positions, time.monotonic() - began)

    def _part_end(self, batches: Sequence[Ints], start: int, tokens: int) -> int:
        """Return where a part of about so many tokens ends that begins at batch `start`.

        It has as many batches for each process, so that none waits for another.
        """
        end = start
        while end < len(batches) and (tokens > 0 or (end - start) % self.processes):
            tokens -= int(2 * self.lengths[batches[end]].sum())
            end += 1
        return end

    def _check_finite(self, rows: Ints, result: Forward) -> None:
        wrong = rows[~np.isfinite(result.logps).all(axis=0)]
        if len(wrong):
            raise InputError(
                f"the {self.of.model} gives no finite {self.of.value} to the answers of pair "
                f"{self.pairs.pair_id[int(wrong[0])]} (row {self.pairs.row[wrong[0]]}). Compute in "
                "float32, or look whether its weights are whole"
            )

    def _tell(self, done: int, total: int) -> None:
        """Write how far the pass is where there is no bar, in the log of a job for one."""
        if self.number == 0 and not sys.stderr.isatty():
            logger.info("%s: %s of %s pairs computed", self.of.title, f"{done:,}", f"{total:,}")

    def _bar(self, total: int) -> Any:
        quiet = not total or self.number > 0 or not sys.stderr.isatty()
        return tqdm(total=total, desc=self.of.title, disable=quiet, leave=False)


def _next_size(tokens: int, seconds: float) -> int:
    """Return the tokens of the next part: as many as take PART_SECONDS, at most 4 times as many."""
    return max(1, int(tokens * min(4.0, PART_SECONDS / max(seconds, 0.001))))
