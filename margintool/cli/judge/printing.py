"""How the outcomes of the `judge` commands look in the terminal."""

from collections.abc import Iterator, Mapping
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
    print_rows([*_outcome(outcome), *_counts(counts)])


def print_counts(counts: "Counts") -> None:
    """Print how far a journal is, in all and by judge."""
    rows = list(_counts(counts))
    if len(counts.by_model) > 1:
        for model, of_model in counts.by_model.items():
            rows += [("", ""), (model, ""), *_counts(of_model)]
    print_rows(rows)


def _outcome(outcome: "RunOutcome") -> Iterator[Row]:
    yield "answered", f"{outcome.answered:,} now, in {outcome.seconds:,.1f} s"
    if outcome.aside:
        yield "asked before", f"{outcome.aside:,} on how the server wants to be asked"
    cost = "no price known" if outcome.cost is None else f"USD {outcome.cost:,.4f}"
    yield "tokens", f"{outcome.prompt_tokens:,} in, {outcome.completion_tokens:,} out ({cost})"
    if outcome.untold:
        yield "cost unknown", f"of {outcome.untold:,} replies without a token count"
    if outcome.unseen:
        yield "perhaps paid", f"{outcome.unseen:,} tries without a readable reply"
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
