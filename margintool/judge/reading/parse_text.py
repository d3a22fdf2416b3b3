"""Verdicts in text: in the asked form, `Rating: [[8]]`, or looser, `**Rating:** 8`, `[[8]]`.

A number in prose ("a rating of 10 would be too high") is no rating: behind one without brackets
nothing may follow that could change it. Read by search.py.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from margintool.judge.reading.found import (
    OF,
    RATING,
    Found,
    Reading,
    plain,
    rating_in,
    read_rating,
    winner_in,
)
from margintool.judge.task import Task

Counts = Callable[[int, int], bool]
Span = tuple[int, int]
Placed = tuple[Reading, Span]

_DRESS = r"[*_`\"' \t]*+"
_INNER = r"([^\[\]\n]{1,60})"
# What may follow a rating without brackets.
_ENDINGS = (
    rf"[.!;。]*+{_DRESS},?$",  # the end of the line
    r"[.!;。][\"'*_)]*+\s",  # or of the sentence
    r",[ \t]*+[\"'/]|(?<=[ \t])//(?![ \t]*[0-9])|/\*",  # or of a member of a dictionary
    # a remark without digits, behind a dash or in parentheses
    r"(?:(?<=[ \t])-|[–—])[ \t]*+(?=[^\W\d][^0-9=\n]*$)(?!.*\bout of\b)",
    r"(?<=[ \t])\((?=[^()0-9=\n]*\)[.! \t*_]*$)(?!.*\bof\b)",
)
_ENDS = rf"(?=[*_`\"'\])}}>]*+[ \t]*+(?:{'|'.join(_ENDINGS)}))"
_BRACKETED = rf"\[\[\s*{RATING}\s*\]\]"
_FLAGS = re.IGNORECASE | re.MULTILINE


def _words(name: str) -> str:
    return r"(?<![^\W_])" + re.escape(name).replace("_", "[ _-]")


@lru_cache(maxsize=64)
def _asked(name: str) -> re.Pattern[str]:
    """Return the pattern of a line that ends in `NAME: [[8]]`."""
    return re.compile(
        rf"{_words(name)}{_DRESS}[:=]{_DRESS}\[\[{_INNER}\]\][ \t*_`.]*+$",
        _FLAGS,
    )


@lru_cache(maxsize=64)
def _labelled(name: str, top: float) -> re.Pattern[str]:
    """Return the pattern of `NAME: 8`, `NAME (1-10): 8`, `**NAME:** [[8]]`, `NAME = (8/10)`.

    Its groups, two by two: the rating and the upper end of its scale.
    """
    scale = rf"(?:[ \t]*+\((?:[^()\n]*[^0-9.()\n])?{re.escape(f'{top:g}')}\))?{_DRESS}"
    bare = rf"[:=]{_DRESS}[\[(<]{{0,2}}{_DRESS}{RATING}{_ENDS}"
    return re.compile(rf"{_words(name)}{_DRESS}{scale}(?:[:=]?{_DRESS}{_BRACKETED}|{bare})", _FLAGS)


@lru_cache(maxsize=64)
def _headed(name: str) -> re.Pattern[str]:
    """Return the pattern of a line that is NAME alone, and one that is a rating alone."""
    return re.compile(
        rf"^[#*_> \t]*(?:(?:final|overall|total)[ \t]+)?{_words(name)}{_DRESS}:?{_DRESS}\n"
        rf"\s*[*_`]*{RATING}[ \t*_`.!]*$",
        _FLAGS,
    )


_BARE = re.compile(_BRACKETED)
_OF_SCALE = re.compile(
    rf"^[ \t*_`#>-]*(?:(?:overall|final|total){_DRESS}[:=]{_DRESS})?"
    rf"(?=[0-9.]+[ \t*_]*(?:/|of\b|out of\b)){RATING}[ \t*_`.!]*$",
    _FLAGS,
)
_ANY_OF_SCALE = re.compile(rf"(?<![\w.]){RATING}")
_OF = re.compile(OF)
# `Clarity rating: 6` is no overall rating, `Final rating: 6` is.
_BEFORE = re.compile(r"([^\W_]+)[ \t*_`]+\Z")
_WHOLE = frozenset("overall final total".split())
_OVERALL = _WHOLE | frozenset("my the this".split())
_BRACKETED_WINNER = re.compile(rf"\[\[{_INNER}\]\]")
_LABELLED_WINNER = re.compile(
    rf"{_words('verdict')}{_DRESS}[:=]{_DRESS}(?:\[\[{_INNER}\]\]"
    r"|([A-Za-z][^\[\]\n]{0,60}?)[*_`\"'. \t]*$)",
    _FLAGS,
)


def asked_lines(text: str, task: Task) -> list[Span]:
    """Return where lines in exactly the asked form stand."""
    names = "|".join(map(re.escape, _labels(task)))
    line = rf"^[ \t]*(?:{names}): \[\[{_INNER}\]\][ \t]*$"
    return [found.span() for found in re.finditer(line, text, _FLAGS)]


def closing_verdict(text: str, task: Task) -> Found | None:
    """Return the verdict on the reply's last line, or lines, in exactly the asked form, or None."""
    labels = _labels(task)
    spans = asked_lines(text.rstrip(), task)[-len(labels) :]
    readings: dict[str, Reading] = {}
    for label, (start, end) in zip(labels, spans, strict=False):
        line = text[start:end]
        inner = line.index("[[") + 2
        if line.strip().casefold().startswith(f"{label}: ".casefold()):
            reading = _read(line[inner : line.rindex("]]")], task, start + inner)
            if reading is not None:
                readings[_name(label, task)] = reading
    if len(readings) < len(labels):
        return None
    start, end = spans[0][0], spans[-1][1]
    whole = text[start:end].count("\n") == len(labels) - 1 and not text[end:].strip()
    return _found(readings, text, start, end) if whole else None


