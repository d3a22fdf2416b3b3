"""Values checked against type hints: options from YAML, from `--set` and from Python.

Read by config_file.py and train_options.py.
"""

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from mmpo_core.errors import InputError, nearest


def typed(value: Any, hint: Any, where: str) -> Any:
    """Return `value` as the type `hint` says, or raise InputError. No guess loses information.

    A whole number is a float too, `1e-5` and `inf`, which YAML reads as text, are floats, a list
    is a tuple, and text is a path.
    """
    if get_origin(hint) in (Union, types.UnionType):
        return _typed_union(value, hint, where)
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        choices = ", ".join(str(choice) for choice in get_args(hint))
        raise InputError(
            f"{where}: {value!r} is not one of {choices}.{nearest(str(value), get_args(hint))}"
        )
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple):
            return tuple(typed(item, get_args(hint)[0], where) for item in value)
    elif hint is float:
        return _number(value, where)
    elif hint is Path and isinstance(value, str | Path):
        return Path(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise InputError(f"{where}: expected {_TYPE_WORDS.get(hint, 'a list')}, got {value!r}")


_TYPE_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
}


def _typed_union(value: Any, hint: Any, where: str) -> Any:
    kinds = get_args(hint)
    if value is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    for kind in rest[:-1]:
        try:
            return typed(value, kind, where)
        except InputError:
            continue
    return typed(value, rest[-1], where)


def _number(value: Any, where: str) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise InputError(f"{where}: expected a number, got {value!r}")
