"""A histogram as lines of text bars; eighth blocks where the terminal has them. For text.py."""

import math
from itertools import pairwise

from rich.console import Console
from rich.text import Text

from margintool.report.facts import Histogram
from margintool.report.words import count, number

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEAST_WIDTH = 10


def histogram_lines(found: Histogram, console: Console) -> Text:
    """Draw one line per value or bin: which, the count, a bar. Zeros have their own line."""
    labels = [number(value) for value in found.values] or _ranges(found.edges)
    counts = list(found.counts)
    if found.zeros:
        labels, counts = ["0 (ties)", *labels], [found.zeros, *counts]
    label_width = max(map(len, labels))
    count_width = max(len(count(n)) for n in counts)
    width = max(console.width - label_width - count_width - 6, LEAST_WIDTH)
    highest = max(counts)
    lines = [
        f"{label:>{label_width}} {count(n):>{count_width}} {_bar(n / highest, width, console)}"
        for label, n in zip(labels, counts, strict=True)
    ]
    return Text("\n".join(line.rstrip() for line in lines), no_wrap=True, overflow="crop")


def _ranges(edges: list[float]) -> list[str]:
    """Write each bin as `0.17 to 0.33`, with as many decimals as tell the edges apart."""
    if not edges:
        return []
    narrowest = min(high - low for low, high in pairwise(edges))
    decimals = max(0, 1 - math.floor(math.log10(narrowest))) if narrowest > 0 else 3
    wanted = f".{decimals}f" if decimals <= 6 else ".2e"
    return [f"{low:{wanted}} to {high:{wanted}}" for low, high in pairwise(edges)]


def _bar(share: float, width: int, console: Console) -> str:
    """Draw a share of `width` cells; a bin that is not empty always shows something."""
    if console.options.ascii_only:
        return "#" * max(round(share * width), int(share > 0))
    eighths = max(round(share * width * 8), int(share > 0))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
