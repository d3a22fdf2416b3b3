"""How numbers and texts from a file are written in a terminal. Read by text.py and its parts."""

import re

# C0 and C1 control characters other than tab and newline, and the bidirectional overrides.
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def count(value: int) -> str:
    """Write an integer with thousands separators."""
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """Write how many there are of what: 1 pair, 2,000 pairs. noun: one with a plural in s."""
    return f"{count(value)} {noun}" + "s" * (value != 1)


def number(value: float) -> str:
    """Write a float in at most seven characters or so: 0.0101, 12.3, 4,345."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.4g}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.2e}"


def share(part: int, whole: int) -> str:
    """Write a share in percent; `-` where there is nothing to share."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def visible(text: str) -> str:
    """Make a text from a file safe to print: control characters cannot reach the terminal."""
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
