"""Whole pair files: written complete or not at all, checked both ways, read in every form."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmpo_core.bradley_terry import probability
from mmpo_core.checks import ContractError
from mmpo_core.errors import InputError
from mmpo_core.pair_file import (
    PairWriter,
    read_metadata,
    read_pairs,
    read_table,
    to_conversational,
    write_pairs,
)
from mmpo_core.schema import HISTORY, METADATA_KEY, PAIR_SCHEMA, pair_to_messages

METADATA = {"schema_version": 1, "source": "ratings", "gamma": 1.5, "note": "ä ≥ 0"}


def pairs(rows: int = 3, **changes: Any) -> pa.Table:
    """Valid pairs with margins 0, 1/3, 2/3, ...; every second one has a history."""
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    columns: dict[str, Any] = {
        "pair_id": [f"id{i}" for i in range(rows)],
        "prompt": [f"write python {i}" if i % 2 else f"cook {i} 🍲" for i in range(rows)],
        "chosen": [f"good {i}" for i in range(rows)],
        "rejected": [f"bad {i}" for i in range(rows)],
        "history": [turns if i % 2 else [] for i in range(rows)],
        "score_chosen": [5.0 if i % 2 else None for i in range(rows)],
        "score_rejected": [1.0 if i % 2 else None for i in range(rows)],
        "margin_raw": [float(i) for i in range(rows)],
        "margin": [i / 3 for i in range(rows)],
        "p_chosen": probability([i / 3 for i in range(rows)], 1.5),
        "weight": [1.0] * rows,
        "source": ["ratings"] * rows,
        "origin": [f"f.jsonl:{i}" for i in range(rows)],
        **changes,
    }
    return pa.table(columns, schema=PAIR_SCHEMA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.parquet"


@pytest.fixture
def unchecked(path: Path) -> Any:
    """Write a table as it is, without any check."""

    def write(table: pa.Table, metadata: Any = METADATA) -> Path:
        packed = {METADATA_KEY: json.dumps(metadata).encode()} if metadata is not None else None
        pq.write_table(table.replace_schema_metadata(packed), path)
        return path

    return write


def clear(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are no ties, with the index as it was."""
    return frame[frame.margin > 0]


# --- round trips ------------------------------------------------------------------------------


def test_arrow_round_trip_is_exact(path: Path) -> None:
    write_pairs(pairs(5), path, METADATA)
    assert read_pairs(path, "arrow").equals(pairs(5))


def test_pandas_round_trip_is_exact(path: Path, tmp_path: Path) -> None:
    write_pairs(pairs(5), path, METADATA)
    write_pairs(read_pairs(path), tmp_path / "again.parquet", read_metadata(path))
    assert read_table(tmp_path / "again.parquet").equals(pairs(5))
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_filtered_pandas_rows_are_written_without_their_index(path: Path, tmp_path: Path) -> None:
    write_pairs(pairs(5), path, METADATA)
    write_pairs(clear(read_pairs(path)), tmp_path / "clear.parquet", read_metadata(path))
    assert read_table(tmp_path / "clear.parquet").equals(pairs(5).slice(1))


@pytest.mark.parametrize("gamma", [0.3, float("inf")])
def test_another_gamma_is_written_with_its_targets(path: Path, gamma: float) -> None:
    write_pairs(pairs(5), path, METADATA)
    frame, metadata = read_pairs(path), read_metadata(path)
    metadata["gamma"] = gamma
    with pytest.raises(ContractError, match=r"'p_chosen' is 0\.62.* in row 1, but sigma"):
        write_pairs(frame, path, metadata)
    frame["p_chosen"] = probability(frame.margin, gamma)
    write_pairs(frame, path, metadata)
    assert read_pairs(path).p_chosen.tolist() == probability(frame.margin, gamma).tolist()
    assert read_metadata(path)["gamma"] == ("inf" if gamma == float("inf") else gamma)


def test_metadata_round_trip(path: Path) -> None:
    write_pairs(pairs(), path, METADATA)
    assert read_metadata(path) == METADATA


def test_the_same_pairs_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_pairs(pairs(), path, METADATA)
    write_pairs(pairs(), tmp_path / "b.parquet", dict(reversed(METADATA.items())))
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_columns_are_written_in_the_contracts_order_and_others_left_out(path: Path) -> None:
    table = pairs().select(PAIR_SCHEMA.names[::-1]).append_column("note", pa.array([1, 2, 3]))
    write_pairs(table, path, METADATA)
    assert pq.read_schema(path).names == PAIR_SCHEMA.names


def test_no_pairs_round_trip(path: Path) -> None:
    write_pairs(PAIR_SCHEMA.empty_table(), path, METADATA)
    assert len(read_pairs(path)) == 0


def test_large_and_dictionary_types_are_written_as_the_contracts(path: Path) -> None:
    table = pairs()
    table = table.set_column(1, "prompt", table["prompt"].cast(pa.large_string()))
    table = table.set_column(11, "source", table["source"].dictionary_encode())
    write_pairs(table, path, METADATA)
    assert read_table(path).equals(pairs())


