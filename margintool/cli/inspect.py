"""`margintool inspect`: what is in a pair file. The work is in margintool.report."""

from pathlib import Path
from typing import Annotated

import typer


def inspect_command(
    pairs: Annotated[Path, typer.Argument(help="Pair file made by `margintool score`.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw margins, targets and length bias into this PNG file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with pictures, tables and the pairs of --sample there."),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Print so many pairs, drawn at random.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 42,
) -> None:
    """Show what is in a pair file: counts, margins, lengths, length bias, duplicates.

    Example: margintool inspect pairs.parquet --sample 3 --plot margins.png

    Every breach of the contract is named with its first bad row; the exit status is then 2.
    """
    from margintool.cli.progress import progress_bar
    from margintool.report.text import print_report

    with progress_bar() as progress:
        if html is None:
            from margintool.report.inspecting import inspect_pairs

            report = inspect_pairs(pairs, plot=plot, sample=sample, seed=seed, progress=progress)
        else:
            from margintool.page.writing import inspect_page

            report = inspect_page(
                pairs, html, plot=plot, sample=sample, seed=seed, progress=progress
            )
    typer.echo(report.to_json()) if json else print_report(report)
    raise typer.Exit(2 if report.breaches else 0)
