"""Taking the replies of ended batches into the journal. Rows are read in batch/reader.py."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from margintool.judge.batch import server as batch_server
from margintool.judge.batch.reader import BatchReader, RowCounts
from margintool.judge.batch.server import FINAL, Sleep, address
from margintool.judge.batch.status import open_batches
from margintool.judge.batch.submit import carry_on, noted
from margintool.judge.journal.journal import BatchRow, Journal
from margintool.judge.reading.replies import Parse, read_reply
from margintool.progress import Progress, no_progress

if TYPE_CHECKING:
    from openai import OpenAI


@dataclass
class CollectOutcome:
    """What `collect` found: batches as the journal has them now.

    Args:
        collected: the batches that were read and closed.
        running: those that the server has not ended yet.
        elsewhere: those of another server, left as they are.
        lost: those that the server does not know, or whose files it has no more, left open.
        short: those whose output has fewer rows than the server says it has, left open.
        abandoned: those given up.
        rows: what the rows of their files were.
    """

    collected: list[BatchRow] = field(default_factory=list)
    running: list[BatchRow] = field(default_factory=list)
    elsewhere: list[BatchRow] = field(default_factory=list)
    lost: list[BatchRow] = field(default_factory=list)
    short: list[BatchRow] = field(default_factory=list)
    abandoned: list[BatchRow] = field(default_factory=list)
    rows: RowCounts = field(default_factory=RowCounts)


def collect(
    journal: Journal,
    client: "OpenAI",
    *,
    parse: Parse = read_reply,
    abandon: Collection[int] = (),
    progress: Progress = no_progress,
    sleep: Sleep = time.sleep,
) -> CollectOutcome:
    """Store the replies of every batch that has ended, and let go of what has none.

    Begun batches that an interrupted `submit` left are created. A batch that the server does
    not know, or whose files are gone, keeps its requests until it is abandoned: they may have
    been paid for, and another key or address may still find it. So does one whose output came
    cut off: what is in it is stored, and the rest may come when it is downloaded again.

    Args:
        journal: open for writing, locked by the caller.
        client: of the server that has the batches.
        parse: reads the verdict in a reply.
        abandon: numbers of open batches to give up without asking the server; their requests
            wait again.
        progress: told of requests, those of batches that are not ended among them.
        sleep: waits between tries.

    Raises:
        InputError: if a number in `abandon` is not that of an open batch.
        openai.OpenAIError: the server cannot be reached or refuses; what was stored stays, and
            running it again goes on.
    """
    outcome = CollectOutcome()
    _abandon(journal, abandon, outcome)
    rows = journal.batches(open_only=True)
    progress.start("collecting", sum(row.requests for row in rows))
    for row in rows:
        before = outcome.rows.stored
        if row.served_by != address(client):
            outcome.elsewhere.append(row)
        else:
            _take(journal, client, row, outcome, parse=parse, progress=progress, sleep=sleep)
        progress.advance(row.requests - (outcome.rows.stored - before))
    return outcome


def _abandon(journal: Journal, numbers: Collection[int], outcome: CollectOutcome) -> None:
    for row in open_batches(journal, numbers):
        journal.close_batch(row.id, "abandoned")
        outcome.abandoned.append(noted(journal, row.id))


def _take(
    journal: Journal,
    client: "OpenAI",
    row: BatchRow,
    outcome: CollectOutcome,
    *,
    parse: Parse,
    progress: Progress,
    sleep: Sleep,
) -> None:
    if row.batch_id is None:
        row = carry_on(journal, client, row, look=True, sleep=sleep)
    assert row.batch_id is not None
    batch = batch_server.retrieve(client, row.batch_id)
    if batch is None:
        outcome.lost.append(row)
        return
    journal.update_batch(
        row.id,
        state=batch.status,
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
    )
    if batch.status not in FINAL:
        outcome.running.append(noted(journal, row.id))
        return
    reader = BatchReader(journal, client, parse, row, batch, outcome.rows, progress)
    state = reader.read()
    if state == "whole":
        reader.close()
        outcome.collected.append(noted(journal, row.id))
    else:
        (outcome.lost if state == "gone" else outcome.short).append(row)
