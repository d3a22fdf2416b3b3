"""prefetch and regroup."""

import threading
import time
from collections.abc import Generator

import pyarrow as pa
import pytest

from margintool.storage.stream import Chunk, prefetch, regroup


def test_prefetch_keeps_order_and_works_one_ahead() -> None:
    made: list[int] = []

    def items() -> Generator[int, None, None]:
        for n in range(5):
            made.append(n)
            yield n

    ahead = prefetch(items())
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1]
    assert list(ahead) == [1, 2, 3, 4]


def test_prefetch_passes_exceptions_on_after_the_items_before() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_leaving_early_closes_the_source_and_ends_the_thread() -> None:
    closed: list[bool] = []

    def items() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    before = threading.active_count()
    for _ in prefetch(items()):
        break
    assert closed == [True]
    assert threading.active_count() == before


def test_regroup_joins_small_tables_and_cuts_large_ones() -> None:
    """int64: 8 bytes a row. Ten tables of 10 rows -> 400 bytes is 50 rows; 1,000 rows are cut."""
    small = [Chunk(pa.table({"n": range(k, k + 10)}), k) for k in range(0, 100, 10)]
    joined = list(regroup(iter(small), 400))
    assert [(c.table.num_rows, c.position) for c in joined] == [(50, 40), (50, 90)]
    large = list(regroup(iter([Chunk(pa.table({"n": range(1000)}), 5)]), 400))
    assert max(c.table.num_rows for c in large) <= 100
    assert [n for c in large for n in c.table["n"].to_pylist()] == list(range(1000))
