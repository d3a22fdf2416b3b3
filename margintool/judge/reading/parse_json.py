"""Verdicts in JSON: the reply itself, an object after some talk, one that was cut in the middle.

Read by parse.py.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from margintool.judge.reading.found import Found, Reading, rating_in, winner_in
from margintool.judge.task import Task

_OPENING = re.compile(r'\{\s*"')
_BLANKS = re.compile(r"\s*")
# Judges write line ends into strings as they are; and no number is too long for a float.
_DECODER = json.JSONDecoder(strict=False, parse_int=float)


class Member(NamedTuple):
    """A value in a JSON object and where it stands in the reply."""

    value: Any
    start: int
    end: int


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
            name, at = _name(text, at)
            names.add(name)
            value_start = _skip(text, at)
            value, value_end = _DECODER.raw_decode(text, value_start)
        except (ValueError, RecursionError):
            break
        at = _skip(text, value_end) + 1
        mark = text[at - 1 : at]
        if mark not in (",", "}"):
            break
        members[name] = Member(value, value_start, value_end)
        closed = mark == "}"
    return JsonObject(members, names, start, at, closed)


def _name(text: str, at: int) -> tuple[str, int]:
    """Return the folded name of a member, and where its value may start."""
    name, at = _DECODER.raw_decode(text, _skip(text, at))
    at = _skip(text, at)
    if not isinstance(name, str) or text[at : at + 1] != ":":
        raise ValueError("not a name and a colon")
    return fold(name), at + 1


def fold(name: str) -> str:
    """Return a name without the differences that judges make: case, spaces, hyphens."""
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def json_verdict(text: str, found: JsonObject, task: Task) -> Found | None:
    """Return the verdict in an object, or None where it holds none or only a part."""
    readings, rationale = _READERS[task.mode](text, found, task)
    if not readings or None in readings.values():
        return None
    whole = {name: reading for name, reading in readings.items() if reading is not None}
    return Found(whole, found.start, found.end, rationale)


def names_of(task: Task) -> frozenset[str]:
    """Return the members by which an object that was asked for is known, folded."""
    if task.mode == "aspects":
        return frozenset(map(fold, task.aspects))
    return frozenset(("rationale", "rating" if task.mode == "single" else "winner"))


Readings = dict[str, Reading | None]


def _single(text: str, found: JsonObject, task: Task) -> tuple[Readings, str | None]:
    return {"single": _rating(text, found.members.get("rating"), task)}, _rationale(found)


def _pair(_: str, found: JsonObject, task: Task) -> tuple[Readings, str | None]:
    winner, strength = found.members.get("winner"), found.members.get("strength")
    if winner is None or not isinstance(winner.value, str):
        return {}, None
    if strength is None and not found.closed:  # it was still to come
        return {}, None
    words = winner.value
    if strength is not None and strength.value is not None:
        words = f"{words}, {strength.value}"
    # The member starts with a quotation mark.
    return {"pair": winner_in(words, winner.start + 1)}, _rationale(found)


def _aspects(text: str, found: JsonObject, task: Task) -> tuple[Readings, str | None]:
    readings: Readings = {}
    rationales = []
    for name in task.aspects:
        member = found.members.get(fold(name))
        if member is not None and isinstance(member.value, dict):
            inner = read_object(text, member.start)
            member = inner.members.get("rating")
            if words := _rationale(inner):
                rationales.append(f"{name}: {words}")
        readings[name] = _rating(text, member, task)
    return readings, "\n".join(rationales) or _rationale(found)


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


def _rationale(found: JsonObject) -> str | None:
    member = found.members.get("rationale")
    return member.value if member is not None and isinstance(member.value, str) else None


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return at if blanks is None else blanks.end()
