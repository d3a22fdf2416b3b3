"""One process at a time writes a journal. Read by all that write one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from margintool.judge.journal.file import real
from mmpo_core.locking import locked


@contextmanager
def journal_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of the journal at `path`, or raise at once where another process holds it.

    A journal has one lock, whatever links lead to it.

    Raises:
        InputError: if the lock is held, naming its holder; if the folder cannot be written to or
            its file system has no locks.
    """
    with locked(real(Path(path)), what="journal", instead="name one with --journal"):
        yield
