"""`inspect` and `read_pairs` agree: what one refuses the other lists, in the same words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margintool.report.inspecting import inspect_pairs
from mmpo_core.checks import VALUE_RULES, ContractError
from mmpo_core.pair_file import read_pairs
from mmpo_core.schema import HISTORY, PAIR_SCHEMA

Change = Callable[[pa.Table], pa.Table]
TURNED = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
TEXTS = [field.name for field in PAIR_SCHEMA if pa.types.is_string(field.type)]


def put(name: str, values: Any, kind: pa.DataType | None = None) -> Change:
    def change(table: pa.Table) -> pa.Table:
        array = pa.array(values, kind or PAIR_SCHEMA.field(name).type)
        return table.set_column(table.schema.get_field_index(name), name, array)

    return change


def nulled(name: str) -> Change:
    return lambda table: put(name, [*table[name].to_pylist()[:3], None])(table)


def unreadable(name: str, kind: pa.DataType) -> Change:
    """Bytes that are not UTF-8 in the third row."""

    def change(table: pa.Table) -> pa.Table:
        raw = pa.array([b"a", b"b", b"\xff", b"d"])
        texts = pa.StringArray.from_buffers(4, raw.buffers()[1], raw.buffers()[2])
        if name == "history":
            item = kind.value_type
            messages = pa.StructArray.from_arrays([texts, texts], names=[f.name for f in item])
            texts = pa.ListArray.from_arrays(pa.array(range(5), pa.int32()), messages, type=kind)
        return table.set_column(table.schema.get_field_index(name), name, texts.cast(kind))

    return change


def metadata(packed: bytes | None) -> Change:
    return lambda t: t.replace_schema_metadata({} if packed is None else {"margintool": packed})


EMPTY = {"role": "user", "content": None}
BROKEN: dict[str, Change] = {
    **{f"{name} missing": lambda t, n=name: t.drop_columns(n) for name in PAIR_SCHEMA.names},
    **{f"{name} of another type": put(name, [1] * 4, pa.int8()) for name in PAIR_SCHEMA.names},
    **{f"{f.name} null": nulled(f.name) for f in PAIR_SCHEMA if not f.nullable},
    **{f"{name} NaN": put(name, [1.0, float("nan"), 1.0, 1.0]) for name in VALUE_RULES},
    **{f"{name} infinite": put(name, [1.0, 1.0, float("inf"), 1.0]) for name in VALUE_RULES},
    **{f"{name} not UTF-8": unreadable(name, pa.string()) for name in TEXTS},
    "margin negative": put("margin", [-1.0, 1.0, 2.0, 3.0]),
    "weight zero": put("weight", [1.0, 1.0, 1.0, 0.0]),
    "p_chosen below a half": put("p_chosen", [0.5, 0.4, 0.6, 0.7]),
    "p_chosen of another gamma": put("p_chosen", [0.5, 0.6, 0.7, 0.8]),
    "pair_id repeated": put("pair_id", ["a", "b", "c", "b"]),
    "margin twice": lambda t: t.append_column("margin", t["margin"]),
    "history not UTF-8": unreadable("history", HISTORY),
    "history not UTF-8, content first": unreadable("history", TURNED),
    "large text not UTF-8": unreadable("prompt", pa.large_string()),
    "dictionary not UTF-8": unreadable("source", pa.dictionary(pa.int32(), pa.string())),
    "message without content": put("history", [[], [], [EMPTY], []]),
    "message without content, content first": put("history", [[], [], [EMPTY], []], TURNED),
    "message null": put("history", [[], [None], [], []]),
    "ids not UTF-8 and repeated": lambda t: t.set_column(
        0, "pair_id", unreadable("pair_id", pa.string())(t)["pair_id"].take([2, 2, 0, 1])
    ),
    "no metadata": metadata(None),
    "metadata not JSON": metadata(b"{not json"),
    "metadata not UTF-8": metadata(b'{"schema_version": 1, "note": "\xff"}'),
    "metadata a list": metadata(b"[1]"),
    "metadata without version": metadata(b"{}"),
    "metadata of a newer schema": metadata(b'{"schema_version": 99}'),
    "gamma not a number": metadata(b'{"schema_version": 1, "gamma": "high"}'),
    "gamma infinite, targets not hard": metadata(b'{"schema_version": 1, "gamma": "inf"}'),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_reading_refuses_is_listed_in_the_same_words(
    pair_file: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "broken.parquet"
    pq.write_table(BROKEN[kind](pq.read_table(pair_file)), path)
    with pytest.raises(ContractError) as error:
        read_pairs(path)
    listed = [f"{path}: {breach}" for breach in inspect_pairs(path, sample=4).breaches]
    assert str(error.value) == listed[0]
    json.loads(inspect_pairs(path, sample=4).to_json())


SOUND: dict[str, Change] = {
    "as it is": lambda t: t,
    "scores null": put("score_chosen", [None] * 4),
    "scores without a type": put("score_chosen", [None] * 4, pa.null()),
    "one more column": lambda t: t.append_column("note", pa.array([1, 2, 3, 4])),
    "other order": lambda t: t.select(t.column_names[::-1]),
    "dictionary": lambda t: put("source", ["shp"] * 4, pa.dictionary(pa.int8(), pa.string()))(t),
    "large text": lambda t: t.set_column(1, "prompt", t["prompt"].cast(pa.large_string())),
    "content first": put("history", [[], [], [{"role": "user", "content": "x"}], []], TURNED),
    "no histories": put("history", [[]] * 4, pa.list_(pa.null())),
    "no gamma": metadata(b'{"schema_version": 1}'),
    "gamma null": metadata(b'{"schema_version": 1, "gamma": null}'),
}


@pytest.mark.parametrize("kind", SOUND)
def test_what_reading_accepts_has_no_breach(pair_file: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sound.parquet"
    pq.write_table(SOUND[kind](pq.read_table(pair_file)), path)
    assert len(read_pairs(path)) == 4
    assert inspect_pairs(path).breaches == []


NUMBERS = st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0, float("nan"), float("inf"), None])


@given(
    st.dictionaries(
        st.sampled_from(sorted(VALUE_RULES)), st.lists(NUMBERS, min_size=4, max_size=4), min_size=1
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_both_agree_on_any_numbers(
    pair_file: Path, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    """Several columns may be wrong at once: reading names one of what inspect lists."""
    table = pq.read_table(pair_file)
    for name, values in columns.items():
        table = put(name, values)(table)
    path = tmp_path / "numbers.parquet"
    pq.write_table(table, path)
    listed = [f"{path}: {breach}" for breach in inspect_pairs(path).breaches]
    if listed:
        with pytest.raises(ContractError) as error:
            read_pairs(path)
        assert str(error.value) in listed
    else:
        assert len(read_pairs(path)) == 4
