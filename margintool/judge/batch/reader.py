"""The files of one ended batch -> replies in the journal. Read by batch/collect.py.

Rows are joined to requests by `custom_id` alone: their order in the files means nothing, and
rows may be missing, twice, or foreign. Whatever has no reply when the batch is closed waits
again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal

from margintool.judge.batch import server as batch_server
from margintool.judge.batch.rows import Answered, Row, read_row
from margintool.judge.item import Reply, Request
from margintool.judge.journal.chunks import chunks
from margintool.judge.journal.journal import BatchRow, Failure, Journal
from margintool.judge.reading.replies import Parse, make_reply
from margintool.progress import Progress

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

# Replies stored in one transaction.
GROUP = 256

# Of a batch's files: all there; cut off; not there (any more).
State = Literal["whole", "short", "gone"]


@dataclass
class RowCounts:
    """What the rows of batches were.

    Args:
        stored: replies stored.
        failed: requests without a reply when their batch was closed; they wait again.
        unknown: rows whose custom_id is no request of their batch.
        repeated: rows whose request had one of the same kind before.
        malformed: lines that are no rows.
    """

    stored: int = 0
    failed: int = 0
    unknown: int = 0
    repeated: int = 0
    malformed: int = 0


class BatchReader:
    """Reads one batch: read, then close it if its files were whole.

    Args:
        journal: open for writing.
        client: of the server that has the batch.
        parse: reads the verdict in a reply.
        row: the batch in the journal.
        batch: the batch as the server has it, ended.
        counts: added to.
        progress: told of each reply stored.
    """

    def __init__(
        self,
        journal: Journal,
        client: "OpenAI",
        parse: Parse,
        row: BatchRow,
        batch: "Batch",
        counts: RowCounts,
        progress: Progress,
    ) -> None:
        self._journal = journal
        self._client = client
        self._parse = parse
        self._row = row
        self._batch = batch
        self._counts = counts
        self._progress = progress
        self._members = set(journal.batch_keys(row.id))
        # An interrupted collect has stored some of them.
        self._missing = set(journal.batch_keys(row.id, unanswered=True))
        self._answered: set[str] = set()
        self._errors: dict[str, str] = {}

    def read(self) -> State:
        """Store the answers in the batch's files and remember the errors in them."""
        counts, batch = self._batch.request_counts, self._batch
        answered = counts.completed if counts else 0
        if batch.output_file_id is None:
            state: State = "short" if answered else "whole"
        else:
            state = self._read_file(batch.output_file_id, answered)
        if state == "whole" and batch.error_file_id is not None:
            state = self._read_file(batch.error_file_id, 0)
        return state

    def _read_file(self, file_id: str, rows: int) -> State:
        """Read a file that has at least so many rows, if it is whole."""
        with TemporaryFile() as content:
            for _ in range(batch_server.DOWNLOAD_TRIES):
                if not batch_server.download(self._client, file_id, content):
                    return "gone"
                whole = _is_whole(content, rows)
                if whole:
                    break
            content.seek(0)
            for group in chunks(self._answers(content), GROUP):
                self._store(group)
        return "whole" if whole else "short"

    def close(self) -> None:
        """Keep why requests have no reply, and close the batch: they wait again."""
        said = batch_server.errors(self._client, self._batch)
        other = f"the batch ended as {self._batch.status}: {said or 'no row for this request'}"
        missing = self._journal.batch_keys(self._row.id, unanswered=True)
        self._journal.fail([Failure(key, self._errors.get(key, other)) for key in missing])
        self._journal.close_batch(self._row.id, self._batch.status, said)
        self._counts.failed += len(missing)

    def _answers(self, lines: Iterable[bytes]) -> Iterator[Answered]:
        for row in map(self._known, self._without_key(lines)):
            if isinstance(row, Answered):
                yield row
            elif row is not None:
                self._errors[row.key] = row.message

    def _without_key(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        secret = batch_server.secret(self._client)
        for line in lines:
            if secret.value.encode() in line:
                yield secret.hide(line.decode(errors="replace")).encode()
            else:
                yield line

    def _known(self, line: bytes) -> Row | None:
        """Return a line's row if it says something new about a request of this batch."""
        row = read_row(line)
        if row is None:
            self._counts.malformed += bool(line.strip())
            return None
        if row.key not in self._members:
            self._counts.unknown += 1
            return None
        if row.key in (self._answered if isinstance(row, Answered) else self._errors):
            self._counts.repeated += 1
            return None
        if isinstance(row, Answered):
            self._answered.add(row.key)
            return row if row.key in self._missing else None
        return row

    def _store(self, group: list[Answered]) -> None:
        bodies = {row.key: row.body for row in group}
        requests = self._journal.requests(list(bodies))
        replies = [self._reply(request, bodies[request.key]) for request in requests]
        self._counts.stored += self._journal.store(replies)
        self._progress.advance(len(replies))

    def _reply(self, request: Request, body: dict[str, Any]) -> Reply:
        return make_reply(
            request,
            body,
            json.dumps(body, ensure_ascii=False),
            parse=self._parse,
            seconds=batch_server.seconds(self._batch),
            served_by=self._row.served_by,
        )


def _is_whole(content: IO[bytes], rows: int) -> bool:
    """Whether a downloaded file has so many lines, and its last one was not cut off.

    A connection that ends early is an error only where the server said how much would come.
    """
    content.seek(0)
    number, last = 0, b""
    for line in content:
        if line.strip():
            number, last = number + 1, line
    return number >= rows and (not last or last.endswith(b"\n") or read_row(last) is not None)
