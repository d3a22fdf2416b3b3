"""What is read in a reply: numbers and winners, with the place where they stand.

Read by parse_text.py, parse_json.py and expected.py.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from margintool.judge.task import STRENGTHS, Task

NUMBER = r"[+-]?[0-9]++(?:\.[0-9]++)?+"
# The scale's upper end behind a rating: /10, of 10, (out of 10), stars out of 5.
OF = rf"[ \t*_]*+(?:/|(?:stars?|points?)?[ \t]*+\(?(?:out[ \t]+)?\bof\b)[ \t*_]*+({NUMBER})\)?"
RATING = rf"({NUMBER})(?:{OF})?+"

# Mathematics around a rating, as some models write it: $8$, \boxed{8}, \(8\).
_MATHS = (r"\\boxed\{([^{}\n]{0,60})\}", r"\\\(([^\n]{0,60}?)\\\)", r"\$+([^$\n]{0,60})\$+")

_WINNER = re.compile(
    r"\s*(?:(?:answer|assistant|response)\s+)?(?:a\s+(?=tie))?(?P<who>A|B|C|tie|equal)\b"
    r"(?:[\s,;:(*_-]+(?:is\s+)?(?P<size>slightly|much|better|equal)(?:\s+better)?\)?)?\s*",
    re.IGNORECASE,
)
_ARENA = re.compile(r"\s*(?:A\s*(>>|>|=|<|<<)\s*B|B\s*(>>|>|=|<|<<)\s*A)\s*")
_ARENA_SIZE = {">>": 3.0, ">": 1.0, "=": 0.0, "<": -1.0, "<<": -3.0}
# A winner without a strength, as MT-bench's judges write it.
PLAIN_STRENGTH = STRENGTHS["better"]


@dataclass(frozen=True)
class Reading:
    """One rating or verdict as read.

    Args:
        value: the number, signed for the answer shown first in `pair` mode; NaN where the reply
            names another scale than the one asked for, such as 4/5.
        shown: the text that it was read from.
        span: where its digits, or the winner's name, stand in the reply; None if nowhere whole.
    """

    value: float
    shown: str
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Found:
    """A whole verdict.

    Args:
        readings: by aspect; in the other modes one, under the mode's name.
        start, end: where it stands in the reply.
        own: where the rating or the winner itself starts; a JSON object holds more before it.
        rationale: the judge's words, where they stand apart.
    """

    readings: Mapping[str, Reading]
    start: int
    end: int
    own: int
    rationale: str | None = None


def plain(text: str) -> str:
    """Return a text with blanks for mathematics' marks and a plain colon; every place is kept."""
    text = text.replace("：", ":")
    for pattern in _MATHS:
        text = re.sub(pattern, _inside, text)
    return text


def _inside(match: re.Match[str]) -> str:
    first, last = match.span(1)
    return " " * (first - match.start()) + match[1] + " " * (match.end() - last)


def read_rating(match: re.Match[str], task: Task, group: int = 1) -> Reading:
    """Return the reading of a match of RATING whose groups are `group` and `group + 1`."""
    value, of = float(match[group]), match[group + 1]
    if of is not None and float(of) != task.scale[1]:
        value = math.nan
    shown = match[group] if of is None else f"{match[group]}/{of}"
    return Reading(value, shown, match.span(group))


def rating_in(text: str, task: Task, offset: int = 0) -> Reading | None:
    """Return the reading of a text that is a rating and nothing else, or None."""
    match = re.fullmatch(rf"\s*{RATING}\s*", text)
    if match is None:
        return None
    found, (start, end) = read_rating(match, task), match.span(1)
    return Reading(found.value, found.shown, (offset + start, offset + end))


def winner_in(text: str, offset: int = 0) -> Reading | None:
    """Return the reading of `A, much better`, `tie`, `A`, `A>>B` and their like, or None.

    A winner alone counts as `better`. A>B counts as `slightly better` and A>>B as `much better`,
    the words that Arena-Hard's judges pair them with. C is a tie, as in MT-bench.

    Args:
        text: the verdict and nothing else.
        offset: where it starts in the reply.
    """
    if arena := _ARENA.fullmatch(text):
        size = _ARENA_SIZE[arena[1] or arena[2]]
        return Reading((size if arena[1] else -size) or 0.0, text)
    match = _WINNER.fullmatch(text)
    if match is None:
        return None
    start, end = match.span("who")
    span, who, size_name = (offset + start, offset + end), match["who"].upper(), match["size"]
    if who not in ("A", "B"):
        return Reading(0.0, text, span)
    strength = _strength(size_name)
    if strength is None:
        return None
    return Reading(strength if who == "A" else -strength, text, span)


def _strength(name: str | None) -> float | None:
    """Return the size of a strength; None for `A, equal`, which contradicts itself."""
    if name is None:
        return PLAIN_STRENGTH
    name = name.lower()
    return STRENGTHS.get(name, STRENGTHS.get(f"{name} better"))
