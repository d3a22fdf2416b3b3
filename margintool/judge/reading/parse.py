"""Reads a judge's reply: a verdict, or null with a reason. Never raises, whatever came back.

In this order: a reply that is one JSON object; the last line in the asked form; the last verdict
in JSON or text. A verdict that only repeats the data it was shown does not count (docs/judge.md
says when). Read by the runner, by batches and by `judge reparse`.
Read next: parse_json.py, parse_text.py, expected.py.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from margintool.judge.asking.fence import blank, strip_fenced, unfenced
from margintool.judge.item import Source, Verdict
from margintool.judge.reading.expected import expected_values
from margintool.judge.reading.found import Found
from margintool.judge.reading.parse_json import JsonObject, json_objects, json_verdict, names_of
from margintool.judge.reading.parse_text import closing_verdict, pattern_verdict, text_verdict
from margintool.judge.task import Task
from mmpo_core.errors import InputError

# A shorter text of the data may stand in a verdict by chance: `slightly better`.
LEAST_QUOTE = 24
_CODE_FENCE = re.compile(r"\s*```[A-Za-z]*\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
# What some models think aloud before they answer; left open, the answer never came.
_THINKING = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)
_DRESS = "*_`#>\"'"
_SHOWN = 80


def read_verdict(
    task: Task,
    completion: Mapping[str, Any],
    body: Mapping[str, Any],
    fence: str,
    pattern: str | None = None,
) -> Verdict:
    """Return what a chat completion says.

    Args:
        task: what was asked for.
        completion: the server's reply, any JSON; its first choice is read.
        body: the request's body: its messages hold the data that a reply may quote, and it says
            whether JSON and log-probabilities were asked for.
        fence: the request's fence.
        pattern: a regular expression to read the reply's text with instead, see `check_pattern`.
    """
    choice = _choice(completion)
    content, finish = _content(choice), choice.get("finish_reason")
    refusal = _message(choice).get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return _null("judge_refused", f"refused: {_short(refusal)}")
    if finish == "content_filter":
        return _null("judge_filtered", "the server's content filter cut the reply")
    reply = _Reply(content, task, body, fence, cut=finish == "length")
    found = reply.read(pattern)
    if found is None:
        return _unread(content, finish)
    source, verdict = found
    outside = _out_of_scale(task, verdict)
    if outside is not None:
        return outside
    values = {name: reading.value for name, reading in verdict.readings.items()}
    if body.get("logprobs") is True:
        expected = expected_values(verdict, task, content, choice.get("logprobs"))
        source, values = (source, values) if expected is None else ("logprobs", expected)
    return Verdict(
        value=sum(values.values()) / len(values),
        read_from=source,
        aspects=values if task.aspects else None,
        rationale=verdict.rationale,
    )


def _out_of_scale(task: Task, verdict: Found) -> Verdict | None:
    """Return the null verdict of a rating that lies outside the scale, or None."""
    low, high = task.scale
    for name, reading in verdict.readings.items():
        if not low <= reading.value <= high:  # NaN, a rating on another scale, is never inside
            where = f"{name}: " if task.aspects else ""
            detail = f"{where}{_short(reading.shown)} is not on the scale {low:g} to {high:g}"
            return replace(_null("judge_out_of_scale", detail), rationale=verdict.rationale)
    return None


def check_pattern(pattern: str, task: Task) -> None:
    """Check a user's regular expression for reading replies.

    Raises:
        InputError: where it is none, has no group for the rating, or cannot serve the mode.
    """
    if task.mode == "aspects":
        raise InputError("a pattern reads one rating; --mode aspects has several")
    try:
        compiled = _compiled(pattern)
    except re.error as error:
        raise InputError(f"--pattern {pattern!r} is no regular expression: {error}") from error
    if "rating" not in compiled.groupindex and compiled.groups != 1:
        raise InputError(
            f"--pattern {pattern!r} needs one group around the rating, or one named rating: "
            r"Rating: (\d+) or (?P<rating>\d+)"
        )


@lru_cache(maxsize=8)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


@dataclass(frozen=True)
class _Reply:
    """A reply's text and what it must be read against. `cut`: it ended at the token limit."""

    content: str
    task: Task
    body: Mapping[str, Any]
    fence: str
    cut: bool

    def read(self, pattern: str | None) -> tuple[Source, Found] | None:
        """Return the verdict and the form in which it stands, or None."""
        if pattern is not None:
            found = pattern_verdict(self.text, self.task, _compiled(pattern), self.counts)
            return None if found is None else ("text", found)
        whole = self._whole_json()
        if whole is not None:
            return "json", whole
        closing = closing_verdict(self.text, self.task)
        if closing is not None and not self._is_data(closing):
            return "text", closing
        return self._last()

    @cached_property
    def data(self) -> list[str]:
        """The fenced texts of the request: what a reply may quote."""
        return [
            text for message in _messages(self.body) for _, text in unfenced(message, self.fence)
        ]

    @cached_property
    def text(self) -> str:
        """The content with blanks over thinking, over fenced text and over whole answers."""
        text = strip_fenced(self.content, self.fence)
        for quoted in self.data:
            if len(quoted) >= LEAST_QUOTE and quoted in text:
                text = text.replace(quoted, blank(quoted))
        return _THINKING.sub(lambda found: blank(found[0]), text)

    @cached_property
    def _folded_data(self) -> list[str]:
        return [_folded(text) for text in self.data]

    def counts(self, start: int, end: int) -> bool:
        """Return whether a match counts: it is no quotation, and the token limit left it whole."""
        if self.cut and end >= len(self.text.rstrip()) and self.text[end - 1] not in "]}":
            return False
        words = _folded(self.text[start:end])
        return not any(words in text for text in self._folded_data)

    def _is_data(self, found: Found) -> bool:
        """Return whether a verdict on the last line is one whole text of the data."""
        return _folded(self.text[found.start : found.end]) in self._folded_data

    @cached_property
    def _objects(self) -> list[JsonObject]:
        """The JSON objects that are verdicts or begin as one does."""
        names = names_of(self.task)
        return [found for found in json_objects(self.text) if names & found.names]

    def _whole_json(self) -> Found | None:
        """Return the verdict of a reply that is one JSON object, in a code fence or not."""
        fenced = _CODE_FENCE.fullmatch(self.content)
        start, end = fenced.span(1) if fenced else (0, len(self.content))
        found = next(json_objects(self.content), None)
        if found is None or not found.closed:
            return None
        if (self.content[start : found.start] + self.content[found.end : end]).strip():
            return None
        words = _folded(self.content[found.start : found.end])
        if any(words in text for text in self._folded_data):
            return None
        return json_verdict(self.content, found, self.task)

    def _last(self) -> tuple[Source, Found] | None:
        """Return the verdict that ends last, in JSON or in text."""
        candidates: list[tuple[Source, Found]] = []
        for found in self._objects:
            verdict = json_verdict(self.text, found, self.task)
            if verdict is not None and self.counts(verdict.start, verdict.end):
                candidates.append(("json", verdict))
        text = text_verdict(self._outside_json(), self.task, self.counts)
        if text is not None:
            candidates.append(("text", text))
        return max(candidates, key=lambda candidate: candidate[1].end, default=None)

    def _outside_json(self) -> str:
        """Return the text with blanks over JSON verdicts: their rationale may hold anything.

        One that breaks off may have swallowed the rest where JSON was asked for, or where the
        reply opens with it.
        """
        text = self.text
        for found in self._objects:
            opening = text[: found.start].strip() in ("", "```", "```json")
            swallows = not found.closed and (opening or "response_format" in self.body)
            end = len(text) if swallows else found.end
            text = text[: found.start] + blank(text[found.start : end]) + text[end:]
        return text


def _folded(text: str) -> str:
    """Return a text without blanks, dress and case, in which quotations are looked for."""
    folded = "".join(text.split()).casefold()
    for mark in _DRESS:
        folded = folded.replace(mark, "")
    return folded


def _choice(completion: Any) -> Mapping[str, Any]:
    choices = completion.get("choices") if isinstance(completion, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else {}


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    message = choice.get("message")
    return message if isinstance(message, Mapping) else {}


def _content(choice: Mapping[str, Any]) -> str:
    """Return a reply's text; that of its parts together where it comes in parts."""
    content = _message(choice).get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _messages(body: Any) -> Iterator[str]:
    messages = body.get("messages") if isinstance(body, Mapping) else None
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str):
            yield content


def _unread(content: str, finish: Any) -> Verdict:
    if finish == "length":
        return _null("judge_truncated", f"ended at the token limit: {_short(content[-_SHOWN:])}")
    if not content.strip():
        return _null("judge_empty", "the reply has no text")
    return _null("judge_no_verdict", f"no verdict at the end of: {_short(content[-_SHOWN:])}")


def _null(reason: str, detail: str) -> Verdict:
    return Verdict(value=None, reason=reason, detail=detail)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= _SHOWN else f"{words[:_SHOWN]}...")
