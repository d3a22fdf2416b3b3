"""The exceptions that users are meant to read. The CLI prints them without a traceback."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class InputError(Exception):
    """Bad input or bad usage: says what is wrong, where, and what to do about it. Status 2."""


class UnfinishedError(Exception):
    """Work that stopped before its end, with all that was done kept: says how to go on.

    Not the user's mistake: a limit that was set was reached, or a server gave up.

    Args:
        message: for the user.
        status: the exit status of a command that ends so.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def nearest(name: str, known: Collection[str]) -> str:
    """Return ` Did you mean 'x'?` when a known name is close to `name`, else an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def lookup(kind: str, name: str, registry: Mapping[str, T]) -> T:
    """Return `registry[name]`, or raise InputError that names the known and the nearest names."""
    if name in registry:
        return registry[name]
    known = ", ".join(registry)
    raise InputError(f"unknown {kind} {name!r}.{nearest(name, registry)} Known: {known}")
