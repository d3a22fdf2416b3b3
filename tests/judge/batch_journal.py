"""Journals with requests for the tests of batches, and a reader of their replies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from margintool.judge.item import Request, Verdict
from margintool.judge.journal.journal import Journal
from margintool.judge.task import Task

TASK = Task("single", (1.0, 10.0))


def key(number: int) -> str:
    """Return the key of the request of that number."""
    return f"{number:032x}"


def requests(count: int, *, model: str = "judge", start: int = 0, text: str = "") -> list[Request]:
    """Return requests `start` to `start + count`, each with its number in its message."""
    return [
        Request(
            key(number),
            model,
            TASK,
            0,
            "f" * 16,
            {"model": model, "messages": [{"role": "user", "content": f"{number} {text}"}]},
        )
        for number in range(start, start + count)
    ]


def parse(request: Request, body: Mapping[str, Any]) -> Verdict:
    """Read a reply's whole text as a number."""
    return Verdict(float(body["choices"][0]["message"]["content"]))


def values(journal: Journal) -> dict[str, float | None]:
    """Return the values of all stored replies by key."""
    return {row.request.key: row.reply.verdict.value for row in journal.replies() if row.reply}


def planned(path: Path, asked: list[Request]) -> Path:
    """Make a journal at `path` in which these requests wait."""
    with Journal.open(path, write=True) as journal:
        journal.plan(asked)
    return path
