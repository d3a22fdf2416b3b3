"""A working folder beside the output, which is gone when the work is over, however it ends."""

import errno
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mmpo_core.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def workspace(out: Path) -> Generator[Path, None, None]:
    """Yield a folder `.{out.name}.{process id}.work.partial`, removed at the end.

    It lies beside the output, so that finished files can be renamed into place. Folders that a
    killed process left for the same output are removed first; those of running ones stay.

    Raises:
        InputError: the output's folder cannot be written to, or the disk is full.
    """
    folder = out.with_name(f".{out.name}.{os.getpid()}.work.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(out)
        folder.mkdir()
    except OSError as error:
        raise _not_writable(out, error) from error
    try:
        yield folder
    except OSError as error:
        if error.errno in _FULL:
            raise _not_writable(out, error) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(out: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(out.name)}\.(\d+)\.work\.partial")
    for path in out.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and (int(match[1]) == os.getpid() or not _is_running(int(match[1]))):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, under another user
        return True
    return True


def _not_writable(out: Path, error: OSError) -> InputError:
    folder = out.parent
    if error.errno in _FULL:
        return InputError(
            f"{folder}: the disk is full. The work needs about as much room there as the raw text "
            "takes; free some, or give --out another folder"
        )
    if error.errno in _READ_ONLY:
        return InputError(f"{folder}: no permission to write there; give --out another folder")
    return InputError(f"{folder}: cannot be written to ({error.strerror or error})")