def test_large_and_dictionary_types_are_read_as_the_contracts(unchecked: Any) -> None:
    table = pairs()
    table = table.set_column(1, "prompt", table["prompt"].cast(pa.large_string()))
    table = table.set_column(11, "source", table["source"].dictionary_encode())
    assert read_table(unchecked(table)).schema.types == PAIR_SCHEMA.types


def test_messages_with_content_first_are_written_and_read(path: Path, unchecked: Any) -> None:
    """As `datasets` and many others have them."""
    turned = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
    field = pa.field("history", turned, nullable=False)
    column = pa.array(pairs(4)["history"].to_pylist(), turned)
    table = pairs(4).set_column(4, field, column)
    assert read_table(unchecked(table)).equals(pairs(4))
    write_pairs(table, path, METADATA)
    assert read_table(path).equals(pairs(4))


def test_a_writer_takes_pairs_batch_by_batch(path: Path) -> None:
    with PairWriter(path, METADATA) as writer:
        writer.write(pairs(4).slice(0, 2))
        writer.write(pairs(4).slice(2))
    assert read_table(path).equals(pairs(4))


def test_a_writer_takes_further_columns_and_leaves_out_the_rest(path: Path) -> None:
    """The order of the columns in a batch does not matter; a null stays one."""
    further = pa.schema([("why", pa.string()), ("draws", pa.list_(pa.float64()))])
    more = {"draws": [[1.0], None, []], "left_out": [1, 2, 3], "why": ["x", None, "z"]}
    table = pairs(3)
    for name, values in more.items():
        field = further.field(name) if name in further.names else pa.field(name, pa.int64())
        table = table.append_column(field, pa.array(values, field.type))
    with PairWriter(path, METADATA, further=further) as writer:
        writer.write(table)
    found = read_table(path)
    assert found.column_names == [*PAIR_SCHEMA.names, "why", "draws"]
    assert found["why"].to_pylist() == more["why"]
    assert found["draws"].to_pylist() == more["draws"]
    assert found.select(PAIR_SCHEMA.names).equals(pairs(3))


def test_a_further_column_named_as_one_of_the_contract_is_refused(path: Path) -> None:
    with pytest.raises(ContractError, match="'prompt' stands more than once"):
        PairWriter(path, METADATA, further=pa.schema([("prompt", pa.string())]))


# --- the forms people read --------------------------------------------------------------------


def test_plain_pandas_shows_text_columns_that_can_be_filtered(path: Path) -> None:
    write_pairs(pairs(4), path, METADATA)
    frame = pd.read_parquet(path)
    found = frame[frame.prompt.str.contains("python")]
    assert found.chosen.tolist() == ["good 1", "good 3"]
    assert frame[frame.margin > 0.5].pair_id.tolist() == ["id2", "id3"]


def test_read_pairs_gives_what_plain_pandas_gives(path: Path) -> None:
    write_pairs(pairs(4), path, METADATA)
    text = [name for name in PAIR_SCHEMA.names if name != "history"]
    pd.testing.assert_frame_equal(
        read_pairs(path)[text], pd.read_parquet(path)[text], check_dtype=False
    )


def test_datasets_form_has_the_same_rows(path: Path) -> None:
    write_pairs(pairs(4), path, METADATA)
    assert read_pairs(path, "datasets").to_list() == pairs(4).to_pylist()


def test_load_dataset_opens_a_pair_file(path: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    write_pairs(pairs(4), path, METADATA)
    loaded = load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].to_list() == pairs(4).to_pylist()


def test_conversational_rows_are_pair_to_messages_of_each_row(path: Path) -> None:
    write_pairs(pairs(4), path, METADATA)
    found = read_pairs(path, "datasets", conversational=True)
    assert "history" not in found.column_names
    assert found["margin"][:] == [0, 1 / 3, 2 / 3, 1]
    for row, pair in zip(found, pairs(4).to_pylist(), strict=True):
        assert {k: row[k] for k in ("prompt", "chosen", "rejected")} == pair_to_messages(pair)


def test_conversational_form_is_trls(path: Path) -> None:
    """TRL finds it conversational, and takes the same prompt out of full conversations."""
    from trl.data_utils import extract_prompt, is_conversational

    write_pairs(pairs(4), path, METADATA)
    for row in read_pairs(path, "datasets", conversational=True):
        form = {name: row[name] for name in ("prompt", "chosen", "rejected")}
        assert is_conversational(form)
        full = {side: row["prompt"] + row[side] for side in ("chosen", "rejected")}
        assert extract_prompt(full) == form


def test_conversational_form_of_many_chunks_keeps_the_order() -> None:
    table = pa.concat_tables([pairs(4).slice(2, 2), pairs(4).slice(0, 2)])
    chosen = to_conversational(table)["chosen"].to_pylist()
    assert [messages[0]["content"] for messages in chosen] == [
        "good 2",
        "good 3",
        "good 0",
        "good 1",
    ]


def test_an_unknown_form_is_refused(path: Path) -> None:
    write_pairs(pairs(), path, METADATA)
    with pytest.raises(InputError, match="Known: pandas, arrow, datasets"):
        read_pairs(path, "polars")  # type: ignore[call-overload]


