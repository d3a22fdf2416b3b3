"""The layouts as text and as data: what `margintool layouts` prints, and the docs page reads."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from margintool.layouts.base import Layout
from margintool.layouts.registry import LAYOUTS

Readers = Callable[[Layout], Sequence[str]]


def describe(layout: Layout, readers: Readers) -> dict[str, Any]:
    """Return what a user may want to know of a layout, as JSON-ready data.

    Args:
        layout: the layout.
        readers: names the sources that read a layout.
    """
    return {
        "name": layout.name,
        "about": layout.about,
        "kind": layout.kind,
        "sources": list(readers(layout)),
        "scores": list(layout.scores),
        "both_orders": layout.both_orders,
        "required": dict(layout.required),
        "optional": dict(layout.optional),
        "one_of": [list(group) for group in layout.one_of],
        "aliases": {name: list(others) for name, others in layout.aliases.items()},
        "scale": layout.scale,
        "aspects": list(layout.aspects),
        "aspect_scale": layout.aspect_scale,
        "group_by": layout.group_by if layout.kind == "responses" else None,
    }


def print_layouts(readers: Readers, *, as_json: bool = False) -> None:
    """Print all layouts to stdout: a table on a terminal, plain lines elsewhere, or JSON.

    Args:
        readers: names the sources that read a layout.
        as_json: whether to print JSON.
    """
    from rich.console import Console

    console = Console()
    if as_json:
        print(json.dumps([describe(layout, readers) for layout in LAYOUTS.values()], indent=2))
    elif console.is_terminal:
        console.print(_table(readers))
    else:
        print("\n\n".join("\n".join(_lines(layout, readers)) for layout in LAYOUTS.values()))


def _table(readers: Readers) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("layout", "source", "rows are", "columns", show_lines=True)
    for layout in LAYOUTS.values():
        columns = "\n".join([layout.about, "", *_column_lines(layout)])
        sources = ", ".join(readers(layout))
        table.add_row(layout.name, sources, layout.kind, Text(columns))
    return table


def _lines(layout: Layout, readers: Readers) -> Iterator[str]:
    sources = ", ".join(readers(layout))
    yield f"{layout.name} (--source {sources}; rows are {layout.kind})"
    yield f"  {layout.about}"
    yield from (f"  {line}" for line in _column_lines(layout))


def _column_lines(layout: Layout) -> Iterator[str]:
    """Yield a line for each column: name, other names, meaning, and whether it may be absent."""
    choices = {name for group in layout.one_of for name in group}
    for name, meaning in {**layout.required, **layout.optional}.items():
        notes = ["one of" if name in choices else "optional"] if name in layout.optional else []
        notes += [f"for {', '.join(layout.sources)}"] if name in layout.scores else []
        yield f"{_names(layout, name)}: {meaning}" + (f" ({'; '.join(notes)})" if notes else "")
    if layout.scale:
        yield f"ratings from {layout.scale[0]:g} to {layout.scale[1]:g}"


def _names(layout: Layout, name: str) -> str:
    return " or ".join([name, *layout.aliases.get(name, ())])
