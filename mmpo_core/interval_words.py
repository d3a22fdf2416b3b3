"""How an interval is written: `0.812 (0.750 to 0.869)`, the same in every table, page and picture.

A dash or brackets would be read as a minus or a list. Read by whatever prints an estimate.
"""

from collections.abc import Callable

Write = Callable[[float], str]

NONE = "-"
"""Stands where there is no number."""


def interval(low: float | None, high: float | None, write: Write, *, none: str = NONE) -> str:
    """Return `low to high`.

    Args:
        low, high: the ends; None where there is no interval.
        write: how a number is written, such as "{:.3f}".format.
        none: what stands where there is no interval.
    """
    return none if low is None or high is None else f"{write(low)} to {write(high)}"


def with_interval(value: float | None, low: float | None, high: float | None, write: Write) -> str:
    """Return `value (low to high)`; the value alone without an interval, `-` without a value.

    Args:
        value: the estimate.
        low, high: of its interval; None where there is none.
        write: how a number is written, such as "{:.3f}".format.
    """
    if value is None:
        return NONE
    between = interval(low, high, write, none="")
    return f"{write(value)} ({between})" if between else write(value)
