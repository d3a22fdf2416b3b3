"""What is said of a command line that cannot be parsed, in the form of all other errors.

The parser's words are Typer's; read by margintool/cli/__init__.py.
"""

import io
import re
from typing import Any

import typer

from mmpo_core.other_names import names_here

# the base of all errors of the parser, which Typer has under no name of its own
ParserError: Any = typer.BadParameter.__mro__[2]


def usage_message(error: Any) -> str:
    """Return usage, where help is, and what is wrong; the help itself where nothing was given.

    Args:
        error: a ParserError.
    """
    # Typer's checks of values are pydantic's, which begins its message so
    error.message = error.message.removeprefix("Value error, ")
    here = _names_here(error)
    if here:
        error.message += f". It is called {' or '.join(here)} here"
        error.possibilities = None
    shown = io.StringIO()
    error.show(shown)
    return re.sub(r"^Error: ", "error: ", shown.getvalue().rstrip(), flags=re.MULTILINE)


def _names_here(error: Any) -> list[str]:
    """Return the command's own names of an option that it lacks and others have."""
    name, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if name is None or context is None:
        return []
    flags = {one.name: max(one.opts, key=len) for one in context.command.params}
    found = names_here(name.lstrip("-").replace("-", "_"), flags)
    return [flags[one] if flags[one].startswith("-") else flags[one].upper() for one in found]
