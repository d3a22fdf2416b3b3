"""Parquet: types as found, row groups of any size, damaged files."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from margintool.storage import open_input
from mmpo_core.errors import InputError
from tests.storage.conftest import only

TABLE = pa.table(
    {
        "n": pa.array(range(10_000), pa.int32()),
        "text": pa.array(["text " * 40] * 10_000, pa.large_string()),
        "when": pa.array([datetime.datetime(2020, 1, 1)] * 10_000),
        "nested": pa.array([[{"a": 1, "b": ["x"]}], None] * 5_000),
        "dotted.name": pa.array([1.5] * 10_000),
    }
)


@pytest.mark.parametrize("rows_per_group", [7, 10_000])
def test_columns_come_with_their_types(rows_per_group: int, tmp_path: Path) -> None:
    table = TABLE.slice(0, 500) if rows_per_group == 7 else TABLE
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=rows_per_group)
    found = open_input(tmp_path / "d.parquet")
    whole = pa.concat_tables(batch.table for batch in found.batches())
    assert whole.equals(table)
    wanted = only("dotted.name", "nested", "n", "not there")
    picked = pa.concat_tables(batch.table for batch in found.batches(wanted))
    assert picked.equals(table.select(["n", "nested", "dotted.name"]))


def test_texts_that_repeat_do_not_make_huge_batches(tmp_path: Path, monkeypatch) -> None:
    """Encoded, 10,000 equal texts of 200 bytes take a few kB; decoded 2 MB: cut by the latter."""
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 100_000)
    pq.write_table(TABLE.select(["text"]), tmp_path / "d.parquet")
    sizes = [batch.table.nbytes for batch in open_input(tmp_path / "d.parquet").batches()]
    assert len(sizes) >= 20
    assert max(sizes) <= 120_000


def test_compressed_copy_is_removed(tmp_path: Path, write, monkeypatch) -> None:
    pq.write_table(TABLE, tmp_path / "d.parquet")
    path = write("z.parquet.zst", (tmp_path / "d.parquet").read_bytes())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 100_000)  # several batches
    batches = open_input(path).batches()
    assert next(batches).table.num_rows
    assert [file.suffix for file in scratch.iterdir()] == [".parquet"]
    batches.close()
    assert list(scratch.iterdir()) == []


def test_not_parquet_and_cut_off(tmp_path: Path, write) -> None:
    pq.write_table(TABLE, tmp_path / "d.parquet")
    content = (tmp_path / "d.parquet").read_bytes()
    for name, data in (("cut.parquet", content[:-100]), ("text.parquet", b"prompt,response\n" * 9)):
        with pytest.raises(InputError, match=f"{name}: not a Parquet file, or one that is cut off"):
            open_input(write(name, data)).schema_sample()


def test_damage_inside_is_named_with_the_row(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pq.write_table(
        pa.table({"text": [f"{n} " * 50 for n in range(20_000)]}),
        path,
        row_group_size=5_000,
        use_dictionary=False,
        compression="snappy",
    )
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"d.parquet: damaged Parquet data after row \d+"):
        list(open_input(path).batches())


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["x", "x"]), tmp_path / "d.parquet")
    with pytest.raises(InputError, match="two columns are named 'x'"):
        open_input(tmp_path / "d.parquet").schema_sample()


def test_file_without_rows(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet: no rows"):
        open_input(tmp_path / "d.parquet").schema_sample()
