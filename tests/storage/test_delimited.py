"""CSV and TSV: everything is text, quoting, and errors with their row."""

import pytest

from margintool.storage import open_input
from mmpo_core.errors import InputError
from tests.storage.conftest import only


def test_values_are_text_and_only_unquoted_empty_ones_are_null(write, rows) -> None:
    path = write("d.csv", 'id,rating,note\n007,N/A,\n1e3,NaN,""\n\n"a ""b"", c",null,"x\ny"\n')
    assert rows(path) == [
        {"id": "007", "rating": "N/A", "note": None},
        {"id": "1e3", "rating": "NaN", "note": ""},
        {"id": 'a "b", c', "rating": "null", "note": "x\ny"},
    ]


def test_byte_order_mark_is_not_part_of_the_first_name(write, rows) -> None:
    assert rows(write("d.csv", b"\xef\xbb\xbfid,x\n1,2\n"), ["id"]) == [{"id": "1"}]


def test_tsv_values_may_hold_commas(write, rows) -> None:
    assert rows(write("d.tsv", "a\tb\n1,2\t3")) == [{"a": "1,2", "b": "3"}]


def test_rows_longer_than_a_block(write, rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 100, 1,000 and 10,000 bytes, rows of 20, 300 and 4,000: none lost or repeated."""
    monkeypatch.setattr("margintool.storage.delimited.BLOCKS", (100, 1000, 10_000))
    sizes = [20] * 30 + [300] + [20] * 30 + [4000] + [20] * 30
    values = [str(n).ljust(size, ".") for n, size in enumerate(sizes)]
    path = write("d.csv", "a,b\n" + "".join(f"{value},x\n" for value in values))
    assert [row["a"] for row in rows(path)] == values
    monkeypatch.setattr("margintool.storage.delimited.BLOCKS", (100, 1000))
    with pytest.raises(InputError, match="a row is longer than 0 MB, or a quote"):
        rows(path)


def test_a_value_of_10_mb(write, rows) -> None:
    big = "word, " * 1_700_000
    assert rows(write("d.csv", f'a,b\n1,"{big}"\n2,y\n'), ["b"]) == [{"b": big}, {"b": "y"}]


def test_closed_quotes_with_newlines_at_the_end_are_fine(write, rows) -> None:
    for end in ("", "\n", "\r\n\n"):
        assert rows(write("d.csv", 'a,b\n1,"x\ny\n"' + end))[0]["b"] == "x\ny\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3\n", r"row 2 \(line 3\): 1 values, the header has 2"),
        ('a,b\n"1\n\n1",2\n\n3,4,5\n', r"row 2 \(line 6\): 3 values, the header has 2"),
        ("a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("a,,b\n1,2,3\n", "column 2 of the header has no name"),
        ("\n\n", "no rows"),
        ("a,b", "no rows"),
        (b"a,b\n1,2\n3,caf\xe9\n", r"line 3: not UTF-8 text \(byte 0xe9\)"),
        ('a,b\n1,"x\n3,4\n5,6\n', "a quote .* is opened and never closed"),
        ('a,b\n1,"' + "x\n" * (2 << 20), "a quote .* is opened and never closed"),
    ],
)
@pytest.mark.parametrize("wanted", [None, only("a")])
def test_bad_file_is_named_with_the_row(content, message: str, wanted, write) -> None:
    path = write("d.csv", content)
    found = open_input(path)
    with pytest.raises(InputError, match=message) as caught:
        list(found.batches(wanted))
    assert str(path) in str(caught.value)


def test_bad_row_late_in_a_file_has_its_own_number(write) -> None:
    """The header is row 0; 300,000 good rows; row 300,001 stands in line 300,002."""
    path = write("d.csv.gz", "a,b\n" + "some text,more text\n" * 300_000 + "alone\n")
    with pytest.raises(InputError, match=r"row 300001 \(line 300002\): 1 values"):
        list(open_input(path).batches())


def test_header_without_rows(write) -> None:
    with pytest.raises(InputError, match="no rows"):
        open_input(write("d.csv", "a,b\n")).schema_sample()