# --- the contract, both ways ------------------------------------------------------------------


def not_utf8() -> pa.Array:
    raw = pa.array([b"a", b"\xff", b"c"])
    return pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])


BREACHES = {
    "missing": (lambda t: t.drop_columns(["weight"]), "'weight' is missing"),
    "nan": (
        lambda t: t.set_column(8, "margin", pa.array([0.0, float("nan"), 1.0])),
        "'margin' is nan in row 1",
    ),
    "null": (
        lambda t: t.set_column(2, "chosen", pa.array(["a", "b", None])),
        "'chosen' is null in row 2",
    ),
    "bounds": (
        lambda t: t.set_column(9, "p_chosen", pa.array([0.5, 0.6, 1.5])),
        "'p_chosen' is 1.5 in row 2, expected a number from 0.5 to 1",
    ),
    "type": (
        lambda t: t.set_column(8, "margin", pa.array(["0", "1", "2"])),
        "'margin' has type string, expected double",
    ),
    "target": (
        lambda t: t.set_column(9, "p_chosen", pa.array([0.5, 0.6, 0.7])),
        r"'p_chosen' is 0\.6 in row 1, but sigma\(gamma \* margin\) is 0\.62",
    ),
    "message": (
        lambda t: t.set_column(4, "history", pa.array([[], [], [{"role": "user"}]], HISTORY)),
        "'history' has a message without role or content in row 2",
    ),
    "text": (
        lambda t: t.set_column(1, "prompt", not_utf8()),
        "'prompt' is not valid UTF-8 in row 1",
    ),
    "ids": (
        lambda t: t.set_column(0, "pair_id", pa.array(["a", "b", "a"])),
        "'a' in row 2, which stands in an earlier row too",
    ),
}


@pytest.mark.parametrize("kind", BREACHES)
def test_writing_refuses_a_breach_and_leaves_no_file(path: Path, kind: str) -> None:
    change, words = BREACHES[kind]
    with pytest.raises(ContractError, match=words):
        write_pairs(change(pairs()), path, METADATA)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", BREACHES)
@pytest.mark.parametrize("form", ["pandas", "arrow", "datasets"])
def test_reading_refuses_a_breach_in_every_form(unchecked: Any, kind: str, form: Any) -> None:
    change, words = BREACHES[kind]
    with pytest.raises(ContractError, match=words):
        read_pairs(unchecked(change(pairs())), form)


def test_rows_are_counted_over_row_groups_on_reading(path: Path) -> None:
    table = pairs(10).set_column(10, "weight", pa.array([1.0] * 9 + [0.0]))
    pq.write_table(
        table.replace_schema_metadata({METADATA_KEY: json.dumps(METADATA).encode()}),
        path,
        row_group_size=4,
    )
    with pytest.raises(ContractError, match=r"'weight' is 0\.0 in row 9"):
        read_pairs(path)


def test_rows_are_counted_over_batches_on_writing(path: Path) -> None:
    with PairWriter(path, METADATA, name="out") as writer:
        writer.write(pairs(3))
        with pytest.raises(ContractError, match=r"out: column 'weight' is -1\.0 in row 4"):
            writer.write(pairs(3, weight=[1.0, -1.0, 1.0]))
        with pytest.raises(ContractError, match=r"'p_chosen' is 1\.0 in row 3, but sigma"):
            writer.write(pairs(3, p_chosen=[1.0, 1.0, 1.0]))


def test_a_newer_schema_is_refused_both_ways(path: Path, unchecked: Any) -> None:
    with pytest.raises(ContractError, match="Upgrade margintool"):
        write_pairs(pairs(), path, {"schema_version": 2})
    with pytest.raises(ContractError, match="Upgrade margintool"):
        read_pairs(unchecked(pairs(), {"schema_version": 2}))


def test_a_parquet_file_without_metadata_is_refused(unchecked: Any) -> None:
    with pytest.raises(ContractError, match="no margintool metadata"):
        read_pairs(unchecked(pairs(), None))


# --- what is no pair file ---------------------------------------------------------------------


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_pairs(path)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        read_pairs(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b'{"prompt": "x"}\n'])
def test_another_kind_of_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a Parquet file, or a damaged one"):
        read_pairs(path)


def test_a_column_name_that_is_not_utf8(path: Path) -> None:
    write_pairs(pairs(), path, METADATA)
    path.write_bytes(path.read_bytes().replace(b"margin_raw", b"margin_\xffaw"))
    with pytest.raises(InputError, match="not a Parquet file, or a damaged one"):
        read_pairs(path)


def test_a_truncated_file(path: Path) -> None:
    write_pairs(pairs(200), path, METADATA)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        read_pairs(path)


def test_a_damaged_page(path: Path) -> None:
    write_pairs(pairs(200), path, METADATA)
    raw = bytearray(path.read_bytes())
    raw[4:400] = b"\xff" * 396
    path.write_bytes(raw)
    with pytest.raises(InputError, match="damaged"):
        read_pairs(path)
