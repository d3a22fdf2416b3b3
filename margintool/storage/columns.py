"""Which columns are read, decided file by file: the files of one input may have different ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa

from margintool.canonical import NOT_TEXT
from mmpo_core.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """The columns that are asked of an input.

    Args:
        groups: the names of each column, the preferred one first. A row of JSON that has a key
            of several is read by the first of them, even if its value is null.
        globs: patterns that stand for any number of columns.
        check: takes the columns of a file; raises InputError if the file cannot be used.
    """

    groups: tuple[tuple[str, ...], ...]
    globs: tuple[str, ...]
    check: Callable[[pa.Schema], None]

    @property
    def names(self) -> list[str]:
        """All names, each once."""
        return list(dict.fromkeys(name for group in self.groups for name in group))

    def among(self, found: Sequence[str]) -> list[str]:
        """Return the wanted ones of the columns found, with their `__not_text` companions."""
        names = set(self.names)
        names.update(name for name in found for glob in self.globs if fnmatchcase(name, glob))
        names.update([name + NOT_TEXT for name in names])
        return [name for name in found if name in names]

    def contested(self, found: Sequence[str]) -> list[list[str]]:
        """Return the names found of those groups of which several are found."""
        groups = [[name for name in group if name in found] for group in self.groups]
        return [group for group in groups if len(group) > 1]


def columns_to_read(name: str, wanted: Wanted | None, found: pa.Schema) -> list[str]:
    """Return which of its columns are read of the file `name`; None wants all.

    Raises:
        InputError: the file cannot be used; names it.
    """
    if wanted is None:
        return list(found.names)
    try:
        wanted.check(found)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    return wanted.among(found.names)


def check_unique(name: str, columns: Sequence[str]) -> None:
    """Raise InputError if two columns of the file `name` have the same name."""
    seen: set[str] = set()
    for column in columns:
        if column in seen:
            raise InputError(f"{name}: two columns are named {column!r}. Rename one of them")
        seen.add(column)
