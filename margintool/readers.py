"""Which sources read which layouts. Read by plan.py, and by what lists layouts."""

from margintool.layouts import Layout
from margintool.sources import SOURCES, Source


def reads(source: Source, layout: Layout) -> bool:
    """Whether a source reads rows of a layout."""
    if source.needs_scores:
        return source.name in layout.sources
    return not source.needs_preference or (layout.kind == "pairs" and not layout.both_orders)


def readers_of(layout: Layout) -> list[str]:
    """Return the names of the sources that read a layout, those that read its scores first."""
    names = [name for name, source in SOURCES.items() if reads(source, layout)]
    return sorted(names, key=lambda name: not SOURCES[name].needs_scores)
