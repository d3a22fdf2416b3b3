"""Writes the `margintool score` command behind a pair file again, from its recorded options."""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from margintool.score_options import ScoreOptions
from margintool.summary import NOT_ABOUT_PAIRS
from mmpo_core.command_line import option_words


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
    if isinstance(value, Mapping):
        value = ",".join(f"{key}={column}" for key, column in value.items())
    elif name == "scale" and isinstance(value, list):
        value = ",".join(f"{end:g}" for end in value)
    return option_words(name, value)
