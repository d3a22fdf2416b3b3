"""One process at a time writes a journal: a lock file beside it. Read by all that write one.

The operating system lets go of the lock when its holder ends, however it ends. The holder's
number stands in a second file, for the message alone: what it says decides nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mmpo_core.errors import InputError


@contextmanager
def journal_lock(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of the journal at `path`, or raise at once where another process holds it.

    Raises:
        InputError: if the lock is held, naming its holder; if the folder cannot be written to or
            its file system has no locks.
    """
    journal = Path(path)
    lock = FileLock(_beside(journal, "lock"), timeout=0)
    holder = _beside(journal, "lock.pid")
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{journal}: {_named(holder)} is writing this journal. Wait until it has ended, or "
            "use another journal with --journal"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f"{journal}: cannot be locked for writing ({error}). A journal needs a folder that "
            "can be written to, on a local disk: name one with --journal"
        ) from error
    try:
        # Without its number the message is less helpful, and the lock holds all the same.
        with suppress(OSError):
            holder.write_text(str(os.getpid()))
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _beside(journal: Path, suffix: str) -> Path:
    return journal.with_name(f"{journal.name}.{suffix}")


def _named(holder: Path) -> str:
    """Return who holds the lock, in words; a number is told only while such a process lives.

    A killed holder leaves its number behind, and its successor may not have written its own yet.
    """
    try:
        number = int(holder.read_text())
        os.kill(number, 0)
    except PermissionError:
        return f"process {number} (of another user)"
    except (OSError, ValueError, OverflowError):
        return "another process"
    return "this process itself" if number == os.getpid() else f"process {number}"
