"""`margintool layouts`: the layouts that `score` reads. The work is in margintool.layouts."""

from typing import Annotated

import typer


def layouts_command(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """List the dataset layouts that `margintool score` reads, with their columns.

    Example: margintool layouts

    The layout of an input is told from its columns; --layout names it, and --map brings columns
    with other names into it: --map prompt=input,rating=scores.overall
    """
    from margintool.layouts.listing import print_layouts
    from margintool.readers import readers_of

    print_layouts(readers_of, as_json=json)
