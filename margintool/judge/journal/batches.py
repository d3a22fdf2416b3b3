"""The journal's tables of Batch API files. Read by judge/batch.py through `Journal`.

A request in an open batch is not sent otherwise; closing the batch lets go of those of its
requests that got no reply. A batch is noted here before its file is uploaded.
"""

from collections.abc import Sequence

from margintool.judge.journal.file import JournalFile
from margintool.judge.journal.records import BatchRow
from margintool.judge.journal.schema import IS_WAITING

FIELDS = (
    "state",
    "sha256",
    "input_file_id",
    "batch_id",
    "output_file_id",
    "error_file_id",
    "error",
    "served_by",
)
COLUMNS = (
    "id, model, requests, served_by, state, open, sha256, input_file_id, batch_id, "
    "output_file_id, error_file_id, error"
)


class BatchTables(JournalFile):
    """The part of a journal that knows batches."""

    def new_batch(
        self, keys: Sequence[str], model: str, *, served_by: str, sha256: str | None = None
    ) -> int:
        """Note a batch of waiting requests and hold them back; return the batch's number.

        Raises:
            ValueError: if a key is unknown, has a reply, or is in another open batch.
        """
        with self.transaction() as db:
            made = db.execute(
                "INSERT INTO batches (model, requests, served_by, state, sha256) "
                "VALUES (?, ?, ?, 'new', ?)",
                (model, len(keys), served_by, sha256),
            ).lastrowid
            assert made is not None
            members = db.executemany(
                "INSERT INTO batch_requests (request, batch) "
                f"SELECT r.id, ? FROM requests AS r WHERE r.key = ? AND {IS_WAITING}",
                ((made, key) for key in keys),
            ).rowcount
            if members != len(keys):
                raise ValueError(f"{len(keys) - members} of {len(keys)} keys are not waiting")
        return made

    def update_batch(self, local_id: int, **fields: str | None) -> None:
        """Set fields of a batch: state, error, sha256, served_by or one of the server's ids."""
        unknown = set(fields) - set(FIELDS)
        if unknown or not fields:
            raise ValueError(f"unknown or no fields: {sorted(unknown)}. Known: {FIELDS}")
        names = ", ".join(f"{name} = ?" for name in fields)
        with self.transaction() as db:
            done = db.execute(
                f"UPDATE batches SET {names} WHERE id = ?", (*fields.values(), local_id)
            ).rowcount
        if done != 1:
            raise ValueError(f"no batch {local_id}")

    def close_batch(self, local_id: int, state: str, error: str | None = None) -> int:
        """End a batch: its requests without a reply wait again. Return how many those are."""
        with self.transaction() as db:
            done = db.execute(
                "UPDATE batches SET open = 0, state = ?, error = coalesce(?, error) WHERE id = ?",
                (state, error, local_id),
            ).rowcount
        if done != 1:
            raise ValueError(f"no batch {local_id}")
        return len(self.batch_keys(local_id, unanswered=True))

    def batches(self, *, open_only: bool = False) -> list[BatchRow]:
        """Return the batches in order of creation."""
        where = "WHERE open" if open_only else ""
        found = self.rows(f"SELECT {COLUMNS} FROM batches {where} ORDER BY id")
        names = [column.strip() for column in COLUMNS.split(",")]
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return [BatchRow(**{**row, "open": bool(row["open"])}) for row in rows]

    def batch_keys(self, local_id: int, *, unanswered: bool = False) -> list[str]:
        """Return the keys of a batch's requests in planned order, or of those without a reply."""
        missing = "AND NOT EXISTS (SELECT 1 FROM replies WHERE request = r.id)"
        found = self.rows(
            "SELECT r.key FROM batch_requests AS m JOIN requests AS r ON r.id = m.request "
            f"WHERE m.batch = ? {missing if unanswered else ''} ORDER BY r.id",
            (local_id,),
        )
        return [key for (key,) in found]
