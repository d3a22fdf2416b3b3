"""The pair file's contract: columns, types, bounds, and what is checked. pyarrow only, no torch.

Written by `margintool score`, read by `margintool train`; docs/design.md has it as a table.
Read next: pair_file.py, which reads and writes whole files under this contract.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.errors import InputError

SCHEMA_VERSION = 1
METADATA_KEY = b"margintool"

MESSAGE = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
HISTORY = pa.list_(MESSAGE)

PAIR_SCHEMA = pa.schema(
    [
        pa.field("pair_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("chosen", pa.string(), nullable=False),
        pa.field("rejected", pa.string(), nullable=False),
        pa.field("history", HISTORY, nullable=False),
        pa.field("score_chosen", pa.float64()),
        pa.field("score_rejected", pa.float64()),
        pa.field("margin_raw", pa.float64(), nullable=False),
        pa.field("margin", pa.float64(), nullable=False),
        pa.field("p_chosen", pa.float64(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
    ]
)

MEANINGS: dict[str, str] = {
    "pair_id": "stable hash of prompt, answers and source; unique in the file",
    "prompt": "the last user message",
    "chosen": "the better answer, or either one of a tie",
    "rejected": "the other answer",
    "history": "system message and earlier turns, oldest first; empty for single-turn data",
    "score_chosen": "score of chosen in the source's own unit; null where the source has none",
    "score_rejected": "the same for rejected",
    "margin_raw": "quality gap in the source's own unit, >= 0; 0 for a tie",
    "margin": "the gap normalised, unit-free, >= 0: what the trainer reads",
    "p_chosen": "target sigma(gamma * margin) with the file's gamma, 0.5 to 1",
    "weight": "1, or the evidence behind the pair: number of votes or judges; > 0",
    "source": "where the margin comes from: shp (votes) or ratings",
    "origin": "where the row came from: file or dataset, split, row",
}
"""What each column of PAIR_SCHEMA holds: for the docs and for dataset cards."""


class ContractError(InputError):
    """A pair file breaks the contract: names the file, the column and the first bad row."""


@dataclass(frozen=True)
class Breach:
    """One way in which a file breaks the contract.

    kind: `missing`, `type`, `null`, `value`, `duplicate` or `metadata`.
    column: None where the file's metadata is wrong.
    row: the first bad row, from 0; None where no single row is at fault.
    """

    kind: str
    column: str | None
    row: int | None
    problem: str

    def __str__(self) -> str:
        return self.problem if self.column is None else f"column {self.column!r} {self.problem}"


def _refuse_first(breaches: Iterator[Breach], where: str) -> None:
    for breach in breaches:
        raise ContractError(f"{where}: {breach}")


def _finite_from(low: float, high: float = float("inf"), *, open_low: bool = False) -> Any:
    """Return a predicate on a float column: finite, and between the bounds."""
    above: Callable[[Any, float], Any] = pc.greater if open_low else pc.greater_equal

    def good(column: pa.Array) -> pa.Array:
        inside = pc.and_(above(column, low), pc.less_equal(column, high))
        return pc.and_(pc.is_finite(column), inside)

    return good


# column -> (what its values must be, predicate on a column without nulls)
VALUE_RULES: dict[str, tuple[str, Callable[[pa.Array], pa.Array]]] = {
    "score_chosen": ("finite or null", pc.is_finite),
    "score_rejected": ("finite or null", pc.is_finite),
    "margin_raw": ("a finite number >= 0", _finite_from(0.0)),
    "margin": ("a finite number >= 0", _finite_from(0.0)),
    "p_chosen": ("a number from 0.5 to 1", _finite_from(0.5, 1.0)),
    "weight": ("a finite number > 0", _finite_from(0.0, open_low=True)),
}


def check_columns(schema: pa.Schema, where: str) -> None:
    """Raise ContractError unless `schema` has every column of the contract with its type."""
    _refuse_first(column_breaches(schema), where)


def column_breaches(schema: pa.Schema) -> Iterator[Breach]:
    """Yield every column of the contract that is missing from `schema` or has another type."""
    for field in PAIR_SCHEMA:
        if field.name not in schema.names:
            yield Breach(
                "missing",
                field.name,
                None,
                "is missing. A pair file is made by `margintool score`; its columns are listed "
                "in docs/design.md",
            )
            continue
        if schema.names.count(field.name) > 1:
            yield Breach("type", field.name, None, "stands more than once in the file")
            continue
        found = schema.field(field.name).type
        if not _compatible(found, field.type):
            yield Breach("type", field.name, None, f"has type {found}, expected {field.type}")


def _compatible(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether `found` casts to `wanted` without loss: the same, its large or dictionary form."""
    if pa.types.is_dictionary(found):
        return _compatible(found.value_type, wanted)
    if pa.types.is_string(wanted):
        return bool(
            pa.types.is_string(found)
            or pa.types.is_large_string(found)
            or pa.types.is_string_view(found)
        )
    if pa.types.is_list(wanted):
        return _is_message_list(found)
    return bool(found == wanted or (pa.types.is_null(found)))


