"""Checks on column names, the same for every file format that names its columns up front."""

from collections.abc import Sequence

from mmpo_core.errors import InputError, nearest


def check_unique(name: str, columns: Sequence[str]) -> None:
    """Raise InputError if two columns of the file `name` have the same name."""
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            raise InputError(f"{name}: two columns are named {column!r}. Rename one of them")
        seen.add(column)


def check_wanted(name: str, wanted: Sequence[str] | None, found: Sequence[str]) -> None:
    """Raise InputError if the file `name` lacks one of the wanted columns."""
    for column in wanted or ():
        if column not in found:
            raise InputError(
                f"{name}: column {column!r} is missing.{nearest(column, found)} "
                f"Columns: {', '.join(found)}"
            )
