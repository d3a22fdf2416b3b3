"""Options as words of a command line, for cards that say how a thing was made.

Read by model_card.py and by margintool/card/command_line.py.
"""

from collections.abc import Iterator
from typing import Any


def option_words(name: str, value: Any) -> Iterator[str]:
    """Yield an option's words: `--name value`, once for each item of a list; `--[no-]name`.

    Args:
        name: of an options dataclass's field.
        value: as JSON holds it.
    """
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        yield f"--{flag}" if value else f"--no-{flag}"
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        yield from (f"--{flag}", str(item))
