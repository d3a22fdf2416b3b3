"""Where in a reply the verdict stands, tried in the order that docs/judge.md gives.

Read by parse.py. Read next: quotes.py, parse_json.py, parse_text.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from margintool.judge.asking.fence import blank, strip_fenced
from margintool.judge.item import Source
from margintool.judge.reading.found import Found
from margintool.judge.reading.parse_json import (
    JsonObject,
    ending,
    json_objects,
    json_verdict,
    names_of,
    unwrapped,
)
from margintool.judge.reading.parse_text import (
    asked_lines,
    asked_verdict,
    closing_verdict,
    loose_verdict,
    pattern_verdict,
)
from margintool.judge.reading.quotes import Quotable, without_thinking
from margintool.judge.task import Task

_CODE_FENCE = re.compile(r"\s*```[A-Za-z]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_AFTER_JSON = " \t\r\n`"
_AFTER_TEXT = " \t\r\n`*_.\"'"


@dataclass(frozen=True)
class Search:
    """A reply's text and what it must be read against.

    Args:
        content: the text.
        task: what was asked for.
        data: what the reply may quote.
        fence: the request's fence.
        structured: whether JSON was asked for.
        cut: whether the reply ended at the token limit.
    """

    content: str
    task: Task
    data: Sequence[str]
    fence: str
    structured: bool
    cut: bool

    def verdict(self) -> tuple[Source, Found] | None:
        """Return the verdict and the form in which it stands, or None."""
        whole = self._whole_json()
        if whole is not None:
            return "json", whole
        closing = closing_verdict(self.text, self.task)
        if closing is not None and self._closes(closing):
            return "text", closing
        asked: list[tuple[Source, Found]] = [("json", found) for found in self._json_verdicts()]
        line = asked_verdict(self._outside_json, self.task, self.counts)
        if line is not None:
            asked.append(("text", line))
        if asked:
            return max(asked, key=lambda candidate: candidate[1].end)
        loose = loose_verdict(self._outside_json, self.task, self.counts)
        return None if loose is None else ("text", loose)

    def matched(self, pattern: re.Pattern[str]) -> tuple[Source, Found] | None:
        """Return what a user's pattern finds last, or None."""
        found = pattern_verdict(self.text, self.task, pattern, self.counts)
        return None if found is None else ("text", found)

    @cached_property
    def text(self) -> str:
        """The content with blanks over thinking, over fenced text and over whole answers."""
        text = strip_fenced(self.content, self.fence)
        text = self._quotable.blanked(text, asked_lines(text, self.task))
        return without_thinking(text)

    def counts(self, start: int, end: int) -> bool:
        """Return whether a match counts: it is no quotation, and no draft in a reply cut off.

        Where the reply ended at the token limit, only a verdict in brackets that ends it is no
        draft, and is whole.
        """
        if self.cut and (self.text[end:].strip(_AFTER_TEXT) or self.text[end - 1] not in "]}"):
            return False
        return not self._quotable.holds(self.text[start:end])

    @cached_property
    def _quotable(self) -> Quotable:
        return Quotable(self.data)

    def _closes(self, found: Found) -> bool:
        """Return whether the verdict on the last line is the judge's own."""
        words = self.content[found.start : found.end]
        if self.cut:
            return not self._quotable.holds(words)
        return not self._quotable.closes_with_a_copy(self.content[: found.start], words)

    def _whole_json(self) -> Found | None:
        """Return the verdict of a reply that is one JSON object, in a code fence or not."""
        for text in (self.content, without_thinking(self.content)):
            fenced = _CODE_FENCE.fullmatch(text)
            start, end = fenced.span(1) if fenced else (0, len(text))
            inside = blank(text[:start]) + text[start:end]
            found = next(json_objects(inside), None)
            if found is None or inside[: found.start].strip():
                continue
            if found.closed and not inside[found.end :].strip():
                return self._json_verdict(inside, found)
            spoiled = None if self.cut else ending(inside, self.task)
            if spoiled is not None and self.counts(spoiled.start + 1, spoiled.end):
                return json_verdict(inside, spoiled, self.task)
        return None

    @cached_property
    def _objects(self) -> list[JsonObject]:
        """The whole JSON objects, and those that begin as a verdict and break off."""
        names = names_of(self.task)
        found = [unwrapped(self.text, each, self.task) for each in json_objects(self.text)]
        return [each for each in found if each.closed or names & each.names]

    def _json_verdicts(self) -> list[Found]:
        """Return the verdicts among the objects; the members of a list rate parts."""
        names = names_of(self.task)
        listed = {
            place
            for one, other in pairwise(self._objects)
            if self.text[one.end : other.start].strip() == ","
            for place in (one.start, other.start)
        }
        verdicts = [
            self._json_verdict(self.text, found)
            for found in self._objects
            if names & found.names and found.start not in listed
        ]
        return [found for found in verdicts if found is not None]

    def _json_verdict(self, text: str, found: JsonObject) -> Found | None:
        """Return the verdict in an object, or None where it is quoted, a draft or none.

        An object that is followed by text may have been closed by a quotation in its rationale,
        so the part from its rating on must not stand in the data.
        """
        found = unwrapped(text, found, self.task)
        verdict = json_verdict(text, found, self.task)
        if verdict is None or self._quotable.holds(text[found.start : found.end]):
            return None
        followed = bool(text[self._end(found) :].strip(_AFTER_JSON))
        if followed and self.cut:
            return None
        if (followed or self.cut) and self._quotable.holds(text[verdict.own : found.end]):
            return None
        return verdict

    def _end(self, found: JsonObject) -> int:
        """Return where an object ends.

        One that breaks off may have swallowed the rest where JSON was asked for, or where the
        reply opens with it.
        """
        opening = self.text[: found.start].strip() in ("", "```", "```json")
        swallows = not found.closed and (opening or self.structured)
        return len(self.text) if swallows else found.end

    @cached_property
    def _outside_json(self) -> str:
        """The text with blanks over JSON objects: their rationale may hold anything."""
        text = self.text
        for found in self._objects:
            end = self._end(found)
            text = text[: found.start] + blank(text[found.start : end]) + text[end:]
        return text
