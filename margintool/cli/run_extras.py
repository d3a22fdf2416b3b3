"""Options of `train` and `sft` that are no fields of their options: --config and --plan."""

from pathlib import Path
from typing import Annotated

import typer

CONFIG = Annotated[
    Path | None, typer.Option(help="YAML file with option names as keys (lr: 1e-5).")
]
PLAN = Annotated[
    bool | None,
    typer.Option(
        "--plan",
        help="Say what the run would take, before weights are loaded, and stop: memory, tokens, "
        "steps, and what would be dropped.",
    ),
]
