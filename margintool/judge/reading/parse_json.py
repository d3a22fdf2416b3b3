"""Verdicts in JSON: the reply itself, an object after some talk, one that was cut in the middle.

Read by search.py.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from margintool.judge.reading.found import Found, Reading, rating_in, winner_in
from margintool.judge.task import Task

_OPENING = re.compile(r'\{\s*"')
_BLANKS = re.compile(r"\s*")
# Judges write line ends into strings as they are; and no number is too long for a float.
_DECODER = json.JSONDecoder(strict=False, parse_int=float)
# What judges call the rating where they do not call it `rating`.
_RATING_NAMES = ("overall_rating", "final_rating", "overall_score", "final_score", "score")


class Member(NamedTuple):
    """A value in a JSON object, where it stands in the reply, and where its name does."""

    value: Any
    start: int
    end: int
    named: int


@dataclass(frozen=True)
class JsonObject:
    """A JSON object in a reply.

    Args:
        members: its whole members by folded name; the last of equal names.
        names: the folded names of all members, with that of the one in which it breaks off.
        start, end: where it stands; `end` is where it breaks off if it is not whole.
        closed: whether it is whole.
    """

    members: dict[str, Member]
    names: set[str]
    start: int
    end: int
    closed: bool


def json_objects(text: str) -> Iterator[JsonObject]:
    """Yield the outermost JSON objects of a reply, whole or broken, from left to right."""
    at = 0
    while opening := _OPENING.search(text, at):
        found = read_object(text, opening.start())
        yield found
        at = found.end if found.closed else opening.start() + 1


def read_object(text: str, start: int) -> JsonObject:
    """Read the object that opens at `start`, as far as it goes.

    A member counts once a comma or the closing brace follows it: the 1 of a reply that was cut
    after `"rating": 1` may have been going to be a 10.
    """
    members: dict[str, Member] = {}
    names: set[str] = set()
    at, closed = start + 1, False
    while not closed:
        try:
            named = _skip(text, at)
            name, at = _name(text, named)
            names.add(name)
            value_start = _skip(text, at)
            value, value_end = _DECODER.raw_decode(text, value_start)
        except (ValueError, RecursionError):
            break
        at = _skip(text, value_end) + 1
        mark = text[at - 1 : at]
        if mark not in (",", "}"):
            break
        members[name] = Member(value, value_start, value_end, named)
        closed = mark == "}"
    return JsonObject(members, names, start, at, closed)


def _name(text: str, at: int) -> tuple[str, int]:
    """Return the folded name of a member, and where its value may start."""
    name, at = _DECODER.raw_decode(text, at)
    at = _skip(text, at)
    if not isinstance(name, str) or text[at : at + 1] != ":":
        raise ValueError("not a name and a colon")
    return fold(name), at + 1


def fold(name: str) -> str:
    """Return a name without the differences that judges make: case, spaces, hyphens."""
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def unwrapped(text: str, found: JsonObject, task: Task) -> JsonObject:
    """Return the object that is another's only member, as in `{"evaluation": {...}}`.

    It stands where the outer one does. Of several objects in one, none is the verdict.
    """
    while found.closed and len(found.members) == 1 and not names_of(task) & found.names:
        (member,) = found.members.values()
        if not isinstance(member.value, dict):
            break
        found = replace(read_object(text, member.start), start=found.start, end=found.end)
    return found


def ending(text: str, task: Task) -> JsonObject | None:
    """Return the rating or the winner at the end of a text that opens as JSON but is none.

    So it is where the rationale holds quotation marks as they are.
    """
    if not _OPENING.match(text.lstrip()):
        return None
    name = '"rating"' if task.mode == "single" else '"winner"'
    at = text.rfind(name)
    if task.mode == "aspects" or at < 0 or text[:at].rstrip()[-1] != ",":
        return None
    found = read_object(text, at - 1)
    return found if found.closed and not text[found.end :].strip() else None


def json_verdict(text: str, found: JsonObject, task: Task) -> Found | None:
    """Return the verdict in an object, or None where it holds none or only a part."""
    readings, members = _READERS[task.mode](text, found, task)
    if not readings or None in readings.values():
        return None
    whole = {name: reading for name, reading in readings.items() if reading is not None}
    own = min(member.named for member in members)
    return Found(whole, found.start, found.end, own, _rationales(text, found, task))


def names_of(task: Task) -> frozenset[str]:
    """Return the members by which an object that was asked for is known, folded."""
    if task.mode == "aspects":
        return frozenset(map(fold, task.aspects))
    if task.mode == "pair":
        return frozenset(("rationale", "winner"))
    return frozenset(("rationale", "rating", "overall_rating", "final_rating"))


# A verdict's readings, and the members that they were read from.
Readings = tuple[dict[str, Reading | None], list[Member]]


def _single(text: str, found: JsonObject, task: Task) -> Readings:
    member = found.members.get("rating")
    if "rating" not in found.names and found.closed:
        others = [found.members[name] for name in _RATING_NAMES if name in found.members]
        member = others[0] if len(others) == 1 else None
    reading = _rating(text, member, task)
    tops = [m.value for name, m in found.members.items() if name.startswith("max_")]
    if reading is not None and any(top != task.scale[1] for top in tops):
        reading = replace(reading, value=math.nan)
    return {"single": reading}, [] if member is None else [member]


def _pair(_: str, found: JsonObject, task: Task) -> Readings:
    winner, strength = found.members.get("winner"), found.members.get("strength")
    if winner is None or not isinstance(winner.value, str):
        return {}, []
    if strength is None and not found.closed:  # it was still to come
        return {}, []
    words = winner.value
    if strength is not None and strength.value is not None:
        words = f"{words}, {strength.value}"
    # The member starts with a quotation mark.
    return {"pair": winner_in(words, winner.start + 1)}, [winner]


def _aspects(text: str, found: JsonObject, task: Task) -> Readings:
    readings: dict[str, Reading | None] = {}
    members = []
    for name in task.aspects:
        member = found.members.get(fold(name))
        if member is not None:
            members.append(member)
            if isinstance(member.value, dict):
                member = read_object(text, member.start).members.get("rating")
        readings[name] = _rating(text, member, task)
    return readings, members[-1:]


_READERS = {"single": _single, "pair": _pair, "aspects": _aspects}


def _rating(text: str, member: Member | None, task: Task) -> Reading | None:
    """Return a number, or a number in a string, as a reading; true, NaN and lists are none."""
    if member is None or isinstance(member.value, bool):
        return None
    if isinstance(member.value, str):
        return rating_in(member.value, task, member.start + 1)
    if isinstance(member.value, int | float):
        return _as_written(text, member, task)
    return None


def _as_written(text: str, member: Member, task: Task) -> Reading | None:
    # From the text, not the value: NaN and Infinity are no numbers here, and no int is too long.
    shown = text[member.start : member.end]
    if re.fullmatch(r"-?[0-9.]+[eE][+-]?[0-9]+", shown):
        return Reading(float(shown), shown)
    return rating_in(shown, task, member.start)


def _rationales(text: str, found: JsonObject, task: Task) -> str | None:
    """Return the object's rationale, or those of the aspects, a line each."""
    texts = []
    for name in task.aspects:
        member = found.members[fold(name)]
        if isinstance(member.value, dict) and (words := member.value.get("rationale")):
            texts.append(f"{name}: {words}")
    words = found.members.get("rationale")
    whole = words.value if words is not None and isinstance(words.value, str) else None
    return "\n".join(texts) or whole


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return at if blanks is None else blanks.end()
