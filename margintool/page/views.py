"""What a page is made of, as plain frozen dataclasses: sections of blocks. No HTML here.

Every text in them is shown as it stands: the template escapes all. Made by the modules beside
this one, read by render.py and page.html.jinja, which shows each class its own way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from margintool.report.rows import Fact, Grid

# CSS pixels; what is drawn as one panel is narrower.
_WIDE = 700
# At this share of a picture's size its labels, of 10 points, are as high as the page's smallest.
_READABLE = 0.8
# Rows; a table of more is folded.
_LONG = 12


@dataclass(frozen=True)
class Paragraph:
    """Words. quiet: a remark rather than a finding."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: Sequence[Fact]


@dataclass(frozen=True)
class Table:
    """A table; its first column names the rows. It scrolls where it is wider than the page.

    wraps: whether its texts are sentences, which may take several lines.
    """

    caption: str
    grid: Grid
    wraps: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        source: a data: URI.
        width, height: its natural size, in CSS pixels.
        alt: what a reader who does not see it has to know.
        caption: shown below.
    """

    source: str
    width: int
    height: int
    alt: str
    caption: str = ""

    @property
    def wide(self) -> bool:
        """Whether it is several panels beside each other, too small to read on a phone."""
        return self.width > _WIDE

    @property
    def readable(self) -> int:
        """The width below which its labels could not be read."""
        return round(_READABLE * self.width)


@dataclass(frozen=True)
class Gallery:
    """Pictures beside each other, where there is room."""

    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Code:
    """Lines to be copied."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Said:
    """A text and who said it. rest: how many characters were cut off."""

    who: str
    text: str
    rest: int = 0


@dataclass(frozen=True)
class Example:
    """Texts that belong together, folded: `title` is what is seen of them at first."""

    title: str
    facts: Sequence[Fact]
    said: Sequence[Said]


@dataclass(frozen=True)
class Part:
    """Blocks under a heading of their own; folded, they are seen after a click on it."""

    title: str
    blocks: Sequence["Block"]
    folded: bool = False


def unless_long(table: Table) -> "Table | Part":
    """Return a table, folded where its rows would push out of sight what comes after it."""
    return table if len(table.grid.rows) <= _LONG else Part(table.caption, [table], folded=True)


Block = Paragraph | Facts | Table | Gallery | Code | Example | Part


@dataclass(frozen=True)
class Section:
    """A section. key: its anchor, unique in the page."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: its heading.
        lead: what it is about, in a sentence.
        opening: what is read first.
        sections: what there is to show.
        left_out: what there was nothing to show of, each with the reason.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    left_out: Sequence[str] = ()
    opening: Sequence[Block] = ()
