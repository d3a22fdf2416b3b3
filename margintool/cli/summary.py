"""How the outcome of `score` looks in the terminal."""

from collections.abc import Iterable, Iterator

from margintool.summary import ScoreSummary


def print_summary(summary: ScoreSummary) -> None:
    """Print counts, rejects by reason, margin quantiles, gamma and the mean target."""
    print_rows(_rows(summary))


def print_rows(rows: Iterable[tuple[str, str]], *, soft_wrap: bool = False) -> None:
    """Print (label, text) rows, the labels in a column.

    Args:
        rows: label and text of each.
        soft_wrap: leave it to the terminal to break lines, so that paths and code stay whole.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    console = Console(highlight=False)
    if soft_wrap:
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:  # a table would be cut at the console's width
            console.print(Text(name.ljust(width), "bold"), Text(value), sep="  ", soft_wrap=True)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)


def _rows(summary: ScoreSummary) -> Iterator[tuple[str, str]]:
    quantiles = summary.margin_quantiles.items()
    yield "read", f"{summary.read:,} rows ({summary.layout} layout)"
    yield "kept", f"{summary.kept:,} pairs in {summary.out}"
    yield "ties", f"{summary.ties:,}"
    yield "flipped", f"{summary.flipped:,}"
    yield (
        "rejected",
        f"{sum(summary.rejected.values()):,}"
        + (f" in {summary.rejects}" if summary.rejects else ""),
    )
    for reason, count in summary.rejected.items():
        yield "", f"{reason} {count:,}"
    yield "margin_raw", "  ".join(f"q{float(q):.0%} {value:.3g}" for q, value in quantiles)
    yield "gamma", f"{summary.gamma:.6g} on {summary.normalizer} margins ({summary.margin})"
    yield "mean target", f"{summary.mean_target:.4f}"
    yield from summary.findings
