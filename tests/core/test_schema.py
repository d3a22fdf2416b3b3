"""The contract's rules, each broken on its own: what is said, of which column and row."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmpo_core.errors import InputError
from mmpo_core.schema import (
    MEANINGS,
    PAIR_SCHEMA,
    SCHEMA_VERSION,
    VALUE_RULES,
    Breach,
    ContractError,
    check_columns,
    check_metadata,
    check_unique_ids,
    check_values,
    column_breaches,
    id_breaches,
    metadata_breaches,
    pair_to_messages,
    value_breaches,
)

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
    assert list(value_breaches(pairs())) == []
    assert list(id_breaches(pairs()["pair_id"])) == []


def test_a_contract_error_is_an_input_error() -> None:
    assert issubclass(ContractError, InputError)


def test_every_column_has_a_meaning() -> None:
    assert list(MEANINGS) == PAIR_SCHEMA.names


@pytest.mark.parametrize("name", PAIR_SCHEMA.names)
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(ContractError, match=rf"pairs\.parquet: column '{name}' is missing"):
        check_columns(pairs().drop_columns([name]).schema, "pairs.parquet")


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
        check_columns(schema, "x")
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
        check_columns(pa.schema([*PAIR_SCHEMA, PAIR_SCHEMA.field("margin")]), "x")


def test_further_columns_are_allowed() -> None:
    assert list(column_breaches(PAIR_SCHEMA.append(pa.field("note", pa.int8())))) == []


@pytest.mark.parametrize("name", NOT_NULL)
def test_a_null_is_named_with_its_row_in_the_file(name: str) -> None:
    table = pairs()
    values = table[name].to_pylist()
    with pytest.raises(ContractError, match=rf"x: column '{name}' is null in row 101"):
        check_values(pairs(**{name: [values[0], None, values[2]]}), "x", first_row=100)


def test_scores_may_be_null() -> None:
    assert list(value_breaches(pairs(score_chosen=[None] * 3, score_rejected=pa.nulls(3)))) == []


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
        check_values(pairs(**{name: [good[0], good[1], value]}), "x")
    assert f"column {name!r} is {value} in row 2, expected {VALUE_RULES[name][0]}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("margin", 0.0), ("margin", 1e300), ("p_chosen", 0.5), ("p_chosen", 1.0), ("weight", 5e-324)],
)
def test_the_bounds_themselves_are_allowed(name: str, value: float) -> None:
    assert list(value_breaches(pairs(**{name: [value] * 3}))) == []


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
def test_a_margin_passes_exactly_when_it_is_finite_and_not_negative(values: list[float]) -> None:
    bad = [i for i, v in enumerate(values) if not 0 <= v < INF]
    found = list(value_breaches(pairs(margin=values)))
    assert [b.row for b in found] == bad[:1]


def test_all_breaches_come_one_per_column_and_kind() -> None:
    table = pairs(
        prompt=[None, None, "r"], margin=[None, -1.0, -2.0], weight=[0.0, 0.0, 1.0]
    ).drop_columns(["origin"])
    found = [(b.kind, b.column, b.row) for b in value_breaches(table, 10)]
    assert found == [
        ("null", "prompt", 10),
        ("null", "margin", 10),
        ("value", "margin", 11),
        ("value", "weight", 10),
    ]


def test_no_rows_break_nothing() -> None:
    empty = PAIR_SCHEMA.empty_table()
    check_values(empty, "x")
    check_unique_ids(empty["pair_id"], "x")


def test_a_repeated_id_is_named_with_its_second_row() -> None:
    with pytest.raises(ContractError, match="'b' in row 3, which stands in an earlier row too"):
        check_unique_ids(pa.chunked_array([["a", "b"], ["c", "b", "a"]]), "x")


@pytest.mark.parametrize("metadata", [{}, {"schema_version": "1"}, {"schema_version": None}])
def test_metadata_without_a_version_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="no schema_version"):
        check_metadata(metadata, "x")


@pytest.mark.parametrize("metadata", [[], "text", None, 3])
def test_metadata_that_is_no_mapping_is_a_breach(metadata: Any) -> None:
    assert [b.kind for b in metadata_breaches(metadata)] == ["metadata"]


def test_a_newer_schema_is_refused_with_what_to_do() -> None:
    with pytest.raises(ContractError, match=rf"version {SCHEMA_VERSION + 1}.*Upgrade margintool"):
        check_metadata({"schema_version": SCHEMA_VERSION + 1}, "x")


def test_this_and_older_schemas_are_read() -> None:
    for version in range(SCHEMA_VERSION + 1):
        check_metadata({"schema_version": version}, "x")


def test_a_breach_says_its_column_unless_it_is_of_the_metadata() -> None:
    assert str(Breach("null", "prompt", 1, "is null in row 1")) == (
        "column 'prompt' is null in row 1"
    )
    assert str(Breach("metadata", None, None, "it is not JSON")) == "it is not JSON"


def test_pair_to_messages_puts_history_before_the_prompt() -> None:
    row = {
        "history": [{"content": "be brief", "role": "system"}],
        "prompt": "q",
        "chosen": "yes",
        "rejected": "no",
        "margin": 1.0,
    }
    assert pair_to_messages(row) == {
        "prompt": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}],
        "chosen": [{"role": "assistant", "content": "yes"}],
        "rejected": [{"role": "assistant", "content": "no"}],
    }
