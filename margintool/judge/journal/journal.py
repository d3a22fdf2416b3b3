"""The journal: every request and every reply of a judge, in one SQLite file.

    plan() -> waiting() -> [sent] -> store() | fail() -> verdicts()

A reply is stored, durably, before anything uses it, and stays: what was paid for is never lost
and never asked twice. Written by one process at a time (lock.py), read by any. Headers, and so
the API key, are never given to it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from margintool.judge.item import Reply, Request, Verdict
from margintool.judge.journal import text
from margintool.judge.journal.chunks import chunks
from margintool.judge.journal.dialects import Dialects
from margintool.judge.journal.file import connect, errors_named
from margintool.judge.journal.records import (
    BatchRow,
    Counts,
    Failure,
    State,
    Stored,
    StoredRow,
    Usage,
)
from margintool.judge.journal.schema import IS_WAITING
from margintool.judge.journal.tallies import Tallies
from margintool.judge.task import Task
from mmpo_core.errors import InputError

__all__ = ["BatchRow", "Counts", "Failure", "Journal", "State", "Stored", "StoredRow", "Usage"]

T = TypeVar("T")

# Rows at a time: small enough for flat memory with bodies of 100 kB, large enough to be fast.
PAGE = 256
CHUNK = 1000


class Journal(Tallies, Dialects):
    """An open journal; see `Journal.open`."""

    @classmethod
    @contextmanager
    def open(cls, path: str | PathLike[str], *, write: bool) -> Iterator["Journal"]:
        """Open a journal; with `write`, make it where there is none.

        Does not lock it: hold `lock.journal_lock(path)` around a journal that is written.

        Raises:
            InputError: if it is missing (without `write`), no journal, damaged, or too new.
        """
        journal = cls(Path(path), connect(Path(path), write=write))
        try:
            yield journal
        finally:
            journal.close()

    def plan(self, requests: Iterable[Request], *, anew: bool = False) -> int:
        """Add the requests whose keys are new, and want all of them; return how many are new.

        Args:
            requests: in the order in which they are to be sent.
            anew: replace the bodies of those that still wait: the server takes others now.
        """
        new = 0
        for chunk in chunks(requests, PAGE):
            bodies = [text.pack_body(r.body) for r in chunk]
            with self.transaction() as db:
                tasks = {task: _task_id(db, task) for task in {r.task for r in chunk}}
                new += db.executemany(
                    _PLAN,
                    (
                        (r.key, r.model, tasks[r.task], r.draw, r.fence, body)
                        for r, body in zip(chunk, bodies, strict=True)
                    ),
                ).rowcount
                if anew:
                    keys = (r.key for r in chunk)
                    db.executemany(_WRITE_ANEW, zip(bodies, keys, strict=True))
                _want(db, [r.key for r in chunk])
        return new

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return those of `keys` that the journal holds, answered or not."""
        return {key for (key,) in self._by_key("SELECT r.key FROM requests AS r", keys)}

    def requests(self, keys: Sequence[str]) -> Iterator[Request]:
        """Yield the requests of these keys in their order, page by page.

        Keys that the journal does not hold are left out.
        """
        sql = f"SELECT {text.REQUEST_COLUMNS} FROM requests AS r"
        for chunk in chunks(keys, PAGE):
            tasks = self._tasks()
            rows = {row[0]: row for row in self._by_key(sql, chunk)}
            with errors_named(self.path):
                made = [text.request(rows[key], tasks) for key in chunk if key in rows]
            yield from made

    def want(self, keys: Sequence[str]) -> None:
        """Mark requests as wanted by this run; keys that the journal does not hold are ignored."""
        with self.transaction() as db:
            _want(db, keys)

    def waiting(self, *, wanted_only: bool) -> Iterator[Request]:
        """Yield requests that have no reply and are in no open batch, in planned order.

        Each at most once, whatever is stored or fails while the caller iterates. A page is held
        in memory, not all.
        """
        number = "w.request" if wanted_only else "r.id"
        source = f"{number}, {text.REQUEST_COLUMNS} FROM {_wanted(wanted_only)}"
        return self._paged(f"SELECT {source} WHERE {IS_WAITING}", text.request, number)

    def count_waiting(self, *, wanted_only: bool) -> int:
        """Return how many requests `waiting` would yield."""
        sql = f"SELECT count(*) FROM {_wanted(wanted_only)} WHERE {IS_WAITING}"
        return int(self.rows(sql)[0][0])

    def models_waiting(self, *, wanted_only: bool) -> list[str]:
        """Return the models of the requests that `waiting` would yield."""
        sql = f"SELECT DISTINCT r.model FROM {_wanted(wanted_only)} WHERE {IS_WAITING} ORDER BY 1"
        return [model for (model,) in self.rows(sql)]

    def store(self, replies: Sequence[Reply]) -> int:
        """Store replies in one transaction; they are on the disk when this returns.

        Returns:
            How many were stored. A second reply to a request is left out: the first one stays.

        Raises:
            InputError: if a key is not in the journal; the other replies are stored all the same.
        """
        with self.transaction() as db:
            ids = dict(
                self._by_key("SELECT r.key, r.id FROM requests AS r", [r.key for r in replies])
            )
            rows = [(ids[r.key], ids[r.key], *text.reply_row(r)) for r in replies if r.key in ids]
            stored = db.executemany(_STORE, rows).rowcount if rows else 0
            db.executemany("DELETE FROM failures WHERE request = ?", [(row[0],) for row in rows])
        self._refuse_unknown([r.key for r in replies if r.key not in ids], "a reply")
        return stored

    def fail(self, failures: Sequence[Failure]) -> None:
        """Keep errors of requests that got no reply; they stay waiting. Attempts add up.

        Raises:
            InputError: if a key is not in the journal; the other errors are kept all the same.
        """
        with self.transaction() as db:
            keys = [f.key for f in failures]
            ids = dict(self._by_key("SELECT r.key, r.id FROM requests AS r", keys))
            known = [f for f in failures if f.key in ids]
            db.executemany(_FAIL, [(ids[f.key], text.plain(f.error), f.attempts) for f in known])
        self._refuse_unknown([key for key in keys if key not in ids], "an error")

    def revise(self, verdicts: Sequence[tuple[str, Verdict]]) -> None:
        """Replace the verdicts of stored replies, by key, in one transaction."""
        rows = [(*text.verdict_row(verdict), key) for key, verdict in verdicts]
        with self.transaction() as db:
            db.executemany(_REVISE, rows)

    def verdicts(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Return what is stored for each key; a key the journal does not hold is not answered."""
        found = self._by_key(
            f"SELECT r.key, f.error, {text.VERDICT_COLUMNS} FROM requests AS r "
            "LEFT JOIN replies AS a ON a.request = r.id "
            "LEFT JOIN failures AS f ON f.request = r.id",
            keys,
        )
        stored = dict.fromkeys(keys, Stored(None))
        for key, error, *row in found:
            # read_from is never null in a reply.
            stored[key] = Stored(text.verdict(tuple(row)) if row[1] is not None else None, error)
        return stored

    def states(self, keys: Sequence[str]) -> dict[str, State]:
        """Return how far each request is; keys that the journal does not hold are left out."""
        found = self._by_key(
            "SELECT r.key, CASE WHEN EXISTS (SELECT 1 FROM replies WHERE request = r.id) "
            f"THEN 'answered' WHEN {IS_WAITING} THEN 'waiting' ELSE 'in_batch' END "
            "FROM requests AS r",
            keys,
        )
        return dict(found)

    def replies(self) -> Iterator[StoredRow]:
        """Yield every request that has a reply, with it, in planned order, page by page."""
        return self._paged(f"{_ROWS} JOIN {_JOINS} WHERE TRUE", _stored_row)

    def all_rows(self) -> Iterator[StoredRow]:
        """Yield every request, with its reply or error if any, in planned order, page by page."""
        return self._paged(f"{_ROWS} LEFT JOIN {_JOINS} WHERE TRUE", _stored_row)

    def _by_key(self, select: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for chunk in chunks(keys, CHUNK):
            yield from self.rows(f"{select} WHERE r.key IN ({_marks(chunk)})", chunk)

    def _paged(
        self,
        sql: str,
        make: Callable[[tuple[Any, ...], dict[int, Task]], T],
        number: str = "r.id",
    ) -> Iterator[T]:
        """Yield `make` of each row of a query that ends in conditions.

        Its first column is `number`, a column that SQLite walks through in order: the table
        outside in its joins, or else each page sorts all that is left.
        """
        last = 0
        while page := self.rows(f"{sql} AND {number} > ? ORDER BY {number} LIMIT {PAGE}", (last,)):
            tasks = self._tasks()
            for row in page:
                with errors_named(self.path):
                    made = make(row[1:], tasks)
                yield made
            last = page[-1][0]

    def tasks(self) -> list[Task]:
        """Return what is asked for anywhere in the journal, each once."""
        return list(self._tasks().values())

    def _tasks(self) -> dict[int, Task]:
        found = self.rows("SELECT id, json FROM tasks")
        return {number: Task.from_json(task) for number, task in found}

    def _refuse_unknown(self, keys: Sequence[str], what: str) -> None:
        if keys:
            raise InputError(
                f"{self.path}: {what} for {len(keys)} requests that this journal does not hold, "
                f"the first {keys[0]!r}. Was it made with another journal?"
            )


_PLAN = """INSERT INTO requests (key, model, task, draw, fence, body)
    VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"""
_WRITE_ANEW = f"UPDATE requests AS r SET body = ? WHERE r.key = ? AND {IS_WAITING}"
_STORE = """INSERT INTO replies (
    request, batch, value, read_from, aspects, rationale, reason, detail, raw, prompt_tokens,
    completion_tokens, finish_reason, seconds, served_by
) VALUES (?, (
    SELECT b.id FROM batch_requests AS m JOIN batches AS b ON b.id = m.batch
    WHERE m.request = ? AND b.open
), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request) DO NOTHING"""
_FAIL = """INSERT INTO failures
    SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM replies WHERE request = ?1)
    ON CONFLICT (request) DO UPDATE SET error = excluded.error, attempts = attempts + ?3"""
_REVISE = """UPDATE replies
    SET value = ?, read_from = ?, aspects = ?, rationale = ?, reason = ?, detail = ?
    WHERE request = (SELECT id FROM requests WHERE key = ?)"""
_ROWS = (
    f"SELECT r.id, {text.REQUEST_COLUMNS}, f.error, a.batch, {text.REPLY_COLUMNS} "
    "FROM requests AS r"
)
_JOINS = "replies AS a ON a.request = r.id LEFT JOIN failures AS f ON f.request = r.id"


def _stored_row(row: tuple[Any, ...], tasks: dict[int, Task]) -> StoredRow:
    request, (error, batch), reply = text.request(row[:6], tasks), row[6:8], row[8:]
    answered = reply[1] is not None
    return StoredRow(
        request, text.reply(request.key, reply) if answered else None, error, batch is not None
    )


def _wanted(wanted_only: bool) -> str:
    # CROSS JOIN keeps SQLite from putting the large table outside.
    return (
        "temp.wanted AS w CROSS JOIN requests AS r ON r.id = w.request"
        if wanted_only
        else "requests AS r"
    )


def _want(db: Connection, keys: Sequence[str]) -> None:
    for chunk in chunks(keys, CHUNK):
        db.execute(
            "INSERT INTO temp.wanted "
            f"SELECT id FROM requests WHERE key IN ({_marks(chunk)}) ON CONFLICT DO NOTHING",
            chunk,
        )


def _task_id(db: Connection, task: Task) -> int:
    db.execute("INSERT INTO tasks (json) VALUES (?) ON CONFLICT DO NOTHING", (task.as_json(),))
    (found,) = db.execute("SELECT id FROM tasks WHERE json = ?", (task.as_json(),)).fetchone()
    return int(found)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
