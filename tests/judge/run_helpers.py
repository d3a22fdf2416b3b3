"""Runs for the runner's tests: settings, a journal with numbered questions, its contents."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from margintool.judge.cost.prices import Price, Prices
from margintool.judge.item import Request, Verdict
from margintool.judge.journal.journal import Journal
from margintool.judge.running.client import Secret
from margintool.judge.running.records import RunOutcome, RunSettings
from margintool.judge.running.runner import run_requests
from tests.judge.journal_rows import key, request

MODEL = "gpt-4o"
# One cent for each of the 1,100 tokens of a reply.
CENT = Price(input=10_000.0, output=10_000.0)


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int | None]] = []
        self.done = 0
        self.notes: list[str] = []

    def start(self, stage: str, total: int | None) -> None:
        self.started.append((stage, total))

    def advance(self, amount: int) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        self.notes.append(text)


def settings(url: str, **changes: Any) -> RunSettings:
    values: dict[str, Any] = {
        "base_url": url,
        "key": Secret("sk-test-0123456789abcdef"),
        "concurrency": 4,
        "rpm": None,
        "tpm": None,
        "timeout": 10.0,
        "retries": 2,
        "max_cost": None,
        "prices": Prices({MODEL: CENT}),
        "count_tokens": lambda request: 1000,
        "most_tokens": lambda request: 1000,
    }
    return RunSettings(**(values | changes))


@contextmanager
def questions(path: Path, number: int) -> Iterator[Journal]:
    """Open a journal with questions 0, 1, ..., `number` - 1."""
    with Journal.open(path, write=True) as journal:
        journal.plan(request(i, f"question {i}") for i in range(number))
        yield journal


def seven(_: Request, payload: Mapping[str, Any]) -> Verdict:
    assert payload["choices"]
    return Verdict(7.0)


def run(journal: Journal, url: str, **changes: Any) -> RunOutcome:
    return run_requests(journal, settings(url, **changes), wanted_only=False, parse=seven)


def values(journal: Journal, number: int) -> list[float | None]:
    """Return the value of each question's verdict, None where it has no reply."""
    stored = journal.verdicts([key(i) for i in range(number)])
    return [row.verdict.value if row.verdict else None for row in stored.values()]


def errors(journal: Journal, number: int) -> list[str | None]:
    return [row.error for row in journal.verdicts([key(i) for i in range(number)]).values()]