def _is_message_list(found: pa.DataType) -> bool:
    """Whether `found` is a list of {role, content} structs, in any field order."""
    if not (pa.types.is_list(found) or pa.types.is_large_list(found)):
        return False
    item = found.value_type
    if pa.types.is_null(item):
        return True
    if not pa.types.is_struct(item):
        return False
    texts = {f.name for f in item if _compatible(f.type, pa.string())}
    return texts >= {"role", "content"}


def check_values(table: pa.Table, where: str, first_row: int = 0) -> None:
    """Raise ContractError at the first value that breaks the contract.

    Args:
        table: any number of rows with the contract's columns.
        where: what to call the file in the message.
        first_row: number (from 0) of the table's first row in the file.
    """
    _refuse_first(value_breaches(table, first_row), where)


def value_breaches(table: pa.Table, first_row: int = 0) -> Iterator[Breach]:
    """Yield the first null and the first bad value of every column that has one.

    Args:
        table: any number of rows; columns of the contract that it lacks are passed over.
        first_row: number (from 0) of the table's first row in the file.
    """
    for field in PAIR_SCHEMA:
        if field.name not in table.column_names:
            continue
        column = table.column(field.name)
        if not field.nullable and column.null_count:
            row = first_row + _first_true(pc.is_null(column))
            yield Breach("null", field.name, row, f"is null in row {row}")
        if field.name in VALUE_RULES:
            wanted, good = VALUE_RULES[field.name]
            bad = pc.invert(pc.fill_null(good(column), True))
            if pc.any(bad).as_py():
                at = _first_true(bad)
                row = first_row + at
                found = column[at].as_py()
                problem = f"is {found} in row {row}, expected {wanted}"
                yield Breach("value", field.name, row, problem)


def _first_true(mask: Any) -> int:
    return int(pc.index(mask, True).as_py())


def check_unique_ids(pair_ids: Any, where: str) -> None:
    """Raise ContractError if a pair_id stands in two rows. pair_ids: string column of a file."""
    _refuse_first(id_breaches(pair_ids), where)


def id_breaches(pair_ids: Any) -> Iterator[Breach]:
    """Yield the first pair_id that stands in an earlier row too, if any does."""
    import pandas as pd

    repeated = pd.Series(pair_ids.to_pandas()).duplicated().to_numpy()
    if repeated.any():
        row = int(repeated.argmax())
        name = pair_ids[row].as_py()
        problem = f"is {name!r} in row {row}, which stands in an earlier row too"
        yield Breach("duplicate", "pair_id", row, problem)


def check_metadata(metadata: Mapping[str, Any], where: str) -> None:
    """Raise ContractError if the file's metadata is of a schema newer than this version reads."""
    _refuse_first(metadata_breaches(metadata), where)


def metadata_breaches(metadata: Any) -> Iterator[Breach]:
    """Yield what is wrong with a file's metadata. metadata: any value that JSON can hold."""
    version = metadata.get("schema_version") if isinstance(metadata, Mapping) else None
    if not isinstance(version, int):
        yield Breach("metadata", None, None, "the metadata has no schema_version")
    elif version > SCHEMA_VERSION:
        problem = (
            f"written with schema version {version}; this margintool reads up to "
            f"{SCHEMA_VERSION}. Upgrade margintool to read it"
        )
        yield Breach("metadata", None, None, problem)


def pair_to_messages(row: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Turn a pair into TRL's conversational form.

    Args:
        row: mapping with history, prompt, chosen, rejected as the contract has them.

    Returns:
        {"prompt": history + user message, "chosen": [assistant message], "rejected": [...]}.
    """
    history = [{"role": m["role"], "content": m["content"]} for m in row["history"]]
    return {
        "prompt": [*history, {"role": "user", "content": row["prompt"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
