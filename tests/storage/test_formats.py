"""Every format and compression gives the same rows, numbers them, and reports its bytes."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from margintool.storage import open_input
from margintool.storage.locate import READERS

RECORDS = [
    {"prompt": f'p{i} "quoted", é\nsecond line', "answer": f"a{i}\t" * (i % 3), "note": "x"}
    for i in range(250)
]


def _json_list(records: list[Any]) -> bytes:
    return json.dumps(records, indent=1).encode()


def _json_lines(records: list[Any]) -> bytes:
    return "\n".join(json.dumps(r, ensure_ascii=False) for r in records).encode()


def _delimited(records: list[Any], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _parquet(records: list[Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink, row_group_size=70)
    return sink.getvalue().to_pybytes()


CONTENT = {
    "json": _json_list,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "csv": lambda records: _delimited(records, ","),
    "tsv": lambda records: _delimited(records, "\t"),
    "parquet": _parquet,
}


def test_every_format_is_tried_here() -> None:
    assert set(READERS) <= set(CONTENT)


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("suffix", list(CONTENT))
def test_all_formats_give_the_same_rows(suffix: str, packing: str, write, rows) -> None:
    path = write(f"data.{suffix}{packing}", CONTENT[suffix](RECORDS))
    assert rows(path) == RECORDS
    wanted = [{"note": r["note"], "prompt": r["prompt"]} for r in RECORDS]
    assert rows(path, ["note", "prompt"]) == wanted


@pytest.mark.parametrize("suffix", list(CONTENT))
def test_sample_columns_limit_and_bytes(suffix: str, write) -> None:
    path = write(f"data.{suffix}.gz", CONTENT[suffix](RECORDS))
    found = open_input(str(path))
    assert found.schema_sample().column_names == ["prompt", "answer", "note"]
    assert found.schema_sample().to_pylist() == RECORDS[:100]
    assert found.total_bytes == path.stat().st_size
    assert found.description == str(path)
    assert sum(batch.table.num_rows for batch in found.batches(limit=7)) == 7
    assert list(found.batches(limit=0)) == []
    steps: list[int] = []
    assert sum(batch.table.num_rows for batch in found.batches(on_bytes=steps.append)) == 250
    assert sum(steps) == found.total_bytes


def test_json_lines_under_the_name_json(write, rows) -> None:
    assert rows(write("data.json", _json_lines(RECORDS))) == RECORDS


def test_suffixes_in_capitals(write, rows) -> None:
    path = write("DATA.jsonl", _json_lines(RECORDS))
    assert rows(path.rename(path.with_name("DATA.JSONL"))) == RECORDS


def test_several_files_are_read_in_the_order_given(write) -> None:
    first = write("b.jsonl", [{"x": "1"}, {"x": "2"}])
    second = write("a.csv", "x\n3\n")
    found = open_input([first, str(second)])
    assert found.description == "2 files"
    batches = [(b.name, b.rows.tolist(), b.table.to_pylist()) for b in found.batches()]
    assert batches == [
        (str(first), [1, 2], [{"x": "1"}, {"x": "2"}]),
        (str(second), [1], [{"x": "3"}]),
    ]
    assert sum(b.table.num_rows for b in found.batches(limit=2)) == 2


def test_names_are_as_the_user_gave_them(write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("x.jsonl", [{"x": 1}]).parent
    monkeypatch.chdir(folder.parent)
    for spec in (f"{folder.name}/x.jsonl", f"{folder.name}/*.jsonl", folder.name):
        assert [b.name for b in open_input(spec).batches()] == [f"{folder.name}/x.jsonl"]


def test_files_are_those_on_disk_resolved_and_in_order(write, tmp_path: Path) -> None:
    """The same file under two names is the same path: an output can be compared with it."""
    first, second = write("b.jsonl", [{"x": 1}]), write("a.jsonl", [{"x": 2}])
    link = tmp_path / "link.jsonl"
    link.symlink_to(second)
    assert open_input([first, link]).files == [first.resolve(), second.resolve()]


def test_glob_and_folder_are_sorted_and_skip_what_cannot_be_read(write, tmp_path: Path) -> None:
    for name in ("c.jsonl", "a.jsonl", "b.csv"):
        write(name, "x\n1\n" if name.endswith("csv") else [{"x": "1"}])
    write("README.md", "hello")
    write(".hidden.jsonl", "not read")
    names = [Path(batch.name).name for batch in open_input(tmp_path).batches()]
    assert names == ["a.jsonl", "b.csv", "c.jsonl"]
    names = [Path(batch.name).name for batch in open_input(f"{tmp_path}/*.jsonl").batches()]
    assert names == ["a.jsonl", "c.jsonl"]


def test_rows_are_numbered_through_batches(write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 100 bytes: several batches; rows are numbered on from 1."""
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 100)
    path = write("data.jsonl", [{"n": n, "pad": "x" * 20} for n in range(40)])
    batches = list(open_input(path).batches())
    assert len(batches) > 5
    for batch in batches:
        assert batch.rows.tolist() == [n + 1 for n in batch.table["n"].to_pylist()]


def test_fingerprint_is_the_hash_of_all_bytes_in_order(write) -> None:
    first, second = write("a.jsonl", [{"x": 1}]), write("b.jsonl", [{"x": 2}])
    both = first.read_bytes() + second.read_bytes()
    assert open_input([first, second]).fingerprint() == xxhash.xxh3_128_hexdigest(both)
    assert open_input([second, first]).fingerprint() != xxhash.xxh3_128_hexdigest(both)


def test_an_input_can_be_read_again_and_left_early(write, rows) -> None:
    found = open_input(write("data.jsonl", _json_lines(RECORDS)))
    next(found.batches())
    assert sum(batch.table.num_rows for batch in found.batches()) == 250
