"""Lengths to micro-batches and rows: which pairs share a forward pass, and which of them a row.

Pure numpy; batches.py makes tensors of what is decided here. Largest first: a micro-batch is opened
by the longest pair that is left, its rows are as wide as that pair, and every row is filled with
the longest pairs that still fit, so that short pairs lie where padding would be. That comes within
a few hundredths of no padding. The longest micro-batch comes first: if memory runs out, it does so
at once.

Why rows no wider than their longest pair: attention with a block mask often computes the whole T x
T square, wanted or not: a row of n pairs costs n times the attention of n rows. Measured on one
core with sdpa and a mask (7 M parameters, 32 pairs of 20 to 660 tokens, forward and backward of the
decoder): rows as wide as their longest pair 9.8 to 10.3 s with 512 to 2048 tokens a micro-batch;
twice as wide 12.4 s; 1024 wide 12.6 s, 2048 wide 17.9 s, 4096 wide 29.2 s, though with no padding
at all.

FlexAttention skips the blocks that the mask leaves empty, and sdpa on a CPU goes pair by pair
(by_pair.py): there one long row has least padding. Measured on four pairs of 367 to 603 tokens in
one run: padded 2.70 s of CPU time, rows with a mask 1.78, the same by pair 1.68, one long row 1.59.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class PairLengths(NamedTuple):
    """Tokens of N pairs: of prompts, chosen and rejected completions, (N,) each."""

    prompt: Ints
    chosen: Ints
    rejected: Ints

    @property
    def shared(self) -> Ints:
        """(N,) tokens of [prompt | chosen | rejected]."""
        return self.prompt + self.chosen + self.rejected

    @property
    def longer(self) -> Ints:
        """(N,) tokens of the longer conversation."""
        return self.prompt + np.maximum(self.chosen, self.rejected)

    def take(self, indices: Ints) -> "PairLengths":
        """Return the lengths of some pairs."""
        return PairLengths(*(part[indices] for part in self))


@dataclass(frozen=True)
class Limits:
    """What a micro-batch may hold.

    Attributes:
        tokens: most tokens, padding included; a longer pair gets a micro-batch of its own.
        pairs: most pairs; no limit if None.
        long_rows: one row as wide as `tokens`, for attention that skips masked blocks.
        multiple_of: widths are rounded up to a multiple of this.
    """

    tokens: int
    pairs: int | None = None
    long_rows: bool = False
    multiple_of: int = 1

    def width(self, longest: int) -> int:
        """Return the width of the rows of a micro-batch whose longest pair is given."""
        return rounded_up(max(longest, self.tokens if self.long_rows else 0), self.multiple_of)

    def rows(self, width: int) -> int:
        """Return how many rows of a width fit."""
        return max(1, self.tokens // width)


def plan_shared(lengths: Ints, limits: Limits) -> list[Ints]:
    """Return micro-batches of packed pairs as indices, longest pairs first in each.

    Args:
        lengths: (N,) tokens of [prompt | chosen | rejected].
        limits: of a micro-batch.

    Returns:
        arrays of indices; every index stands in one of them.
    """
    pool = _Pool(lengths)
    groups = []
    while pool.longest is not None:
        width = limits.width(pool.longest)
        rows = fill_rows(pool, width, limits.rows(width), limits.pairs)
        groups.append(np.sort(np.concatenate([np.array(row) for row in rows])))
    return [pool.order[group] for group in groups]


def plan_padded(lengths: Ints, limits: Limits) -> list[Ints]:
    """Return micro-batches of padded pairs as indices, longest pairs first.

    Args:
        lengths: (N,) tokens of the longer conversation of each pair; a pair takes two rows.
        limits: of a micro-batch.

    Returns:
        arrays of indices; every index stands in one of them.
    """
    order = np.argsort(-lengths, kind="stable")
    groups, start = [], 0
    while start < len(order):
        width = rounded_up(int(lengths[order[start]]), limits.multiple_of)
        size = max(1, limits.tokens // (2 * width))
        size = size if limits.pairs is None else min(size, limits.pairs)
        groups.append(order[start : start + size])
        start += size
    return groups


def rows_of(lengths: Ints, limits: Limits) -> list[list[int]]:
    """Return the rows of one micro-batch of plan_shared, as indices into it.

    Args:
        lengths: (B,) tokens of its pairs, in the order that plan_shared gave.
        limits: as there.
    """
    pool = _Pool(lengths)
    if pool.longest is None:
        return []
    rows = fill_rows(pool, limits.width(pool.longest), len(lengths), None)
    return [[int(pool.order[place]) for place in row] for row in rows]


def deal(lengths: Ints, hands: int) -> list[Ints]:
    """Return a share of the pairs for each process, about equal in tokens.

    Longest first, each pair to the process with the fewest tokens so far; a process may get none.
    """
    shares: list[list[int]] = [[] for _ in range(hands)]
    held = [0] * hands
    for index in np.argsort(-lengths, kind="stable"):
        least = held.index(min(held))
        shares[least].append(int(index))
        held[least] += int(lengths[index])
    return [np.array(sorted(share), dtype=np.int64) for share in shares]


def rounded_up(number: int, multiple: int) -> int:
    """Return the least multiple that is not below a number."""
    return -(-number // multiple) * multiple


def fill_rows(pool: "_Pool", width: int, rows: int, pairs: int | None) -> list[list[int]]:
    """Take pairs for up to `rows` rows of a width out of the pool; return their places in it."""
    left = len(pool) if pairs is None else pairs
    filled = []
    for _ in range(rows):
        row = list(pool.take_for(width, left))
        if not row:
            break
        filled.append(row)
        left -= len(row)
    return filled


class _Pool:
    """Pairs that have no row yet, longest first, the earlier of equals first.

    Attributes:
        order: (N,) index of the pair at each place.
    """

    def __init__(self, lengths: Ints) -> None:
        self.order = np.argsort(-lengths, kind="stable")
        self._sizes = lengths[self.order]
        self._falling = -self._sizes
        # the next place at or after each one that is not taken; len(self) if there is none
        self._next = list(range(len(lengths) + 1))

    def __len__(self) -> int:
        return len(self.order)

    @property
    def longest(self) -> int | None:
        """Tokens of the longest pair left, or None."""
        place = self._at_or_after(0)
        return int(self._sizes[place]) if place < len(self) else None

    def take_for(self, width: int, most: int) -> Iterator[int]:
        """Take the places of up to `most` pairs that fit into a row, longest first."""
        gap = width
        for _ in range(most):
            fits = int(np.searchsorted(self._falling, -gap))
            place = self._at_or_after(fits)
            if place == len(self):
                return
            self._next[place] = place + 1
            gap -= int(self._sizes[place])
            yield place

    def _at_or_after(self, place: int) -> int:
        root = place
        while self._next[root] != root:
            root = self._next[root]
        while self._next[place] != root:  # shorten the path for the next time
            self._next[place], place = root, self._next[place]
        return root
