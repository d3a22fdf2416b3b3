"""`margintool judge submit|collect|cancel`: the Batch API. The work is in judge_runs.py."""

from collections.abc import Iterable
from typing import Annotated

import typer

from margintool.cli.from_options import Given, command_from
from margintool.cli.judge.run import HEADINGS
from margintool.judge_options import JournalOptions, SubmitOptions
from mmpo_core.errors import UnfinishedError

SUBMIT = """Give the questions that wait to the Batch API: half the price, replies within a day.

Example: margintool judge submit pairs.journal.sqlite --input pairs.jsonl --judge-model gpt-4o

Then `margintool judge status` and `margintool judge collect`. Interrupted, the same command goes
on; nothing is submitted twice.
"""
COLLECT = """Fetch the replies of batches that have ended; what failed in them waits again.

Example: margintool judge collect pairs.journal.sqlite
"""
CANCEL = """Ask the server to cancel batches that are still running; what is answered is kept.

Example: margintool judge cancel pairs.journal.sqlite --batch 2
"""
Numbers = Annotated[
    list[int] | None,
    typer.Option(help="Number of a batch, as `judge status` shows it; repeat it for several."),
]


def _submit(given: Given) -> None:
    from margintool.cli.judge.printing import print_estimate
    from margintool.cli.progress import progress_bar
    from margintool.judge.batch.words import submitted
    from margintool.judge_runs import estimated_run, submit_batches

    options = SubmitOptions(**given)
    with progress_bar() as progress:
        if options.dry_run:
            print_estimate(estimated_run(options, batch=True))
            return
        outcome = submit_batches(options, progress)
    _echo(submitted(outcome))
    if outcome.stopped is not None:
        raise UnfinishedError(outcome.stopped)


def _collect(given: Given) -> None:
    from margintool.cli.judge.printing import print_counts
    from margintool.cli.progress import progress_bar
    from margintool.judge.batch.words import collected
    from margintool.judge_runs import collect_batches

    abandon = given.pop("abandon", ())
    with progress_bar() as progress:
        outcome, counts = collect_batches(
            JournalOptions(**given), abandon=abandon, progress=progress
        )
    _echo(collected(outcome))
    print_counts(counts)


def _cancel(given: Given) -> None:
    from margintool.judge.batch.words import told
    from margintool.judge_runs import cancel_batches

    numbers = given.pop("batch", ())
    cancelled = cancel_batches(JournalOptions(**given), numbers)
    _echo([told(batch) for batch in cancelled] or ["nothing to cancel: no batch is running"])


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


submit_command = command_from(
    SubmitOptions, _submit, help=SUBMIT, positional=("journal",), headings=HEADINGS
)
collect_command = command_from(
    JournalOptions,
    _collect,
    help=COLLECT,
    positional=("journal",),
    extra={
        "abandon": Annotated[
            list[int] | None,
            typer.Option(
                help="Number of a batch that the server has lost; its questions wait again, and "
                "may be paid for a second time."
            ),
        ]
    },
)
cancel_command = command_from(
    JournalOptions, _cancel, help=CANCEL, positional=("journal",), extra={"batch": Numbers}
)
