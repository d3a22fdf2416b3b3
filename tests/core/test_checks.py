"""The contract's rules, each broken on its own: what is said, of which column and row."""

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.bradley_terry import probability
from mmpo_core.checks import (
    VALUE_RULES,
    Breach,
    ContractError,
    column_breaches,
    id_breaches,
    refuse,
    row_breaches,
)
from mmpo_core.errors import InputError
from mmpo_core.schema import HISTORY, PAIR_SCHEMA

NOT_NULL = [field.name for field in PAIR_SCHEMA if not field.nullable]
INF, NAN = float("inf"), float("nan")


def pairs(**changes: Any) -> pa.Table:
    """Three valid pairs, the first a tie, with changes by name."""
    columns: dict[str, Any] = {
        "pair_id": ["a", "b", "c"],
        "prompt": ["p", "q", "r"],
        "chosen": ["x", "y", "z"],
        "rejected": ["u", "v", "w"],
        "history": [[], [{"role": "user", "content": "hi"}], []],
        "score_chosen": [1.0, None, -3.0],
        "score_rejected": [1.0, None, -4.0],
        "margin_raw": [0.0, 1.0, 1.0],
        "margin": [0.0, 0.5, 0.5],
        "p_chosen": [0.5, 0.7, 1.0],
        "weight": [1.0, 2.0, 0.1],
        "source": ["ratings"] * 3,
        "origin": ["f:0", "f:1", "f:2"],
    }
    table = pa.table(columns, schema=PAIR_SCHEMA)
    for name, values in changes.items():
        array = values if isinstance(values, pa.Array) else pa.array(values, table[name].type)
        table = table.set_column(table.column_names.index(name), name, array)
    return table


def test_valid_pairs_pass_every_check() -> None:
    assert list(column_breaches(pairs().schema)) == []
    assert list(row_breaches(pairs())) == []
    assert list(id_breaches(pairs()["pair_id"])) == []


def test_a_contract_error_is_an_input_error() -> None:
    assert issubclass(ContractError, InputError)


@pytest.mark.parametrize("name", PAIR_SCHEMA.names)
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(ContractError, match=rf"pairs\.parquet: column '{name}' is missing"):
        refuse(column_breaches(pairs().drop_columns([name]).schema), "pairs.parquet")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prompt", pa.int64()),
        ("prompt", pa.binary()),
        ("margin", pa.float32()),
        ("margin", pa.string()),
        ("p_chosen", pa.int64()),
        ("history", pa.string()),
        ("history", pa.list_(pa.string())),
        ("history", pa.list_(pa.struct([("role", pa.string())]))),
        ("history", pa.list_(pa.struct([("role", pa.string()), ("content", pa.int64())]))),
    ],
)
def test_a_wrong_type_is_named_with_the_right_one(name: str, kind: pa.DataType) -> None:
    schema = PAIR_SCHEMA.set(PAIR_SCHEMA.names.index(name), pa.field(name, kind))
    with pytest.raises(ContractError) as error:
        refuse(column_breaches(schema), "x")
    assert f"column {name!r} has type {kind}, expected {PAIR_SCHEMA.field(name).type}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prompt", pa.large_string()),
        ("prompt", pa.string_view()),
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("score_chosen", pa.null()),
        ("history", pa.large_list(PAIR_SCHEMA.field("history").type.value_type)),
        ("history", pa.list_(pa.null())),
        ("history", pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))),
    ],
)
def test_types_that_say_the_same_are_accepted(name: str, kind: pa.DataType) -> None:
    schema = PAIR_SCHEMA.set(PAIR_SCHEMA.names.index(name), pa.field(name, kind))
    assert list(column_breaches(schema)) == []


def test_a_column_that_stands_twice_is_refused() -> None:
    with pytest.raises(ContractError, match="'margin' stands more than once"):
        refuse(column_breaches(pa.schema([*PAIR_SCHEMA, PAIR_SCHEMA.field("margin")])), "x")


def test_further_columns_are_allowed() -> None:
    assert list(column_breaches(PAIR_SCHEMA.append(pa.field("note", pa.int8())))) == []


