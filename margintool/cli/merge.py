"""`margintool merge`: an adapter and its base as one model. The work is in mmpo_core."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def merge_command(
    adapter: Annotated[
        Path, typer.Argument(help="Folder that `margintool train --lora-rank` wrote.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make for the model.")],
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="Type of the weights; auto is the base model's own."),
    ] = "auto",
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with a hub model.")
    ] = False,
) -> None:
    """Add an adapter to the weights of its base model: a folder that needs no adapter.

    Example: margintool merge runs/gemma-2b-policy --out gemma-2b-mmpo

    The folder appears whole or not at all. An adapter trained on a 4-bit base (--quantize) is added
    to the base's whole weights.
    """
    from margintool.cli.train_summary import log_lines
    from mmpo_core.adapter_merge import merge_adapter

    with log_lines():
        folder = merge_adapter(adapter, out, dtype=dtype, trust_remote_code=trust_remote_code)
    typer.echo(f"{folder}: model and tokenizer")
