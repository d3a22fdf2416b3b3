"""Draws a report in the terminal, 80 columns wide or more, with or without colour.

Texts from the file are untrusted: control characters are replaced, and nothing in them is read
as markup. What an ASCII terminal cannot show becomes a question mark. Read by
margintool/cli/inspect.py; the pairs of --sample are drawn by sample_text.py.
"""

from collections.abc import Iterator, Sequence
from io import TextIOWrapper

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from margintool.report.facts import LengthBias, PairReport
from margintool.report.histogram_text import histogram_lines
from margintool.report.rows import (
    BIAS_NOTE,
    Grid,
    bias_grid,
    column_grid,
    contract,
    duplicates,
    length_grid,
    origin,
    overview,
    quantile_grid,
)
from margintool.report.sample_text import pair_lines
from margintool.report.words import count, visible

INDENT = 2


def print_report(report: PairReport, console: Console | None = None) -> None:
    """Print a report. console: where to; standard output if not given."""
    console = console or Console(highlight=False)
    if console.options.ascii_only and isinstance(console.file, TextIOWrapper):
        console.file.reconfigure(errors="replace")
    for title, body in _sections(report, console):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Padding.indent(body, INDENT))


def _sections(report: PairReport, console: Console) -> Iterator[tuple[str, RenderableType]]:
    yield visible(report.path), Text(", ".join(overview(report)))
    yield "Contract", _contract(report)
    yield "How it was made", _facts(origin(report))
    yield "Columns", _columns(report)
    if report.quantiles:
        yield "Scores, margins and targets", _drawn(quantile_grid(report.quantiles))
    if report.histogram:
        yield "Histogram of margin", histogram_lines(report.histogram, console)
    if report.lengths:
        yield "Lengths", _drawn(length_grid(report))
    if report.length_bias:
        yield "Length bias: do longer answers win? (ties left out)", _bias(report.length_bias)
    if report.duplicates:
        yield "Duplicates", _facts(duplicates(report.duplicates))
    if report.longest_prompts:
        yield "Longest prompts", _longest(report, console)
    for pair in report.sample:
        yield f"Pair in row {count(pair['row'])}", pair_lines(pair, report.gamma)


def _contract(report: PairReport) -> Text:
    return Text("\n".join(contract(report)), style="red" if report.breaches else "green")


def _facts(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _columns(report: PairReport) -> Table:
    table = _drawn(column_grid(report))
    table.columns[1].no_wrap = True
    return table


def _bias(rows: Sequence[LengthBias]) -> Table:
    table = _drawn(bias_grid(rows))
    table.caption = BIAS_NOTE
    table.caption_justify = "left"
    return table


def _drawn(grid: Grid) -> Table:
    table = _grid(*grid.titles)
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _grid(*titles: str) -> Table:
    """Return an empty table; a title that starts with > is right-aligned."""
    gap = 2 if len(titles) < 8 else 1
    table = Table(box=None, padding=(0, gap, 0, 0), header_style="dim")
    for title in titles:
        right = title.startswith(">")
        table.add_column(
            title.removeprefix(">"), justify="right" if right else "left", no_wrap=right
        )
    return table


def _longest(report: PairReport, console: Console) -> Table:
    table = _grid(">row", ">chars", ">words", "begins")
    for prompt in report.longest_prompts:
        begins = Text(" ".join(visible(prompt.begins).split()))
        begins.truncate(console.width - 30, overflow="ellipsis")
        table.add_row(count(prompt.row), count(prompt.characters), count(prompt.words), begins)
    return table