@pytest.mark.parametrize("name", NOT_NULL)
def test_a_null_is_named_with_its_row_in_the_file(name: str) -> None:
    table = pairs()
    values = table[name].to_pylist()
    with pytest.raises(ContractError, match=rf"x: column '{name}' is null in row 101"):
        refuse(row_breaches(pairs(**{name: [values[0], None, values[2]]}), 100), "x")


def test_scores_may_be_null() -> None:
    assert list(row_breaches(pairs(score_chosen=[None] * 3, score_rejected=pa.nulls(3)))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, bad) for name in VALUE_RULES for bad in (INF, -INF, NAN)],
        ("margin_raw", -1e-300),
        ("margin", -0.1),
        ("p_chosen", 0.4999999),
        ("p_chosen", 1.0000001),
        ("weight", 0.0),
        ("weight", -1.0),
    ],
)
def test_a_bad_value_is_named_with_its_row_and_the_rule(name: str, value: float) -> None:
    good = pairs()[name].to_pylist()
    with pytest.raises(ContractError) as error:
        refuse(row_breaches(pairs(**{name: [good[0], good[1], value]})), "x")
    assert f"column {name!r} is {value} in row 2, expected {VALUE_RULES[name][0]}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("margin", 0.0), ("margin", 1e300), ("p_chosen", 0.5), ("p_chosen", 1.0), ("weight", 5e-324)],
)
def test_the_bounds_themselves_are_allowed(name: str, value: float) -> None:
    assert list(row_breaches(pairs(**{name: [value] * 3}))) == []


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
def test_a_margin_passes_exactly_when_it_is_finite_and_not_negative(values: list[float]) -> None:
    bad = [i for i, v in enumerate(values) if not 0 <= v < INF]
    found = list(row_breaches(pairs(margin=values)))
    assert [b.row for b in found] == bad[:1]


def test_all_breaches_come_one_per_column_and_kind() -> None:
    table = pairs(
        prompt=[None, None, "r"], margin=[None, -1.0, -2.0], weight=[0.0, 0.0, 1.0]
    ).drop_columns(["origin"])
    found = [(b.kind, b.column, b.row) for b in row_breaches(table, 10)]
    assert found == [
        ("null", "prompt", 10),
        ("null", "margin", 10),
        ("value", "margin", 11),
        ("value", "weight", 10),
    ]


def test_no_rows_break_nothing() -> None:
    empty = PAIR_SCHEMA.empty_table()
    assert list(row_breaches(empty, gamma=1.0)) == []
    assert list(id_breaches(empty["pair_id"])) == []


def test_a_repeated_id_is_named_with_its_second_row() -> None:
    with pytest.raises(ContractError, match="'b' in row 3, which stands in an earlier row too"):
        refuse(id_breaches(pa.chunked_array([["a", "b"], ["c", "b", "a"]])), "x")


def test_a_breach_says_its_column_unless_it_is_of_the_metadata() -> None:
    assert str(Breach("null", "prompt", 1, "is null in row 1")) == (
        "column 'prompt' is null in row 1"
    )
    assert str(Breach("metadata", None, None, "it is not JSON")) == "it is not JSON"


# --- texts, messages and targets --------------------------------------------------------------


def unreadable(*texts: bytes) -> pa.Array:
    """The bytes as a string array, which Arrow does not check by itself."""
    raw = pa.array(texts, pa.binary())
    return pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])


@pytest.mark.parametrize("name", [f.name for f in PAIR_SCHEMA if pa.types.is_string(f.type)])
def test_text_that_is_not_utf8_is_named_in_every_text_column(name: str) -> None:
    found = list(row_breaches(pairs(**{name: unreadable(b"a", b"\xff", b"\xfe")}), 10))
    assert [str(b) for b in found] == [f"column {name!r} is not valid UTF-8 in row 11"]


def test_messages_that_are_not_utf8_are_named_with_their_row() -> None:
    """Five messages in lists of 2, 0 and 3; the fourth, in row 2, is the bad one."""
    contents = unreadable(b"a", b"b", b"c", b"\xff", b"e")
    messages = pa.StructArray.from_arrays(
        [pa.array(["user"] * 5), contents], fields=list(HISTORY.value_type)
    )
    history = pa.ListArray.from_arrays(pa.array([0, 2, 2, 5], pa.int32()), messages, type=HISTORY)
    assert [(b.kind, b.row) for b in row_breaches(pairs(history=history))] == [("text", 2)]


