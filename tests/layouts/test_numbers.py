"""to_numbers: what is a number, what is not, and why."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margintool.numbers import to_numbers


def read(values, kind=None):
    numbers, reasons = to_numbers(pa.array(values, kind))
    return list(numbers), reasons.to_pylist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8.0), (" 8 ", 8.0), ("4.5", 4.5), ("-1", -1.0), ("+3", 3.0), (".5", 0.5), ("5.", 5.0),
        ("1e3", 1000.0), ("2E-1", 0.2), ("1" + "0" * 30, 1e30), ("\t7\n", 7.0), ("007", 7.0),
    ],
)  # fmt: skip
def test_text_that_is_a_number(text, value):
    assert read([text]) == ([value], [None])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8/10", "not_a_number"), ("N/A", "not_a_number"), ("eight", "not_a_number"),
        ("1,000", "not_a_number"), ("0x10", "not_a_number"), ("1_0", "not_a_number"),
        ("5 6", "not_a_number"), ("e5", "not_a_number"), (".", "not_a_number"),
        ("true", "not_a_number"), ("٣", "not_a_number"), ("", "missing"), ("  ", "missing"),
        ("nan", "not_finite"), ("NaN", "not_finite"), ("-inf", "not_finite"),
        ("Infinity", "not_finite"), ("1e400", "not_finite"), ("1" + "0" * 400, "not_finite"),
    ],
)  # fmt: skip
def test_text_that_is_not_usable(text, reason):
    numbers, reasons = read([text])
    assert math.isnan(numbers[0])
    assert reasons == [reason]


def test_integers_without_nulls_have_no_reasons():
    numbers, reasons = to_numbers(pa.array([1, -2, 2**60], pa.int64()))
    assert numbers.dtype == np.float64
    assert list(numbers) == [1.0, -2.0, 2.0**60]
    assert reasons.null_count == 3


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()])
def test_null_is_missing(kind):
    values = np.array([1, 0], dtype=kind.to_pandas_dtype())
    numbers, reasons = to_numbers(pa.array(values, mask=np.array([False, True])))
    assert numbers[0] == 1.0
    assert math.isnan(numbers[1])
    assert reasons.to_pylist() == [None, "missing"]


def test_floats_that_are_not_finite():
    numbers, reasons = read([1.5, math.nan, math.inf, None])
    assert numbers[0] == 1.5
    assert all(map(math.isnan, numbers[1:]))
    assert reasons == [None, "not_finite", "not_finite", "missing"]


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ([True, False, None], ["not_a_number", "not_a_number", "missing"]),
        ([None, None], ["missing", "missing"]),
        ([[1], None], ["not_a_number", "missing"]),
        ([{"a": 1}], ["not_a_number"]),
    ],
)
def test_types_that_hold_no_numbers(values, reasons):
    numbers, found = read(values)
    assert np.isnan(numbers).all()
    assert found == reasons


def test_dictionaries_decimals_and_chunks():
    dictionary = pa.array(["4", "N/A", None, "4"]).dictionary_encode()
    assert to_numbers(dictionary)[1].to_pylist() == [None, "not_a_number", "missing", None]
    assert read(["1.25"], pa.string())[0] == list(
        to_numbers(pa.array(["1.25"]).cast(pa.decimal128(5, 2)))[0]
    )
    numbers, reasons = to_numbers(pa.chunked_array([["1"], [], ["x", "3"]]))
    assert numbers[0] == 1.0
    assert numbers[2] == 3.0
    assert reasons.to_pylist() == [None, "not_a_number", None]


VALUES = st.one_of(
    st.none(), st.integers().map(str), st.floats().map(repr), st.text(max_size=5), st.just(" 8 ")
)


@given(st.lists(VALUES, max_size=8), st.integers(0, 8))
def test_batches_do_not_matter(values, cut):
    column = pa.array(values, pa.string())
    numbers, reasons = to_numbers(column)
    parts = [to_numbers(column.slice(0, cut)), to_numbers(column.slice(cut))]
    np.testing.assert_array_equal(numbers, np.concatenate([n for n, _ in parts]))
    assert reasons.to_pylist() == [r for _, part in parts for r in part.to_pylist()]


@given(st.lists(st.one_of(st.floats(), st.none())))
def test_text_and_float_columns_agree(values):
    as_text = pa.array([None if v is None else repr(v) for v in values], pa.string())
    numbers, reasons = to_numbers(pa.array(values, pa.float64()))
    from_text, text_reasons = to_numbers(as_text)
    np.testing.assert_array_equal(numbers, from_text)
    assert reasons.to_pylist() == text_reasons.to_pylist()


@given(st.lists(st.integers(min_value=-(10**400), max_value=10**400), max_size=5))
def test_integers_of_any_size_as_text(values):
    numbers, reasons = to_numbers(pa.array([str(v) for v in values], pa.string()))
    for value, number, reason in zip(values, numbers, reasons.to_pylist(), strict=True):
        try:
            assert number == float(value)
            assert reason is None
        except OverflowError:
            assert reason == "not_finite"
