"""Reads a judge's reply: a verdict, or null with a reason. Never raises, whatever came back.

Read by the runner, by batches and by `judge reparse`. Read next: search.py, then expected.py.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from margintool.judge.asking.fence import unfenced
from margintool.judge.item import Verdict
from margintool.judge.reading.expected import expected_values
from margintool.judge.reading.found import Found
from margintool.judge.reading.search import Search
from margintool.judge.task import Task
from mmpo_core.errors import InputError

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
    if (withheld := _withheld(choice, finish)) is not None:
        return withheld
    search = Search(
        content, task, _data(body, fence), fence, "response_format" in body, finish == "length"
    )
    found = search.verdict() if pattern is None else search.matched(_compiled(pattern))
    if found is None:
        return _unread(content, finish)
    source, verdict = found
    if (outside := _out_of_scale(task, verdict)) is not None:
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


def _withheld(choice: Mapping[str, Any], finish: Any) -> Verdict | None:
    """Return the null verdict of a reply that was refused or filtered, or None."""
    refusal = _message(choice).get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return _null("judge_refused", f"refused: {_short(refusal)}")
    if finish == "content_filter":
        return _null("judge_filtered", "the server's content filter cut the reply")
    return None


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


def _data(body: Any, fence: str) -> list[str]:
    """Return the fenced texts of a request: what a reply may quote."""
    return [text for message in _messages(body) for _, text in unfenced(message, fence)]


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
