"""How long work says how far it is. The library knows only this protocol; the CLI draws bars."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Told of each stage and of what is done of it."""

    def start(self, stage: str, total: int | None) -> None:
        """Begin a stage; total is None where it is not known."""

    def advance(self, amount: int) -> None:
        """Report more done of the current stage."""

    def note(self, text: str) -> None:
        """Show a short text beside the current stage, in place of the one before."""


class _NoProgress:
    def start(self, stage: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, amount: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


no_progress: Progress = _NoProgress()

Bars = Callable[[], AbstractContextManager[Progress]]
"""Gives what is told how far a piece of work has come, while it goes on."""


def no_bars() -> AbstractContextManager[Progress]:
    """Return what says nothing: the Bars of a call from Python."""
    return nullcontext(no_progress)
