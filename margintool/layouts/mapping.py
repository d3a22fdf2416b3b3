"""`--map prompt=COLUMN,rating=scores.overall`: other column names onto a layout's.

A dot goes into a struct, unless a column has that very name.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import MAPPED, Layout, matching
from margintool.layouts.registry import LAYOUTS
from mmpo_core.errors import InputError, nearest


def parse_map(text: str | None, known: Sequence[str] | None = None) -> dict[str, str]:
    """Parse `NAME=COLUMN,NAME=COLUMN` into {layout's name: the file's column}.

    Args:
        text: what --map was given.
        known: the names that may be mapped to; those of all layouts if not given.

    Raises:
        InputError: for a part without `=`, an empty side, a name given twice, or a name that is
            not known.
    """
    mapping: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not (name and equals and column):
            raise InputError(
                f"--map: {part.strip()!r} is not NAME=COLUMN. "
                "Example: --map prompt=input,rating=scores.overall"
            )
        if name in mapping:
            raise InputError(f"--map: {name} stands twice, as {mapping[name]} and as {column}")
        _check_target(name, known)
        mapping[name] = column
    return mapping


def _check_target(name: str, known: Sequence[str] | None) -> None:
    if known is not None:
        if name not in known:
            raise InputError(
                f"--map: {name!r} is not read.{nearest(name, known)} Write NAME=COLUMN with one of "
                f"{', '.join(known)} first"
            )
        return
    patterns = [pattern for layout in LAYOUTS.values() for pattern in layout.patterns()]
    if not any(matching(pattern, [name]) for pattern in patterns):
        raise InputError(
            f"--map: no layout has a column {name!r}.{nearest(name, patterns)} "
            "Write NAME=COLUMN with the layout's name first; `margintool layouts` lists the names"
        )


def apply_map(table: pa.Table, mapping: Mapping[str, str], *, strict: bool = True) -> pa.Table:
    """Return the table with columns under the names that a layout knows.

    A mapped column moves to its new name, with storage's `__not_text` companion; a struct that a
    field is taken from stays. The table's metadata keeps where each came from (Raw.mapped_from).

    Args:
        table: a raw batch.
        mapping: layout's name -> column, or a dotted path into structs.
        strict: whether a column or struct field that this table lacks is an error. A batch may
            lack what none of its rows has: with False it is left out there.

    Raises:
        InputError: with `strict`, if a column or struct field does not exist; names the nearest
            ones.
    """
    new: dict[str, pa.ChunkedArray] = {}
    for name, path in mapping.items():
        column, mark = _at(table, path, strict)
        if column is not None:
            new[name] = column
        if mark is not None:
            new[name + NOT_TEXT] = mark
    old = {*mapping.values(), *mapping}
    moved = {*old, *(name + NOT_TEXT for name in old)}
    kept = {name: table.column(name) for name in table.column_names if name not in moved}
    came_from = {MAPPED + name: path for name, path in mapping.items()}
    return pa.table({**kept, **new}, metadata=came_from) if mapping else table


def _at(
    table: pa.Table, path: str, strict: bool
) -> tuple[pa.ChunkedArray | None, pa.ChunkedArray | None]:
    """Return the column at a path, a column's name or fields inside it, and its companion."""
    top = next((start for start in _starts(path) if start in table.column_names), None)
    if top is None:
        if not strict:
            return None, None
        raise InputError(
            f"--map: there is no column {path!r}.{nearest(path, table.column_names)} "
            f"Found: {', '.join(table.column_names)}"
        )
    column = table.column(top)
    mark = table.column(top + NOT_TEXT) if top + NOT_TEXT in table.column_names else None
    for field in path[len(top) + 1 :].split(".") if len(path) > len(top) else ():
        fields = [f.name for f in column.type] if pa.types.is_struct(column.type) else []
        if field in fields:
            marked = field + NOT_TEXT in fields
            mark = pc.struct_field(column, field + NOT_TEXT) if marked else None
            column = pc.struct_field(column, field)
        elif strict:
            inside = ", ".join(fields) or f"none: it is {column.type}"
            raise InputError(
                f"--map: {path!r} has no field {field!r}.{nearest(field, fields)} Fields: {inside}"
            )
        else:
            return None, None
    return column, mark


def _starts(path: str) -> tuple[str, ...]:
    """Return the names of the columns a path may start in: all of it, or up to a dot."""
    parts = path.split(".")
    return tuple(".".join(parts[:count]) for count in range(len(parts), 0, -1))


def wanted_columns(
    layout: Layout, mapping: Mapping[str, str]
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return the raw columns that a layout reads, optional ones among them.

    Args:
        layout: the layout.
        mapping: what `parse_map` gave.

    Returns:
        For each column the names under which it may stand, the preferred one first; and globs.
    """
    groups = [_starts(path) for path in mapping.values()]
    globs = []
    for name in (*layout.required, *layout.optional):
        names = (name, *layout.aliases.get(name, ()))
        if _is_glob(name):
            globs.append(name)
        elif not any(other in mapping for other in names):
            groups.append(names)
    return tuple(groups), tuple(globs)


def _is_glob(name: str) -> bool:
    return any(letter in name for letter in "*?[")
