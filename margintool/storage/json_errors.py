"""Decoding JSON with Python's parser, and what is said when the text is not JSON.

Used by json_list.py for every record, by json_lines.py for blocks that pyarrow refuses.
"""

import json
from typing import Any

from mmpo_core.errors import InputError


class DuplicateKeyError(ValueError):
    """An object has the same key twice."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DuplicateKeyError(f"the key {twice!r} stands twice in one object")
    return record


# Accepts NaN, Infinity and -Infinity, as Python's json.dumps writes them.
DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates)


def decode_line(line: bytes, name: str, number: int) -> dict[str, Any]:
    """Return the JSON object in one line.

    Args:
        line: the line's bytes, without a byte order mark.
        name: the file, for messages.
        number: the line's number from 1, for messages.

    Raises:
        InputError: naming the file, the line and what is wrong there.
    """
    where = f"{name}, line {number}"
    try:
        value = DECODER.decode(line.decode().strip())
    except UnicodeDecodeError as error:
        raise not_utf8(where, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: {describe(error)}") from error
    return must_be_object(value, where)


def must_be_object(value: Any, where: str) -> dict[str, Any]:
    """Return `value` if it is a JSON object, else raise InputError."""
    if isinstance(value, dict):
        return value
    kind = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    raise InputError(
        f"{where}: {kind.get(type(value), 'a number')} instead of an object "
        '{"column": value, ...}'
    )


def not_utf8(where: str, error: UnicodeDecodeError) -> InputError:
    """Return the error for bytes that are not UTF-8 text."""
    byte = error.object[error.start]
    return InputError(
        f"{where}: not UTF-8 text (byte 0x{byte:02x}). Convert the file, for example with "
        "iconv -f LATIN1 -t UTF-8"
    )


def describe(error: Exception) -> str:
    """Say in words what Python's JSON parser found wrong."""
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} (column {error.colno})"
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return f"not valid JSON: {error}"  # e.g. a number of more than 4300 digits
