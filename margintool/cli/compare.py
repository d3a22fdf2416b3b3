"""`margintool compare`: how well margins agree. The work is in margintool.compare."""

from pathlib import Path
from typing import Annotated

import typer

from margintool.compare.options import BOOTSTRAP, SEED


def compare_command(
    pairs: Annotated[
        list[Path],
        typer.Argument(help="Two or more pair files; each later one is compared with the first."),
    ],
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw margins against margins, and reliability, into this PNG file."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples behind the 95% intervals; 0 for none.")
    ] = BOOTSTRAP,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = SEED,
) -> None:
    """Show how well the margins of two or more pair files agree on the same pairs.

    Example: margintool compare similarity.parquet votes.parquet --plot agreement.png

    Pairs are the same where history, prompt and both answers are, in either order. Every later
    file is compared with the first: winners, rank correlations, and the calibration of each
    one's p_chosen with the other as the truth. Intervals are over prompts.
    """
    from margintool.cli.progress import progress_bar
    from margintool.compare.comparing import compare
    from margintool.compare.text import print_comparison

    with progress_bar() as progress:
        found = compare(pairs, plot=plot, bootstrap=bootstrap, seed=seed, progress=progress)
    typer.echo(found.to_json()) if json else print_comparison(found)
