"""`margintool models`: the model names of `train`, from mmpo_core.models."""

from typing import Annotated

import typer


def models_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """List the names that `margintool train --model` knows, with their hub ids.

    Example: margintool models

    Any other hub id (OWNER/NAME) and any folder with a model work as well.
    """
    import json

    from mmpo_core.models import model_table

    rows = model_table()
    typer.echo(json.dumps(rows, indent=2) if as_json else _aligned(rows))


def _aligned(rows: list[dict[str, str]]) -> str:
    """Return rows as text columns under their keys."""
    lines = [[key.replace("_", " ") for key in rows[0]], *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)
