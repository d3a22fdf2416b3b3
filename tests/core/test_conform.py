"""Data frames and other types on their way into the contract: all of it, or the row that fails."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.checks import ContractError
from mmpo_core.conform import conform, conform_column, frame_to_table
from mmpo_core.errors import InputError
from mmpo_core.pair_file import read_table, write_pairs
from mmpo_core.schema import HISTORY, PAIR_SCHEMA
from tests.core.pair_tables import METADATA, pair_table

USER = {"role": "user", "content": "hi"}


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three valid pairs whose index does not start at 0."""
    frame = pair_table([0.0, 1.0, 2.0]).to_pandas()
    return frame.set_index(pd.Index([7, 7, 9]))


@pytest.mark.parametrize("name", PAIR_SCHEMA.names)
def test_a_missing_column_is_named_as_in_a_file(
    frame: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ContractError, match=rf"x\.parquet: column '{name}' is missing"):
        write_pairs(frame.drop(columns=name), tmp_path / "x.parquet", METADATA)


def test_a_column_that_stands_twice_is_named(frame: pd.DataFrame, tmp_path: Path) -> None:
    twice = pd.concat([frame, frame[["margin"]]], axis=1)
    with pytest.raises(ContractError, match="'margin' stands more than once"):
        write_pairs(twice, tmp_path / "x.parquet", METADATA)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("prompt", ["a", 5, "c"], "is 5 in row 1, expected string"),
        ("prompt", [1, 2, 3], "is 1 in row 0, expected string"),
        ("prompt", [0.5, 1.0, 2.0], "is 0.5 in row 0, expected string"),
        (
            "prompt",
            pd.Series(["a", "b", "\ud800"], dtype=object),
            r"is '\ud800' in row 2, expected string",
        ),
        ("prompt", [b"a", b"b", b"\xff"], r"is b'\xff' in row 2, expected string"),
        ("margin", ["0", "1", "2"], "has type str, expected double"),
        ("margin", pd.Series([0.0, "1", 2.0], dtype=object), "is '1' in row 1, expected double"),
        ("margin", [Decimal(0)] * 3, "is Decimal('0') in row 0, expected double"),
        ("margin", [True, True, False], "has type bool, expected double"),
        ("margin", pd.Series([0, 1, 2]).astype("category"), "has type category, expected double"),
        ("weight", [1, 1, 2**53 + 1], "is 9007199254740993 in row 2, expected double"),
        ("history", ["", "hi", ""], "is 'hi' in row 1, expected list"),
        ("history", [[], ["hi"], []], "is ['hi'] in row 1, expected list"),
        ("history", [[], [], [{**USER, "content": 5}]], "in row 2, expected list"),
        ("source", pd.to_datetime(["2020-01-01"] * 3), "expected string"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(
    frame: pd.DataFrame, tmp_path: Path, name: str, values: Any, words: str
) -> None:
    series = pd.Series(values) if not isinstance(values, pd.Series) else values
    frame[name] = series.set_axis(frame.index)
    with pytest.raises(ContractError) as error:
        write_pairs(frame, tmp_path / "out.parquet", METADATA)
    assert f"out.parquet: column {name!r} " in str(error.value)
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [f.name for f in PAIR_SCHEMA if not f.nullable])
@pytest.mark.parametrize("null", [None, float("nan"), pd.NA], ids=str)
def test_a_null_is_named_with_its_row(
    frame: pd.DataFrame, tmp_path: Path, name: str, null: Any
) -> None:
    values = frame[name].astype(object).tolist()
    frame[name] = pd.Series([values[0], null, values[2]], dtype=object).set_axis(frame.index)
    with pytest.raises(ContractError, match=f"column '{name}' is null in row 1"):
        write_pairs(frame, tmp_path / "out.parquet", METADATA)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("weight", lambda s: s.astype(int)),
        ("weight", lambda s: s.astype("float32")),
        ("weight", lambda s: s.astype("Int64")),
        ("source", lambda s: s.astype("category")),
        ("prompt", lambda s: s.astype(object)),
        ("score_chosen", lambda s: s.astype(object)),
        ("history", lambda s: s.map(list)),
        ("history", lambda s: s.map(tuple)),
    ],
)
def test_what_says_the_same_is_written_the_same(
    frame: pd.DataFrame, tmp_path: Path, name: str, change: Callable[..., Any]
) -> None:
    frame[name] = change(frame[name])
    write_pairs(frame, tmp_path / "out.parquet", METADATA)
    assert read_table(tmp_path / "out.parquet").equals(pair_table([0.0, 1.0, 2.0]))


def test_numpy_histories_come_back_as_the_same_messages(frame: pd.DataFrame) -> None:
    """A filtered frame's histories are numpy arrays of dicts, with the keys in any order."""
    turned = {"content": "hi", "role": "user"}
    frame["history"] = [np.array(turns, object) for turns in ([USER, turned], [], [turned])]
    assert frame_to_table(frame, "x")["history"].to_pylist() == [[USER, USER], [], [USER]]


def test_only_frames_and_tables_are_pairs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pyarrow\.Table or a pandas\.DataFrame, not list"):
        write_pairs([{"prompt": "x"}], tmp_path / "x.parquet", METADATA)  # type: ignore[arg-type]


# --- types of Arrow ---------------------------------------------------------------------------

MESSAGES = st.lists(
    st.none() | st.fixed_dictionaries({"role": st.none() | st.text(), "content": st.text()}),
    max_size=3,
)
TURNED = pa.struct([("content", pa.large_string()), ("n", pa.int8()), ("role", pa.string())])


@given(st.lists(st.none() | MESSAGES, max_size=8), st.integers(0, 8))
def test_messages_survive_in_any_field_order_and_slice(lists: list[Any], cut: int) -> None:
    """A missing message becomes one without role and content, which is a breach as well."""
    for kind in (pa.list_(TURNED), pa.large_list(TURNED)):
        column = pa.array(lists, kind)
        found = conform_column(pa.chunked_array([column[cut:], column[:cut]]), HISTORY)
        expected = [
            m and [x or {"role": None, "content": None} for x in m]
            for m in [*lists[cut:], *lists[:cut]]
        ]
        found.validate(full=True)
        assert found.type == HISTORY
        assert found.to_pylist() == expected


def test_lists_without_a_type_are_no_messages_or_empty_ones() -> None:
    column = pa.chunked_array([pa.array([[], [None], None], pa.list_(pa.null()))])
    empty = {"role": None, "content": None}
    assert conform_column(column, HISTORY).to_pylist() == [[], [empty], None]


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_text_survives_in_any_form(kind: pa.DataType) -> None:
    texts = pa.chunked_array([["a", None, "ä"], ["a"]], pa.string())
    assert conform_column(texts.cast(kind), pa.string()).equals(texts)


def test_a_table_of_the_contract_is_left_as_it_is() -> None:
    table = pair_table([1.0, 2.0])
    assert conform(table) is table


def test_further_columns_stay() -> None:
    table = pair_table([1.0]).append_column("note", pa.array(["x"]))
    table = table.set_column(5, "score_chosen", pa.nulls(1))
    assert conform(table).schema.field("note").type == pa.string()
    assert conform(table)["score_chosen"].type == pa.float64()


def test_what_has_no_cast_is_refused() -> None:
    with pytest.raises(pa.ArrowException):
        conform_column(pa.chunked_array([["low", "high"]]), pa.float64())