@given(st.lists(st.binary(max_size=3), min_size=1, max_size=20), st.integers(0, 3))
def test_the_first_unreadable_text_is_what_python_cannot_decode(
    texts: list[bytes], cut: int
) -> None:
    def decodes(text: bytes) -> bool:
        try:
            text.decode()
        except UnicodeDecodeError:
            return False
        return True

    first = [at for at, text in enumerate(texts) if not decodes(text)][:1]
    whole = unreadable(*texts)
    table = pa.table({"prompt": pa.chunked_array([whole[:cut], whole[cut:]], pa.string())})
    assert [b.row for b in row_breaches(table)] == first


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    "message",
    [None, {"role": None, "content": "x"}, {"role": "user", "content": None}],
)
def test_a_message_without_role_or_content_is_named_with_its_row(message: Any) -> None:
    """Rows 0 and 1 hold two and no messages; the second message of row 2 is the empty one."""
    found = list(row_breaches(pairs(history=[[USER, USER], [], [USER, message]]), 5))
    assert [str(b) for b in found] == [
        "column 'history' has a message without role or content in row 7"
    ]


def test_messages_are_counted_over_chunks_slices_and_null_lists() -> None:
    column = pa.array([[USER, USER, USER], None, [USER], [], [None]], HISTORY)
    table = pa.table({"history": pa.chunked_array([column[1:3], column[3:]])})
    found = [(b.kind, b.row) for b in row_breaches(table)]
    assert found == [("null", 0), ("message", 3)]


@pytest.mark.parametrize(
    ("gamma", "targets"),
    [
        (1.0, [0.5, 1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(-0.5))]),
        (0.0, [0.5, 0.5, 0.5]),
        (math.inf, [0.5, 1.0, 1.0]),
    ],
)
def test_targets_of_the_files_gamma_pass_and_others_are_named(
    gamma: float, targets: list[float]
) -> None:
    """The margins are 0, 0.5, 0.5. One part in 10^9 is allowed, ten are not."""
    assert list(row_breaches(pairs(p_chosen=targets), gamma=gamma)) == []
    near = [targets[0] + 9e-10, *targets[1:]]
    assert list(row_breaches(pairs(p_chosen=near), gamma=gamma)) == []
    far = [*targets[:2], targets[2] - 1e-8 if gamma else 0.5 + 1e-8]
    (found,) = row_breaches(pairs(p_chosen=far), 100, gamma)
    assert (found.kind, found.column, found.row) == ("target", "p_chosen", 102)
    assert f"is {far[2]} in row 102, but sigma(gamma * margin) is {targets[2]}" in str(found)
    assert f"(gamma {gamma})" in str(found)


def test_targets_are_not_compared_without_gamma_nor_where_a_number_is_bad() -> None:
    """Row 1 has a bad margin, which is named as such; row 2 a bad target, named as such."""
    assert list(row_breaches(pairs(p_chosen=[0.6, 0.6, 0.6]))) == []
    table = pairs(margin=[0.0, NAN, 0.5], p_chosen=[0.5, 0.9, None])
    assert [b.kind for b in row_breaches(table, gamma=1.0)] == ["value", "null"]


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=20), st.floats(0, 1e3))
def test_what_probability_gives_is_always_a_valid_target(
    margins: list[float], gamma: float
) -> None:
    columns = {"margin": margins, "p_chosen": probability(margins, gamma)}
    assert list(row_breaches(pa.table(columns), gamma=gamma)) == []


def test_ids_that_are_not_utf8_are_compared_all_the_same() -> None:
    ids = pa.chunked_array([unreadable(b"\xff", b"a"), unreadable(b"\xff")])
    assert [b.row for b in id_breaches(ids)] == [2]


def test_null_ids_are_no_duplicates() -> None:
    """They are named as nulls."""
    assert list(id_breaches(pa.chunked_array([[None, "a", None]], pa.string()))) == []
