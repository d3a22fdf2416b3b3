"""Writes the `margintool score` command behind a pair file again, from its recorded options."""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from margintool.score_options import ScoreOptions
from margintool.summary import NOT_ABOUT_PAIRS


def score_command(options: Mapping[str, Any], out: str) -> str:
    """Return the command line, with those options that differ from their defaults.

    Args:
        options: the fields of ScoreOptions as JSON holds them; unknown ones are passed over.
        out: name of the pair file.
    """
    words = ["margintool", "score"]
    # Required ones first: the source.
    required_first = sorted(
        dataclasses.fields(ScoreOptions), key=lambda field: field.default is not dataclasses.MISSING
    )
    for field in required_first:
        value = options.get(field.name)
        if field.name not in NOT_ABOUT_PAIRS and value is not None and value != field.default:
            words += _option(field.name, value)
    words += ["--out", out]
    return shlex.join(words)


def _option(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag.removeprefix('--')}"
    elif isinstance(value, Mapping):
        yield from (flag, ",".join(f"{key}={column}" for key, column in value.items()))
    elif name == "scale" and isinstance(value, list):
        yield from (flag, ",".join(f"{end:g}" for end in value))
    else:
        for item in value if isinstance(value, list) else [value]:
            yield from (flag, str(item))
