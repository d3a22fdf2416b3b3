"""One process at a time: a lock file beside what is written. Read by all that share files.

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
def locked(target: Path, *, what: str, instead: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of `target`, or raise where another process holds it.

    Args:
        target: the file or folder that is written; the lock file lies beside it.
        what: what it is, in words, such as `journal`.
        instead: what to do where it cannot be used, such as `name one with --journal`.
        patience: seconds to wait for the lock; 0 raises at once.

    Raises:
        InputError: if the lock is held, naming its holder; if the folder cannot be written to or
            its file system has no locks.
    """
    lock = FileLock(_beside(target, "lock"), timeout=patience)
    holder = _beside(target, "lock.pid")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{target}: {_named(holder)} is writing this {what}. Wait until it has ended, or "
            f"use another {what}: {instead}"
        ) from error
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f"{target}: cannot be locked for writing ({error}). A {what} needs a folder that "
            f"can be written to, on a local disk: {instead}"
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


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.name}.{suffix}")


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
