"""Options as words of a command line, for messages and for cards that say how a thing was made.

Read by model_card.py, and by margintool/cli/evaluate.py,
margintool/card/command_line.py and margintool/page/commands.py.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any


def flag(name: str) -> str:
    """Return an option's word on the command line: lora_rank -> --lora-rank."""
    return f"--{name.replace('_', '-')}"


def option_words(name: str, value: Any) -> Iterator[str]:
    """Yield an option's words: `--name value`, once for each item of a list; `--[no-]name`.

    Args:
        name: of an options dataclass's field.
        value: as JSON holds it.
    """
    if isinstance(value, bool):
        yield flag(name if value else f"no_{name}")
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        yield from (flag(name), str(item))


def changed_words(
    options_class: type, arguments: Mapping[str, Any], leave_out: Collection[str] = ()
) -> Iterator[str]:
    """Yield the words of those options that are not as they are by default.

    Args:
        options_class: the options dataclass.
        arguments: its fields as JSON holds them; unknown ones are passed over.
        leave_out: fields that are not wanted.
    """
    for field in dataclasses.fields(options_class):
        value = arguments.get(field.name)
        plain = list(field.default) if isinstance(field.default, tuple) else field.default
        if value is not None and value != plain and field.name not in leave_out:
            yield from option_words(field.name, value)
