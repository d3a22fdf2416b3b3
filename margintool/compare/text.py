"""Draws a comparison in the terminal, 80 columns wide or more. Read by margintool/cli/compare.py.

Paths and names from metadata are untrusted: control characters are replaced, and nothing in them
is read as markup.
"""

import math
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from margintool.compare.facts import Calibration, Comparison, Estimate, FileFacts, TwoFiles
from margintool.compare.measures import AGREEMENT, CALIBRATION
from margintool.report.words import count, counted, number, share, visible
from mmpo_core.interval_words import interval

INDENT = 2
HEADINGS = {
    "same_winner": None,
    "kendall_signed": "signed margins (winner and size)",
    "kendall_size": "sizes of the margins, whoever wins",
}


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print a comparison. console: where to; standard output if not given."""
    console = console or Console(highlight=False)
    for title, body in _sections(comparison):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Padding.indent(body, INDENT))


def _sections(comparison: Comparison) -> Iterator[tuple[str, RenderableType]]:
    yield "Files", _files(comparison.files)
    for two in comparison.comparisons:
        yield f"{two.a} and {two.b}", _overview(two)
        yield f"Agreement of {two.a} and {two.b}", _agreement(two)
        for side in two.calibration:
            yield f"p_chosen of {side.predicted}, with {side.truth} as the truth", _scores(side)
        if two.notes:
            yield "Notes", Text("\n".join(f"- {note}" for note in two.notes))
    if len(comparison.files) > 2:
        yield "Spearman of signed margins, on the pairs that two files share", _matrix(comparison)


def _grid(*titles: str) -> Table:
    """Return an empty table whose columns after the first are right-aligned."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at, title in enumerate(titles):
        table.add_column(title, justify="right" if at else "left", no_wrap=at > 0)
    return table


def _files(files: tuple[FileFacts, ...]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for file in files:
        parts = [f"{counted(file.pairs, 'pair')}, {counted(file.ties, 'tie')}"]
        if file.repeated:
            parts.append(f"{counted(file.repeated, 'repeated row')} merged by their mean")
        if file.identical:
            parts.append(f"{counted(file.identical, 'row')} with twice the same answer left out")
        gamma = "" if file.gamma is None else f"; gamma {number(file.gamma)}"
        margin = " ".join(filter(None, (file.estimator, f"({file.unit})" if file.unit else "")))
        table.add_row(file.name, Text(visible(file.path)))
        about = ", ".join(filter(None, (margin, *parts))) + gamma
        table.add_row("", Text(visible(about), style="dim"))
    return table


def _overview(two: TwoFiles) -> Text:
    decided = two.same_winner + two.other_winner
    lines = [
        f"{counted(two.pairs, 'pair')} of {counted(two.prompts, 'prompt')} in both; "
        f"{count(two.only_a)} only in {two.a}, {count(two.only_b)} only in {two.b}",
        f"winner in both: {counted(decided, 'pair')}, the same in {count(two.same_winner)} "
        f"({share(two.same_winner, decided)})",
        f"ties: {count(two.tie_a)} in {two.a} alone, {count(two.tie_b)} in {two.b} alone, "
        f"{count(two.tie_both)} in both",
    ]
    return Text("\n".join(lines))


def _agreement(two: TwoFiles) -> Table:
    table = _grid("", "value", "95% interval")
    for name, label in AGREEMENT.items():
        heading = HEADINGS.get(name)
        if heading:
            table.add_row(Text(heading, style="dim"))
        indent = "" if name == "same_winner" else "  "
        table.add_row(f"{indent}{label}", *_cells(two.agreement[name]))
    return table


def _scores(side: Calibration) -> Table:
    table = _grid(
        "",
        f"{side.truth}'s winner",
        "95% interval",
        f"{side.truth}'s p_chosen",
        "95% interval",
    )
    for name, (label, _) in CALIBRATION.items():
        outcome, target = side.against_outcome[name], side.against_target[name]
        table.add_row(label, *_cells(outcome), *_cells(target))
    return table


def _cells(estimate: Estimate) -> tuple[str, str]:
    return _shown(estimate.value), interval(estimate.low, estimate.high, _shown)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return "inf" if math.isinf(value) else f"{value:.3f}"


def _matrix(comparison: Comparison) -> Table:
    names = [file.name for file in comparison.files]
    table = _grid("", *names)
    for name, row in zip(names, comparison.spearman, strict=True):
        table.add_row(name, *(_shown(value) for value in row))
    return table
