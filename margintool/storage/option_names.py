"""Messages of storage name the options of `score`; a command with other names says so here."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mmpo_core.errors import InputError


@contextmanager
def own_option_names(names: Mapping[str, str]) -> Iterator[None]:
    """Let the messages of InputErrors name a command's own options.

    Args:
        names: what messages call an option -> what the command calls it.
    """
    try:
        yield
    except InputError as error:
        message = str(error)
        for theirs, ours in names.items():
            message = message.replace(theirs, ours)
        raise InputError(message) from error
