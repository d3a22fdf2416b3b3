"""Which layout a table has, told from its columns. Used once per input, and for each file."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches

import pyarrow as pa

from margintool.canonical import NOT_TEXT
from margintool.layouts.base import Layout, found_as, matching
from margintool.layouts.registry import LAYOUTS
from mmpo_core.errors import InputError

Readers = Callable[[Layout], Sequence[str]]

# In the name of an only column they show that a file is not separated as its suffix says.
SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas"}


def detect(
    columns: pa.Schema,
    source: str,
    *,
    needs_scores: bool = True,
    readers: Readers = lambda layout: layout.sources,
) -> Layout:
    """Return the layout that fits `columns` and says most about them.

    Of several that fit, the one with most of its required columns there wins, and among these
    the one with most columns under their own names rather than an alias.

    Args:
        columns: the table's columns, after --map.
        source: a key of SOURCES.
        needs_scores: whether the source reads scores: then only layouts with scores for it are
            candidates. Else all are, and their score columns may be absent.
        readers: names the sources that read a layout, to name one where only its layout fits.

    Raises:
        InputError: if none fits (lists each candidate with the columns it misses), or if two fit
            equally well.
    """
    if needs_scores:
        candidates = [layout for layout in LAYOUTS.values() if source in layout.sources]
    else:
        candidates = [layout.without_scores() for layout in LAYOUTS.values()]
    fitting = [LAYOUTS[layout.name] for layout in candidates if not missing(layout, columns)]
    if not fitting:
        raise InputError(_no_layout(candidates, columns, source, readers))
    ranked = sorted(fitting, key=lambda layout: _rank(layout, columns), reverse=True)
    best = [layout for layout in ranked if _rank(layout, columns) == _rank(ranked[0], columns)]
    if len(best) > 1:
        names = " and ".join(layout.name for layout in best)
        raise InputError(f"the columns fit layouts {names} equally well; name one with --layout")
    return best[0]


def require(layout: Layout, columns: pa.Schema, *, types: bool = True, scores: bool = True) -> None:
    """Check that a layout given by name fits the columns.

    Args:
        layout: the layout.
        columns: the table's columns, after --map.
        types: whether their types must fit too.
        scores: whether the columns with scores must be there.

    Raises:
        InputError: naming what is missing, and the nearest column names.
    """
    layout = layout if scores else layout.without_scores()
    lacking = missing(layout, columns, types=types)
    if lacking:
        hints = _hints(layout, columns)
        raise InputError(
            f"layout {layout.name} misses {', '.join(lacking)}. {_columns_there(columns)} "
            f"Map your columns with --map, for example --map {_example(layout, columns)}.{hints}"
        )


def missing(layout: Layout, columns: pa.Schema, *, types: bool = True) -> list[str]:
    """Return, in words, what a layout misses among the columns; empty if it fits."""
    lacking = [
        repr(name) for name in layout.required if found_as(layout, name, columns.names) is None
    ]
    if _lacks_choice(layout, columns.names):
        lacking.append(" or ".join(_group_words(group) for group in layout.one_of))
    for name, (wanted, fits) in layout.types.items() if types else ():
        if name in columns.names and not fits(columns.field(name).type):
            lacking.append(f"{name!r} as {wanted} (it is {columns.field(name).type})")
    return lacking


def _lacks_choice(layout: Layout, columns: Sequence[str]) -> bool:
    return bool(layout.one_of) and not any(
        _complete(layout, group, columns) for group in layout.one_of
    )


def _complete(layout: Layout, group: tuple[str, ...], columns: Sequence[str]) -> bool:
    """Whether all of a group is there; a glob that stands twice needs two columns."""
    return all(
        found_as(layout, pattern, columns)
        or len(matching(pattern, columns)) >= group.count(pattern)
        for pattern in group
    )


def _lacking_names(layout: Layout, columns: pa.Schema) -> list[str]:
    """Return the columns to be named in a --map: required ones, and those of the first choice."""
    names = [name for name in layout.required if found_as(layout, name, columns.names) is None]
    if _lacks_choice(layout, columns.names):
        names += [name for name in layout.one_of[0] if name not in columns.names]
    return names


def _group_words(group: tuple[str, ...]) -> str:
    words = [
        repr(pattern) if group.count(pattern) == 1 else f"{group.count(pattern)} of {pattern!r}"
        for pattern in dict.fromkeys(group)
    ]
    return " and ".join(words)


def _rank(layout: Layout, columns: pa.Schema) -> tuple[int, int]:
    """Return how many of the columns a layout tells of, and how many under their own names."""
    told = sum(found_as(layout, name, columns.names) is not None for name in layout.required)
    if not _lacks_choice(layout, columns.names):
        told += min((len(group) for group in layout.one_of), default=0)
    own_names = sum(name in columns.names for name in layout.required)
    return told, own_names


def _no_layout(
    candidates: Sequence[Layout], columns: pa.Schema, source: str, readers: Readers
) -> str:
    readable = [layout for layout in candidates if source in readers(layout)] or list(candidates)
    ranked = sorted(readable, key=lambda layout: _share_missing(layout, columns))
    lines = [f"the columns fit no layout of source {source}. {_columns_there(columns)}"]
    lines += [f"  {layout.name} misses {', '.join(missing(layout, columns))}" for layout in ranked]
    if other := _other_layout({layout.name for layout in candidates}, columns, readers):
        lines.append(other)
    if ranked:
        lines.append(
            "Map your columns onto a layout's with --map, for example "
            f"--map {_example(ranked[0], columns)}; --layout names the layout; "
            f"`margintool layouts` describes all.{_hints(ranked[0], columns)}"
        )
    return "\n".join(lines)


def _other_layout(tried: set[str], columns: pa.Schema, readers: Readers) -> str | None:
    """Name the layout that fits best of those that only another source reads, and the source."""
    fitting = [
        layout
        for layout in LAYOUTS.values()
        if layout.name not in tried and readers(layout) and not missing(layout, columns)
    ]
    if not fitting:
        return None
    best = max(fitting, key=lambda layout: _rank(layout, columns))
    return f"They fit layout {best.name}, read with --source {readers(best)[0]}."


def _share_missing(layout: Layout, columns: pa.Schema) -> float:
    return len(missing(layout, columns)) / (len(layout.required) + bool(layout.one_of))


def _columns_there(columns: pa.Schema) -> str:
    names = [name for name in columns.names if not name.endswith(NOT_TEXT)]
    if not names:
        return "Found no columns."
    found = f"Found: {', '.join(names)}."
    if len(names) == 1 and (mark := next((m for m in SEPARATORS if m in names[0]), None)):
        found += (
            f" That is one column with {SEPARATORS[mark]} in its name: values are separated by "
            "commas in a .csv file and by tabs in a .tsv file."
        )
    return found


def _example(layout: Layout, columns: pa.Schema) -> str:
    """Return a --map argument for what the layout misses: names to be filled in by the user."""
    lacking = _lacking_names(layout, columns) or list(layout.required)[:1]
    return ",".join(f"{name}=COLUMN" for name in lacking)


def _hints(layout: Layout, columns: pa.Schema) -> str:
    """Return ` For x, did you mean column 'y'?` for missing columns with a near name."""
    return "".join(_near_names(layout, columns))


def _near_names(layout: Layout, columns: pa.Schema) -> Iterator[str]:
    for name in _lacking_names(layout, columns):
        for near in get_close_matches(name, columns.names, n=1):
            yield f" For {name!r}, did you mean column {near!r}?"
