"""How far the batches of a journal are, and cancelling them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from margintool.judge.batch import server as batch_server
from margintool.judge.batch.server import address
from margintool.judge.journal.journal import BatchRow, Journal
from mmpo_core.errors import InputError

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch


@dataclass(frozen=True)
class BatchStatus:
    """A batch as it is now.

    Args:
        row: the batch in the journal.
        state: the server's status, or one of batch_words.STATES.
        answered, failed: requests done so far; None where the server does not tell.
        errors: why the batch failed, in the server's words.
    """

    row: BatchRow
    state: str
    answered: int | None = None
    failed: int | None = None
    errors: str | None = None


def status(journal: Journal, client: "OpenAI") -> list[BatchStatus]:
    """Ask the server about the open batches; return all batches in order of creation.

    Writes nothing, so that it needs no lock and can run beside a run: what the server says is
    noted by `collect`.

    Raises:
        openai.OpenAIError: the server cannot be reached or refuses.
    """
    return [_now(row, client) for row in journal.batches()]


def cancel(journal: Journal, client: "OpenAI", numbers: Collection[int] = ()) -> list[BatchStatus]:
    """Ask the server to cancel batches that are still running; return those.

    What is answered until then is kept: `collect` takes it when the batch is cancelled.

    Args:
        journal: may be open for reading only.
        client: of the server that has the batches.
        numbers: the batches' numbers in the journal; all open ones where none is
            given.

    Raises:
        InputError: if a number is not that of an open batch.
        openai.OpenAIError: the server cannot be reached or refuses.
    """
    named = open_batches(journal, numbers) if numbers else journal.batches(open_only=True)
    chosen = [_now(row, client) for row in named]
    return [
        _told(found.row, client.batches.cancel(found.row.batch_id), client)
        for found in chosen
        if found.row.batch_id is not None and found.state in batch_server.RUNNING
    ]


def open_batches(journal: Journal, numbers: Collection[int]) -> list[BatchRow]:
    """Return the open batches of these numbers.

    Raises:
        InputError: if a number is not that of an open batch.
    """
    rows = {row.id: row for row in journal.batches(open_only=True)}
    wrong = sorted(set(numbers) - set(rows))
    if wrong:
        known = ", ".join(map(str, rows)) or "none"
        raise InputError(f"{journal.path}: no open batch {wrong[0]}. Open batches: {known}")
    return [row for row in rows.values() if row.id in numbers]


def _now(row: BatchRow, client: "OpenAI") -> BatchStatus:
    if not row.open:
        return BatchStatus(row, row.state, errors=row.error)
    if row.served_by != address(client):
        return BatchStatus(row, "elsewhere")
    if row.batch_id is None:
        return BatchStatus(row, row.state)
    batch = batch_server.retrieve(client, row.batch_id)
    return BatchStatus(row, "unknown") if batch is None else _told(row, batch, client)


def _told(row: BatchRow, batch: "Batch", client: "OpenAI") -> BatchStatus:
    counts = batch.request_counts
    return BatchStatus(
        row,
        batch.status,
        answered=counts.completed if counts else None,
        failed=counts.failed if counts else None,
        errors=batch_server.errors(client, batch),
    )
