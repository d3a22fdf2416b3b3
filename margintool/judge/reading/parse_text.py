"""Verdicts in text: the last line in the asked form, else the last match that is not a quote.

Forms, here for a rating: `Rating: [[8]]`, `[[8]]`, `**Rating:** 8`, `Rating: 8/10`. Only where a
reply has none of these, `Score: 8` and `8/10` on a line of its own are read too. A number in
prose ("a rating of 10 would be too high") is none.
Read by parse.py.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from margintool.judge.reading.found import (
    RATING,
    Found,
    Reading,
    rating_in,
    read_rating,
    winner_in,
)
from margintool.judge.task import Task

Counts = Callable[[int, int], bool]

_DRESS = r"[*_`\"' \t]*+"
# What must not follow a bare rating: more digits, a range (1 to 10), a unit, a word.
_ENDS = r"(?![0-9A-Za-z%/]|[.,][0-9]|[ \t]*(?:-|–|/|to\b|or\b|out of\b)[ \t]*[0-9])"
_BRACKETED = rf"\[\[\s*{RATING}\s*\]\]"


@lru_cache(maxsize=64)
def _labelled(name: str) -> re.Pattern[str]:
    """Return the pattern of `NAME: 8`, `**NAME:** [[8]]`, `NAME = 8/10`. Groups 1, 2; or 3, 4."""
    words = re.escape(name).replace("_", r"[ _-]")
    plain = rf"[:=]{_DRESS}\[{{0,2}}{_DRESS}{RATING}{_ENDS}"
    return re.compile(
        rf"(?<![^\W_]){words}{_DRESS}(?:[:=]?{_DRESS}{_BRACKETED}|{plain})", re.IGNORECASE
    )


_BARE = re.compile(_BRACKETED)
_OF_SCALE = re.compile(
    rf"^[ \t*_`#>-]*(?:overall{_DRESS}[:=]{_DRESS})?"
    rf"(?=[0-9.]+[ \t*_]*(?:/|out of)){RATING}[ \t*_`.!]*$",
    re.MULTILINE | re.IGNORECASE,
)
# `Clarity rating: 6` is no overall rating, `Final rating: 6` is.
_BEFORE = re.compile(r"([^\W_]+)[ \t*_`]+$")
_OVERALL = frozenset("overall final total my the a its this".split())
_BRACKETED_WINNER = re.compile(r"\[\[([^\[\]\n]{1,60})\]\]")
_LABELLED_WINNER = re.compile(
    rf"(?<![^\W_])verdict{_DRESS}[:=]{_DRESS}(?:\[\[([^\[\]\n]{{1,60}})\]\]"
    r"|([A-Za-z][^\[\]\n]{0,60}?)[*_`\"'. \t]*$)",
    re.IGNORECASE | re.MULTILINE,
)


def text_verdict(text: str, task: Task, counts: Counts) -> Found | None:
    """Return the last verdict in a text, or None.

    Args:
        text: the reply, quotes blanked.
        task: what was asked for.
        counts: whether the match from start to end may count; a quotation may not.
    """
    return _READERS[task.mode](text, task, counts)


def _single(text: str, task: Task, counts: Counts) -> Found | None:
    def overall(start: int, end: int) -> bool:
        before = _BEFORE.search(text[max(start - 40, 0) : start])
        plain = before is None or text[start] == "[" or before[1].casefold() in _OVERALL
        return plain and counts(start, end)

    for patterns in ((_labelled("rating"), _BARE), (_labelled("score"), _OF_SCALE)):
        found = _last(text, patterns, task, overall)
        if found is not None:
            return _found({"single": found[0]}, text, *found[1])
    return None


def _last(
    text: str, patterns: Iterable[re.Pattern[str]], task: Task, counts: Counts
) -> tuple[Reading, tuple[int, int]] | None:
    """Return the reading of the match that ends last, and its span; the longest of equal ends."""
    matches = [m for pattern in patterns for m in pattern.finditer(text) if counts(*m.span())]
    if not matches:
        return None
    last = max(matches, key=lambda m: (m.end(), -m.start()))
    group = next(i for i in range(1, last.re.groups + 1, 2) if last[i] is not None)
    return read_rating(last, task, group), last.span()


def _aspects(text: str, task: Task, counts: Counts) -> Found | None:
    readings, spans = {}, []
    for name in task.aspects:
        found = _last(text, (_labelled(name),), task, counts)
        if found is None:
            return None
        readings[name] = found[0]
        spans.append(found[1])
    return _found(readings, text, min(s for s, _ in spans), max(e for _, e in spans))


def _pair(text: str, _: Task, counts: Counts) -> Found | None:
    best: Found | None = None
    for pattern in (_LABELLED_WINNER, _BRACKETED_WINNER):
        for match in pattern.finditer(text):
            group = match.lastindex or 1
            reading = winner_in(match[group], match.start(group))
            if reading is None or not counts(*match.span()):
                continue
            if best is None or match.end() > best.end:
                best = _found({"pair": reading}, text, *match.span())
    return best


_READERS = {"single": _single, "pair": _pair, "aspects": _aspects}


def closing_verdict(text: str, task: Task) -> Found | None:
    """Return the verdict on the reply's last line, or lines, in exactly the asked form, or None.

    What stands there is the verdict, even where an answer holds the same words.
    """
    count = max(len(task.aspects), 1)
    lines = text.rstrip().rsplit("\n", count)[-count:]
    start = len(text.rstrip()) - len("\n".join(lines))
    readings: dict[str, Reading] = {}
    at = start
    for name, line in zip(_labels(task), lines, strict=False):
        match = re.fullmatch(rf"\s*{name}: \[\[([^\[\]]{{1,60}})\]\]\s*", line, re.IGNORECASE)
        if match is None:
            return None
        inner, offset = match[1], at + match.start(1)
        reading = (
            winner_in(inner, offset) if task.mode == "pair" else rating_in(inner, task, offset)
        )
        if reading is None:
            return None
        readings[name if task.mode == "aspects" else task.mode] = reading
        at += len(line) + 1
    if len(readings) < count:
        return None
    return _found(readings, text, start, at - 1)


def _labels(task: Task) -> tuple[str, ...]:
    return task.aspects or ({"single": "rating", "pair": "verdict"}[task.mode],)


def pattern_verdict(
    text: str, task: Task, pattern: re.Pattern[str], counts: Counts
) -> Found | None:
    """Return what a user's pattern finds last: its group `rating`, or its first group."""
    group = "rating" if "rating" in pattern.groupindex else 1
    best: Found | None = None
    for match in pattern.finditer(text):
        inner, offset = match[group], match.start(group)
        if inner is None or not counts(*match.span()):
            continue
        reading = (
            winner_in(inner, offset) if task.mode == "pair" else rating_in(inner, task, offset)
        )
        if reading is not None:
            best = _found({task.mode: reading}, text, *match.span())
    return best


def _found(readings: dict[str, Reading], text: str, start: int, end: int) -> Found:
    return Found(readings, start, end, text[:start].strip() or None)
