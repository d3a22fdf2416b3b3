"""Spill: what was appended comes back, in order or by row number."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.storage import Spill


def _table(numbers: range) -> pa.Table:
    return pa.table(
        {
            "n": pa.array(numbers, pa.int64()),
            "text": pa.array([None if n % 7 == 0 else f"text {n}" for n in numbers], pa.string()),
            "history": pa.array(
                [[{"role": "user", "content": str(n)}] * (n % 3) for n in numbers],
                pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
            ),
        }
    )


@pytest.fixture
def spill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A finished spill of 1,000 rows in many batches, appended in three tables."""
    monkeypatch.setattr("margintool.storage.spill.BATCH_BYTES", 2000)
    with Spill(tmp_path) as spill:
        for numbers in (range(400), range(400, 401), range(401, 1000)):
            spill.append(_table(numbers))
        spill.finish()
        yield spill


def test_batches_come_back_in_order_as_often_as_asked(spill: Spill) -> None:
    for _ in range(2):
        batches = list(spill.batches())
        assert len(batches) > 10
        assert pa.concat_tables(batches).equals(_table(range(1000)))
    assert spill.num_rows == 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(rows=st.lists(st.integers(0, 999), max_size=40))
def test_gather_gives_the_rows_in_the_order_asked(spill: Spill, rows: list[int]) -> None:
    """Independent expectation: pyarrow's take on the whole table in memory."""
    expected = _table(range(1000)).take(pa.array(rows, pa.int64()))
    found = spill.gather(np.array(rows, np.int64))
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.to_pylist()


def test_gather_of_much_text_is_put_together_in_pieces(spill: Spill, monkeypatch) -> None:
    monkeypatch.setattr("margintool.storage.spill._GATHER_BYTES", 1000)
    rows = np.random.default_rng(0).permutation(1000)
    assert spill.gather(rows)["n"].to_pylist() == rows.tolist()


@pytest.mark.parametrize("row", [-1, 1000])
def test_row_that_is_not_there(spill: Spill, row: int) -> None:
    with pytest.raises(IndexError, match=r"not in 0\.\.999"):
        spill.gather(np.array([5, row]))


def test_rows_gathered_outlive_the_spill(tmp_path: Path) -> None:
    with Spill(tmp_path) as spill:
        spill.append(_table(range(100)))
        spill.finish()
        found = spill.gather(np.array([99, 1]))
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert found["text"].to_pylist() == ["text 99", "text 1"]


def test_file_is_deleted_on_an_exception_while_writing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Spill(tmp_path, "responses") as spill:
            spill.append(_table(range(100)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_two_spills_in_one_folder(tmp_path: Path) -> None:
    with Spill(tmp_path) as one, Spill(tmp_path) as two:
        one.append(pa.table({"n": [1]}))
        two.append(pa.table({"n": [2]}))
        one.finish()
        two.finish()
        assert one.gather(np.array([0]))["n"].to_pylist() == [1]
        assert two.gather(np.array([0]))["n"].to_pylist() == [2]


def test_empty_spills(tmp_path: Path) -> None:
    """Nothing appended: no batches. A table without rows: its columns, without rows."""
    with Spill(tmp_path) as spill:
        spill.finish()
        assert list(spill.batches()) == []
        with pytest.raises(IndexError, match="no rows"):
            spill.gather(np.array([0]))
    with Spill(tmp_path) as spill:
        spill.append(_table(range(0)))
        spill.finish()
        assert list(spill.batches()) == []
        assert spill.gather(np.empty(0, np.int64)).equals(_table(range(0)))


def test_tables_of_another_schema_are_refused(tmp_path: Path) -> None:
    with Spill(tmp_path) as spill:
        spill.append(pa.table({"n": [1]}))
        with pytest.raises(pa.ArrowInvalid, match="schema"):
            spill.append(pa.table({"n": ["x"]}))
