"""What is said when a fit ends before it is finished, and what of it is worth going on from.

Read by fitting.py. Where no checkpoint is left, folder.py removes the work folder.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from margintool.similarity.fit.folder import FitFolder
from mmpo_core.errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def says_how_to_go_on(folder: FitFolder) -> Iterator[None]:
    """On Ctrl-C or a termination, say how the fit can go on, if it can."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if folder.resumable():
            logger.warning(
                "interrupted. The same command with --resume goes on from the last checkpoint in "
                "%s",
                folder.work,
            )
        else:
            logger.warning(
                "interrupted before the first checkpoint, and nothing is kept. The same command "
                "starts again"
            )
        raise


@contextmanager
def says_what_memory_needs(folder: FitFolder) -> Iterator[None]:
    """Turn running out of memory, in training or in measuring, into words on this fit.

    Raises:
        InputError: if memory did not suffice. A checkpoint is kept: the memory may have been
            another program's.
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, InputError) as error:
        if not isinstance(error, torch.OutOfMemoryError):
            if not isinstance(error.__cause__, torch.OutOfMemoryError):
                raise
            error = error.__cause__  # it names options that fit has not
        words = f"out of memory ({str(error).splitlines()[0]})"
        less = "a smaller --batch-size or --max-length"
        raise InputError(
            f"{words}. --resume goes on from the last checkpoint once memory is free; with {less} "
            "start again, with --overwrite"
            if folder.resumable()
            else f"{words}. Give {less}"
        ) from error