def asked_verdict(text: str, task: Task, counts: Counts) -> Found | None:
    """Return the verdict of the last line, or lines, that end in the asked form, or None.

    Args:
        text: the reply, quotes and JSON blanked.
        task: what was asked for.
        counts: whether the match from start to end may count; a quotation may not.
    """
    found = {_name(label, task): _last_asked(text, label, task, counts) for label in _labels(task)}
    return _together(found, text)


def loose_verdict(text: str, task: Task, counts: Counts) -> Found | None:
    """Return the last verdict in any form, or None. Args as of `asked_verdict`."""
    text = plain(text)
    if task.mode == "pair":
        return _pair(text, counts)
    if task.mode == "single":
        rating = _overall(text, task, counts) or _score(text, task, counts)
        return _together({"single": rating}, text)
    found: dict[str, Placed | None] = {}
    for name in task.aspects:
        patterns = (_labelled(name, task.scale[1]), _headed(name))
        found[name] = _last_asked(text, name, task, counts) or _last(text, patterns, task, counts)
    return _together(found, text)


def pattern_verdict(
    text: str, task: Task, pattern: re.Pattern[str], counts: Counts
) -> Found | None:
    """Return what a user's pattern finds last: its group `rating`, or its first group."""
    group = "rating" if "rating" in pattern.groupindex else 1
    best: Found | None = None
    for match in pattern.finditer(text):
        if match[group] is None or not counts(*match.span()):
            continue
        reading = _read(match[group], task, match.start(group))
        if reading is not None:
            best = _found({task.mode: reading}, text, *match.span())
    return best


def _labels(task: Task) -> tuple[str, ...]:
    return task.aspects or ({"single": "rating", "pair": "verdict"}[task.mode],)


def _name(label: str, task: Task) -> str:
    return label if task.mode == "aspects" else task.mode


def _read(inner: str, task: Task, offset: int) -> Reading | None:
    return winner_in(inner, offset) if task.mode == "pair" else rating_in(inner, task, offset)


def _last_asked(text: str, label: str, task: Task, counts: Counts) -> Placed | None:
    best: Placed | None = None
    for match in _asked(label).finditer(text):
        reading = _read(match[1], task, match.start(1))
        if reading is not None and _of_the_whole(text, match) and counts(*match.span()):
            best = reading, match.span()
    return best


