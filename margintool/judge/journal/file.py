"""A journal's SQLite file: making it, checking that it is one, transactions. Read by journal.py.

Durable at every commit (WAL with synchronous=FULL): a process killed at any moment leaves what
it committed, and nothing of what it did not.
"""

import os
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from margintool.judge.journal.schema import APPLICATION_ID, TABLES, VERSION, WANTED
from mmpo_core.errors import InputError

Row = tuple[Any, ...]
BUSY_SECONDS = 30.0


class JournalFile:
    """A connection to a journal. Safe to use from several threads, one at a time inside."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the file; SQLite then folds the write-ahead log back into it."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block writes, durably, or nothing of it where it raises."""
        with self._lock, errors_named(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        with self._lock, errors_named(self.path):
            return self._db.execute(sql, tuple(values)).fetchall()


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the journal at `path`; with `write`, make it where there is none.

    Raises:
        InputError: if there is no such file (without `write`), it is no journal, is damaged, is
            of a newer version, or its folder cannot hold one.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder. A journal is a file, NAME.journal.sqlite")
    if not write:
        must_exist(path)
    with errors_named(path):
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(
            _address(path, write),
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _set_up(db, path, write)
        except BaseException:
            db.close()
            raise
    return db


def real(path: Path) -> Path:
    """Return where the file at `path` lies, through links: SQLite puts its files beside that."""
    return Path(os.path.realpath(path))


def files_of(path: Path) -> set[Path]:
    """Return all files of a journal, whether they are there or not: its logs, its locks."""
    journal = real(path)
    suffixes = ("", "-wal", "-shm", "-journal", ".lock", ".lock.pid")
    return {journal.with_name(f"{journal.name}{suffix}") for suffix in suffixes}


def must_exist(path: Path) -> None:
    """Raise InputError where there is no file at `path`."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such journal. `margintool score --source gpt4` makes one, and so does "
            "`margintool judge run JOURNAL --input FILE`"
        )


def _address(path: Path, write: bool) -> str:
    path = real(path)
    address = path.as_uri()
    if write:
        return f"{address}?mode=rwc"
    log = path.with_name(f"{path.name}-wal")
    # A reader needs a log and a shared-memory file beside the journal, which a read-only folder
    # refuses. Without a log nobody is writing, so the file can be read as it is.
    frozen = not os.access(path.parent, os.W_OK) and not log.exists()
    # Opened with mode=ro, it could not take those two files away again when it is done.
    return f"{address}?mode=ro&immutable=1" if frozen else f"{address}?mode=rw"


def _set_up(db: sqlite3.Connection, path: Path, write: bool) -> None:
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")
    _check_kind(db, path, write)
    if write:
        (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise InputError(
                f"{path}: this file system cannot hold a journal (no shared memory, as on a "
                "network drive). Put it on a local disk with --journal"
            )
        _create(db)
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute(WANTED)
    if not write:
        db.execute("PRAGMA query_only = ON")


def _check_kind(db: sqlite3.Connection, path: Path, write: bool) -> None:
    """Refuse a file that is no journal. One that a killed process left empty is made anew."""
    (kind,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if kind == 0 and tables == 0 and write:
        return
    if kind != APPLICATION_ID:
        raise InputError(f"{path}: not a journal of margintool. Give another name with --journal")
    if version != VERSION:
        raise InputError(
            f"{path}: journal of version {version}, and this margintool knows {VERSION}. "
            "Use a margintool that is new enough"
        )


def _create(db: sqlite3.Connection) -> None:
    """Make the tables, all or none, where there are none."""
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA application_id").fetchone() == (0,):
        for statement in TABLES:
            db.execute(statement)
        db.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_hex(16),))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Turn what SQLite raises over a user's file or disk into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    except zlib.error as error:
        raise InputError(f"{path}: damaged journal ({error})") from error
    except sqlite3.Error as error:
        said = _said(error)
        if said is None:
            raise
        raise InputError(f"{path}: {said} ({error})") from error


def _said(error: sqlite3.Error) -> str | None:
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the error's kind, the rest its variant (sqlite.org/rescode.html).
    return None if code is None else _USERS_ERRORS.get(code & 0xFF)


_USERS_ERRORS = {
    sqlite3.SQLITE_BUSY: "another process is writing this journal. Wait until it has ended",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened. Is its folder there, and may it be written to?",
    sqlite3.SQLITE_CORRUPT: "damaged journal",
    sqlite3.SQLITE_FULL: "the disk is full; what was stored before is kept",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_NOTADB: "not a journal of margintool, or a damaged one",
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_READONLY: "may not be written to",
}
