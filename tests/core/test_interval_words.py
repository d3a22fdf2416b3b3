"""Intervals as they are written, by hand."""

import pytest

from mmpo_core.interval_words import interval, with_interval

SIGNED = "{:+.2f}".format


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.5, 0.25, "-0.50 to +0.25"), (None, None, "none"), (0.0, None, "none")],
)
def test_an_interval(low: float | None, high: float | None, expected: str) -> None:
    assert interval(low, high, SIGNED, none="none") == expected


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.0, -0.5, 0.25, "+0.00 (-0.50 to +0.25)"),
        (0.1, None, None, "+0.10"),
        (None, None, None, "-"),
    ],
)
def test_an_estimate(
    value: float | None, low: float | None, high: float | None, expected: str
) -> None:
    assert with_interval(value, low, high, SIGNED) == expected
