"""`--json`: a report on standard output, and nothing else. Read by the commands that have it."""

from collections.abc import Mapping
from json import dumps
from typing import Any

import typer


def print_json(report: Mapping[str, Any] | None) -> None:
    """Print a report as JSON, its texts as they are.

    Raises:
        ValueError: for a number that JSON has no form for, as NaN.
    """
    typer.echo(dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
