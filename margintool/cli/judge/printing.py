"""How the outcomes of the `judge` commands look in the terminal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import typer

from margintool.cli.summary import print_rows

if TYPE_CHECKING:
    from margintool.judge.batch_collect import CollectOutcome
    from margintool.judge.batch_status import BatchStatus
    from margintool.judge.batch_submit import SubmitOutcome
    from margintool.judge.estimate import Estimate
    from margintool.judge.journal import Counts
    from margintool.judge.run_records import RunOutcome

Row = tuple[str, str]


def print_estimate(estimate: "Estimate") -> None:
    """Print what asking would take."""
    for line in estimate.lines():
        typer.echo(line)


def print_outcome(outcome: "RunOutcome", counts: "Counts") -> None:
    """Print what a run did and how far its journal is."""
    print_rows([*_outcome(outcome), *_counts(counts)])
    if outcome.stopped is not None:
        typer.echo(f"stopped: {outcome.stopped}", err=True)


def print_counts(counts: "Counts") -> None:
    """Print how far a journal is, in all and by judge."""
    rows = list(_counts(counts))
    if len(counts.by_model) > 1:
        for model, of_model in counts.by_model.items():
            rows += [("", ""), (model, ""), *_counts(of_model)]
    print_rows(rows)


def print_batches(batches: Iterable["BatchStatus"]) -> None:
    """Print batches, a line each."""
    for one in batches:
        done = "" if one.answered is None else f", {one.answered:,} answered, {one.failed:,} failed"
        name = one.row.batch_id or "not created yet"
        typer.echo(f"batch {one.row.id} ({name}): {one.state}, {one.row.requests:,} requests{done}")
        if one.errors:
            typer.echo(f"  {one.errors}")


def print_submitted(outcome: "SubmitOutcome") -> None:
    """Print the batches that are with the server now."""
    for row in outcome.batches:
        typer.echo(f"batch {row.id} ({row.batch_id}): {row.requests:,} requests to {row.model}")
    if not outcome.batches:
        typer.echo("nothing to submit: no question waits")
    if outcome.recovered:
        typer.echo(f"{outcome.recovered:,} of them begun by an interrupted run")
    if outcome.too_large:
        typer.echo(f"{outcome.too_large:,} requests are larger than --max-bytes alone: left out")
    for row in outcome.elsewhere:
        typer.echo(f"batch {row.id} was begun for {row.served_by}: name it with --base-url")


def print_collected(outcome: "CollectOutcome", counts: "Counts") -> None:
    """Print what ended batches held and how far the journal is."""
    for row in outcome.collected:
        typer.echo(f"batch {row.id} ({row.batch_id}): {row.state}")
    for row in outcome.running:
        typer.echo(f"batch {row.id} ({row.batch_id}): still running")
    for row in outcome.lost:
        typer.echo(
            f"batch {row.id} ({row.batch_id}): the server does not know it, or has its files no "
            f"more. Another key or --base-url may find it; --abandon {row.id} gives it up",
            err=True,
        )
    for row in outcome.elsewhere:
        typer.echo(f"batch {row.id} was given to {row.served_by}: name it with --base-url")
    found = [(name.replace("_", " "), f"{n:,}") for name, n in vars(outcome.rows).items() if n]
    print_rows([*found, *_counts(counts)])


def _outcome(outcome: "RunOutcome") -> Iterator[Row]:
    cost = "no price known" if outcome.cost is None else f"USD {outcome.cost:,.4f}"
    yield "answered", f"{outcome.answered:,} now, in {outcome.seconds:,.1f} s"
    yield "tokens", f"{outcome.prompt_tokens:,} in, {outcome.completion_tokens:,} out ({cost})"
    yield from _by_name("failed", outcome.failed)


def _counts(counts: "Counts") -> Iterator[Row]:
    yield "journal", f"{counts.answered:,} of {counts.planned:,} questions answered"
    if counts.waiting:
        failed = f", {counts.failed:,} of them failed before" if counts.failed else ""
        yield "waiting", f"{counts.waiting:,}{failed}"
    if counts.in_batches:
        yield "in batches", f"{counts.in_batches:,}"
    yield from _by_name("unreadable", counts.unreadable)


def _by_name(label: str, numbers: Mapping[str, int]) -> Iterator[Row]:
    if numbers:
        yield label, f"{sum(numbers.values()):,}"
        for name, number in numbers.items():
            yield "", f"{name} {number:,}"