def _of_the_whole(text: str, match: re.Match[str]) -> bool:
    """Return whether a match is of no part, as `Clarity rating: 6` is."""
    before = _BEFORE.search(text[max(match.start() - 40, 0) : match.start()])
    return before is None or match[0][0] == "[" or before[1].casefold() in _OVERALL


def _overall(text: str, task: Task, counts: Counts) -> Placed | None:
    """Return the last rating that is of no part."""
    patterns = (_labelled("rating", task.scale[1]), _headed("rating"), _BARE)
    return _last(text, patterns, task, counts, _of_the_whole)


def _score(text: str, task: Task, counts: Counts) -> Placed | None:
    """Return the last `Score: 8` or line of `8/10` that is called overall, or the only one."""

    def all_of(pattern: re.Pattern[str]) -> list[re.Match[str]]:
        found = pattern.finditer(text)
        return [m for m in found if _of_the_whole(text, m) and counts(*m.span())]

    scores, lines = all_of(_labelled("score", task.scale[1])), all_of(_OF_SCALE)
    named = [match for match in scores + lines if _called_overall(text, match)]
    rivals = scores or [match for match in all_of(_ANY_OF_SCALE) if match[2] is not None]
    if not named and len({_placed(match, task)[0].value for match in rivals}) != 1:
        return None
    chosen = named or scores or lines
    return _placed(max(chosen, key=re.Match.end), task) if chosen else None


def _called_overall(text: str, match: re.Match[str]) -> bool:
    line = text[text.rfind("\n", 0, match.end()) + 1 : match.end()]
    return not _WHOLE.isdisjoint(re.findall("[a-z]+", line.casefold()))


def _last(
    text: str,
    patterns: Iterable[re.Pattern[str]],
    task: Task,
    counts: Counts,
    fits: Callable[[str, re.Match[str]], bool] = lambda text, match: True,
) -> Placed | None:
    """Return the reading of the match that ends last, the longest of equal ends, and its place."""
    matches = [
        match
        for pattern in patterns
        for match in pattern.finditer(text)
        if fits(text, match) and counts(*match.span())
    ]
    if not matches:
        return None
    return _placed(max(matches, key=lambda match: (match.end(), -match.start())), task)


def _placed(match: re.Match[str], task: Task) -> Placed:
    """Return the reading of a match of RATING, in the first of its groups that has one."""
    group = next(i for i in range(1, match.re.groups + 1, 2) if match[i] is not None)
    reading = read_rating(match, task, group)
    of = _OF.match(match.string, match.end())  # behind the brackets: [[8]] out of 5
    if of is not None and float(of[1]) != task.scale[1]:
        reading = replace(reading, value=math.nan, shown=f"{reading.shown}/{of[1]}")
    return reading, match.span()


def _pair(text: str, counts: Counts) -> Found | None:
    best: Found | None = None
    for pattern in (_LABELLED_WINNER, _BRACKETED_WINNER):
        for match in pattern.finditer(text):
            group = match.lastindex or 1
            reading = winner_in(match[group], match.start(group))
            if reading is None or not counts(*match.span()):
                continue
            if match[group] == "a" and text[match.end() :].strip():
                continue  # an article: `Verdict: a` and on the next line `close call`
            if best is None or match.end() > best.end:
                best = _found({"pair": reading}, text, *match.span())
    return best


def _together(found: Mapping[str, Placed | None], text: str) -> Found | None:
    """Return one verdict of the readings, or None where one is missing."""
    whole = {name: placed for name, placed in found.items() if placed is not None}
    if len(whole) < len(found):
        return None
    readings = {name: reading for name, (reading, _) in whole.items()}
    spans = [span for _, span in whole.values()]
    return _found(readings, text, min(s for s, _ in spans), max(e for _, e in spans))


def _found(readings: Mapping[str, Reading], text: str, start: int, end: int) -> Found:
    return Found(readings, start, end, start, text[:start].strip() or None)
