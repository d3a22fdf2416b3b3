"""A .json file with a list of records: streaming over block borders, and exact errors."""

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.storage import open_input
from margintool.storage.files import input_file
from margintool.storage.json_list import ListScanner
from mmpo_core.errors import InputError


def _records(path, block: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr("margintool.storage.json_list._TEXT_BLOCK", block)
    with input_file(path, str(path)).open() as source:
        return list(ListScanner(source, str(path)).records())


RECORDS = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        max_size=4,
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(records=RECORDS, block=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_any_block_size_gives_what_json_loads_gives(
    records, block, indent, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(records, indent=indent, ensure_ascii=False), errors="surrogatepass")
    assert _records(path, block, monkeypatch) == records


def test_literals_cut_by_a_block(write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("d.json", '\n[ {"a": -Infinity, "b": false, "c": "\\u00e9", "d": 12.5e3} ,{}]\n')
    for block in range(1, 70):
        expected = [{"a": -math.inf, "b": False, "c": "é", "d": 12500.0}, {}]
        assert _records(path, block, monkeypatch) == expected


def test_nan_and_mixed_columns(write, rows) -> None:
    found = rows(write("d.json", '[{"r": 8, "n": NaN}, {"r": "N/A", "n": 1}]'))
    assert [row["r"] for row in found] == ["8", "N/A"]
    assert [row["r__not_text"] for row in found] == [True, False]
    assert math.isnan(found[0]["n"])


def test_rows_stream_in_batches(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("margintool.storage.json_list._TEXT_BLOCK", 200)
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 500)
    records = [{"n": n, "text": "x" * 40} for n in range(100)]
    batches = list(open_input(write("d.json", json.dumps(records))).batches())
    assert len(batches) > 5
    assert [row for batch in batches for row in batch.table.to_pylist()] == records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [{"a": 1}]}', "expected a list of records, .* found a single object"),
        ('{\n "data": [\n {"a": 1}\n]}', "found a single object"),
        ('"text"', "the file starts with '\"text\"'"),
        ("   ", "expected a list of records"),
        ("[]", "no rows"),
        ('[{"a": 1},\n {"a": 2}', "line 2: the list breaks off"),
        ('[{"a": 1},\n {"a": "tex', "line 2: the list breaks off inside a record"),
        ('[{"a": 1},\n', "line 2: the list breaks off"),
        ('[{"a": 1}\n {"a": 2}]', "line 2: expected ',' or ']' after a record"),
        ('[{"a": 1},\n\n {"a": x}]', "line 3: not valid JSON: Expecting value"),
        ('[{"a": 1},\n]', "line 2: not valid JSON"),
        ('[{"a": 1},\n [1]]', r"record 2 \(line 2\): a list instead of an object"),
        ('[{"a": 1}]\n{"b": 1}', "line 2: text after the end of the list"),
        ('[{"a": 1},\n{"a": 1, "a": 2}]', "line 2: not valid JSON: the key 'a' stands twice"),
        (b'[{"a": 1},\n{"a": "caf\xe9"}]', r"line 2: not UTF-8 text \(byte 0xe9\)"),
        ("[" * 200_000, "line 1: the JSON is nested too deeply"),
    ],
)
def test_what_is_no_list_of_records_is_named(content, message: str, write) -> None:
    with pytest.raises(InputError, match=message):
        open_input(write("d.json", content)).schema_sample()


def test_error_early_in_a_long_file_is_found_without_reading_it_all(
    write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("d.json", '[{"a": oops},' + '{"a": 1},' * 50_000)
    monkeypatch.setattr("margintool.storage.json_list._TEXT_BLOCK", 1000)
    with input_file(path, "d.json").open() as source:
        with pytest.raises(InputError, match="line 1: not valid JSON: Expecting value"):
            list(ListScanner(source, "d.json").records())
        assert source.position <= 2000
