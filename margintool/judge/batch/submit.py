"""Giving waiting requests to the Batch API, so that none is given twice and none is lost.

    note in the journal -> upload the file -> note its id -> create the batch -> note its id

A process may end between any two steps. `carry_on` takes a noted batch from wherever it stopped:
it looks on the server for what was done but not noted before it does anything again.
"""

import time
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from margintool.judge.batch import files as batch_files
from margintool.judge.batch import server as batch_server
from margintool.judge.batch.allowance import Allowance
from margintool.judge.batch.files import MAX_BYTES, MAX_REQUESTS, Chunk, TooLarge
from margintool.judge.batch.server import Sleep, address
from margintool.judge.cost.prices import Prices
from margintool.judge.journal.journal import BatchRow, Failure, Journal
from margintool.progress import Progress, no_progress

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch


@dataclass
class SubmitOutcome:
    """What `submit` did.

    Args:
        batches: the batches that are now with the server, as the journal has them.
        recovered: how many of them an interrupted run had begun.
        elsewhere: begun batches of another server, left as they are.
        too_large: requests left out because their line alone is over the limit of bytes.
        stopped: why it ended before all was given, for the user, else None.
    """

    batches: list[BatchRow] = field(default_factory=list)
    recovered: int = 0
    elsewhere: list[BatchRow] = field(default_factory=list)
    too_large: int = 0
    stopped: str | None = None


def submit(
    journal: Journal,
    client: "OpenAI",
    *,
    wanted_only: bool = False,
    max_requests: int = MAX_REQUESTS,
    max_bytes: int = MAX_BYTES,
    allowance: Allowance | None = None,
    progress: Progress = no_progress,
    sleep: Sleep = time.sleep,
) -> SubmitOutcome:
    """Give the waiting requests to the Batch API, after finishing what an earlier run began.

    Args:
        journal: open for writing, locked by the caller.
        client: with the SDK's retries on.
        wanted_only: only those that this run planned, not all of the journal.
        max_requests: most requests in a file.
        max_bytes: most bytes of a file.
        allowance: the money for it; no limit if not given.
        progress: told of the requests given.
        sleep: waits between tries.

    Raises:
        InputError: a limit below 1, a limit of money and a model without a price, or what the
            journal's file raises.
        openai.OpenAIError: the server refuses; what was given before is in the journal.
    """
    outcome = SubmitOutcome()
    allowance = allowance or Allowance(None, Prices({}))
    models = {row.model for row in begun(journal)}
    allowance.check_prices(models.union(journal.models_waiting(wanted_only=wanted_only)))
    progress.start("submitting", journal.count_waiting(wanted_only=wanted_only))
    _recover(journal, client, outcome, allowance, sleep)
    waiting = allowance.within(journal.waiting(wanted_only=wanted_only))
    for part in batch_files.split(waiting, max_requests=max_requests, max_bytes=max_bytes):
        if isinstance(part, TooLarge):
            journal.fail([_too_large(part, max_bytes)])
            outcome.too_large += 1
            progress.advance(1)
        else:
            outcome.batches.append(_give(journal, client, part, sleep))
            progress.advance(len(part.keys))
    outcome.stopped = allowance.stopped
    return outcome


def _recover(
    journal: Journal,
    client: "OpenAI",
    outcome: SubmitOutcome,
    allowance: Allowance,
    sleep: Sleep,
) -> None:
    """Finish what an interrupted run began, as far as the money goes."""
    for row in begun(journal):
        if row.served_by != address(client):
            outcome.elsewhere.append(row)
        elif allowance.covers(journal.requests(journal.batch_keys(row.id))):
            outcome.batches.append(carry_on(journal, client, row, look=True, sleep=sleep))
            outcome.recovered += 1


def begun(journal: Journal) -> list[BatchRow]:
    """Return the batches that are noted, but not known to have been created."""
    return [row for row in journal.batches(open_only=True) if row.batch_id is None]


def carry_on(
    journal: Journal, client: "OpenAI", row: BatchRow, *, look: bool, sleep: Sleep = time.sleep
) -> BatchRow:
    """Take a noted batch to its creation, from wherever it is; return it as noted then.

    A batch that certainly was not created, because its file could not be uploaded or the server
    refused it, is closed: its requests wait again, and may be sent otherwise.

    Args:
        journal: open for writing.
        client: of the server that the batch is for.
        row: the batch.
        look: whether to look for what an interrupted run did and did not note.
        sleep: waits between tries.
    """
    if row.input_file_id is None:
        row = _upload(journal, client, row, look=look)
    assert row.input_file_id is not None
    batch = batch_server.find_batch(client, row.input_file_id) if look else None
    if batch is None:
        batch = _create(journal, client, row, sleep)
    journal.update_batch(row.id, batch_id=batch.id, state=batch.status)
    return noted(journal, row.id)


def _give(journal: Journal, client: "OpenAI", chunk: Chunk, sleep: Sleep) -> BatchRow:
    number = journal.new_batch(chunk.keys, chunk.model, served_by=address(client))
    return carry_on(journal, client, noted(journal, number), look=False, sleep=sleep)


def _upload(journal: Journal, client: "OpenAI", row: BatchRow, *, look: bool) -> BatchRow:
    """Upload the batch's file, unless `look` finds that an earlier try did."""
    from openai import OpenAIError

    with TemporaryFile() as content:
        sha256 = batch_files.write(journal.requests(journal.batch_keys(row.id)), content)
        name = f"{_tag(row.id, sha256)}.jsonl"
        try:
            found = batch_server.find_upload(client, name) if look else None
            uploaded = found or batch_server.upload(client, name, content)
        except OpenAIError:
            journal.close_batch(row.id, "refused")
            raise
    journal.update_batch(row.id, sha256=sha256, input_file_id=uploaded, state="uploaded")
    return noted(journal, row.id)


def _create(journal: Journal, client: "OpenAI", row: BatchRow, sleep: Sleep) -> "Batch":
    from openai import APIStatusError

    assert row.input_file_id is not None
    assert row.sha256 is not None
    tag = _tag(row.id, row.sha256)
    try:
        return batch_server.create(client, row.input_file_id, tag, sleep=sleep)
    except APIStatusError as error:
        if not batch_server.passing(error):
            journal.close_batch(row.id, "refused")
        raise


def noted(journal: Journal, number: int) -> BatchRow:
    """Return a batch as the journal has it now."""
    return next(row for row in journal.batches() if row.id == number)


def _tag(number: int, sha256: str) -> str:
    """Name a batch on the server: the number tells it within a journal, the hash between them."""
    return f"margintool-{number}-{sha256[:32]}"


def _too_large(part: TooLarge, max_bytes: int) -> Failure:
    said = f"the request has {part.size} bytes, and a batch file may have {max_bytes}"
    return Failure(part.key, said, attempts=0)
