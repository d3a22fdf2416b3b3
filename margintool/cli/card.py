"""`margintool card`: a dataset card for a pair file. The work is in margintool.card."""

from pathlib import Path
from typing import Annotated

import typer


def card_command(
    pairs: Annotated[Path, typer.Argument(help="Pair file made by `margintool score`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the card there instead of printing it; the hub reads README.md."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing card.")
    ] = False,
) -> None:
    """Write a dataset card for a pair file, with the YAML front matter that the hub reads.

    Example: margintool card data/pairs.parquet --out data/README.md
    """
    from margintool.card.writing import write_card
    from margintool.cli.progress import progress_bar

    with progress_bar() as progress:
        card = write_card(pairs, out, overwrite=overwrite, progress=progress)
    typer.echo(card if out is None else f"wrote {out}")
