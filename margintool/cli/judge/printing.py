"""How the outcomes of the `judge` commands look in the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from margintool.cli.summary import print_rows

if TYPE_CHECKING:
    from margintool.judge.cost.estimate import Estimate
    from margintool.judge.journal.journal import Counts
    from margintool.judge.running.records import RunOutcome

Row = tuple[str, str]


def print_estimate(estimate: "Estimate") -> None:
    """Print what asking would take."""
    for line in estimate.lines():
        typer.echo(line)


def print_outcome(outcome: "RunOutcome", counts: "Counts") -> None:
    """Print what a run did and how far its journal is."""
    print_rows([*outcome.lines(), *_counts(counts)])


def print_counts(counts: "Counts") -> None:
    """Print how far a journal is, in all and by judge."""
    rows = list(_counts(counts))
    if len(counts.by_model) > 1:
        for model, of_model in counts.by_model.items():
            rows += [("", ""), (model, ""), *_counts(of_model)]
    print_rows(rows)


def _counts(counts: "Counts") -> Iterator[Row]:
    from margintool.judge.running.records import counted_by_name

    yield "journal", f"{counts.answered:,} of {counts.planned:,} questions answered"
    if counts.waiting:
        failed = f", {counts.failed:,} of them failed before" if counts.failed else ""
        yield "waiting", f"{counts.waiting:,}{failed}"
    if counts.in_batches:
        yield "in batches", f"{counts.in_batches:,}"
    yield from counted_by_name("unreadable", counts.unreadable)
