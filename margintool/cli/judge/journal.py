"""`margintool judge status|export|reparse`: what is in a journal."""

from pathlib import Path
from typing import Annotated

import typer

from margintool.cli.from_options import Given, command_from
from margintool.judge_options import JournalOptions

STATUS = """Show how far a journal is: answered, waiting, failed, unreadable; and its batches.

Example: margintool judge status pairs.journal.sqlite

The server is asked only where batches are open.
"""
Journal = Annotated[Path, typer.Argument(help="The journal (SQLite).")]


def _status(given: Given) -> None:
    from margintool.cli.judge.printing import print_counts
    from margintool.judge.batch.words import told
    from margintool.judge_runs import journal_status

    counts, batches = journal_status(JournalOptions(**given))
    print_counts(counts)
    for batch in batches:
        typer.echo(told(batch))


status_command = command_from(JournalOptions, _status, help=STATUS, positional=("journal",))


def export_command(
    journal: Journal,
    out: Annotated[
        Path, typer.Option(help="File to write: .parquet, .csv or .jsonl.", show_default=False)
    ],
    full: Annotated[
        bool, typer.Option("--full", help="With the messages and the raw reply of each request.")
    ] = False,
    prices: Annotated[
        Path | None, typer.Option(help="JSON file with prices of models, over the built-in ones.")
    ] = None,
) -> None:
    """Write a journal as a table, one row a request: asked, said, read, used and paid.

    Example: margintool judge export pairs.journal.sqlite --out judgments.parquet
    """
    from margintool.cli.progress import progress_bar
    from margintool.judge.cost.prices import load_prices
    from margintool.judge.journal.export import export

    with progress_bar() as progress:
        done = export(journal, out, full=full, prices=load_prices(prices), progress=progress)
    typer.echo(
        f"wrote {out}: {done.rows:,} requests, {done.answered:,} answered, "
        f"{done.readable:,} with a verdict"
    )
    if done.unpriced:
        typer.echo(f"no price for {', '.join(done.unpriced)}: cost is empty", err=True)


def reparse_command(
    journal: Journal,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression of your own for the verdict; its group `rating`, or its "
            "first, is read, the last match counts."
        ),
    ] = None,
) -> None:
    """Read all stored replies again and store the verdicts that differ. No call is made.

    Example: margintool judge reparse pairs.journal.sqlite
    """
    from margintool.cli.progress import progress_bar
    from margintool.judge.journal.reparse import reparse

    with progress_bar() as progress:
        done = reparse(journal, pattern, progress=progress)
    typer.echo(
        f"{done.read:,} replies read, {done.changed:,} verdicts changed: {done.now_readable:,} can "
        f"be read now, {done.now_unreadable:,} can no longer"
    )


def ask_again_command(
    journal: Journal,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            help="Only replies with this reason, such as judge_truncated; repeat it for several. "
            "All that could not be read if not given."
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Limit of the new replies' tokens; as it was if not given.")
    ] = None,
) -> None:
    """Let questions wait again whose replies could not be read; the old replies are kept.

    Example: margintool judge ask-again pairs.journal.sqlite --reason judge_truncated
    --max-tokens 4096

    Nothing is sent: `margintool judge run` does that, or the `score` command given again.
    """
    from margintool.judge.journal.ask_again import ask_again

    number = ask_again(journal, reason or (), max_tokens=max_tokens)
    typer.echo(f"{number:,} questions wait again; their old replies are kept in the journal")
