"""Requests and replies for tests of the parser: an item is asked about, a reply is made up."""

from typing import Any

from margintool.judge.asking.asker import Asker
from margintool.judge.asking.prompts import load_wording
from margintool.judge.item import Dialect, Item, Request, Verdict
from margintool.judge.reading.parse import read_verdict
from margintool.judge.task import Mode

ANSWER = "The sky is blue because short waves scatter more."


def asker(mode: Mode = "single", *, structured: bool = False, **more: Any) -> Asker:
    scale, logprobs = more.pop("scale", None), more.pop("logprobs", False)
    wording = more.pop("wording", None) or load_wording(mode, scale=scale)
    given = {"temperature": 0.0, "max_tokens": 256, "salt": "salt", "model": "judge", **more}
    dialect = given.pop("dialect", Dialect(structured=structured))
    return Asker(wording=wording, dialect=dialect, logprobs=logprobs, **given)


def item(*answers: str, prompt: str = "Why is the sky blue?") -> Item:
    return Item(prompt, (), answers or (ANSWER,))


def request(mode: Mode = "single", *answers: str, **more: Any) -> Request:
    """A request about these answers; two plain ones in `pair` mode if none is given."""
    shown = answers or ((ANSWER, "It reflects the sea.") if mode == "pair" else (ANSWER,))
    return asker(mode, **more).request(item(*shown))


def completion(content: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish}]}


def read(
    content: Any, mode: Mode = "single", *answers: str, finish: str | None = "stop", **more: Any
) -> Verdict:
    """What is read in a reply to a request about these answers."""
    pattern = more.pop("pattern", None)
    asked = request(mode, *answers, **more)
    reply = completion(content, finish)
    return read_verdict(asked.task, reply, asked.body, asked.fence, pattern)
