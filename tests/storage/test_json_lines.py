"""JSON Lines: what pyarrow reads, what Python reads instead, and that both agree."""

import json
import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.storage import Wanted, open_input
from margintool.storage.json_kinds import Piece
from margintool.storage.json_lines import BlockParser
from margintool.storage.json_values import table_of
from mmpo_core.errors import InputError
from tests.storage.conftest import only


def _pieces(text: str, *columns: str) -> list[Piece]:
    return BlockParser("f.jsonl", only(*columns) if columns else None).parse(text.encode())


def _parse(text: str, *columns: str) -> pa.Table:
    [(table, places)] = _pieces(text, *columns)
    assert places is None
    return table


def test_mixed_column_is_text_with_a_mark_where_it_was_not() -> None:
    """JSON values 'yes', true, null, 8: text as it is, others as JSON, null stays null."""
    values = ["yes", True, None, 8, "true", 1.5]
    table = _parse("\n".join(json.dumps({"r": v}) for v in values))
    assert table["r"].to_pylist() == ["yes", "true", None, "8", "true", "1.5"]
    assert table["r__not_text"].to_pylist() == [False, True, False, True, False, True]


def test_mixed_field_of_a_struct_is_marked_inside_the_struct() -> None:
    table = _parse('{"c":[{"t":"x"},{"t":5}]}\n{"c":[]}\n{"c":null}')
    assert table["c"].to_pylist() == [
        [{"t": "x", "t__not_text": False}, {"t": "5", "t__not_text": True}],
        [],
        None,
    ]


def test_mixed_items_of_lists_are_marked_by_lists_beside_them() -> None:
    table = _parse('{"r":["x",5]}\n{"r":[]}\n{"r":null}\n{"r":[null,true]}')
    assert table["r"].to_pylist() == [["x", "5"], [], None, [None, "true"]]
    assert table["r__not_text"].to_pylist() == [[False, True], [], None, [False, True]]


def test_companion_follows_its_column_when_columns_are_chosen() -> None:
    table = _parse('{"a":1,"r":"x"}\n{"a":2,"r":7}', "r")
    assert table.column_names == ["r", "r__not_text"]


def test_integers_beyond_64_bits_make_floats() -> None:
    assert _parse('{"v":1000000000000000000000000000000}\n{"v":2}')["v"].to_pylist() == [1e30, 2.0]


@pytest.mark.parametrize("mixed", [False, True])
def test_integers_beyond_float64_are_infinite(mixed: bool) -> None:
    """10**400, through pyarrow and through Python: what comes later refuses it as not finite."""
    other = '"x"' if mixed else "1"
    table = _parse(f'{{"v":{10**400},"o":1}}\n{{"v":{-(10**400)},"o":{other}}}\n{{"v":2,"o":1}}')
    assert table["v"].to_pylist() == [math.inf, -math.inf, 2.0]


@pytest.mark.parametrize("mixed", [False, True])
def test_nan_and_infinity_literals_survive(mixed: bool) -> None:
    """Through pyarrow, and through Python's parser (forced by a mixed column)."""
    other = '"x"' if mixed else "1"
    table = _parse(f'{{"v":NaN,"o":{other}}}\n{{"v":-Infinity,"o":1}}\n{{"v":1.5,"o":1}}')
    nan, infinity, number = table["v"].to_pylist()
    assert math.isnan(nan)
    assert infinity == -math.inf
    assert number == 1.5
    assert ("o__not_text" in table.column_names) == mixed


def test_texts_that_look_like_times_stay_texts() -> None:
    """pyarrow would turn a column of dates into timestamps."""
    table = _parse('{"a":"2020-01-01","c":[{"d":"2020-01-01 10:00:00"}]}')
    assert table.to_pylist() == [{"a": "2020-01-01", "c": [{"d": "2020-01-01 10:00:00"}]}]


def test_half_a_surrogate_pair_is_kept_as_json_and_marked() -> None:
    table = _parse('{"a":"\\ud800 x"}\n{"a":"\\ud83d\\ude00"}')
    assert table["a"].to_pylist() == ['"\\ud800 x"', "😀"]
    assert table["a__not_text"].to_pylist() == [True, False]


def test_types_may_change_from_block_to_block() -> None:
    """int, then float, then text and numbers mixed, then int again: each block as it is."""
    parser = BlockParser("f.jsonl", only("v"))
    found = [
        parser.parse(block)[0].table.column("v").to_pylist()
        for block in (b'{"v":1}\n', b'{"v":2.5}\n', b'{"v":"N/A"}\n{"v":3}\n', b'{"v":4}\n')
    ]
    assert found == [[1], [2.5], ["N/A", "3"], [4]]


