"""How numbers stand in the tables of a page."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from margintool.report.words import number
from mmpo_core import interval_words


def maybe(value: Any, write: Callable[[Any], str]) -> str:
    """Write a value; `-` for one that there is not."""
    return "-" if value is None else write(value)


def estimate(value: float | None) -> str:
    """Write a metric as `evaluate` prints it, with three decimals; `-` where it is not defined."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 1000 else number(value)


def parts(number: int) -> str:
    """Name the parts of pairs in the order of something, `quarters`."""
    return {4: "quarters", 5: "fifths"}.get(number, f"{number} parts")


def with_interval(found: Mapping[str, Any] | None) -> str:
    """Write an estimate and its interval, `0.812 (0.750 to 0.869)`."""
    if found is None:
        return "-"
    return interval_words.with_interval(found["value"], found["low"], found["high"], estimate)


def difference(found: Mapping[str, Any]) -> str:
    """Write a difference and its interval, each with its sign."""
    ends = found["value"], found["low"], found["high"]
    return interval_words.with_interval(*ends, "{:+.3f}".format)
