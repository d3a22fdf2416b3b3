"""Which options were given, told from their defaults. For options that only one source reads."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any


def given(options: Any, names: Iterable[str]) -> list[str]:
    """Return those of the named fields that differ from their defaults, as they are typed.

    Args:
        options: a dataclass of options.
        names: names of its fields.
    """
    defaults = {field.name: field.default for field in fields(options)}
    return [
        f"--{name.replace('_', '-')}" for name in names if getattr(options, name) != defaults[name]
    ]