def test_columns_and_fields_that_appear_late_are_not_lost() -> None:
    """The first block knows neither `late` nor the field `y`."""
    parser = BlockParser("f.jsonl", only("s", "late"))
    blocks = [b'{"s":{"x":1},"u":0}\n', b'{"s":{"x":1,"y":"new"},"late":"here"}\n']
    found = [parser.parse(block)[0].table.to_pylist() for block in blocks]
    assert found == [[{"s": {"x": 1}}], [{"s": {"x": 1, "y": "new"}, "late": "here"}]]


@pytest.mark.parametrize("value", [1, "text", "", True, [], [{"role": "user"}], {}, {"k": 1}])
def test_a_flat_column_that_appears_late_is_not_lost(value: Any) -> None:
    """The second block is parsed without what nobody wants (u); the third has a value of `late`."""
    parser = BlockParser("f.jsonl", only("a", "late"))
    blocks = [{"a": None, "u": 0}, {"a": "x", "u": 1}, {"a": "y", "u": 2, "late": value}]
    found = [parser.parse(json.dumps(b).encode())[0].table.to_pylist() for b in blocks]
    assert found == [[{"a": None}], [{"a": "x"}], [{"a": "y", "late": value}]]


def test_columns_of_a_pattern_that_appear_late_are_not_lost() -> None:
    wanted = Wanted((("a",),), ("vote*[0-9]",), check=lambda _: None)
    parser = BlockParser("f.jsonl", wanted)
    parser.parse(b'{"a":"x","u":0}\n')
    assert parser.parse(b'{"a":"x","u":0}\n')[0].table.column_names == ["a"]
    found = parser.parse(b'{"a":"x","vote2":7,"votes":1}\n')[0].table
    assert found.to_pylist() == [{"a": "x", "vote2": 7}]


def test_unwanted_columns_may_be_anything() -> None:
    parser = BlockParser("f.jsonl", only("a"))
    parser.parse(b'{"a":"x","junk":1}\n')
    assert parser.parse(b'{"a":"y","junk":"z"}\n{"a":"z","junk":5}\n')[0].table.column_names == [
        "a"
    ]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n  \n"])
def test_last_line_may_end_in_any_way(end: str, write, rows) -> None:
    assert rows(write("f.jsonl", '{"a":1}\r\n\n{"a":2}' + end)) == [{"a": 1}, {"a": 2}]


def test_byte_order_mark_is_dropped(write, rows) -> None:
    """Also where Python parses the block (the mixed column)."""
    path = write("f.jsonl", b'\xef\xbb\xbf{"a":1}\n{"a":"x"}\n')
    assert [row["a"] for row in rows(path)] == ["1", "x"]


def test_a_value_of_10_mb_in_one_line(write, rows) -> None:
    big = "é" * (5 << 20)
    path = write("f.jsonl", [{"a": "x"}, {"a": big}, {"a": "y"}])
    assert [row["a"] for row in rows(path)] == ["x", big, "y"]


def test_a_line_longer_than_a_block(write, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 50)
    records = [{"a": "x"}, {"a": "y" * 500}, {"a": "z"}]
    assert rows(write("f.jsonl", records)) == records


def test_endless_line_is_an_error(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("margintool.storage.json_lines.LONGEST_LINE", 1 << 20)
    path = write("f.jsonl", "[" + "1," * (3 << 20))
    with pytest.raises(InputError, match="a line is longer than 1 MB"):
        open_input(path).schema_sample()


def test_deep_nesting_is_an_error_and_not_a_crash(write) -> None:
    """pyarrow overflows the stack on 100,000 levels, which ends the process."""
    for line in (
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ):
        with pytest.raises(InputError, match=r"line 1: the JSON is nested too deeply"):
            open_input(write("f.jsonl", line + "\n")).schema_sample()


def test_text_with_long_runs_of_brackets_is_read(write, rows) -> None:
    assert rows(write("f.jsonl", [{"a": "]" * 300}])) == [{"a": "]" * 300}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a":', "line 4: not valid JSON"),
        (b"[1, 2]", "line 4: a list instead of an object"),
        (b"5", "line 4: a number instead of an object"),
        (b"null", "line 4: null instead of an object"),
        (b'"text"', "line 4: a string instead of an object"),
        (b'{"a":1,"a":2}', "line 4: not valid JSON: the key 'a' stands twice"),
        (b'{"a":"caf\xe9"}', r"line 4: not UTF-8 text \(byte 0xe9\)"),
        (b'{"a":"tab\there"}', "line 4: not valid JSON: Invalid control character"),
    ],
)
def test_bad_line_is_named(line: bytes, message: str, write) -> None:
    """Two records and a blank line stand before it: it is line 4."""
    path = write("f.jsonl", b'{"a":1}\n\n{"a":2}\n' + line + b'\n{"a":3}\n')
    with pytest.raises(InputError, match=message) as caught:
        list(open_input(path).batches())
    assert str(path) in str(caught.value)


