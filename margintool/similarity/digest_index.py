"""From 128-bit digests to numbers, in 24 bytes each: which text lies where. Read by the store.

A dict of bytes would take five times the memory. Digests are kept in sorted runs; runs of about
the same size are merged, so that n of them lie in about log2(n) runs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Digests = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
ABSENT = -1


@dataclass(frozen=True)
class _Run:
    """n digests sorted by their first half: (n,) high and low halves and the value of each."""

    high: Keys
    low: Keys
    value: Ints


class DigestIndex:
    """A growing map of digests to numbers >= 0."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        return sum(len(run.value) for run in self._runs)

    def add(self, digests: Digests, values: Ints) -> None:
        """Add (N, 16) digests, none of which is there yet, with their (N,) values."""
        high, low = _halves(digests)
        self._runs.append(_sorted(high, low, values))
        while len(self._runs) > 1 and 2 * len(self._runs[-1].value) > len(self._runs[-2].value):
            self._runs[-2:] = [_merged(*self._runs[-2:])]

    def find(self, digests: Digests) -> Ints:
        """Return the (N,) values of (N, 16) digests; ABSENT where one is not there."""
        found = np.full(len(digests), ABSENT, np.int64)
        high, low = _halves(digests)
        for run in self._runs:
            place = np.searchsorted(run.high, high)
            rows = np.arange(len(digests))
            # Different digests with the same first half lie side by side: step through them.
            while len(rows):
                rows = rows[place[rows] < len(run.high)]
                rows = rows[run.high[place[rows]] == high[rows]]
                same = run.low[place[rows]] == low[rows]
                found[rows[same]] = run.value[place[rows[same]]]
                rows = rows[~same]
                place[rows] += 1
        return found


def first_of_each(digests: Digests) -> Ints:
    """Return the rows, in order, at which a digest of (N, 16) occurs for the first time."""
    high, low = _halves(digests)
    order = np.lexsort((low, high))  # stable: the first of equal ones stays first
    new = np.ones(len(order), np.bool_)
    high, low = high[order], low[order]
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.sort(order[new]).astype(np.int64)


def _halves(digests: Digests) -> tuple[Keys, Keys]:
    pairs = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _merged(left: _Run, right: _Run) -> _Run:
    return _sorted(
        np.concatenate([left.high, right.high]),
        np.concatenate([left.low, right.low]),
        np.concatenate([left.value, right.value]),
    )


def _sorted(high: Keys, low: Keys, value: Ints) -> _Run:
    order = np.argsort(high, kind="stable")  # merges what is sorted in parts already
    return _Run(high[order], low[order], value[order])
