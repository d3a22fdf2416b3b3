"""Every rule of the pair file's contract about columns and rows: what breaks it, and where.

pair_file.py refuses a file or table at its first breach, both ways; margintool/report lists all
of them. The rules of the file's metadata are in file_metadata.py; the schema is in schema.py.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmpo_core.bradley_terry import probability
from mmpo_core.errors import InputError
from mmpo_core.schema import HISTORY, PAIR_SCHEMA

TARGET_TOLERANCE = 1e-9
"""How far p_chosen may lie from sigma(gamma * margin)."""


class ContractError(InputError):
    """A pair file breaks the contract: names the file, the column and the first bad row."""


@dataclass(frozen=True)
class Breach:
    """One way in which a file breaks the contract.

    kind: `missing`, `type`, `text`, `null`, `value`, `message`, `target`, `duplicate` or
        `metadata`.
    column: None where the file's metadata is wrong.
    row: the first bad row, from 0; None where no single row is at fault.
    """

    kind: str
    column: str | None
    row: int | None
    problem: str

    def __str__(self) -> str:
        return self.problem if self.column is None else f"column {self.column!r} {self.problem}"


def refuse(breaches: Iterable[Breach], where: str) -> None:
    """Raise ContractError at the first breach, if there is one. where: what to call the file."""
    for breach in breaches:
        raise ContractError(f"{where}: {breach}")


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
    wanted = [f for f in item if f.name in ("role", "content")]
    texts = sorted(f.name for f in wanted if _compatible(f.type, pa.string()))
    return texts == ["content", "role"] and len(wanted) == 2


def row_breaches(
    table: pa.Table, first_row: int = 0, gamma: float | None = None
) -> Iterator[Breach]:
    """Yield the first row of each kind of breach in each column.

    Args:
        table: any number of rows; columns of the contract that it has are of the contract's
            types, those that it lacks are passed over.
        first_row: number (from 0) of the table's first row in the file.
        gamma: what the file's targets were made with; None where that is not recorded.
    """
    yield from _unreadable_texts(table, first_row)
    yield from _bad_values(table, first_row)
    yield from _empty_messages(table, first_row)
    if gamma is not None:
        yield from _wrong_targets(table, first_row, gamma)


def _unreadable_texts(table: pa.Table, first_row: int) -> Iterator[Breach]:
    for field in PAIR_SCHEMA:
        if field.name not in table.column_names or pa.types.is_floating(field.type):
            continue
        before = first_row
        for chunk in table.column(field.name).chunks:
            if not _is_utf8(chunk):
                row = before + _first_unreadable(chunk)
                yield Breach("text", field.name, row, f"is not valid UTF-8 in row {row}")
                break
            before += len(chunk)


def _is_utf8(texts: pa.Array) -> bool:
    """Whether all texts are valid UTF-8. Parquet files and casts do not see to that."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _first_unreadable(texts: pa.Array) -> int:
    """Return the first row that is not valid UTF-8, by bisection."""
    low, high = 0, len(texts)
    while high - low > 1:
        middle = (low + high) // 2
        # `take` copies: validating a slice of lists would look at the whole child array.
        if _is_utf8(texts.take(pa.array(np.arange(low, middle)))):
            low = middle
        else:
            high = middle
    return low


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


def _bad_values(table: pa.Table, first_row: int) -> Iterator[Breach]:
    """Yield the first null and the first bad value of every column that has one."""
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


def _empty_messages(table: pa.Table, first_row: int) -> Iterator[Breach]:
    """Yield the first row whose history has a message without role or content."""
    if "history" not in table.column_names:
        return
    history = table.column("history")
    messages = pc.list_flatten(history)
    empty = [pc.is_null(pc.struct_field(messages, field.name)) for field in HISTORY.value_type]
    if any(pc.any(mask).as_py() for mask in empty):
        at = _first_true(pc.or_(*empty))
        # A null list has no messages; the i-th list holds those from ends[i - 1] to ends[i].
        ends = np.cumsum(pc.fill_null(pc.list_value_length(history), 0).to_numpy())
        row = first_row + int(np.searchsorted(ends, at, side="right"))
        problem = f"has a message without role or content in row {row}"
        yield Breach("message", "history", row, problem)


def _wrong_targets(table: pa.Table, first_row: int, gamma: float) -> Iterator[Breach]:
    """Yield the first row whose p_chosen is not sigma(gamma * margin) with the file's gamma."""
    if not {"margin", "p_chosen"} <= set(table.column_names):
        return
    margin, target = (table.column(name).to_numpy() for name in ("margin", "p_chosen"))
    # Nulls are NaN here. Other rules name what is not finite.
    sound = np.isfinite(margin) & (margin >= 0) & np.isfinite(target)
    expected = probability(np.where(sound, margin, 0.0), gamma)
    wrong = sound & ~(np.abs(target - expected) <= TARGET_TOLERANCE)
    if wrong.any():
        at = int(wrong.argmax())
        row = first_row + at
        problem = (
            f"is {target[at]} in row {row}, but sigma(gamma * margin) is {expected[at]} there "
            f"(gamma {gamma})"
        )
        yield Breach("target", "p_chosen", row, problem)


def id_breaches(pair_ids: pa.ChunkedArray) -> Iterator[Breach]:
    """Yield the first pair_id that stands in an earlier row too. pair_ids: the file's column."""
    if len(pc.unique(pair_ids)) == len(pair_ids):
        return
    # As bytes, so that an id that is not valid UTF-8 can be compared and shown.
    seen: set[bytes | None] = {None}
    for row, pair_id in enumerate(pair_ids.cast(pa.binary()).to_pylist()):
        if pair_id in seen and pair_id is not None:
            name = pair_id.decode("utf-8", "replace")
            problem = f"is {name!r} in row {row}, which stands in an earlier row too"
            yield Breach("duplicate", "pair_id", row, problem)
            return
        seen.add(pair_id)