def test_bad_line_is_numbered_through_blocks(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 64)
    good = b'{"a":"some text"}\n'
    path = write("f.jsonl", good * 99 + b"oops\n" + good * 5)
    with pytest.raises(InputError, match="line 100: not valid JSON"):
        list(open_input(path).batches())


def test_two_objects_in_one_line_are_refused(write) -> None:
    with pytest.raises(InputError, match="line 2: not valid JSON: Extra data"):
        list(open_input(write("f.jsonl", '{"a":1}\n{"a":1} {"a":2}\n')).batches())


def test_empty_objects_are_rows(write, rows) -> None:
    assert rows(write("f.jsonl", '{}\n{"a":1}\n')) == [{"a": None}, {"a": 1}]
    assert [b.table.num_rows for b in open_input(write("g.jsonl", "{}\n{}\n")).batches()] == [2]


def test_pretty_printed_object_over_several_lines_is_refused(write) -> None:
    """pyarrow would read it as one record; it would break where a block ends."""
    with pytest.raises(InputError, match="line 1: not valid JSON"):
        list(open_input(write("f.jsonl", '{\n"a": 1\n}\n')).batches())


def test_real_booleans_among_responses(real_data: Path) -> None:
    """pandalm has 5 rows whose response1 is `true` (lines 158 to 165, with one in between)."""
    found = open_input(real_data / "votes/pandalm_3annotators.jsonl.gz")
    table = pa.concat_tables(batch.table for batch in found.batches(only("idx", "response1")))
    marked = table.filter(table["response1__not_text"])
    assert marked["idx"].to_pylist() == [157, 158, 159, 164]
    assert set(marked["response1"].to_pylist()) == {"true"}


def test_real_rows_equal_those_of_the_json_module(real_data: Path) -> None:
    import gzip

    for path in sorted(real_data.glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            expected = [json.loads(line) for line in lines]
        batches = open_input(path).batches()
        found = [row for batch in batches for row in batch.table.to_pylist()]
        assert len(found) == len(expected)
        for row, record in zip(found, expected, strict=True):
            for name, value in record.items():
                if isinstance(value, str | int | float) and name + "__not_text" not in row:
                    assert row[name] == value


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=3)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=8))
def test_any_records_give_one_row_each_with_their_texts(records: list[dict[str, Any]]) -> None:
    """Whatever the types: as many rows as lines, and text values come out unchanged."""
    found: dict[int, dict[str, Any]] = {}
    for table, places in _pieces("\n".join(json.dumps(record) for record in records)):
        numbers = range(len(records)) if places is None else places.tolist()
        found.update(zip(numbers, table.to_pylist(), strict=True))
    assert sorted(found) == list(range(len(records)))
    for place, record in enumerate(records):
        row = found[place]
        for name, value in record.items():
            if value is None or isinstance(value, str):
                assert row[name] == value
                assert not row.get(name + "__not_text")


@given(
    st.lists(
        st.fixed_dictionaries(
            {"s": TEXTS, "n": st.none() | st.integers(-(2**53), 2**53)},
            optional={"f": st.floats(-1e6, 1e6), "l": st.lists(TEXTS, max_size=3)},
        ),
        min_size=1,
        max_size=8,
    )
)
def test_pyarrow_and_python_agree_on_plain_columns(records: list[dict[str, Any]]) -> None:
    text = "\n".join(json.dumps(record) for record in records)
    fast = _parse(text)
    assert fast.to_pylist() == table_of(records, fast.column_names).to_pylist()


def test_a_block_of_dates_amid_other_texts(write, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole blocks in which every answer is a date."""
    monkeypatch.setattr("margintool.storage.raw_input.BATCH_BYTES", 60)
    dates = [str(date(2020, 1, 1) + timedelta(days=n)) for n in range(30)]
    path = write("f.jsonl", [{"a": text} for text in [*dates, "never", *dates]])
    assert [row["a"] for row in rows(path)] == [*dates, "never", *dates]
