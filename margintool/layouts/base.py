"""What a layout is: how the raw rows of one kind of dataset look, and how to read them.

Read next: shp.py for the simplest layout, registry.py for the list of all, detect.py for the
choice among them. The tables a layout produces are described in margintool/canonical.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

import pyarrow as pa

# Before a column's name in a table's metadata: the column that --map took it from.
MAPPED = "mapped:"


@dataclass(frozen=True)
class Layout:
    """One dataset layout.

    Attributes:
        name: key in LAYOUTS; what `--layout` takes.
        about: one line, with the hub ids.
        kind: `pairs` (convert gives canonical PAIRS) or `responses` (canonical RESPONSES).
        sources: sources that read its scores: `shp` (votes), `ratings`; empty if it has none.
            Which sources read a layout at all is said in margintool/readers.py.
        required: column -> meaning.
        optional: column -> meaning; a glob (`annotator*[0-9]`) stands for several columns.
        convert: raw table -> canonical table. Pure and batch-invariant: f(concat(parts)) equals
            concat(f(parts)), but for RESPONSES.row, which counts from the start of the batch.
        scale: bounds of the overall rating; None if not known.
        gives_gap: whether a row has one signed gap, within `scale`, instead of two scores.
        aspect_scale: bounds of the aspect ratings; None if there are none.
        aspects: names of the fields in RESPONSES.aspects.
        aspects_in: names of the aspects that a schema has, where the layout does not fix them.
        aliases: other names under which a column is found.
        group_by: which responses belong together: those of one `prompt`, or of one input `row`.
        one_of: sets of columns of which at least one must be complete; a glob that stands twice
            needs two columns. All of them are described in `optional`.
        scores: columns, required or in `one_of`, that hold scores, and without which the texts
            can be read all the same. Empty where only its scores tell a layout from another.
        both_orders: whether a pair may stand in two rows, with its answers in either order, that
            are two verdicts on one pair.
        types: column -> (what its type must be, predicate), where names alone do not decide.
    """

    name: str
    about: str
    kind: Literal["pairs", "responses"]
    sources: tuple[str, ...]
    required: Mapping[str, str]
    optional: Mapping[str, str]
    convert: Callable[[pa.Table], pa.Table]
    scale: tuple[float, float] | None = None
    gives_gap: bool = False
    aspect_scale: tuple[float, float] | None = None
    aspects: tuple[str, ...] = ()
    aspects_in: Callable[[pa.Schema], tuple[str, ...]] | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_by: Literal["prompt", "row"] = "prompt"
    one_of: tuple[tuple[str, ...], ...] = ()
    scores: tuple[str, ...] = ()
    both_orders: bool = False
    types: Mapping[str, tuple[str, Callable[[pa.DataType], bool]]] = field(default_factory=dict)

    def without_scores(self) -> "Layout":
        """Return the layout as a source sees it that needs no scores: their columns may be absent.

        Such columns are left out of `required` and `one_of`, and are not read any differently.
        """
        needed = {name: what for name, what in self.required.items() if name not in self.scores}
        choices = tuple(group for group in self.one_of if not set(group) <= set(self.scores))
        return replace(self, required=needed, one_of=choices)

    def patterns(self) -> Iterator[str]:
        """Yield every name or glob that stands for a column of this layout, aliases included."""
        for name in (*self.required, *self.optional):
            yield name
            yield from self.aliases.get(name, ())

    def aspects_of(self, columns: pa.Schema) -> tuple[str, ...]:
        """Return the names of the aspects that rows with these columns are rated for."""
        return self.aspects if self.aspects_in is None else self.aspects_in(columns)


def found_as(layout: Layout, name: str, columns: Sequence[str]) -> str | None:
    """Return under which name a layout's column stands in `columns`: its own, an alias, or None."""
    candidates = (name, *layout.aliases.get(name, ()))
    return next((candidate for candidate in candidates if candidate in columns), None)


def matching(pattern: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that a name or glob stands for, in the order of `columns`."""
    return [column for column in columns if fnmatchcase(column, pattern)]
