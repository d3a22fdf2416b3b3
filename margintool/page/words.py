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
    """Write a metric with four decimals; `-` where it is not defined."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4f}" if abs(value) < 1000 else number(value)


def with_interval(found: Mapping[str, Any] | None) -> str:
    """Write an estimate and its interval, `0.8123 (0.7501 to 0.8690)`."""
    if found is None:
        return "-"
    return interval_words.with_interval(found["value"], found["low"], found["high"], estimate)
