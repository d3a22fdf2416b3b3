"""`margintool report`: runs and evaluations as one page. The work is in margintool.page."""

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of train, sft, sweep, evaluate, best-of-n and experiment."),
    ],
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("report.html"),
    pairs: Annotated[
        list[Path] | None,
        typer.Option(help="Pair file that is no longer where a folder says; may be repeated."),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Heading of the page; the folders' names if not given.")
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, help="Show so many pairs, answers or prompts of each.")
    ] = 5,
) -> None:
    """Write one HTML page on runs, evaluations and experiments, to read, keep and send.

    Example: margintool report runs/mmpo runs/dpo evaluation --out report.html

    The page holds its pictures and styles and asks the network for nothing. It shows the data,
    training curves, held-out metrics, reliability, overfitting, RewardBench, MT-bench, best of n,
    experiments, the pairs that a model and its target disagree on most, and the commands. What a
    folder holds nothing of is left out, and the end of the page says so.
    """
    from margintool.cli.progress import progress_bar
    from margintool.cli.summary import print_rows
    from margintool.page.writing import report_page

    with progress_bar() as progress:
        page = report_page(
            folders, out, pairs=pairs or (), title=title, examples=examples, progress=progress
        )
    rows = [("page", str(page.path)), ("sections", ", ".join(page.sections))]
    print_rows([*rows, *(("left out", line) for line in page.left_out)])
